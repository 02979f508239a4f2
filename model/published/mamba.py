"""Mamba as ``MambaForCausalLM`` saves it (arXiv 2312.00752), and Falcon-Mamba, which has norms inside the mixer."""

from __future__ import annotations

from typing import Any

from model.arch.layers import RMSNorm
from model.mixers.mamba import Mamba
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import Anatomy, MemoryPart, Table, linear, taps, under
from model.published.mamba2 import OUTER


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``MambaConfig`` or a ``FalconMambaConfig``."""
    refuse_unless(source.hidden_act in ("silu", "swish"), "hidden_act")
    return {
        "layers": ("mamba",) * source.num_hidden_layers,
        "d_model": source.hidden_size,
        "inner": source.intermediate_size,
        "d_state": source.state_size,
        "headdim": 1,
        "d_conv": source.conv_kernel,
        "norm_eps": source.layer_norm_epsilon,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
    }


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a norm and a mixer, nothing else."""
    source = config.source
    rows: Table = {"norm.weight": "norm.weight"}
    rows |= {f"mixer.{name}": f"mixer.{name}" for name in ("A_log", "D", "x_proj.weight", "dt_proj.weight")}
    rows |= {"mixer.dt_bias": "mixer.dt_proj.bias", "mixer.conv_weight": ("mixer.conv1d.weight", taps)}
    rows["mixer.conv_bias"] = "mixer.conv1d.bias" if source.use_conv_bias else None
    for name in ("in_proj", "out_proj"):
        rows |= linear(f"mixer.{name}", f"mixer.{name}", bias=source.use_bias)

    def mixer() -> Mamba:
        inner_eps = source.mixer_rms_eps if config.family == "falcon_mamba" else None
        return Mamba(config, rank=int(source.time_step_rank), bias=source.use_bias, inner_eps=inner_eps)

    parts = [
        MemoryPart(RMSNorm(config.d_model, config.norm_eps), mixer(), under(f"backbone.layers.{index}.", rows))
        for index in range(len(config.layers))
    ]
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)
