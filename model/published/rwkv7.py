"""RWKV-7 in the layout of flash-linear-attention (arXiv 2503.14456): time mixing, and channel mixing after it.

The values of the first layer enter all later ones. So the stream between the layers is wider than the model: behind its
d_model channels lie d_inner more, zero before the first layer, which adds its values there; no other layer adds any.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan
from model.arch.layers import Linear
from model.mixers.rwkv7 import PARTS, RWKV7, Ranks
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, filled, sizes_of
from model.published.lm import Anatomy, BesidePart, Made, MemoryPart, Table, linear, under
from model.published.parts import Rest
from model.state import LayerState

DEFAULTS = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "head_dim": 64,
    "num_heads": None,
    "value_dim": None,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "decay_low_rank_dim": 64,
    "gate_low_rank_dim": 128,
    "a_low_rank_dim": 64,
    "v_low_rank_dim": 16,
    "hidden_act": "sqrelu",
    "norm_first": True,
    "norm_bias": True,
    "fuse_norm": True,
    "norm_eps": 1e-5,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""What a configuration means by leaving a field out."""


class ModelNorm(nn.LayerNorm):
    """A layer norm of the model's channels; what lies behind them passes as it is."""

    def forward(self, stream: Tensor) -> Tensor:
        """(batch, seqlen, d_model + d_inner) -> the same shape."""
        u, values = stream.tensor_split([self.normalized_shape[0]], dim=-1)
        return torch.cat([super().forward(u), values], dim=-1)


class LastNorm(nn.LayerNorm):
    """A layer norm of the model's channels, without what lies behind them."""

    def forward(self, stream: Tensor) -> Tensor:
        """(batch, seqlen, d_model + d_inner) -> (batch, seqlen, d_model)."""
        return super().forward(stream[..., : self.normalized_shape[0]])


class Widened(nn.Module):
    """The embedding, normed if ``norm`` does that, and room behind it for the values of the first layer."""

    def __init__(self, norm: nn.Module, inner: int) -> None:
        super().__init__()
        self.norm, self.inner = norm, inner

    def forward(self, u: Tensor) -> Tensor:
        """(batch, seqlen, d_model) -> (batch, seqlen, d_model + d_inner)."""
        return F.pad(self.norm(u), (0, self.inner))


class TimeMix(nn.Module):
    """RWKV-7 on the stream: what it adds to the model's channels, and, from the first layer, its values behind them."""

    def __init__(self, mixer: RWKV7) -> None:
        super().__init__()
        self.mixer = mixer

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return self.mixer.zero_state(batch)

    def forward(self, stream: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model + d_inner) from ``state`` -> the same shape and the state after the last token."""
        u, first = stream.tensor_split([self.mixer.config.d_model], dim=-1)
        out, values, state = self.mixer.blended(u, first, state, scan)
        added = values.to(out.dtype) if self.mixer.blend is None else torch.zeros_like(first)
        return torch.cat([out, added], dim=-1), state


class ChannelMix(nn.Module):
    """u + W_v relu(W_k s)^2, with s the token mixed with the one before it by mu.

    ``rest``: the last token, normed, (batch, 1, d_model).
    """

    def __init__(self, norm: nn.Module, width: int, inner: int) -> None:
        super().__init__()
        self.norm = norm
        self.width = width
        self.shift = nn.Parameter(torch.zeros(width))
        self.key = Linear(width, inner)
        self.value = Linear(inner, width)

    def zero_rest(self, batch: int) -> Rest:
        """No token yet."""
        return (torch.zeros(batch, 1, self.width, device=self.shift.device),)

    def forward(self, stream: Tensor, rest: Rest) -> tuple[Tensor, Rest]:
        """(batch, seqlen, d_model + d_inner) after ``rest`` -> the same shape and the last token."""
        normed = self.norm(stream)
        seen = torch.cat([rest[0], normed.to(rest[0].dtype)], dim=1)
        mixed = normed + (seen[:, :-1] - normed) * self.shift
        out = self.value(torch.relu(self.key(mixed)).square()).to(stream.dtype)
        return stream + F.pad(out, (0, stream.shape[-1] - self.width)), (seen[:, -1:],)


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from an ``RWKV7Config``."""
    filled(source, DEFAULTS, {"attn": None})
    refuse_unless(source.hidden_act == "sqrelu", f"hidden_act = {source.hidden_act}")
    width, keys = source.hidden_size, source.head_dim or source.hidden_size // source.num_heads
    widths = source.value_dim or width
    every = set(widths) if isinstance(widths, list) else {widths}
    refuse_unless(len(every) == 1, f"value_dim = {widths}")
    inner = every.pop()
    return sizes_of(source, "rwkv7", inner=inner, d_state=keys, headdim=inner // (width // keys))


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of time mixing and channel mixing, with layer norms, the embedding normed too."""
    source, width = config.source, config.d_model
    inner = source.intermediate_size or 32 * -(-int(width * source.hidden_ratio) // 32)
    ranks = Ranks(
        decay=source.decay_low_rank_dim,
        erase=source.a_low_rank_dim,
        gate=source.gate_low_rank_dim,
        value=source.v_low_rank_dim,
    )
    choices: dict[str, Any] = {"eps": config.norm_eps, "bias": source.norm_bias}
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        prefix, later = f"model.layers.{index}.", index > 0
        # The library adds to the squared length where it norms in one step with other work, and nowhere else.
        mixer = RWKV7(config, ranks=ranks, later=later, unit_eps=1e-6 if source.fuse_norm else 1e-24)
        rows = _norm_rows(config, "attn_norm") | _mixer_rows(later)
        parts.append(MemoryPart(ModelNorm(width, **choices), TimeMix(mixer), under(prefix, rows)))
        rows = _norm_rows(config, "ffn_norm") | linear("key", "ffn.key") | linear("value", "ffn.value")
        rows |= {"shift": "ffn.x_k"}
        parts.append(BesidePart(ChannelMix(LastNorm(width, **choices), width, inner), under(prefix, rows)))
    outer = OUTER | under("model.", _norm_rows(config, "norm"))
    opening: nn.Module = nn.Identity()
    if source.norm_first:
        opening = nn.LayerNorm(width, **choices)
        pre = under("model.layers.0.", _norm_rows(config, "pre_norm"))
        outer |= {f"embedding_norm.{name}": row for name, row in pre.items()}
    return Anatomy(parts, LastNorm(width, **choices), outer, embedding_norm=Widened(opening, config.d_inner))


def _norm_rows(config: PublishedConfig, theirs: str) -> Table:
    rows: Table = {"norm.weight": f"{theirs}.weight"}
    return rows | {"norm.bias": f"{theirs}.bias"} if config.source.norm_bias else rows


def _mixer_rows(later: bool) -> Table:
    rows: Table = {"norm.weight": "g_norm.weight", "norm.bias": "g_norm.bias", "rho": "r_k", "xi": "k_k"}
    rows |= {"alpha": "k_a", "shift": Made(tuple(f"x_{part}" for part in PARTS), side_by_side)}
    for name in ("r_proj", "k_proj", "v_proj", "o_proj"):
        rows |= linear(name, name)
    for ours, theirs, last in (("decay", "w", 2), ("erase", "a", 1), ("gate", "g", 2), ("blend", "v", 1)):
        if later or ours != "blend":
            rows |= linear(f"{ours}.0", f"{theirs}_lora.lora.0")
            rows |= linear(f"{ours}.{last}", f"{theirs}_lora.lora.2", bias=ours != "gate")
    return {f"mixer.mixer.{name}": source for name, source in under("attn.", rows).items()}


def side_by_side(*shares: Tensor) -> Tensor:
    """Shares of the token before, (1, 1, d_model) each, as (parts, d_model)."""
    return torch.cat([share.reshape(1, -1) for share in shares])
