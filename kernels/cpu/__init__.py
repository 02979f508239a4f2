"""CPU: chunk-parallel PyTorch and numba, one file a family of the recurrence."""
