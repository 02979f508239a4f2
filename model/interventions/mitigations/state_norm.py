"""Bound the norm: after every token, scale a head's state back to F times its norm at the training length.

    h_t <- h_t min(1, p / |h_t|)        p = F |h at the training length|, per layer and head

The first version of Stuffed Mamba (arXiv 2410.07145v1) proposed it; its threshold is not published, hence a multiple
of the head's own norm. The bound holds at every token, not only where chunks end, which is another operator. All
vectors of a cell are scaled together, so of an LSTM both c and h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.cells.types import CellInputs
    from kernels.types import Memory, Scan, ScanInputs, ScanOutput


def clipped(factor: float, norm_at_train_length: Tensor | None, inner: Scan | None) -> Scan:
    """The scan with every head's state norm at most ``factor`` times ``norm_at_train_length`` (nheads,).

    Over ``inner``, a sliding window whose state is made anew at every token, the bound scales what is read.
    """
    assert norm_at_train_length is not None
    limit = factor * norm_at_train_length

    def scan_clipped(inputs: ScanInputs | CellInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        from kernels.cells.loop import step_loop
        from kernels.cells.types import CellInputs
        from kernels.cpu.clipped import clipped_scan
        from kernels.cpu.clipped_low_rank import clipped_low_rank_scan

        if isinstance(inputs, CellInputs):
            return step_loop(inputs, memory, token_norms, limit=limit)
        if inputs.low_rank is not None:
            return clipped_low_rank_scan(inputs, memory, limit, token_norms)
        return clipped_scan(inputs, memory, limit, token_norms)

    if inner is None:
        return scan_clipped

    def window_clipped(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        output = inner(inputs, memory, True)
        assert output.token_norms is not None
        norms = output.token_norms
        share = (limit / norms.clamp_min(1e-30)).clamp_max(1)
        states = output.boundary_states
        # The state at a boundary, so bounded here by its own norm.
        boundary_norms = states.square().sum((-1, -2), keepdim=True).sqrt()
        states = states * (limit[:, None, None] / boundary_norms.clamp_min(1e-30)).clamp_max(1)
        y = output.y * share[..., None]
        return output._replace(y=y, boundary_states=states, token_norms=norms * share, telemetry=None)

    return window_clipped
