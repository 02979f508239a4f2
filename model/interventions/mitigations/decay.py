"""Forget faster: log a_t <- F log a_t, a scaling of the spectrum of A (Mamba Modulation, arXiv 2509.19633).

Heads that keep for long are touched least in absolute terms and most in lifetime: every half-life is divided by F.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernels.types import ScanInputs


def decayed(inputs: ScanInputs, factor: float) -> ScanInputs:
    """``inputs`` with the logarithm of their decay times ``factor``."""
    return inputs.forgetting(power=factor)
