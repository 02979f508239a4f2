"""Mamba-2 as ``Mamba2ForCausalLM`` saves it, and as the state-spaces repositories do (arXiv 2405.21060)."""

from __future__ import annotations

from typing import Any

from model.arch.layers import RMSNorm
from model.mixers.mamba2 import Mamba2
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import Anatomy, MemoryPart, Table, linear, taps, under


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``Mamba2Config``."""
    refuse_unless(source.hidden_act in ("silu", "swish"), "hidden_act")
    return {
        "layers": ("mamba2",) * source.num_hidden_layers,
        "d_model": source.hidden_size,
        "inner": source.num_heads * source.head_dim,
        "d_state": source.state_size,
        "headdim": source.head_dim,
        "ngroups": source.n_groups,
        "d_conv": source.conv_kernel,
        "norm_eps": source.layer_norm_epsilon,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "bias": source.use_bias,
        "step_limit": limit(source.time_step_limit),
    }


def limit(bounds: Any) -> tuple[float, float] | None:
    """The bounds of the step size; None if they bound nothing, for a softplus is never negative."""
    low, high = (float(bound) for bound in bounds)
    return None if low <= 0 and high == float("inf") else (low, high)


def mixer_weights(source: Any, *, bias: bool, conv_bias: bool) -> Table:
    """The rows of one mixer, named from its stage; ``source`` is the mixer's name in the checkpoint."""
    own: Table = {f"mixer.{name}": f"{source}.{name}" for name in ("dt_bias", "A_log", "D")}
    own |= {"mixer.norm.weight": f"{source}.norm.weight", "mixer.conv_weight": (f"{source}.conv1d.weight", taps)}
    own["mixer.conv_bias"] = f"{source}.conv1d.bias" if conv_bias else None
    for name in ("in_proj", "out_proj"):
        own |= linear(f"mixer.{name}", f"{source}.{name}", bias=bias)
    return own


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a norm and a mixer, nothing else."""
    source = config.source
    rows: Table = {"norm.weight": "norm.weight"}
    rows |= mixer_weights("mixer", bias=source.use_bias, conv_bias=source.use_conv_bias)
    parts = [
        MemoryPart(RMSNorm(config.d_model, config.norm_eps), Mamba2(config), under(f"backbone.layers.{index}.", rows))
        for index in range(len(config.layers))
    ]
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)


OUTER: Table = {
    "embedding.weight": "backbone.embeddings.weight",
    "norm.weight": "backbone.norm_f.weight",
    "lm_head": "lm_head.weight",
}
