"""Forget faster: log a_t <- F log a_t, a scaling of the spectrum of A (Mamba Modulation, arXiv 2509.19633).

Every half-life is divided by F. The collapse ends once the slowest heads forget within the training length T, so F has
to be about their half-life over T; heads that forget sooner then lose what they need, which is the cost. In the shipped
base half-lives are 7 to 52,000 tokens and T is 256: F = 4 leaves every head of the first layer beyond T and changes
little, F = 256 removes most of the excess. ``retention`` shortens the slow heads alone and costs less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernels.types import ScanInputs


def decayed(inputs: ScanInputs, factor: float) -> ScanInputs:
    """``inputs`` with the logarithm of their decay times ``factor``."""
    return inputs.forgetting(power=factor)
