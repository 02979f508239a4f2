"""RWKV-4 (Peng et al. 2023, arXiv 2305.13048), the time mixing alone.

    s_*        = u_{t-1} + (u_t - u_{t-1}) mu_*                     token shift, one for each of k v r
    k, v, r    = W_k s_k, W_v s_v, W_r s_r
    a_t        = e^{-w} a_{t-1} + e^{k_t} v_t                       numerator; w = exp(time_decay), fixed
    b_t        = e^{-w} b_{t-1} + e^{k_t}                           denominator
    y_t        = (a_{t-1} + e^{bonus + k_t} v_t) / (b_{t-1} + e^{bonus + k_t})        read before write
    out        = W_o (sigmoid(r_t) * y_t)

Every channel is two heads of one number, numerators before denominators: headdim and d_state are 1, B and C are ones.
The scan reads after it writes, so a token takes what was read at the token before it.

e^k may be more or less than float32 holds. So a numerator and its denominator are divided by e^{mark}, which cancels in
y. The mark follows from the peak, the largest logarithm of a weight in memory, and is 0 unless that lies beyond +-HIGH:

    peak_t     = max(peak_{t-1} - w, k_t)                           mark_t = peak_t - clamp(peak_t, -HIGH, HIGH)

Published code divides by e^{peak} itself. With the mark, states and decays of an ordinary model are those above.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState

PARTS = ("k", "v", "r")
HIGH = 30.0
"""e^30 times a value, summed over a long memory and squared for a norm, is still a float32, and so is e^-30."""


class RWKV4(nn.Module):
    """One mixer of d_inner / 2 channels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.headdim == config.d_state == 1, "a head of RWKV-4 is one number"
        self.config = config
        self.width = config.d_inner // 2
        self.shift = nn.Parameter(torch.full((len(PARTS), config.d_model), 0.5))
        self.k_proj, self.v_proj, self.r_proj = (Linear(config.d_model, self.width) for _ in PARTS)
        self.time_decay = nn.Parameter(torch.linspace(-5, 3, self.width))
        self.bonus = nn.Parameter(torch.zeros(self.width))
        self.o_proj = Linear(self.width, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its window is the last token, its ``rest`` the peak of channels."""
        like = self.bonus
        memory = Memory(like.new_zeros(batch, self.config.nheads, 1, 1))
        peak = like.new_full((batch, 1, self.width), -HIGH)
        return LayerState(memory, like.new_zeros(batch, 1, self.config.d_model), (peak,))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        seen = torch.cat([state.window, u.to(sums)], dim=1)
        k, v, r = (
            project(torch.lerp(seen[:, :-1], seen[:, 1:], share)).to(sums)
            for project, share in zip((self.k_proj, self.v_proj, self.r_proj), self.shift, strict=True)
        )

        w = self.time_decay.exp()
        peaks = running_peaks(state.rest[0], k, w)  # (batch, seqlen + 1, width), the first before the first token
        marks = peaks - peaks.clamp(-HIGH, HIGH)
        old, new = marks[:, :-1], marks[:, 1:]
        written = torch.exp(k - new)
        x = torch.cat([written * v, written], dim=-1)
        log_decay = (old - new - w).clamp_max(0).repeat(1, 1, 2)
        ones = x.new_ones(*x.shape[:2], 1, 1)
        output = scan(ScanInputs(x[..., None], ones, ones, log_decay[..., None]), state.memory)

        before = torch.cat([state.memory.state[:, None, :, 0, 0], output.y[:, :-1, :, 0]], dim=1)
        numerator, denominator = before.chunk(2, dim=-1)
        shared = torch.maximum(old, new)
        kept, own = torch.exp(old - shared), torch.exp(self.bonus + k - shared)
        y = (kept * numerator + own * v) / (kept * denominator + own).clamp_min(torch.finfo(sums).tiny)
        out = self.o_proj(torch.sigmoid(r) * y).to(u.dtype)
        return out, LayerState(output.memory, seen[:, -1:], (peaks[:, -1:],))


def running_peaks(peak: Tensor, k: Tensor, w: Tensor) -> Tensor:
    """``peak`` (batch, 1, width), and max(peak - w, k) after every token of ``k`` (batch, seqlen, width)."""
    faded = w.double() * torch.arange(k.shape[1] + 1, device=k.device)[:, None]  # large after many tokens
    highest = (torch.cat([peak, k], dim=1).double() + faded).cummax(dim=1).values
    return (highest - faded).to(k.dtype)
