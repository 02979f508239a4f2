"""RWKV-6 in the layout of flash-linear-attention (arXiv 2404.05892): time mixing, and channel mixing after it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from model.arch.layers import Linear
from model.mixers.rwkv6 import PARTS, RWKV6
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, expanded, filled
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear, under
from model.published.parts import Rest

DEFAULTS = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_heads": 4,
    "expand_k": 0.5,
    "expand_v": 1.0,
    "hidden_ratio": 3.5,
    "intermediate_size": None,
    "proj_low_rank_dim": 32,
    "gate_low_rank_dim": 64,
    "hidden_act": "sqrelu",
    "norm_first": True,
    "norm_bias": True,
    "norm_eps": 1e-5,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""What a configuration means by leaving a field out."""


class ChannelMix(nn.Module):
    """u + sigmoid(W_r s_r) * W_v relu(W_k s_k)^2, with s_* the token mixed with the one before it by mu_*.

    ``rest``: the last token, normed, (batch, 1, d_model).
    """

    def __init__(self, norm: nn.Module, width: int, inner: int) -> None:
        super().__init__()
        self.norm = norm
        self.width = width
        self.key_shift = nn.Parameter(torch.zeros(width))
        self.receptance_shift = nn.Parameter(torch.zeros(width))
        self.key = Linear(width, inner)
        self.value = Linear(inner, width)
        self.receptance = Linear(width, width)

    def zero_rest(self, batch: int) -> Rest:
        """No token yet."""
        return (torch.zeros(batch, 1, self.width, device=self.key_shift.device),)

    def forward(self, u: Tensor, rest: Rest) -> tuple[Tensor, Rest]:
        """(batch, seqlen, d_model) after ``rest`` -> the same shape and the last token."""
        normed = self.norm(u)
        seen = torch.cat([rest[0], normed.to(rest[0].dtype)], dim=1)
        delta = seen[:, :-1] - normed
        key = torch.relu(self.key(normed + delta * self.key_shift)).square()
        gate = torch.sigmoid(self.receptance(normed + delta * self.receptance_shift))
        return u + (gate * self.value(key)).to(u.dtype), (seen[:, -1:],)


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from an ``RWKV6Config``."""
    filled(source, DEFAULTS, {"attn": None})
    refuse_unless(source.hidden_act == "sqrelu", f"hidden_act = {source.hidden_act}")
    return expanded(source, "rwkv6")


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of time mixing and channel mixing, with layer norms, the embedding normed too."""
    source = config.source
    inner = source.intermediate_size or 32 * -(-int(source.hidden_size * source.hidden_ratio) // 32)
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        prefix = f"model.layers.{index}."
        mixer = RWKV6(config, rank=source.proj_low_rank_dim, decay_rank=source.gate_low_rank_dim)
        parts.append(MemoryPart(_norm(config), mixer, under(prefix, _norm_rows(config, "attn_norm") | _mixer_rows())))
        rows = _norm_rows(config, "ffn_norm") | linear("key", "ffn.key.linear") | linear("value", "ffn.value")
        rows |= linear("receptance", "ffn.receptance.linear")
        rows |= {"key_shift": "ffn.key.mu", "receptance_shift": "ffn.receptance.mu"}
        parts.append(BesidePart(ChannelMix(_norm(config), config.d_model, inner), under(prefix, rows)))
    outer = OUTER | under("model.", _norm_rows(config, "norm"))
    if source.norm_first:
        pre = under("model.layers.0.", _norm_rows(config, "pre_norm"))
        outer |= {name.replace("norm.", "embedding_norm."): row for name, row in pre.items()}
    return Anatomy(parts, _norm(config), outer, embedding_norm=_norm(config) if source.norm_first else None)


def _norm(config: PublishedConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.d_model, config.norm_eps, bias=config.source.norm_bias)


def _norm_rows(config: PublishedConfig, theirs: str) -> Table:
    rows: Table = {"norm.weight": f"{theirs}.weight"}
    return rows | {"norm.bias": f"{theirs}.bias"} if config.source.norm_bias else rows


def _mixer_rows() -> Table:
    rows: Table = {"mixer.norm.weight": "attn.g_norm.weight", "mixer.norm.bias": "attn.g_norm.bias"}
    for part in PARTS:
        if part != "w":
            rows |= linear(f"mixer.{part}_proj", f"attn.{part}_proj.linear")
    rows |= linear("mixer.o_proj", "attn.o_proj") | linear("mixer.shift_in", "attn.x_proj.0.linear")
    rows |= {"mixer.shift": "attn.x_proj.0.mu", "mixer.shift_out": "attn.x_proj.2.weight"}
    rows |= {"mixer.shift_bias": "attn.x_bias", "mixer.bonus": "attn.bonus"}
    rows |= linear("mixer.decay_in", "attn.w_proj.linear.lora.0")
    rows |= linear("mixer.decay_out", "attn.w_proj.linear.lora.2")
    return rows | {"mixer.decay_bias": "attn.w_proj.linear.lora.2.bias"}
