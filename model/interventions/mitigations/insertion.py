"""Write less: B_t x_t <- F B_t x_t (Stuffed Mamba, arXiv 2410.07145, 3.2.2: F = 0.75).

With a delta rule F multiplies the new value alone: the old one at the key is erased as strongly as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernels.types import ScanInputs


def inserted(inputs: ScanInputs, factor: float) -> ScanInputs:
    """``inputs`` with what they write times ``factor``."""
    return inputs._replace(x=inputs.x * factor)
