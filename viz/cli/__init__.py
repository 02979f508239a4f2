"""Commands of ``memory-explorer`` that draw: they come in as entry points, as those of other packages do."""
