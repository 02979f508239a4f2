"""The command ``memory-explorer``, one file a command group."""
