"""GPU: Triton kernels, one file or folder a family; importing one imports Triton."""
