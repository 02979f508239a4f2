"""A transition that is diagonal plus low rank: the solve inside a chunk, forward, backward, the scan at its door."""
