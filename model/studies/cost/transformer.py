"""A Transformer of the same size: transformers' Llama with random weights, read in segments with its key-value cache.

Width, depth and vocabulary are those of the recurrent model, and the width of the feed-forward layers is chosen so that
parameters agree. Every head has keys and values of its own; grouped queries would divide the cache by their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from model.arch.lm import LanguageModel
from model.reading.stream import losses_of

HEAD = 64
"""Channels of a head, where the width has as many."""
POSITIONS = 1 << 25


def llama_config(d_model: int, layers: int, vocab_size: int, tied: bool, parameters: int) -> Any:
    """The configuration whose model has about so many ``parameters``."""
    from transformers import LlamaConfig

    headdim = max(size for size in range(1, HEAD + 1) if d_model % size == 0 and (size % 2 == 0 or size == 1))
    around = vocab_size * d_model * (1 if tied else 2) + d_model
    attention = layers * (4 * d_model**2 + 2 * d_model)
    width = round((parameters - around - attention) / (3 * d_model * layers))
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=d_model,
        intermediate_size=max(8, width),
        num_hidden_layers=layers,
        num_attention_heads=d_model // headdim,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=tied,
    )
    config._attn_implementation = "sdpa"
    return config


def kept_per_token(config: Any) -> int:
    """Bytes of keys and values that a cache holds of every token, in float32."""
    return int(2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4)


class Transformer:
    """The network as a reader: its memory is the cache."""

    def __init__(self, config: Any, device: str, segment: int) -> None:
        from transformers import LlamaForCausalLM

        torch.manual_seed(0)
        self.config, self.segment = config, segment
        network: Any = LlamaForCausalLM(config)
        self.network = network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)

    @property
    def parameters(self) -> int:
        """All its numbers, each once."""
        return sum(weight.numel() for weight in self.network.parameters())

    def logits(self, hidden: Tensor, words: slice = slice(None)) -> Tensor:
        """Scores of the ``words`` of the vocabulary: (..., d_model) -> (..., words)."""
        return hidden @ self.network.lm_head.weight[words].T

    def read(self, ids: np.ndarray) -> Iterator[Any]:
        """The cache after every segment of ``ids`` (n_tokens,), each of whose tokens is scored."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.config)
        tokens = torch.from_numpy(ids).to(self.network.device)[None]
        for first in range(0, len(ids), self.segment):
            with torch.inference_mode():
                hidden = self._hidden(tokens[:, first : first + self.segment], cache)
                targets = tokens[:, first + 1 : first + self.segment + 1]
                scored = losses_of(cast("LanguageModel", self), hidden[:, : targets.shape[1]], targets)
                scored.sum().item()
            yield cache

    def step(self, token: int, cache: Any) -> Any:
        """The cache after one ``token`` more, whose next is predicted."""
        with torch.inference_mode():
            hidden = self._hidden(torch.tensor([[token]], device=self.network.device), cache)
            self.logits(hidden).argmax(-1).item()
        return cache

    def _hidden(self, tokens: Tensor, cache: Any) -> Tensor:
        # By place, for the name of the argument differs between releases of the library.
        found = self.network.model(tokens, None, None, cache, use_cache=True).last_hidden_state
        return cast("Tensor", found)

    def held(self, cache: Any) -> int:
        """Bytes of the keys and values in ``cache``."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
