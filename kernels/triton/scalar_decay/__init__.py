"""One decay per head: forward, backward, the scan at its door, and its sliding window."""
