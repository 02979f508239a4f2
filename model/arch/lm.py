"""The language model: embedding, blocks, norm, head. It holds no memory and no settings: both come as arguments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kernels.cpu.products import Products
from kernels.dispatch import scan_to_end
from kernels.types import Scan
from model.arch.layers import Block, Linear, RMSNorm, replaced, silenced
from model.config import ModelConfig
from model.mixers import MIXERS
from model.state import State


class LanguageModel(nn.Module):
    """A stack of recurrent blocks. Several sessions may share one instance: a forward pass changes nothing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(
            Block(MIXERS[name].make(config), config.d_model, config.norm_eps) for name in config.layers
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
        return self.products.linear(u.to(self.head.dtype), self.head, None, words)

    def hidden(
        self, tokens: Tensor, state: State | None = None, scans: Sequence[Scan] | None = None
    ) -> tuple[Tensor, State]:
        """Like :meth:`forward`, but returns what the head reads, (batch, seqlen, d_model), instead of the logits."""
        state = self.zero_state(tokens.shape[0]) if state is None else state
        scans = [scan_to_end] * len(self.blocks) if scans is None else scans
        u = self.embedding(tokens).to(state[0].memory.state.dtype)
        after = []
        for block, layer_state, scan in zip(self.blocks, state, scans, strict=True):
            u, layer_state = block(u, layer_state, scan)
            after.append(layer_state)
        return self.norm(u), tuple(after)

    def seeing(self, _window: int) -> LanguageModel:
        """The model whose attention sees so many tokens at most: itself, for it has none."""
        return self

    def without(self, layers: Collection[int], *, attention: bool = False) -> LanguageModel:
        """The same weights, with the mixers of ``layers`` adding nothing to the residual stream.

        ``attention``: nor does what attention there is beside them, which is none here.
        """
        blocks = (silenced(block) if index in layers else block for index, block in enumerate(self.blocks))
        other: LanguageModel = replaced(self, blocks=nn.ModuleList(blocks))
        return other

    def use_bfloat16(self) -> LanguageModel:
        """Keep the matrices of products in bfloat16: about twice as fast on a recent CPU, states stay float32."""
        for block in self.modules():
            if isinstance(block, Linear):
                block.weight.data = block.weight.data.to(torch.bfloat16)
        for matrix in {self.embedding.weight, self.head}:
            matrix.data = matrix.data.to(torch.bfloat16)
        return self
