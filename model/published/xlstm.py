"""xLSTM 7B and its kin (arXiv 2503.13427): mLSTM and a feed-forward part in every layer.

All modules are ours: the library's hand each layer a state of their own kind, and come from another package where that
is installed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from model.arch.layers import RMSNorm
from model.mixers.mlstm import MLSTM
from model.published.config import PublishedConfig, refuse_unless
from model.published.fields import outer
from model.published.lm import Anatomy, BesidePart, Made, MemoryPart, Source, Table, linear, under
from model.published.parts import FeedForward

LARGEST_CAP = 30.0
"""Of the gates: e^30 in a state, squared for its norm, is still a float32."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from an ``xLSTMConfig``."""
    refuse_unless(not source.use_bias, "use_bias = true")
    cap = source.gate_soft_cap
    refuse_unless(cap is not None and 0 < cap <= LARGEST_CAP, f"gate_soft_cap = {cap}")
    heads = source.num_heads
    values = int(source.hidden_size * source.v_dim_factor) // heads
    return {
        "layers": ("mlstm",) * source.num_hidden_layers,
        "inner": heads * (values + 1),
        "d_state": int(source.hidden_size * source.qk_dim_factor) // heads,
        "headdim": values + 1,
        **outer(source, eps="norm_eps"),
        "logit_cap": source.output_logit_soft_cap,
    }


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer and a feed-forward part."""
    source, width, eps = config.source, config.d_model, config.norm_eps
    multiple = source.ffn_round_up_to_multiple_of
    inner = int((width * source.ffn_proj_factor + multiple - 1) // multiple * multiple)
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        prefix = f"backbone.blocks.{index}."
        mixer = MLSTM(config, cap=source.gate_soft_cap)
        rows = {"norm.weight": "norm_mlstm.weight"} | _mixer_rows(config)
        parts.append(MemoryPart(RMSNorm(width, eps), mixer, under(prefix, rows)))
        feed = FeedForward(RMSNorm(width, eps), width, inner)
        rows = {"norm.weight": "norm_ffn.weight", "down_proj.weight": "ffn.proj_down.weight"}
        names = ("gate_proj", "up_proj")
        if source.weight_mode == "fused":
            rows |= _split("ffn.proj_up_gate_z.weight", dict.fromkeys(names, inner), ".weight")
        else:
            rows |= {f"{name}.weight": f"ffn.{theirs}.weight" for name, theirs in zip(names, GATES, strict=True)}
        parts.append(BesidePart(feed, under(prefix, rows)))
    outside: Table = {
        "embedding.weight": "backbone.embeddings.weight",
        "norm.weight": "backbone.out_norm.weight",
        "lm_head": "lm_head.weight",
    }
    return Anatomy(parts, RMSNorm(width, eps), outside)


GATES = ("proj_up_gate", "proj_up")
SINGLE = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "z_proj": "ogate_preact"}
"""Ours and theirs, where each projection has a matrix of its own."""


def _mixer_rows(config: PublishedConfig) -> Table:
    rows: Table = {"norm.weight": "multihead_norm.weight", "norm.bias": None}
    rows |= linear("o_proj", "out_proj")
    keys, values = config.nheads * config.d_state, config.nheads * (config.headdim - 1)
    if config.source.weight_mode == "fused":
        lengths = {"q_proj": keys, "k_proj": keys, "v_proj": values, "z_proj": values}
        rows |= _split("qkv_opreact.weight", lengths, ".weight")
        rows |= _split("ifgate_preact.weight", {"i_proj": config.nheads, "f_proj": config.nheads}, ".weight")
        rows |= _split("ifgate_preact.bias", {"i_bias": config.nheads, "f_bias": config.nheads})
    else:
        for ours, theirs in SINGLE.items():
            rows |= linear(ours, theirs)
        for gate in "if":
            rows |= linear(f"{gate}_proj", f"{gate}gate_preact") | {f"{gate}_bias": f"{gate}gate_preact.bias"}
    return {f"mixer.{name}": source for name, source in under("mlstm_layer.", rows).items()}


def _split(theirs: str, lengths: dict[str, int], suffix: str = "") -> Table:
    """Rows of one tensor for several parameters, in their order."""
    found: dict[str, Source] = {}
    start = 0
    for name, length in lengths.items():
        found[name + suffix] = Made((theirs,), partial(_rows, start=start, stop=start + length))
        start += length
    return found


def _rows(tensor: Tensor, *, start: int, stop: int) -> Tensor:
    return tensor[start:stop]
