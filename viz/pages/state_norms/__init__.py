"""The page "State norms"."""
