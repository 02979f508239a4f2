"""The mixers of :mod:`tests.support.plain`: (batch, seqlen, width) to the same shape, and the state after it.

States are (batch, heads, keys, values). ``own`` are the tensors of a layer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
HEADS = 2


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


def retnet(u: Tensor, own: Weights) -> tuple[Tensor, Tensor]:
    """Four heads of queries, two of keys and values; a query's channels turn by its position."""
    q = (u @ own["attn.q_proj.weight"].T).unflatten(-1, (4, 8))
    k = (u @ own["attn.k_proj.weight"].T).unflatten(-1, (2, 8))[:, :, [0, 0, 1, 1]]
    v = (u @ own["attn.v_proj.weight"].T).unflatten(-1, (2, 16))[:, :, [0, 0, 1, 1]]
    angle = torch.arange(u.shape[1])[:, None] * 10000.0 ** (-torch.arange(4) / 4)
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    q, k = (turn * torch.complex(part[..., :4], part[..., 4:]) for part in (q, k))
    q, k = (torch.cat([part.real, part.imag], dim=-1) for part in (q, k))
    gamma = 1 - 2.0 ** (-5 - torch.arange(4))
    said, state = recurrence(q / 8**0.5, k, v, gamma[:, None].expand(*u.shape[:2], 4, 8))
    normed = (rms(said, 1e-6) * own["attn.g_norm_swish_gate.weight"]).flatten(2)
    return (normed * F.silu(u @ own["attn.g_proj.weight"].T)) @ own["attn.o_proj.weight"].T, state


def erasing(r: Tensor, d: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """o_t = r_t h_t, h_t = (diag(d_t) + b_t^T a_t) h_{t-1} + k_t^T v_t; all (batch, seqlen, heads, ...)."""
    state = r.new_zeros(r.shape[0], r.shape[2], k.shape[-1], v.shape[-1])
    said = []
    for t in range(r.shape[1]):
        read = a[:, t, :, None] @ state
        state = d[:, t, :, :, None] * state + b[:, t, :, :, None] * read + k[:, t, :, :, None] * v[:, t, :, None, :]
        said.append((r[:, t, :, None] @ state)[:, :, 0])
    return torch.stack(said, dim=1), state


def convolved(u: Tensor, own: Weights, name: str) -> Tensor:
    channels = (u @ own[f"attn.{name}_proj.weight"].T).transpose(1, 2)
    weight = own[f"attn.{name}_conv1d.weight"]
    return F.silu(F.conv1d(F.pad(channels, (3, 0)), weight, groups=len(weight))).transpose(1, 2)


def delta_net(u: Tensor, own: Weights) -> tuple[Tensor, Tensor]:
    """Two heads, plain; or, where there is a decay, two heads of keys and four of values. Strengths up to two."""
    gated = "attn.A_log" in own
    heads, rows = (4, [0, 0, 1, 1]) if gated else (2, [0, 1])
    q, k = (convolved(u, own, name).unflatten(-1, (2, 8))[:, :, rows] for name in "qk")
    q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
    v = convolved(u, own, "v").unflatten(-1, (heads, -1))
    beta = 2 * torch.sigmoid(u @ own["attn.b_proj.weight"].T)[..., None]
    decay = torch.ones_like(beta)
    if gated:
        step = F.softplus(u @ own["attn.a_proj.weight"].T + own["attn.dt_bias"])
        decay = torch.exp(-own["attn.A_log"].exp() * step)[..., None]
    said, state = erasing(q / 8**0.5, decay.expand_as(k), k, beta * v, -beta * decay * k, k)
    y = (rms(said, 1e-6) * own["attn.o_norm.weight"]).flatten(2)
    if gated:
        y = y * F.silu(u @ own["attn.g_proj.weight"].T)
    return y @ own["attn.o_proj.weight"].T, state


def rwkv7(u: Tensor, own: Weights, first: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Also returns the values, which later layers get as ``first``."""

    def low(name: str, bend: object, source: Tensor) -> Tensor:
        hidden = bend(source @ own[f"attn.{name}_lora.lora.0.weight"].T)  # type: ignore[operator]
        return hidden @ own[f"attn.{name}_lora.lora.2.weight"].T + own.get(f"attn.{name}_lora.lora.2.bias", 0.0)

    def same(hidden: Tensor) -> Tensor:
        return hidden

    before = F.pad(u, (0, 0, 1, 0))[:, :-1]
    s = {name: u + (before - u) * own[f"attn.x_{name}"] for name in "rwkvag"}
    r, k, v = (s[name] @ own[f"attn.{name}_proj.weight"].T for name in "rkv")
    if first is not None:
        share = torch.sigmoid(low("v", same, s["v"]))
        v = (1 - share) * v + share * first
    d = torch.exp(-0.6065306597126334 * torch.sigmoid(low("w", torch.tanh, s["w"])))
    eta = torch.sigmoid(low("a", same, s["a"]))
    kappa = (k * own["attn.k_k"]).unflatten(-1, (HEADS, -1))
    kappa = kappa / (kappa.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    k = k + k * (eta - 1) * own["attn.k_a"]
    r, d, k, eta, values = (part.unflatten(-1, (HEADS, -1)) for part in (r, d, k, eta, v))
    said, state = erasing(r, d, k, values, -kappa, eta * kappa)
    y = said - said.mean(-1, keepdim=True)
    y = (y / (y.square().mean(-1, keepdim=True) + 16e-5).sqrt()).flatten(2)
    y = y * own["attn.g_norm.weight"] + own["attn.g_norm.bias"]
    y = y + ((r * k * own["attn.r_k"]).sum(-1, keepdim=True) * values).flatten(2)
    return (y * low("g", torch.sigmoid, s["g"])) @ own["attn.o_proj.weight"].T, state, v


def channel_mix_7(u: Tensor, own: Weights) -> Tensor:
    mixed = u + (F.pad(u, (0, 0, 1, 0))[:, :-1] - u) * own["ffn.x_k"]
    return torch.relu(mixed @ own["ffn.key.weight"].T).square() @ own["ffn.value.weight"].T
