"""The page "Passkey"."""
