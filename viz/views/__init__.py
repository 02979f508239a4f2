"""One file per view; the first line of each says which question it answers."""
