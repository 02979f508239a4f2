"""Weights on disk: cards, the catalogue, and the shipped checkpoints, one folder each."""
