"""The page "Ask after reading"."""
