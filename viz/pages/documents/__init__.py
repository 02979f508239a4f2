"""The page "Documents"."""
