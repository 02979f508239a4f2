"""GLA, HGRN-2 and RWKV-6 as their papers write them, token by token, over tensors named as flash-linear-attention does.

Nothing is shared with the modules under test: no scan, no carried state, no table of names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
HEADS, WIDTH, LAYERS, VOCAB = 2, 32, 3, 320

CONFIGS: dict[str, dict[str, Any]] = {
    "gla": {"num_heads": 4, "num_kv_heads": 2, "expand_k": 0.5, "intermediate_size": 48, "norm_eps": 1e-6},
    "hgrn2": {"expand_ratio": 16, "intermediate_size": 48, "norm_eps": 1e-6},
    "rwkv6": {"num_heads": HEADS, "proj_low_rank_dim": 4, "gate_low_rank_dim": 6, "intermediate_size": 64},
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
    if kind == "hgrn2":
        shapes["model.lower_bounds"] = (LAYERS, WIDTH)
    if kind == "rwkv6":
        shapes |= {f"model.{name}": (WIDTH,) for name in ("norm.bias", "layers.0.pre_norm.weight")}
        shapes["model.layers.0.pre_norm.bias"] = (WIDTH,)
    found = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=rng)
        found[name] = 1 + 0.1 * tensor if name.endswith("norm.weight") else tensor * (0.8 / shape[-1] ** 0.5)
    return found


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
}


def read(kind: str, named: Weights, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits of ``tokens`` (batch, seqlen), and each layer's state after them, (batch, heads, keys, values)."""
    u = named["model.embeddings.weight"][tokens]
    states = []
    if kind == "rwkv6":
        u = layer_norm(u, named, "model.layers.0.pre_norm")
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        own = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
        if kind == "rwkv6":
            mixed, state = rwkv6(layer_norm(u, own, "attn_norm"), own)
            u = u + mixed
            u = u + channel_mix(layer_norm(u, own, "ffn_norm"), own)
        else:
            normed = rms(u, 1e-6) * own["attn_norm.weight"]
            mixed, state = gla(normed, own) if kind == "gla" else hgrn2(normed, own, layer, named["model.lower_bounds"])
            u = u + mixed
            normed = rms(u, 1e-6) * own["mlp_norm.weight"]
            gate = F.silu(normed @ own["mlp.gate_proj.weight"].T)
            u = u + (gate * (normed @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
        states.append(state)
    u = layer_norm(u, named, "model.norm") if kind == "rwkv6" else rms(u, 1e-6) * named["model.norm.weight"]
    return u @ named["lm_head.weight"].T, states


def rms(u: Tensor, eps: float) -> Tensor:
    return u / (u.square().mean(-1, keepdim=True) + eps).sqrt()


def layer_norm(u: Tensor, named: Weights, name: str) -> Tensor:
    centred = u - u.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * named[f"{name}.weight"] + named[f"{name}.bias"]


def recurrence(q: Tensor, k: Tensor, v: Tensor, retention: Tensor) -> tuple[Tensor, Tensor]:
    """o_t = q_t h_t, h_t = diag(a_t) h_{t-1} + k_t^T v_t; all (batch, seqlen, heads, ...)."""
    state = q.new_zeros(q.shape[0], q.shape[2], k.shape[-1], v.shape[-1])
    said = []
    for t in range(q.shape[1]):
        state = retention[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        said.append((q[:, t, :, None] @ state)[:, :, 0])
    return torch.stack(said, dim=1), state


def gla(u: Tensor, own: Weights) -> tuple[Tensor, Tensor]:
    q = (u @ own["attn.q_proj.weight"].T).unflatten(-1, (4, 4))
    k = (u @ own["attn.k_proj.weight"].T).unflatten(-1, (2, 4))[:, :, [0, 0, 1, 1]]
    v = (u @ own["attn.v_proj.weight"].T).unflatten(-1, (2, 8))[:, :, [0, 0, 1, 1]]
    gate = (u @ own["attn.gk_proj.0.weight"].T) @ own["attn.gk_proj.1.weight"].T + own["attn.gk_proj.1.bias"]
    retention = torch.sigmoid(gate).pow(1 / 16).unflatten(-1, (2, 4))[:, :, [0, 0, 1, 1]]
    said, state = recurrence(q / 2, k, v, retention)
    normed = (rms(said, 1e-6) * own["attn.g_norm_swish_gate.weight"]).flatten(2)
    return (normed * F.silu(u @ own["attn.g_proj.weight"].T)) @ own["attn.o_proj.weight"].T, state


def hgrn2(u: Tensor, own: Weights, layer: int, bounds: Tensor) -> tuple[Tensor, Tensor]:
    shares = bounds.softmax(0)
    bound = (shares.cumsum(0) - shares[0])[layer]
    f = bound + (1 - bound) * torch.sigmoid(u @ own["attn.f_proj.weight"].T)
    q, v = F.silu(u @ own["attn.q_proj.weight"].T), u @ own["attn.i_proj.weight"].T
    q, f, v = (part.unflatten(-1, (HEADS, 16)) for part in (q, f, v))
    said, state = recurrence(q / 4, 1 - f, v, f)
    return (rms(said.flatten(2), 1e-5) * own["attn.g_norm.weight"]) @ own["attn.o_proj.weight"].T, state


def rwkv6(u: Tensor, own: Weights) -> tuple[Tensor, Tensor]:
    delta = F.pad(u, (0, 0, 1, 0))[:, :-1] - u
    low = torch.tanh((u + delta * own["attn.x_proj.0.mu"]) @ own["attn.x_proj.0.linear.weight"].T)
    mixed = []
    for part in range(5):
        columns = own["attn.x_proj.2.weight"][:, 4 * part : 4 * part + 4]
        share = low[..., 4 * part : 4 * part + 4] @ columns.T + own["attn.x_bias"][part]
        mixed.append(u + delta * share)
    r, k, v, g = (
        mixed[part] @ own[f"attn.{name}_proj.linear.weight"].T
        for part, name in ((0, "r"), (2, "k"), (3, "v"), (4, "g"))
    )
    w = torch.tanh(mixed[1] @ own["attn.w_proj.linear.lora.0.weight"].T)
    w = w @ own["attn.w_proj.linear.lora.2.weight"].T + own["attn.w_proj.linear.lora.2.bias"]
    r, k, w, v = (part.unflatten(-1, (HEADS, -1)) for part in (r, k, w, v))
    state = u.new_zeros(u.shape[0], HEADS, 8, 16)
    said = []
    for t in range(u.shape[1]):
        written = k[:, t, :, :, None] * v[:, t, :, None, :]
        said.append((r[:, t, :, None] @ (state + own["attn.bonus"][..., None] * written))[:, :, 0])
        state = torch.exp(-torch.exp(w[:, t]))[..., None] * state + written
    y = torch.stack(said, dim=1)
    y = y - y.mean(-1, keepdim=True)
    y = (y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()).flatten(2)
    y = y * own["attn.g_norm.weight"] + own["attn.g_norm.bias"]
    return (y * F.silu(g)) @ own["attn.o_proj.weight"].T, state


def channel_mix(u: Tensor, own: Weights) -> Tensor:
    delta = F.pad(u, (0, 0, 1, 0))[:, :-1] - u
    key = torch.relu((u + delta * own["ffn.key.mu"]) @ own["ffn.key.linear.weight"].T).square()
    gate = torch.sigmoid((u + delta * own["ffn.receptance.mu"]) @ own["ffn.receptance.linear.weight"].T)
    return gate * (key @ own["ffn.value.weight"].T)
