"""Write less: B_t x_t <- F B_t x_t (Stuffed Mamba, arXiv 2410.07145, 3.2.2: F = 0.75)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.types import Memory, Scan, ScanInputs, ScanOutput


def inserted(scan: Scan, factor: float, _: Tensor | None = None) -> Scan:
    """``scan`` with what it writes times ``factor``."""

    def scan_inserted(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        return scan(inputs._replace(x=inputs.x * factor), memory, token_norms)

    return scan_inserted
