"""Cells without a fused kernel, their loops compiled by numba: forward, backward, and the loop at its door."""
