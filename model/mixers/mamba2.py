"""Mamba-2 (Dao & Gu 2024, arXiv 2405.21060), the mixer alone.

    z, xBC, dt = W_in u                         gate, convolved channels, step
    x, B, C    = silu(conv_4(xBC))
    delta_t    = softplus(dt + bias)            step size, one per head
    h_t        = exp(delta_t A) h_{t-1} + (delta_t x_t) B_t^T        A = -exp(A_log) < 0
    y_t        = h_t C_t + D x_t
    out        = W_out rmsnorm(y * silu(z))

The second line from h_t on is the scan's; everything else is here. What Stuffed Mamba (arXiv 2410.07145) calls
memory retention alpha_t is exp(delta_t A), and its insertion is delta_t x_t B_t^T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.cpu.elementwise import gated_norm, short_convolution
from kernels.cpu.forked import decay_to_end, written
from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.state import LayerState, empty_layer


class Prepared(NamedTuple):
    """Some tokens before the scan: its ``inputs``, and beside them

    ``convolved`` (batch, seqlen, channels), of which x is the first, ``gate`` (batch, seqlen, d_inner), and the
    ``window`` (batch, d_conv - 1, channels) after the last token.
    """

    inputs: ScanInputs
    convolved: Tensor
    gate: Tensor
    window: Tensor


class Mamba2(nn.Module):
    """One Mamba-2 mixer; parameter names are those of the published checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.d_inner + 2 * config.ngroups * config.d_state
        self.in_proj = Linear(config.d_model, config.d_inner + channels + config.nheads, bias=config.bias)
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, channels))
        self.conv_bias = nn.Parameter(torch.empty(channels))
        self.dt_bias = nn.Parameter(torch.empty(config.nheads))
        self.A_log = nn.Parameter(torch.empty(config.nheads))
        self.D = nn.Parameter(torch.ones(config.nheads))
        self.norm = RMSNorm(config.d_inner, config.norm_eps)  # of each group, behind the gate
        self.out_proj = Linear(config.d_inner, config.d_model, bias=config.bias)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's initialisation, but for A, uniform in [0.001, 0.1] and not in [1, 16]: all start slow."""
        config = self.config
        step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.A_log.copy_(torch.empty_like(self.A_log).uniform_(0.001, 0.1).log())
        bound = config.d_conv**-0.5
        self.conv_weight.uniform_(-bound, bound)
        self.conv_bias.uniform_(-bound, bound)
        self.out_proj.weight.normal_(std=0.02 / math.sqrt(2 * len(config.layers)))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        config = self.config
        return empty_layer(config, self.A_log, batch, config.d_conv - 1, self.conv_weight.shape[1])

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        prepared = self.prepare(u, state.window)
        output = scan(prepared.inputs, state.memory)
        return self.finish(prepared, output.y).to(u.dtype), LayerState(output.memory, prepared.window)

    def prepare(self, u: Tensor, window: Tensor) -> Prepared:
        """All that comes before the scan: of the tokens, and of the ``window`` before them, whatever is remembered."""
        projected = self.in_proj(u)
        convolved, inputs, window = self._inputs(projected, self.config.d_inner, window)
        gate = F.silu(projected[..., : self.config.d_inner].to(window.dtype))
        return Prepared(inputs, convolved, gate, window)

    def finish(self, prepared: Prepared, y: Tensor) -> Tensor:
        """All that comes after it: ``y`` (batch, seqlen, nheads, headdim) -> (batch, seqlen, d_model)."""
        weight = self.norm.weight.view(self.config.ngroups, -1)
        return self.out_proj(gated_norm(y, prepared.convolved, self.D, prepared.gate, weight, self.norm.eps))

    def advance(self, u: Tensor, state: LayerState, scan: Scan) -> LayerState:
        """The state that :meth:`forward` leaves, for a last layer whose output nobody reads.

        No gate and no projection; and C, with which the state would be read, is only worked out for the window.
        """
        config = self.config
        width = config.d_inner + config.ngroups * config.d_state  # of x and B
        xB, dt = slice(config.d_inner, config.d_inner + width), slice(-config.nheads, None)
        _, inputs, _ = self._inputs(self.in_proj(u, xB, dt), 0, state.window[..., :width])
        return LayerState(scan(inputs, state.memory).memory, self._window_after(state.window, u))

    def write(self, parts: Sequence[Tensor], state: LayerState) -> LayerState:
        """What :meth:`advance` leaves with a plain scan after ``parts`` of a stretch, (batch, seqlen, d_model) each.

        Quicker where heads forget: the steps alone tell for how long they remember, and what a head will have
        forgotten by the end of the stretch, to a 256th of its rounding, is not worked out.
        """
        config, dtype = self.config, state.window.dtype
        steps = [self._step(self.in_proj(u, slice(-config.nheads, None)), dtype) for u in parts]
        decays = [self._log_decay(step) for step in steps]
        lost = torch.stack([decay.sum((1, 3)).amax(0) for decay in decays])  # (parts, nheads); the row that keeps most
        later = lost.flip(0).cumsum(0).flip(0) - lost
        needed = (later > math.log(torch.finfo(dtype).eps / 256)).view(len(parts), config.ngroups, -1)
        needed = needed.any(1).repeat(1, config.ngroups)  # as many heads of every group
        memory, window = state.memory.state, state.window
        for u, step, decay, kept in zip(parts, steps, decays, needed.tolist(), strict=True):
            if any(kept):
                to_end, whole = decay_to_end(decay[:, :, kept], dtype)
                added = self._written(u, window, step[:, :, kept] * to_end, kept)
                if all(kept):
                    memory = torch.addcmul(added, memory, whole)
                else:  # what a head remembered from before it is left out for is forgotten as well
                    memory = memory.clone()
                    memory[:, kept] = torch.addcmul(added, memory[:, kept], whole)
            window = self._window_after(window, u)
        return LayerState(Memory(memory), window)

    def _window_after(self, window: Tensor, u: Tensor) -> Tensor:
        """The window after ``u``, whose last tokens are projected for it alone."""
        last = self.in_proj(u[:, -window.shape[1] :], slice(self.config.d_inner, -self.config.nheads)).to(window.dtype)
        return torch.cat([window, last], dim=1)[:, last.shape[1] :]

    def _written(self, u: Tensor, window: Tensor, weight: Tensor, heads: Sequence[bool]) -> Tensor:
        """What ``u`` writes, each token with its ``weight``: (batch, chosen ``heads``, headdim, d_state)."""
        config = self.config
        headdim, d_inner, keys = config.headdim, config.d_inner, config.ngroups * config.d_state
        channels = [slice(part.start * headdim, part.stop * headdim) for part in _stretches(heads)]
        channels.append(slice(d_inner, d_inner + keys))
        projected = self.in_proj(u, *(slice(d_inner + part.start, d_inner + part.stop) for part in channels))
        before, kernel, bias = (_only(given, channels) for given in (window, self.conv_weight, self.conv_bias))
        convolved = short_convolution(before, projected, 0, kernel, bias)
        x = convolved[..., :-keys].unflatten(-1, (-1, headdim)).mul_(weight)
        B = convolved[..., -keys:].unflatten(-1, (config.ngroups, -1))
        return written(x.to(projected.dtype), B.to(projected.dtype)).to(window.dtype)

    def _inputs(self, projected: Tensor, first: int, window: Tensor) -> tuple[Tensor, ScanInputs, Tensor]:
        """What the scan takes: the convolved channels, the inputs made of them, and the window after these tokens.

        ``projected`` (batch, seqlen, ...) has xBC from ``first`` on, and dt after it; ``window`` (batch, d_conv - 1,
        channels) the xBC before. Without the channels of C nobody reads the state, and B stands in for it.
        """
        config, channels = self.config, window.shape[-1]
        keys = config.ngroups * config.d_state
        weight, bias = self.conv_weight[:, :channels], self.conv_bias[:channels]
        convolved = short_convolution(window, projected, first, weight, bias)
        latest = projected[:, -window.shape[1] :, first : first + channels].to(window.dtype)
        after = torch.cat([window, latest], dim=1)[:, latest.shape[1] :]

        x = convolved[..., : config.d_inner].unflatten(-1, (config.nheads, config.headdim))
        B, C = convolved[..., config.d_inner : config.d_inner + keys], convolved[..., -keys:]
        step = self._step(projected[..., first + channels :], window.dtype)
        compute = projected.dtype
        inputs = ScanInputs(
            x=(x * step).to(compute),
            B=B.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            C=C.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            log_decay=self._log_decay(step),
        )
        return convolved, inputs, after

    def _step(self, dt: Tensor, dtype: torch.dtype) -> Tensor:
        """The step sizes (batch, seqlen, nheads, 1), from what is projected for them."""
        step = F.softplus(dt.to(dtype) + self.dt_bias)
        return (step if self.config.step_limit is None else step.clamp(*self.config.step_limit))[..., None]

    def _log_decay(self, step: Tensor) -> Tensor:
        return -step * self.A_log.exp()[:, None]


def _stretches(kept: Sequence[bool]) -> list[slice]:
    """Where ``kept`` is true, as slices."""
    edges = [place for place in range(len(kept) + 1) if any(kept[place - 1 : place]) != any(kept[place : place + 1])]
    return [slice(first, stop) for first, stop in zip(edges[::2], edges[1::2], strict=True)]


def _only(tensor: Tensor, channels: Sequence[slice]) -> Tensor:
    """Those ``channels`` of the last axis, one after another."""
    return torch.cat([tensor[..., part] for part in channels], dim=-1)
