"""Forget faster: log a_t <- F log a_t, a scaling of the spectrum of A (Mamba Modulation, arXiv 2509.19633).

Heads that keep for long are touched least in absolute terms and most in lifetime: every half-life is divided by F.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.types import Memory, Scan, ScanInputs, ScanOutput


def decayed(scan: Scan, factor: float, _: Tensor | None = None) -> Scan:
    """``scan`` with the logarithm of its decay times ``factor``."""

    def scan_decayed(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        return scan(inputs._replace(log_decay=inputs.log_decay * factor), memory, token_norms)

    return scan_decayed
