"""The page "Play"."""
