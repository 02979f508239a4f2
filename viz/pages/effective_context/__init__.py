"""The page "Effective context"."""
