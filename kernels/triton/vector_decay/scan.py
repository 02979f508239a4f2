"""Triton: the scan of one family at its door: what is checked, which direction runs, what comes out.

The kernels are in :mod:`.forward`; where an input needs its gradient, :mod:`.backward` runs instead.
"""

from __future__ import annotations

import torch

from kernels.triton.scalar_decay.forward import CHUNKS
from kernels.triton.shapes import Fit
from kernels.triton.vector_decay.backward import VectorDecay
from kernels.triton.vector_decay.forward import forward, supports
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry


def vector_decay_scan(
    inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.types` for every shape. The output has its telemetry.

    Differentiable, and then all boundary states are kept; norms and telemetry carry no gradient. ``chunk`` is 16, 32,
    64 or 128.
    Raises ValueError for sizes or a decay that :func:`supports` refuses.
    """
    if not supports(inputs) or chunk not in CHUNKS:
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, B {tuple(inputs.B.shape)}")
    assert inputs.log_decay.dtype == memory.state.dtype == torch.float32
    assert inputs.log_decay.shape[:3] == inputs.x.shape[:3] and inputs.x.shape[2] % inputs.B.shape[2] == 0
    fit = Fit.of(inputs)
    cut = fit.inputs(inputs)
    tensors = [tensor.contiguous() for tensor in (*cut[:4], fit.state(memory.state))]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    boundaries = None if learning else inputs.boundaries
    if learning:
        y, states, norms, *statistics = VectorDecay.apply(*tensors, chunk, token_norms)  # type: ignore[no-untyped-call]
    else:
        found = forward(ScanInputs.of(tensors[:4]), tensors[4], chunk, token_norms, boundaries)
        y, states, norms, *statistics = found[:9]
    kept = norms if token_norms else None
    output = ScanOutput(y, states, Memory(states[:, -1]), kept, None, Telemetry(*statistics), boundaries=boundaries)
    return fit.output(output, inputs)._replace(log_decay=inputs.log_decay)
