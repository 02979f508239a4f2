"""How the shipped checkpoints were made: text mixed with hidden facts, and a plain training loop."""
