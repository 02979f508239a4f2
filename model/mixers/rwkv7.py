"""RWKV-7, Goose (Peng et al. 2025, arXiv 2503.14456), the mixer alone.

    s_*       = u_t + (u_{t-1} - u_t) mu_*                            token shift, one for each of r w k v a g
    r, k, v   = W_r s_r, W_k s_k, W_v s_v
    log d_t   = -e^{-1/2} sigmoid(b_w + W_w2 tanh(W_w1 s_w))          one per channel of the key
    eta_t     = sigmoid(b_a + W_a2 W_a1 s_a)                          how much is erased, one per channel of the key
    kappa_t   = unit(xi k)                  k~_t = k (1 + (eta_t - 1) alpha)
    v~_t      = v + (v1_t - v) sigmoid(b_v + W_v2 W_v1 s_v)           after the first layer, whose v is v1
    h_t       = h_{t-1} (diag(d_t) - kappa_t (eta_t kappa_t)^T) + v~_t k~_t^T
    y_t       = groupnorm(h_t r_t) + <r_t, rho k~_t> v~_t
    out       = W_o (y * W_g2 sigmoid(W_g1 s_g))

The scan erases after the decay, the paper beside it: in the words of :mod:`kernels.types` the pair is -kappa / d and
eta kappa, x is v~, B is k~ and C is r.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.types import LowRank, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.delta_keys import unit
from model.state import LayerState, empty_layer

PARTS = ("r", "w", "k", "v", "a", "g")
LOWEST = -math.exp(-0.5)
"""What no logarithm of a decay falls below."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Ranks of the small projections: decay, erasing, output gate, and the share of the first layer's values."""

    decay: int = 64
    erase: int = 64
    gate: int = 128
    value: int = 32


class RWKV7(nn.Module):
    """One mixer. ``later``: it stands after the first layer and blends that layer's values in.

    ``unit_eps`` is added to the squared length of a kappa.
    """

    def __init__(
        self, config: ModelConfig, *, ranks: Ranks | None = None, later: bool = False, unit_eps: float = 1e-24
    ) -> None:
        super().__init__()
        self.config, self.unit_eps = config, unit_eps
        ranks = ranks or Ranks(decay=config.d_model // 4, erase=config.d_model // 4)
        width, keys, values = config.d_model, config.nheads * config.d_state, config.d_inner
        self.shift = nn.Parameter(torch.full((len(PARTS), width), 0.5))
        self.r_proj, self.k_proj = Linear(width, keys), Linear(width, keys)
        self.v_proj, self.o_proj = Linear(width, values), Linear(values, width)
        fade = Linear(ranks.decay, keys, bias=True)
        nn.init.uniform_(fade.bias, -6, 0)  # half-lives from two tokens to several hundred
        self.decay = nn.Sequential(Linear(width, ranks.decay), nn.Tanh(), fade)
        self.erase = nn.Sequential(Linear(width, ranks.erase), Linear(ranks.erase, keys, bias=True))
        self.gate = nn.Sequential(Linear(width, ranks.gate), nn.Sigmoid(), Linear(ranks.gate, values))
        self.blend: nn.Module | None = None
        if later:
            self.blend = nn.Sequential(Linear(width, ranks.value), Linear(ranks.value, values, bias=True))
        self.xi, self.alpha = nn.Parameter(torch.ones(keys)), nn.Parameter(torch.ones(keys))
        self.rho = nn.Parameter(torch.zeros(config.nheads, config.d_state))
        self.norm = nn.GroupNorm(config.nheads, values, config.d_state * config.norm_eps)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its window is the last token that was read."""
        return empty_layer(self.config, self.rho, batch, 1, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        out, _, state = self.blended(u, None, state, scan)
        return out, state

    def blended(
        self, u: Tensor, first: Tensor | None, state: LayerState, scan: Scan
    ) -> tuple[Tensor, Tensor, LayerState]:
        """As :meth:`forward`, with the ``first`` layer's values, (batch, seqlen, d_inner); its own in the second place.

        A mixer that stands ``later`` needs them.
        """
        sums, per_head = state.window.dtype, (self.config.nheads, -1)
        seen = torch.cat([state.window, u.to(sums)], dim=1)
        delta = seen[:, :-1] - u
        mixed = {part: torch.addcmul(u, delta, share) for part, share in zip(PARTS, self.shift, strict=True)}

        r, k, v = self.r_proj(mixed["r"]), self.k_proj(mixed["k"]).to(sums), self.v_proj(mixed["v"])
        compute = r.dtype
        log_decay = LOWEST * torch.sigmoid(self.decay(mixed["w"]).to(sums)).unflatten(-1, per_head)
        eta = torch.sigmoid(self.erase(mixed["a"]).to(sums))
        kappa = unit((k * self.xi).unflatten(-1, per_head), self.unit_eps)
        k = (k * (1 + (eta - 1) * self.alpha)).unflatten(-1, per_head)
        if self.blend is not None:
            assert first is not None, "a later layer blends the first layer's values in"
            v = torch.lerp(v.to(sums), first.to(sums), torch.sigmoid(self.blend(mixed["v"]).to(sums)))

        r, values = r.unflatten(-1, per_head), v.unflatten(-1, per_head)
        pair = LowRank((-kappa / log_decay.exp()).to(compute), (eta.unflatten(-1, per_head) * kappa).to(compute))
        output = scan(ScanInputs(values.to(compute), k.to(compute), r, log_decay, pair), state.memory)
        y = self.norm(output.y.flatten(0, 1).flatten(1)).view(*u.shape[:2], *values.shape[2:])
        y = y + (r.to(sums) * self.rho * k).sum(-1, keepdim=True) * values
        gated = y.flatten(-2) * self.gate(mixed["g"]).to(sums)
        return self.o_proj(gated).to(u.dtype), v, LayerState(output.memory, seen[:, -1:])
