"""Attention at the door of all memory: its memory is the cache of every key and value that it has read.

    y_t = sum_s softmax_s(q_t . k_s / sqrt(headdim) - slope (t - s)) v_s        s from t - window + 1, or 0, to t

The cache has no fixed size, so it is carried in ``Memory.past``. What a recording can hold of fixed size stands in its
place: ``state`` (batch, nheads, headdim, d_state) has the mean key and the mean value of the cache in its first two
columns, and zeros where a hybrid's states are wider. The telemetry is that of the whole cache. The norm of a cache
without a window grows like the root of the tokens that were read.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.types import CHUNK, Memory, ScanOutput, Telemetry

QUERIES = 256
"""Tokens whose scores against the cache are formed together."""


class AttentionInputs(NamedTuple):
    """One layer's inputs for one segment: ``q``, ``k``, ``v`` (batch, seqlen, nheads, headdim).

    ``slopes`` (nheads,): what a score loses per token of distance (ALiBi, arXiv 2108.12409); ``window``: how many
    tokens a query sees, itself included.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    slopes: Tensor | None = None
    window: int | None = None

    def seeing(self, window: int) -> AttentionInputs:
        """The inputs, whose queries see ``window`` tokens at most."""
        return self._replace(window=window if self.window is None else min(window, self.window))

    def run(self, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
        """Attend from ``memory``, whose past is the cache: keys and values (batch, tokens, nheads, headdim)."""
        past, seqlen = memory.past[0].shape[1], self.q.shape[1]
        keys, values = (torch.cat([old, new.to(old.dtype)], 1) for old, new in zip(memory.past, self[1:3], strict=True))
        y = torch.cat(
            [
                self._attended(keys, values, past + start, past + min(start + QUERIES, seqlen))
                for start in range(0, seqlen, QUERIES)
            ],
            dim=1,
        )
        boundaries = [past + end for end in (*range(0, seqlen, chunk), seqlen)]
        if torch.is_grad_enabled():  # training looks at the last state alone, and at no statistics
            boundaries = boundaries[-1:]
        means, telemetry = self._summary(keys, values, torch.tensor(boundaries, device=keys.device))
        norms = None
        if token_norms:
            each = past + 1 + torch.arange(seqlen, device=keys.device)
            norms = self._summary(keys, values, each)[1].norm
        first = 0 if self.window is None else max(0, past + seqlen - self.window)
        rows, columns = memory.state.shape[-2:]
        means = F.pad(means, (0, columns - 2, 0, rows - means.shape[-2]))
        after = Memory(means[:, -1], (keys[:, first:], values[:, first:]))
        return ScanOutput(y, means, after, norms, torch.zeros_like(self.q[..., :1]), telemetry)

    def _attended(self, keys: Tensor, values: Tensor, start: int, stop: int) -> Tensor:
        """y of the tokens ``start`` to ``stop`` of the cache."""
        past = keys.shape[1] - self.q.shape[1]
        first = 0 if self.window is None else max(0, start - self.window + 1)
        q, k, v = (
            part.transpose(1, 2).to(values.dtype)
            for part in (self.q[:, start - past : stop - past], keys[:, first:stop], values[:, first:stop])
        )
        distance = torch.arange(start, stop, device=q.device)[:, None] - torch.arange(first, stop, device=q.device)
        seen = distance >= 0 if self.window is None else (distance >= 0) & (distance < self.window)
        mask = seen
        if self.slopes is not None:
            bias = -self.slopes.to(q.dtype)[:, None, None] * distance
            mask = bias.masked_fill(~seen, -torch.inf)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)

    @torch.no_grad()
    def _summary(self, keys: Tensor, values: Tensor, ends: Tensor) -> tuple[Tensor, Telemetry]:
        """Of the cache after ``ends`` tokens: mean key and value (batch, n, nheads, headdim, 2), and the telemetry."""
        cache = torch.stack([keys, values], dim=-1)  # (batch, tokens, nheads, headdim, 2)
        starts = torch.zeros_like(ends) if self.window is None else (ends - self.window).clamp_min(0)

        def within(sums: Tensor) -> Tensor:
            running = F.pad(sums.transpose(0, 1).flatten(1).double().cumsum(0), (0, 0, 1, 0))
            return (running[ends] - running[starts]).to(sums).view(-1, *sums.transpose(0, 1).shape[1:]).transpose(0, 1)

        def shaped(values: Tensor) -> Tensor:
            return values.clamp_min(1).view(1, -1, 1)

        held = ends - starts
        means = within(cache) / shaped(held)[..., None, None]
        elements = cache[0, 0, 0].numel()
        squared = within(cache.square().sum((-1, -2)))
        mean = within(cache.sum((-1, -2))) / (shaped(held) * elements)
        std = (squared / (shaped(held) * elements) - mean.square()).clamp_min(0).sqrt()
        largest = self._largest(cache.abs().amax((-1, -2)), ends)
        chunks = torch.full_like(squared[:, 1:], torch.nan)  # nothing fades
        return means, Telemetry(squared.sqrt(), mean, std, largest, chunks, chunks)

    def _largest(self, values: Tensor, ends: Tensor) -> Tensor:
        """The largest of (batch, tokens, nheads) that the cache after ``ends`` tokens holds: (batch, n, nheads)."""
        if self.window is None:
            running = values.cummax(1).values
        else:
            padded = F.pad(values.transpose(1, 2), (self.window - 1, 0))
            running = F.max_pool1d(padded, self.window, 1).transpose(1, 2)
        return F.pad(running, (0, 0, 1, 0))[:, ends]
