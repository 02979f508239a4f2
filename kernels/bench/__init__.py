"""Checks, timing and ahead-of-time compilation of the kernels: ``python -m kernels.bench``."""
