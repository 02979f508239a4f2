"""The page "Mitigations"."""
