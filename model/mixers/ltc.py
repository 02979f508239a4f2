"""Liquid time-constant network (Hasani et al. 2020, arXiv 2006.04439), the mixer alone, one token a unit of time.

    dv_j/dt = g_j (l_j - v_j) / c_j + sum_i w_ij sigmoid(s_ij (v_i - m_ij)) (E_ij - v_j) / c_j

with the same sum over sensory neurons, whose values are the inputs. The fused solver of the paper makes ``UNFOLDS``
implicit steps a token, six in the authors' code and two here, for speed:

    v_j <- (c_j v_j UNFOLDS + g_j l_j + sum w sigmoid(..) E) / (c_j UNFOLDS + g_j + sum w sigmoid(..))

c, g and w are positive: softplus of what is learned. Every pair of units has a synapse of four numbers, and a step
costs units squared exponentials per unfold, so that such a network has few units. The share that is kept is the
product, over the unfolds, of the factor before v_j.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.cell import CellMixer

UNFOLDS = 2
EPSILON = 1e-8
"""Keeps a denominator from being zero."""


class Synapses(nn.Module):
    """All synapses from ``sources`` to ``units``, (sources, units) each."""

    def __init__(self, sources: int, units: int) -> None:
        super().__init__()

        def between(low: float, high: float) -> nn.Parameter:
            return nn.Parameter(torch.empty(sources, units).uniform_(low, high))

        self.steepness, self.middle = between(3, 8), between(0.3, 0.8)
        self.strength = between(-4, -2)
        self.reversal = nn.Parameter(torch.randint(2, (sources, units)) * 2.0 - 1)

    def constants(self) -> tuple[Tensor, Tensor, Tensor]:
        """Steepness and offset, (units, sources), and the weights with E and without it, (units, sources, 2)."""
        steepness, strength = self.steepness.T.contiguous(), F.softplus(self.strength)
        weights = torch.stack([strength * self.reversal, strength], -1).transpose(0, 1).contiguous()
        return steepness, -steepness * self.middle.T, weights

    def sums(self) -> Callable[[Tensor], Tensor]:
        """A function (rows, sources) -> (2, rows, units): the sums with E, and the sums without."""
        steepness, offset, weights = self.constants()
        steepness, offset = steepness[:, None], offset[:, None]

        def sums(values: Tensor) -> Tensor:
            active = torch.sigmoid(torch.addcmul(offset, steepness, values))  # (units, rows, sources)
            return torch.bmm(active, weights).permute(2, 1, 0)

        return sums


class LTC(CellMixer):
    """One mixer."""

    compiled = "ltc"

    def __init__(self, config: ModelConfig, *, unfolds: int = UNFOLDS) -> None:
        super().__init__(config)
        self.unfolds = unfolds
        units = config.d_inner
        self.in_proj = Linear(config.d_model, units, bias=True)  # as many sensory neurons as units
        self.sensory, self.synapses = Synapses(units, units), Synapses(units, units)
        self.leak = nn.Parameter(torch.empty(units).uniform_(-4, 0))
        self.rest = nn.Parameter(torch.empty(units).uniform_(-0.2, 0.2))
        self.capacitance = nn.Parameter(torch.empty(units).uniform_(-0.5, 2))

    def project(self, x: Tensor) -> Tensor:
        """Sums over the sensory neurons: (batch, seqlen, d_model) -> (batch, seqlen, 2 units)."""
        values = self.in_proj(x).to(self.leak.dtype).flatten(0, 1)
        return torch.cat(self.sensory.sums()(values).unbind(0), -1).unflatten(0, x.shape[:2])

    def neurons(self) -> tuple[Tensor, Tensor, Tensor]:
        """c UNFOLDS, and what is added to the denominator and to the numerator of every unfold: (units,) each."""
        inertia, leak = F.softplus(self.capacitance) * self.unfolds, F.softplus(self.leak)
        return inertia, inertia + leak + EPSILON, leak * self.rest

    def constants(self, retention: Retention) -> tuple[int | float | Tensor, ...]:
        """Unfolds, the retention of one as power and factor, the three of the neurons, the three of the synapses."""
        steepness, offset, weights = self.synapses.constants()
        share = retention.share(self.unfolds)
        return self.unfolds, *share, *self.neurons(), steepness, offset, weights.movedim(-1, 0)

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""
        inertia, denominator, numerator = self.neurons()
        part, synapses = retention.share(self.unfolds), self.synapses.sums()

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            (v,) = vectors
            drive, load = given.chunk(2, -1)
            drive, load, kept = drive + numerator, load + denominator, torch.ones_like(v)
            for _ in range(self.unfolds):
                driven, loaded = synapses(v)
                total = load + loaded
                share = part(inertia / total)
                v = share * v + (drive + driven) / total
                kept = kept * share
            return (v,), kept

        return step
