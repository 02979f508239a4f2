"""The page "Text"."""
