"""Scans for continuing from many states at once, behind :mod:`.shared_prefix`: shared tokens, or a state alone.

The recurrence is linear, so over the same inputs a memory h_0 adds to what an empty one gives, and decays:

    y_t = y_t(empty) + exp(g_t) h_0 C_t        h_last = h_last(empty) + exp(g_last) h_0

with g_t the running sum of log_decay. Many memories over one row of inputs thus cost one read each, without a loop.
Where y is not read, as in the last layer of a model that only continues, a state is one product:

    h_last = exp(g_last) h_0 + sum_t exp(g_last - g_t) x_t B_t^T

Every factor is at most one, so nothing overflows and nothing cancels. Of the boundary states only the last is given:
no telemetry is recorded on the way. Letters and shapes are those of :mod:`kernels.types`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.cpu.chunked_scalar import LOG2_E, pack_state
from kernels.dispatch import scan
from kernels.types import Memory, ScanInputs, ScanOutput


class SharedInputs(ScanInputs):
    """Inputs of one row that many memories read: what they give from an empty one is worked out once and kept here."""

    from_nothing: tuple[ScanOutput, Tensor] | None = None


def shared_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """Run ``inputs`` of one row from a ``memory`` of many rows.

    Inputs of as many rows, a decay per channel and a wish for norms of every token go to the scan of the device. No
    gradient passes.
    """
    rows, nheads, headdim, _ = memory.state.shape
    own = inputs.x.shape[0] == rows and not isinstance(inputs, SharedInputs)
    if own or inputs.log_decay.shape[-1] != 1 or token_norms:
        return scan(inputs.for_rows(rows), memory, token_norms)
    dtype = memory.state.dtype
    seqlen, ngroups = inputs.x.shape[1], inputs.B.shape[2]
    alone, grown = _from_nothing(inputs, memory)
    states = pack_state(memory.state, ngroups).to(inputs.x.dtype)
    read = torch.matmul(inputs.C[0].transpose(0, 1), states).to(dtype)  # (rows, ngroups, seqlen, width)
    read = read.transpose(1, 2).reshape(rows, seqlen, nheads, headdim)
    y = torch.addcmul(alone.y, read, grown, out=read)
    last = torch.addcmul(alone.memory.state, memory.state, grown[:, -1, :, :, None])
    return ScanOutput(y, last[:, None], Memory(last), None, inputs.log_decay)


def state_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """The memory after ``inputs`` and nothing else: y has no tokens. Inputs of one row serve every row of ``memory``.

    A decay per channel and a wish for norms of every token go to the scan of the device.
    """
    if inputs.log_decay.shape[-1] != 1 or token_norms:
        return scan(inputs.for_rows(memory.state.shape[0]), memory, token_norms)
    dtype = memory.state.dtype
    to_end, whole = decay_to_end(inputs.log_decay, dtype)
    last = torch.addcmul(written((inputs.x * to_end).to(inputs.B.dtype), inputs.B).to(dtype), memory.state, whole)
    nothing = inputs.x.new_empty(last.shape[0], 0, *inputs.x.shape[2:], dtype=dtype)
    return ScanOutput(nothing, last[:, None], Memory(last), None, inputs.log_decay)


def decay_to_end(log_decay: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """How what is written, and what was there before, decays up to the last token.

    (batch, seqlen, nheads, 1) of the natural logarithm -> the same shape, and (batch, nheads, 1, 1).
    """
    decay = _running(log_decay)
    return torch.exp2((decay[:, -1:] - decay).to(dtype)), torch.exp2(decay[:, -1, :, :, None].to(dtype))


def written(x: Tensor, B: Tensor) -> Tensor:
    """sum_t x_t B_t^T: (batch, seqlen, nheads, headdim), (batch, seqlen, ngroups, d_state) -> that of a state."""
    batch, _, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    into = _by_group(x, ngroups).transpose(1, 2)
    return torch.bmm(into, _by_group(B, ngroups)).view(batch, nheads, headdim, d_state)


def _from_nothing(inputs: ScanInputs, memory: Memory) -> tuple[ScanOutput, Tensor]:
    """What ``inputs`` of one row give from an empty memory, and how it decays: (1, seqlen, nheads, 1)."""
    if isinstance(inputs, SharedInputs) and inputs.from_nothing is not None:
        return inputs.from_nothing
    alone = scan(inputs, Memory(torch.zeros_like(memory.state[:1])))
    alone = ScanOutput(alone.y, alone.memory.state[:, None], alone.memory)  # the other boundaries are not read
    found = alone, torch.exp2(_running(inputs.log_decay).to(memory.state.dtype))
    if isinstance(inputs, SharedInputs):
        inputs.from_nothing = found
    return found


def _running(log_decay: Tensor) -> Tensor:
    """The running sum of log2 decay over the tokens, in float64 because its differences matter."""
    return log_decay.double().cumsum(1) * LOG2_E


def _by_group(tensor: Tensor, ngroups: int) -> Tensor:
    """(batch, seqlen, heads or groups, k) -> (batch * ngroups, seqlen, width)."""
    batch, seqlen = tensor.shape[:2]
    if ngroups == 1:
        return tensor.flatten(2)
    return tensor.reshape(batch, seqlen, ngroups, -1).transpose(1, 2).flatten(0, 1)
