"""The page "Diagnose"."""
