"""Models of flash-linear-attention as their papers write them, token by token, over tensors named as they are there.

Nothing is shared with the modules under test: no scan, no carried state, no table of names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from tests.support import plain_mixers
from tests.support.plain_mixers import HEADS, Weights, layer_norm, rms

WIDTH, LAYERS, VOCAB = 32, 3, 320

CONFIGS: dict[str, dict[str, Any]] = {
    "gla": {"num_heads": 4, "num_kv_heads": 2, "expand_k": 0.5, "intermediate_size": 48, "norm_eps": 1e-6},
    "hgrn2": {"expand_ratio": 16, "intermediate_size": 48, "norm_eps": 1e-6},
    "rwkv6": {"num_heads": HEADS, "proj_low_rank_dim": 4, "gate_low_rank_dim": 6, "intermediate_size": 64},
    "rwkv7": {
        "head_dim": 16,
        "value_dim": [WIDTH] * LAYERS,
        "intermediate_size": 64,
        "decay_low_rank_dim": 4,
        "gate_low_rank_dim": 6,
        "a_low_rank_dim": 5,
        "v_low_rank_dim": 3,
    },
    "retnet": {"num_heads": 4, "num_kv_heads": 2, "intermediate_size": 48},
    "delta_net": {"num_heads": HEADS, "expand_k": 0.5, "intermediate_size": 48, "allow_neg_eigval": True},
    "gated_deltanet": {
        "num_heads": HEADS,
        "num_v_heads": 4,
        "head_dim": 8,
        "expand_v": 2.0,
        "intermediate_size": 48,
        "allow_neg_eigval": True,
    },
}


def config(kind: str) -> dict[str, Any]:
    """A configuration as it is saved."""
    sizes = {"model_type": kind, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "vocab_size": VOCAB}
    return {**sizes, "max_position_embeddings": 64, **CONFIGS[kind]}


def weights(kind: str) -> Weights:
    """Random tensors of every name that a checkpoint has."""
    rng = torch.Generator().manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embeddings.weight": (VOCAB, WIDTH),
        "model.norm.weight": (WIDTH,),
        "lm_head.weight": (VOCAB, WIDTH),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes |= {prefix + name: shape for name, shape in LAYER[kind].items()}
        if kind == "rwkv7" and layer > 0:
            shapes |= {prefix + name: shape for name, shape in LATER.items()}
    if kind == "hgrn2":
        shapes["model.lower_bounds"] = (LAYERS, WIDTH)
    if kind in LAYER_NORMED:
        shapes |= {f"model.{name}": (WIDTH,) for name in ("norm.bias", "layers.0.pre_norm.weight")}
        shapes["model.layers.0.pre_norm.bias"] = (WIDTH,)
    found = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=rng)
        found[name] = 1 + 0.1 * tensor if name.endswith("norm.weight") else tensor * (0.8 / shape[-1] ** 0.5)
    return found


LAYER_NORMED = ("rwkv6", "rwkv7")


def save(kind: str, folder: Path) -> Path:
    """A tiny random checkpoint of ``kind`` as flash-linear-attention saves it, without a tokenizer, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(kind)))
    save_file(weights(kind), folder / "model.safetensors")
    return folder


MLP = {"mlp.gate_proj.weight": (48, WIDTH), "mlp.up_proj.weight": (48, WIDTH), "mlp.down_proj.weight": (WIDTH, 48)}
NORMS = {"attn_norm.weight": (WIDTH,), "mlp_norm.weight": (WIDTH,)}
LAYER: dict[str, dict[str, tuple[int, ...]]] = {
    "gla": {
        **NORMS,
        **MLP,
        "attn.q_proj.weight": (16, WIDTH),
        "attn.k_proj.weight": (8, WIDTH),
        "attn.v_proj.weight": (16, WIDTH),
        "attn.g_proj.weight": (WIDTH, WIDTH),
        "attn.gk_proj.0.weight": (16, WIDTH),
        "attn.gk_proj.1.weight": (8, 16),
        "attn.gk_proj.1.bias": (8,),
        "attn.g_norm_swish_gate.weight": (8,),
        "attn.o_proj.weight": (WIDTH, WIDTH),
    },
    "hgrn2": {
        **NORMS,
        **MLP,
        **{f"attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qfio"},
        "attn.g_norm.weight": (WIDTH,),
    },
    "rwkv6": {
        **{f"{place}_norm.{part}": (WIDTH,) for place in ("attn", "ffn") for part in ("weight", "bias")},
        "attn.x_proj.0.linear.weight": (20, WIDTH),
        "attn.x_proj.0.mu": (WIDTH,),
        "attn.x_proj.2.weight": (WIDTH, 20),
        "attn.x_bias": (5, WIDTH),
        "attn.r_proj.linear.weight": (16, WIDTH),
        "attn.k_proj.linear.weight": (16, WIDTH),
        "attn.v_proj.linear.weight": (WIDTH, WIDTH),
        "attn.g_proj.linear.weight": (WIDTH, WIDTH),
        "attn.w_proj.linear.lora.0.weight": (6, WIDTH),
        "attn.w_proj.linear.lora.2.weight": (16, 6),
        "attn.w_proj.linear.lora.2.bias": (16,),
        "attn.bonus": (HEADS, 8),
        "attn.g_norm.weight": (WIDTH,),
        "attn.g_norm.bias": (WIDTH,),
        "attn.o_proj.weight": (WIDTH, WIDTH),
        "ffn.key.linear.weight": (64, WIDTH),
        "ffn.key.mu": (WIDTH,),
        "ffn.value.weight": (WIDTH, 64),
        "ffn.receptance.linear.weight": (WIDTH, WIDTH),
        "ffn.receptance.mu": (WIDTH,),
    },
    "rwkv7": {
        **{f"{place}_norm.{part}": (WIDTH,) for place in ("attn", "ffn") for part in ("weight", "bias")},
        **{f"attn.x_{part}": (1, 1, WIDTH) for part in "rwkvag"},
        **{f"attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "rkvo"},
        **{f"attn.{name}_lora.lora.0.weight": (rank, WIDTH) for name, rank in (("w", 4), ("a", 5), ("g", 6))},
        **{f"attn.{name}_lora.lora.2.weight": (WIDTH, rank) for name, rank in (("w", 4), ("a", 5), ("g", 6))},
        **{f"attn.{name}_lora.lora.2.bias": (WIDTH,) for name in "wa"},
        **{f"attn.{name}": (WIDTH,) for name in ("k_k", "k_a", "g_norm.weight", "g_norm.bias")},
        "attn.r_k": (HEADS, 16),
        "ffn.x_k": (WIDTH,),
        "ffn.key.weight": (64, WIDTH),
        "ffn.value.weight": (WIDTH, 64),
    },
    "retnet": {
        **NORMS,
        **MLP,
        "attn.q_proj.weight": (WIDTH, WIDTH),
        "attn.k_proj.weight": (16, WIDTH),
        "attn.v_proj.weight": (32, WIDTH),
        "attn.g_proj.weight": (64, WIDTH),
        "attn.g_norm_swish_gate.weight": (16,),
        "attn.o_proj.weight": (WIDTH, 64),
    },
    "delta_net": {
        **NORMS,
        **MLP,
        **{f"attn.{name}_proj.weight": (rows, WIDTH) for name, rows in (("q", 16), ("k", 16), ("v", 32), ("b", 2))},
        **{f"attn.{name}_conv1d.weight": (rows, 1, 4) for name, rows in (("q", 16), ("k", 16), ("v", 32))},
        "attn.o_norm.weight": (16,),
        "attn.o_proj.weight": (WIDTH, WIDTH),
    },
    "gated_deltanet": {
        **NORMS,
        **MLP,
        **{f"attn.{name}_proj.weight": (rows, WIDTH) for name, rows in (("q", 16), ("k", 16), ("v", 64), ("g", 64))},
        **{f"attn.{name}_proj.weight": (4, WIDTH) for name in "ab"},
        **{f"attn.{name}_conv1d.weight": (rows, 1, 4) for name, rows in (("q", 16), ("k", 16), ("v", 64))},
        **{f"attn.{name}": (4,) for name in ("A_log", "dt_bias")},
        "attn.o_norm.weight": (16,),
        "attn.o_proj.weight": (WIDTH, 64),
    },
}
LATER = {
    "attn.v_lora.lora.0.weight": (3, WIDTH),
    "attn.v_lora.lora.2.weight": (WIDTH, 3),
    "attn.v_lora.lora.2.bias": (WIDTH,),
}
"""What the layers of RWKV-7 after the first have beside."""


def read(kind: str, named: Weights, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits of ``tokens`` (batch, seqlen), and each layer's state after them, (batch, heads, keys, values)."""
    u = named["model.embeddings.weight"][tokens]
    states, first = [], None
    if kind in LAYER_NORMED:
        u = layer_norm(u, named, "model.layers.0.pre_norm")
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        own = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
        if kind == "rwkv6":
            mixed, state = plain_mixers.rwkv6(layer_norm(u, own, "attn_norm"), own)
            u = u + mixed
            u = u + plain_mixers.channel_mix(layer_norm(u, own, "ffn_norm"), own)
        elif kind == "rwkv7":
            mixed, state, values = plain_mixers.rwkv7(layer_norm(u, own, "attn_norm"), own, first)
            first = values if first is None else first
            u = u + mixed
            u = u + plain_mixers.channel_mix_7(layer_norm(u, own, "ffn_norm"), own)
        else:
            normed = rms(u, 1e-6) * own["attn_norm.weight"]
            if kind == "hgrn2":
                mixed, state = plain_mixers.hgrn2(normed, own, layer, named["model.lower_bounds"])
            else:
                mixed, state = PLAIN[kind](normed, own)
            u = u + mixed
            normed = rms(u, 1e-6) * own["mlp_norm.weight"]
            gate = F.silu(normed @ own["mlp.gate_proj.weight"].T)
            u = u + (gate * (normed @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
        states.append(state)
    u = layer_norm(u, named, "model.norm") if kind in LAYER_NORMED else rms(u, 1e-06) * named["model.norm.weight"]
    return u @ named["lm_head.weight"].T, states


PLAIN = {
    "gla": plain_mixers.gla,
    "retnet": plain_mixers.retnet,
    "delta_net": plain_mixers.delta_net,
    "gated_deltanet": plain_mixers.delta_net,
}
