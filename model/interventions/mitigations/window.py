"""Remember the last R tokens only: an exact sliding window over the state (Stuffed Mamba, arXiv 2410.07145, eq. 8).

The paper subtracts a delayed copy of the state; here the window is summed afresh, so nothing cancels. The window
holds per layer, given that layer's inputs: L layers together see about L R tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.attention import AttentionInputs
    from kernels.types import Memory, Scan, ScanInputs, ScanOutput


def windowed(window: float, norm_at_train_length: Tensor | None, inner: Scan | None) -> Scan:
    """The scan of the last ``window`` inputs, which replaces the kernel; attention sees no more of its cache."""
    assert inner is None

    def scan_windowed(inputs: ScanInputs | AttentionInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        from kernels import dispatch
        from kernels.attention import AttentionInputs

        if isinstance(inputs, AttentionInputs):
            return dispatch.scan(inputs.seeing(int(window)), memory, token_norms)
        return dispatch.windowed(inputs, memory, int(window), token_norms)

    return scan_windowed
