"""RWKV-4 (arXiv 2305.13048): time mixing, and channel mixing after it.

All modules are ours: the library's halve some weights in place when they are first read with, and share one list of
states among the layers.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from model.mixers.rwkv4 import PARTS, RWKV4
from model.published.config import PublishedConfig
from model.published.fields import outer
from model.published.lm import Anatomy, BesidePart, Made, MemoryPart, Table, linear, under
from model.published.rwkv6 import ChannelMix
from model.published.rwkv7 import side_by_side

NAMES = {"k": "key", "v": "value", "r": "receptance", "o": "output"}
LAST_EPS = 1e-5
"""Of the last norm, whatever the configuration says."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``RwkvConfig``."""
    return {
        "layers": ("rwkv4",) * source.num_hidden_layers,
        "inner": 2 * source.attention_hidden_size,
        "d_state": 1,
        "headdim": 1,
        "train_length": source.context_length,
        **outer(source, eps="layer_norm_epsilon"),
    }


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of time mixing and channel mixing, with layer norms, the embedding normed too."""
    source, width = config.source, config.d_model
    every = source.rescale_every if source.rescale_every > 0 else len(config.layers) + 1

    def normed(eps: float, layers: int = 0) -> nn.LayerNorm:
        # The library halves the stream every so many layers, of which a norm sees its epsilon grow fourfold.
        return nn.LayerNorm(width, eps * 4 ** (layers // every))

    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        prefix = f"rwkv.blocks.{index}."
        rows = _norm_rows("ln1") | _mixer_rows()
        parts.append(MemoryPart(normed(config.norm_eps, index), RWKV4(config), under(prefix, rows)))
        rows = _norm_rows("ln2")
        for name in ("key", "value", "receptance"):
            rows |= linear(name, f"feed_forward.{name}")
        for name in ("key", "receptance"):
            rows[f"{name}_shift"] = Made((f"feed_forward.time_mix_{name}",), _of_the_one_before)
        feed = ChannelMix(normed(config.norm_eps, index), width, source.intermediate_size)
        parts.append(BesidePart(feed, under(prefix, rows)))
    outside: Table = {"embedding.weight": "rwkv.embeddings.weight", "lm_head": "head.weight"}
    outside |= under("rwkv.", _norm_rows("ln_out"))
    opening = under("rwkv.blocks.0.", _norm_rows("pre_ln"))
    outside |= {f"embedding_{name}": row for name, row in opening.items()}
    last = normed(LAST_EPS, len(config.layers))
    return Anatomy(parts, last, outside, embedding_norm=normed(config.norm_eps))


def _norm_rows(theirs: str) -> Table:
    return {"norm.weight": f"{theirs}.weight", "norm.bias": f"{theirs}.bias"}


def _mixer_rows() -> Table:
    rows: Table = {"time_decay": "time_decay", "bonus": "time_first"}
    rows["shift"] = Made(tuple(f"time_mix_{NAMES[part]}" for part in PARTS), side_by_side)
    for ours, theirs in NAMES.items():
        rows |= linear(f"{ours}_proj", theirs)
    return {f"mixer.{name}": source for name, source in under("attention.", rows).items()}


def _of_the_one_before(share: Tensor) -> Tensor:
    """The share of the token before from that of the token, (1, 1, d_model)."""
    return 1 - share.flatten()
