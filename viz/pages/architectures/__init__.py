"""The page "Architectures"."""
