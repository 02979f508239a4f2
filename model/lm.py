"""The language model: embedding, blocks, norm, head. It holds no memory and no settings: both come as arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kernels.dispatch import scan as kernel_scan
from kernels.products import Products
from kernels.types import Scan
from model.config import ModelConfig
from model.layers import Block, Linear, RMSNorm
from model.mixers import MIXERS
from model.state import LayerState, State, join_rows, map_state

SIDE_BY_SIDE = 2048
"""Tokens, of all rows together, that go through the layers at once where rows share what they read."""


class LanguageModel(nn.Module):
    """A stack of recurrent blocks. Several sessions may share one instance: a forward pass changes nothing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(
            Block(MIXERS[name](config), config.d_model, config.norm_eps) for name in config.layers
        )
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.lm_head = None if config.tied else nn.Parameter(self.embedding.weight.detach().clone())
        self.products = Products()  # of the head

    @property
    def head(self) -> Tensor:
        """The matrix of the head, (vocab_size, d_model): the embedding's own if they are tied."""
        return self.embedding.weight if self.lm_head is None else self.lm_head

    def zero_state(self, batch: int = 1) -> State:
        """An empty memory for ``batch`` sequences."""
        mixers: list[Any] = [block.mixer for block in self.blocks]
        return tuple(mixer.zero_state(batch) for mixer in mixers)

    def forward(
        self, tokens: Tensor, state: State | None = None, scans: Sequence[Scan] | None = None
    ) -> tuple[Tensor, State]:
        """Read ``tokens`` (batch, seqlen) from ``state`` through ``scans``, one per layer.

        Returns the logits of the next token (batch, seqlen, vocab_size) and the state after the last token.
        Without a state the memory is empty; without scans every layer runs the plain scan of its device.
        """
        u, state = self.hidden(tokens, state, scans)
        return self.logits(u), state

    def logits(self, u: Tensor, words: slice = slice(None)) -> Tensor:
        """Scores of the next token, or of the ``words`` of the vocabulary: (..., d_model) -> (..., vocab_size)."""
        return self.products.linear(u.to(self.head.dtype), self.head, rows=words)

    def hidden(
        self, tokens: Tensor, state: State | None = None, scans: Sequence[Scan] | None = None
    ) -> tuple[Tensor, State]:
        """Like :meth:`forward`, but returns what the head reads, (batch, seqlen, d_model), instead of the logits."""
        state = self.zero_state(tokens.shape[0]) if state is None else state
        scans = [kernel_scan] * len(self.blocks) if scans is None else scans
        u = self.embedding(tokens).to(state[0].memory.state.dtype)
        after = []
        for block, layer_state, scan in zip(self.blocks, state, scans, strict=True):
            u, layer_state = block(u, layer_state, scan)
            after.append(layer_state)
        return self.norm(u), tuple(after)

    def advance(self, tokens: Tensor, state: State, scans: Sequence[Scan]) -> State:
        """The state after ``tokens`` (batch, seqlen), for reading on: nothing is said, so the last block says nothing.

        Rows that read the same tokens may share them: with ``tokens`` of one row, and a first layer whose window is
        of one row while its memory has many, all that comes before the first scan is worked out once. What comes
        after is each row's own, and goes through all layers a few rows at a time, so that caches hold it.
        """
        u = self.embedding(tokens).to(state[0].memory.state.dtype)
        rows = len(state[0].memory.state)
        if len(u) == rows:
            return self._advance(0, u, state, scans)
        first: Any = self.blocks[0]
        prepared = first.mixer.prepare(first.norm(u), state[0].window)
        together = max(1, SIDE_BY_SIDE // u.shape[1])
        parts: list[State] = []
        for row in range(0, rows, together):
            here = map_state(state, lambda tensor, low=row: tensor[low : low + together])  # type: ignore[misc]
            output = scans[0](prepared.inputs, here[0].memory)
            read = u + first.mixer.finish(prepared, output.y)
            parts.append((LayerState(output.memory, prepared.window), *self._advance(1, read, here, scans)))
        joined = join_rows(parts)
        return (joined[0]._replace(window=prepared.window), *joined[1:])

    def _advance(self, layer: int, u: Tensor, state: State, scans: Sequence[Scan]) -> State:
        """The states of the layers from ``layer`` on, the first of which reads ``u`` (batch, seqlen, d_model)."""
        after = []
        for index in range(layer, len(self.blocks) - 1):
            u, here = self.blocks[index](u, state[index], scans[index])
            after.append(here)
        last: Any = self.blocks[-1]
        return (*after, last.advance(u, state[-1], scans[-1]))

    def use_bfloat16(self) -> LanguageModel:
        """Keep the matrices of products in bfloat16: about twice as fast on a recent CPU, states stay float32."""
        for block in self.modules():
            if isinstance(block, Linear):
                block.weight.data = block.weight.data.to(torch.bfloat16)
        for matrix in {self.embedding.weight, self.head}:
            matrix.data = matrix.data.to(torch.bfloat16)
        return self
