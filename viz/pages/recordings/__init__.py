"""The page "Recordings"."""
