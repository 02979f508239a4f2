"""Every operator as a plain loop over time: the truth that the fast kernels are tested against.

Nothing here is fast or clever. It runs in any dtype (float64 for tests), on any device, and forms every state.
The letters and shapes are those of :mod:`kernels.types`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


def reference_states(
    inputs: ScanInputs, state: Tensor, after_step: Callable[[Tensor], Tensor] = lambda state: state
) -> Tensor:
    """The state before the first token and after every token.

    ``state`` (batch, nheads, headdim, d_state) -> (batch, seqlen + 1, nheads, headdim, d_state).
    ``after_step`` replaces the state after each token (for example by one of bounded norm).
    """
    x, B, log_decay = inputs.x, inputs.B, inputs.log_decay
    repeats = x.shape[2] // B.shape[2]
    B = B.repeat_interleave(repeats, dim=2)  # (batch, seqlen, nheads, d_state)
    states = [state]
    for t in range(x.shape[1]):
        write = x[:, t, :, :, None] * B[:, t, :, None, :]
        state = torch.exp(log_decay[:, t, :, None, :]) * state
        if inputs.low_rank is not None:
            a, b = (each[:, t].repeat_interleave(x.shape[2] // each.shape[2], dim=1) for each in inputs.low_rank)
            write = write + torch.einsum("bhpn,bhn->bhp", state, a)[..., None] * b[:, :, None, :]
        state = after_step(state + write)
        states.append(state)
    return torch.stack(states, dim=1)


def read_states(C: Tensor, states: Tensor) -> Tensor:
    """``y_t = h_t C_t``: (batch, seqlen, ngroups, d_state), (batch, seqlen, nheads, headdim, d_state) -> y."""
    C = C.repeat_interleave(states.shape[2] // C.shape[2], dim=2)
    return torch.einsum("bthn,bthpn->bthp", C, states)


def _output(inputs: ScanInputs, states: Tensor, chunk: int) -> ScanOutput:
    seqlen = states.shape[1] - 1
    boundaries = [*range(0, seqlen, chunk), seqlen]
    norms = states[:, 1:].abs().square().sum((-1, -2)).sqrt()
    y = read_states(inputs.C, states[:, 1:])
    return ScanOutput(y, states[:, boundaries], Memory(states[:, -1]), norms, inputs.log_decay, None, inputs.low_rank)


def reference_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = True, *, chunk: int = CHUNK) -> ScanOutput:
    """The linear recurrence of :mod:`kernels.types`, token by token (norms always come along)."""
    states = reference_states(inputs, memory.state)
    return _output(inputs, states, chunk)


def reference_clipped_scan(inputs: ScanInputs, memory: Memory, limit: Tensor, *, chunk: int = CHUNK) -> ScanOutput:
    """The recurrence with each head's state scaled back to the norm ``limit`` (nheads,) after every token."""

    def clip(state: Tensor) -> Tensor:
        norm = state.square().sum((-1, -2), keepdim=True).sqrt()
        return state * torch.clamp(limit[:, None, None] / norm.clamp_min(1e-30), max=1)

    states = reference_states(inputs, memory.state, clip)
    return _output(inputs, states, chunk)


def reference_boundary_clipped_scan(
    inputs: ScanInputs, memory: Memory, limit: Tensor, *, chunk: int = CHUNK
) -> ScanOutput:
    """The plain recurrence, whose state is scaled back to the norm ``limit`` (nheads,) where it crosses a boundary.

    The last token of a chunk still reads the state as it was; the boundary state, and the next token, have it scaled.
    """
    carried, y, norms = [memory.state], [], []
    for start in range(0, inputs.x.shape[1], chunk):
        piece = inputs.segment(start, start + chunk)
        states = reference_states(piece, carried[-1])[:, 1:]
        y.append(read_states(piece.C, states))
        norms.append(states.square().sum((-1, -2)).sqrt())
        scale = torch.clamp(limit / norms[-1][:, -1].clamp_min(1e-30), max=1)
        carried.append(states[:, -1] * scale[..., None, None])
    boundaries = torch.stack(carried, dim=1)
    return ScanOutput(torch.cat(y, 1), boundaries, Memory(carried[-1]), torch.cat(norms, 1), inputs.log_decay)


def reference_windowed_scan(inputs: ScanInputs, memory: Memory, window: int, *, chunk: int = CHUNK) -> ScanOutput:
    """The state of the last ``window`` inputs alone, for a whole document in one piece.

    The state after token t is that of a scan of tokens t - window + 1 to t from an empty memory; while fewer than
    ``window`` tokens have been read, from ``memory.state``.
    """
    empty = torch.zeros_like(memory.state)
    states = [memory.state]
    for t in range(inputs.x.shape[1]):
        first = t - window + 1
        start = memory.state if first <= 0 and t + 1 < window else empty
        states.append(reference_states(inputs.segment(max(first, 0), t + 1), start)[:, -1])
    stacked = torch.stack(states, dim=1)
    return _output(inputs, stacked, chunk)
