"""The page "State map"."""
