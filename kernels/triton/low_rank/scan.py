"""Triton: the scan of one family at its door: what is checked, which direction runs, what comes out.

The kernels are in :mod:`.solve` and :mod:`.forward`; where an input needs its gradient, :mod:`.backward` runs instead.
"""

from __future__ import annotations

import torch

from kernels.triton.low_rank.backward import LowRankDecay
from kernels.triton.low_rank.forward import CHUNKS, ROWS_OF_DEEP, forward, supports
from kernels.triton.shapes import Fit
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry


def low_rank_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` with their pair from ``memory``; see :mod:`kernels.types` for every shape.

    The output has its telemetry. Differentiable; norms and telemetry carry no gradient. ``chunk`` is 16, 32 or 64.
    Raises ValueError for sizes or a decay that :func:`supports` refuses.
    """
    if not supports(inputs) or chunk not in CHUNKS:
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, B {tuple(inputs.B.shape)}")
    assert inputs.log_decay.dtype == memory.state.dtype == torch.float32
    fit, nheads = Fit.of(inputs, ROWS_OF_DEEP), inputs.x.shape[2]
    assert all(nheads % tensor.shape[2] == 0 for tensor in inputs.tensors) and inputs.log_decay.shape[2] == nheads
    cut, tiles = fit.inputs(inputs), nheads * fit.parts
    every = cut.map(lambda tensor: tensor.repeat_interleave(tiles // tensor.shape[2], dim=2).contiguous())
    tensors = (*every.tensors, fit.state(memory.state))
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        y, states, norms, *statistics = LowRankDecay.apply(*tensors, chunk, token_norms)  # type: ignore[no-untyped-call]
    else:
        y, states, norms, *statistics = forward(every, tensors[-1], chunk, token_norms)[:9]
    kept = norms if token_norms else None
    output = ScanOutput(y, states, Memory(states[:, -1]), kept, None, Telemetry(*statistics))
    return fit.output(output, inputs)._replace(log_decay=inputs.log_decay)
