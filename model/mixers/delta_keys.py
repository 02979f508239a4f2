"""What the mixers of the delta rule have in common: queries, keys and values, and how they enter the scan.

    q, k, v = silu(conv(W_q u)), silu(conv(W_k u)), silu(conv(W_v u))
    q <- q / |q| / sqrt(d_k)        k <- k / |k|
    h_t     = h_{t-1} diag(d_t) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T

In the words of :mod:`kernels.types` x is beta v, B is k, C is q, and the pair is -beta k and k.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import LowRank, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.conv import causal_conv
from model.state import LayerState, empty_layer

EPS = 1e-6
"""Added to the squared length of a query or key, as in the published implementations."""


class DeltaKeys(nn.Module):
    """The projections and their convolution, all channels beside each other: queries, keys, values.

    ``groups`` heads of queries and keys serve the nheads of values.
    """

    def __init__(self, config: ModelConfig, groups: int) -> None:
        super().__init__()
        self.config, self.groups = config, groups
        keys = groups * config.d_state
        self.sizes = (keys, keys, config.d_inner)
        self.proj = Linear(config.d_model, sum(self.sizes))
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, sum(self.sizes)))
        self.conv_bias = nn.Parameter(torch.zeros(sum(self.sizes)))
        bound = config.d_conv**-0.5
        nn.init.uniform_(self.conv_weight, -bound, bound)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        taps, channels = self.conv_weight.shape
        return empty_layer(self.config, self.conv_weight, batch, taps - 1, channels)

    def forward(self, u: Tensor, window: Tensor, beta: Tensor, log_decay: Tensor) -> tuple[ScanInputs, Tensor]:
        """The inputs of the scan for ``u`` (batch, seqlen, d_model), and the window after it.

        ``beta`` (batch, seqlen, nheads, 1) is the write strength, ``log_decay`` as the scan takes it.
        """
        projected = self.proj(u)
        compute, nheads = projected.dtype, self.config.nheads
        convolved, window = causal_conv(window, projected, self.conv_weight, self.conv_bias)
        q, k, v = F.silu(convolved).split(self.sizes, dim=-1)
        q, k = (unit(part.unflatten(-1, (self.groups, -1))) for part in (q, k))
        erased = -beta * k.repeat_interleave(nheads // self.groups, dim=2)
        inputs = ScanInputs(
            x=(beta * v.unflatten(-1, (nheads, -1))).to(compute),
            B=k.to(compute),
            C=(q * self.config.d_state**-0.5).to(compute),
            log_decay=log_decay,
            low_rank=LowRank(erased.to(compute), k.to(compute)),
        )
        return inputs, window


def unit(vector: Tensor, eps: float = EPS) -> Tensor:
    """Unit length along the last axis; ``eps`` is added to the squared length."""
    return vector * torch.rsqrt(vector.square().sum(-1, keepdim=True) + eps)
