"""Keep less: a_t <- F a_t (Stuffed Mamba, arXiv 2410.07145, 3.2.2: F = 0.9999, used together with less insertion).

A product, not a power: F puts an upper bound on every half-life, ln 2 / -ln F tokens (6931 at 0.9999).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernels.types import ScanInputs


def retained(inputs: ScanInputs, factor: float) -> ScanInputs:
    """``inputs`` with their decay times ``factor``."""
    return inputs.forgetting(factor=factor)
