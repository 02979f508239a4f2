"""Triton: the scan of one family at its door: what is checked, which direction runs, what comes out.

The kernels are in :mod:`.forward`; where an input needs its gradient, :mod:`.backward` runs instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.triton.scalar_decay.backward import ScalarDecay
from kernels.triton.scalar_decay.forward import CHUNKS, Options, forward, supports
from kernels.triton.shapes import Fit
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry


def scalar_decay_scan(
    inputs: ScanInputs,
    memory: Memory,
    token_norms: bool = False,
    *,
    chunk: int = CHUNK,
    decay: float = 1.0,
    insertion: float = 1.0,
    boundary_limit: Tensor | None = None,
) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.types` for every shape. The output has its telemetry.

    ``decay`` multiplies log_decay and ``insertion`` what is written, without a pass over memory of their own.
    ``boundary_limit`` (nheads,) scales the state that is carried over every boundary back to this norm, after the
    last token of the chunk has read it: another operator than a bound at every token (:mod:`kernels.cpu.clipped`).
    Differentiable without a limit, and then all boundary states are kept; norms and telemetry carry no gradient.
    ``chunk`` is 16, 32, 64 or 128. Heads that are no tile are cut into tiles (:mod:`kernels.triton.shapes`).
    Raises ValueError for sizes or a decay that :func:`supports` refuses, and if a gradient meets a limit.
    """
    batch, seqlen, nheads, _headdim = inputs.x.shape
    if not supports(inputs) or chunk not in CHUNKS:
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, B {tuple(inputs.B.shape)}")
    assert inputs.log_decay.shape == (batch, seqlen, nheads, 1) and inputs.log_decay.dtype == torch.float32
    assert memory.state.dtype == torch.float32 and nheads % inputs.B.shape[2] == 0
    fit = Fit.of(inputs)
    tensors = [tensor.contiguous() for tensor in (*fit.inputs(inputs)[:4], fit.state(memory.state))]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    boundaries = None if learning else inputs.boundaries
    options = Options(chunk, token_norms, decay, insertion, boundary_limit, boundaries, fit.parts)
    if learning:
        if boundary_limit is not None:
            raise ValueError("a bound on the norm has no gradient; call it under torch.no_grad()")
        y, states, norms, *statistics = ScalarDecay.apply(*tensors, options)  # type: ignore[no-untyped-call]
    else:
        y, states, norms, *statistics = forward(ScanInputs.of(tensors[:4]), tensors[4], options)[:9]
    kept = norms if token_norms else None
    output = ScanOutput(y, states, Memory(states[:, -1]), kept, None, Telemetry(*statistics), boundaries=boundaries)
    applied = inputs.log_decay if decay == 1 else inputs.log_decay * decay
    return fit.output(output, inputs)._replace(log_decay=applied)
