"""The scan of heads that are one channel wide, step by step over rows of numbers: Mamba-1, RG-LRU.

With headdim 1 a state is a vector per channel and nothing in it is a matrix product. Weights between pairs of tokens
would cost more than the recurrence itself, which is one multiplication and one addition for every element:

    h_t = a_t h_{t-1} + x_t B_t        y_t = h_t . C_t

So tokens are taken one after another, all channels of all rows at once, in blocks that make decays, writes and reads
for many tokens together. In place where no gradient is wanted. The arithmetic is that of the reference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


def stepped_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` of headdim 1 from ``memory``; log_decay is per channel, or per channel and state.

    Raises ValueError for wider heads.
    """
    batch, seqlen, nheads, headdim = inputs.x.shape
    if headdim != 1:
        raise ValueError(f"stepped_scan takes heads that are one channel wide, got headdim {headdim}")
    ngroups, d_state = inputs.B.shape[2:]
    dtype = memory.state.dtype
    state = memory.state[:, :, 0]  # (batch, nheads, d_state)
    reads, norms, boundaries = [], [], [memory.state]

    for start in range(0, seqlen, chunk):
        x, B, C, log_decay = inputs.segment(start, min(start + chunk, seqlen))[:4]
        length = x.shape[1]
        decay = log_decay.to(dtype).exp()
        grouped = x.to(dtype).view(batch, length, ngroups, -1, 1)
        write = (grouped * B.to(dtype)[:, :, :, None]).view(batch, length, nheads, d_state)
        states = steps(decay, write, state)
        state = states[:, -1]
        by_group = states.view(batch, length, ngroups, -1, d_state)
        reads.append(torch.matmul(by_group, C.to(dtype)[..., None]).view(batch, length, nheads, 1))
        if token_norms:
            norms.append(states.square().sum(-1).sqrt())
        boundaries.append(state[:, :, None].clone())  # and not a view, which would keep the whole block

    return ScanOutput(
        torch.cat(reads, dim=1),
        torch.stack(boundaries, dim=1),
        Memory(boundaries[-1]),
        torch.cat(norms, dim=1) if token_norms else None,
        inputs.log_decay,
    )


def steps(decay: Tensor, write: Tensor, state: Tensor) -> Tensor:
    """Every state of a block: (batch, length, nheads, 1 or d_state), (batch, length, nheads, d_state), state -> states.

    Without a gradient ``write`` itself becomes the states.
    """
    if torch.is_grad_enabled():
        states: Tensor = Steps.apply(decay, write, state)  # type: ignore[no-untyped-call]
        return states
    return advance(decay, write, state)


def advance(decay: Tensor, write: Tensor, state: Tensor) -> Tensor:
    """h_t = decay_t h_{t-1} + write_t in place of ``write``, which is returned."""
    for index in range(write.shape[1]):
        state = write[:, index].addcmul_(decay[:, index], state)
    return write


class Steps(Function):
    """:func:`advance` with a gradient, which is the same recurrence from the last token to the first.

        e_t = d loss / d h_t + decay_{t+1} e_{t+1}        d write_t = e_t        d decay_t = e_t h_{t-1}

    Autograd alone would keep every step, and take as many small ones back.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, write: Tensor, state: Tensor) -> Tensor:
        """Every state, (batch, length, nheads, d_state)."""
        states = advance(decay, write.clone(), state)
        ctx.save_for_backward(decay, states, state)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of decay, write and state."""
        decay, states, state = ctx.saved_tensors
        error = gradient.clone()
        for index in range(error.shape[1] - 2, -1, -1):
            error[:, index].addcmul_(decay[:, index + 1], error[:, index + 1])
        before = torch.cat([state[:, None], states[:, :-1]], dim=1)
        of_decay = error * before
        if decay.shape[-1] == 1:
            of_decay = of_decay.sum(-1, keepdim=True)
        return of_decay, error, decay[:, 0] * error[:, 0]
