"""Scans for reading on from many memories at once: over tokens that all of them share, and for a state alone.

The recurrence is linear, so over the same inputs a memory h_0 adds to what an empty one gives, and decays:

    y_t = y_t(empty) + exp(g_t) h_0 C_t        h_last = h_last(empty) + exp(g_last) h_0

with g_t the running sum of log_decay. Many memories over one row of inputs thus cost one read each, without a loop.
And where nobody reads y, as in the last layer of a model that is only reading on, a state is one product:

    h_last = exp(g_last) h_0 + sum_t exp(g_last - g_t) x_t B_t^T

Every factor is at most one, so nothing overflows and nothing cancels. Of the boundary states only the last is given:
nobody looks on while a model reads on. Letters and shapes are those of :mod:`kernels.types`.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from kernels.chunked import LOG2_E, pack_state
from kernels.dispatch import scan
from kernels.types import Memory, ScanInputs, ScanOutput


def shared_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """Run ``inputs`` of one row from a ``memory`` of many rows.

    Inputs of as many rows, a decay per channel and a wish for norms of every token go to the scan of the device.
    """
    rows, nheads, headdim, _ = memory.state.shape
    if inputs.x.shape[0] == rows > 1 or inputs.log_decay.shape[-1] != 1 or token_norms:
        return scan(inputs.for_rows(rows), memory, token_norms)
    dtype = memory.state.dtype
    seqlen, ngroups = inputs.x.shape[1], inputs.B.shape[2]
    alone, grown = _from_nothing(inputs, memory)
    states = pack_state(memory.state, ngroups).to(inputs.x.dtype)
    read = torch.matmul(inputs.C[0].transpose(0, 1), states).to(dtype)  # (rows, ngroups, seqlen, width)
    read = read.transpose(1, 2).reshape(rows, seqlen, nheads, headdim)
    y = torch.addcmul(alone.y, read, grown)
    last = torch.addcmul(alone.memory.state, memory.state, grown[:, -1, :, :, None])
    return ScanOutput(y, last[:, None], Memory(last), None, inputs.log_decay)


def state_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """The memory after ``inputs`` and nothing else: y has no tokens. Inputs of one row serve every row of ``memory``.

    A decay per channel and a wish for norms of every token go to the scan of the device.
    """
    batch, _, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    if inputs.log_decay.shape[-1] != 1 or token_norms:
        return scan(inputs.for_rows(memory.state.shape[0]), memory, token_norms)
    dtype = memory.state.dtype
    decay = _running(inputs.log_decay)  # (batch, seqlen, nheads, 1)
    to_end = torch.exp2((decay[:, -1:] - decay).to(dtype))
    scaled = _by_group(inputs.x * to_end.to(inputs.x.dtype), ngroups)
    added = torch.bmm(scaled.transpose(1, 2), _by_group(inputs.B, ngroups)).to(dtype)
    added = added.view(batch, nheads, headdim, d_state)
    last = torch.addcmul(added, memory.state, torch.exp2(decay[:, -1, :, :, None].to(dtype)))
    nothing = inputs.x.new_empty(last.shape[0], 0, nheads, headdim, dtype=dtype)
    return ScanOutput(nothing, last[:, None], Memory(last), None, inputs.log_decay)


class _Latest(threading.local):
    """What the latest inputs of this thread gave from an empty memory: some rows after others come with the same."""

    inputs: ScanInputs | None = None
    alone: ScanOutput
    grown: Tensor


_latest = _Latest()


def _from_nothing(inputs: ScanInputs, memory: Memory) -> tuple[ScanOutput, Tensor]:
    """What ``inputs`` of one row give from an empty memory, and how it decays: (1, seqlen, nheads, 1)."""
    if _latest.inputs is not inputs:
        _latest.alone = scan(inputs, Memory(torch.zeros_like(memory.state[:1])))
        _latest.grown = torch.exp2(_running(inputs.log_decay).to(memory.state.dtype))
        _latest.inputs = inputs
    return _latest.alone, _latest.grown


def _running(log_decay: Tensor) -> Tensor:
    """The running sum of log2 decay over the tokens, in float64 because its differences matter."""
    return log_decay.double().cumsum(1) * LOG2_E


def _by_group(tensor: Tensor, ngroups: int) -> Tensor:
    """(batch, seqlen, heads or groups, k) -> (batch * ngroups, seqlen, width)."""
    batch, seqlen = tensor.shape[:2]
    if ngroups == 1:
        return tensor.reshape(batch, seqlen, -1)
    return tensor.reshape(batch, seqlen, ngroups, -1).transpose(1, 2).flatten(0, 1)
