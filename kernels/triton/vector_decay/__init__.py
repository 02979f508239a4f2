"""One decay per channel: forward, backward, and the scan at its door."""
