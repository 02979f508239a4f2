"""Keep less: a_t <- F a_t (Stuffed Mamba, arXiv 2410.07145, 3.2.2: F = 0.9999, used together with less insertion).

A product, not a power: F puts an upper bound on every half-life, ln 2 / -ln F tokens (6931 at 0.9999).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.types import Memory, Scan, ScanInputs, ScanOutput


def retained(scan: Scan, factor: float, _: Tensor | None = None) -> Scan:
    """``scan`` with its decay times ``factor``."""
    shift = math.log(factor)

    def scan_retained(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        return scan(inputs._replace(log_decay=inputs.log_decay + shift), memory, token_norms)

    return scan_retained
