"""Mamba-3 against the recurrence of its paper, written with complex numbers, token by token."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import scan
from kernels.reference import reference_scan
from model.config import ModelConfig
from model.mixers import MIXERS
from model.state import LayerState

SEQLEN = 150
PIECES = [1, 70, 1, SEQLEN - 72]


def mixer_of(groups: int = 2) -> Any:
    config = ModelConfig(
        layers=("mamba3",), d_model=12, d_state=10, headdim=6, ngroups=groups, vocab_size=8, train_length=64
    )
    torch.manual_seed(0)
    mixer = MIXERS["mamba3"].make(config).double()
    for parameter in mixer.parameters():  # where all is one or zero, a mistake would not be seen
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    mixer.dt_bias.data.uniform_(-3, 1)
    return mixer


def given(rows: int = 2, seqlen: int = SEQLEN) -> Tensor:
    return 2 * torch.randn(rows, seqlen, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def normed(vector: Tensor, weight: Tensor) -> Tensor:
    return vector / (vector.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def written(mixer: Any, u: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and h after every token: (rows, nheads, headdim, d_state / 2) complex, turned as the paper has it."""
    config = mixer.config
    heads, keys, rotated = config.nheads, config.ngroups * config.d_state, 2  # of the five pairs of channels
    h = torch.zeros(len(u), heads, config.headdim, config.d_state // 2, dtype=torch.complex128)
    last_write, out, states = torch.zeros_like(h), [], []
    for t in range(u.shape[1]):
        wide = u[:, t] @ mixer.in_proj.weight.T
        sizes = [config.d_inner, config.d_inner, keys, keys, heads, heads, heads, rotated]
        z, x, B, C, dt, a, split, w = wide.split(sizes, -1)
        delta = torch.log1p(torch.exp(dt + mixer.dt_bias))
        alpha = torch.exp(-delta * torch.where(a < 0, 1 / (1 - a), 1 + a))
        lam = 1 / (1 + torch.exp(-split))
        B, C = (
            normed(part.unflatten(-1, (config.ngroups, -1)), norm.weight).repeat_interleave(heads // config.ngroups, 1)
            + bias
            for part, norm, bias in ((B, mixer.B_norm, mixer.B_bias), (C, mixer.C_norm, mixer.C_bias))
        )
        B, C = (torch.complex(part[..., ::2], part[..., 1::2]) for part in (B, C))
        angle = F.pad(delta[..., None] * math.pi * torch.tanh(w)[:, None], (0, B.shape[-1] - rotated))
        turn = torch.exp(torch.complex(torch.zeros_like(angle), -angle))[:, :, None]
        write = x.unflatten(-1, (heads, -1))[..., None] * B[:, :, None]
        beta, gamma = (1 - lam) * delta * alpha, lam * delta
        each = [factor[..., None, None] for factor in (alpha, beta, gamma)]
        h = each[0] * turn * h + each[1] * turn * last_write + each[2] * write
        last_write = write
        y = (h * C.conj()[:, :, None]).sum(-1).real + mixer.D[:, None] * x.unflatten(-1, (heads, -1))
        out.append((y.flatten(-2) * z / (1 + torch.exp(-z))) @ mixer.out_proj.weight.T)
        states.append(h)
    return torch.stack(out, 1), states


def of_frame(mixer: Any, state: LayerState) -> Tensor:
    """h of a state of the mixer, as :func:`written` has it: what it holds, its last write, and turned back."""
    config = mixer.config
    x, B, weight = state.window[:, 0].split([config.d_inner, config.ngroups * config.d_state, config.nheads], -1)
    B = B.unflatten(-1, (config.ngroups, -1)).repeat_interleave(config.nheads // config.ngroups, 1) + mixer.B_bias
    own = x.unflatten(-1, (config.nheads, -1))[..., None] * (B * weight[..., None])[:, :, None]
    held, own = (torch.complex(part[..., ::2], part[..., 1::2]) for part in (state.memory.state, own))
    angle = F.pad(state.rest[0], (0, held.shape[-1] - state.rest[0].shape[-1]))
    return held * torch.exp(torch.complex(torch.zeros_like(angle), -angle))[:, :, None] + own


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_is_the_paper_s_recurrence_in_one_piece_and_in_four(groups: int) -> None:
    mixer, u = mixer_of(groups).requires_grad_(False), given()
    truth, states = written(mixer, u)
    for door in (reference_scan, scan):
        whole, after = mixer(u, mixer.zero_state(2), door)
        torch.testing.assert_close(whole, truth, rtol=0, atol=1e-10)
        torch.testing.assert_close(of_frame(mixer, after), states[-1], rtol=0, atol=1e-10)
    state, pieces, read = mixer.zero_state(2), [], 0
    for piece in u.split(PIECES, dim=1):
        y, state = mixer(piece, state, scan)
        pieces.append(y)
        read += piece.shape[1]
        torch.testing.assert_close(of_frame(mixer, state), states[read - 1], rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.cat(pieces, 1), truth, rtol=0, atol=1e-10)


def test_in_single_precision_pieces_are_as_the_whole() -> None:
    mixer, u = mixer_of().float().requires_grad_(False), given().float()
    whole, _ = mixer(u, mixer.zero_state(2), scan)
    state, pieces = mixer.zero_state(2), []
    for piece in u.split(PIECES, dim=1):
        y, state = mixer(piece, state, scan)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_gradients_are_those_of_the_paper() -> None:
    mixer, u = mixer_of(), given(seqlen=40).requires_grad_()
    weights = [u, *mixer.parameters()]
    ours = torch.autograd.grad(mixer(u, mixer.zero_state(2), scan)[0].square().sum(), weights)
    theirs = torch.autograd.grad(written(mixer, u)[0].square().sum(), weights)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)
        assert bool(one.any())


def test_angles_are_right_after_a_million_tokens() -> None:
    """The same step again and again: its angle is a product, which is what the carried sum has to be."""
    mixer = mixer_of().float().requires_grad_(False)
    turn, step = torch.tensor([[[0.3, -1.2]]]), torch.tensor([[[0.01, 0.5, 1.7, 0.1]]])
    each = step[0, 0].double()[:, None] * math.pi * torch.tanh(turn[0, 0].double())
    angle, read = mixer.zero_state(1).rest[0], 0
    for _ in range(16):
        angle = mixer._angles(angle, turn.expand(1, 65_536, -1), step.expand(1, 65_536, -1))[:, -1]
        read += 65_536
    apart = torch.exp(1j * (angle[0] - (each * read))) - 1
    assert read > 1_000_000 and apart.abs().max() < 1e-5


def test_the_frame_does_not_matter() -> None:
    """From an empty memory the angles of a token count only relative to those of others."""
    mixer, u = mixer_of().float().requires_grad_(False), given().float()
    empty = mixer.zero_state(2)
    late = empty._replace(rest=(empty.rest[0] + 2.345,))
    torch.testing.assert_close(mixer(u, late, scan)[0], mixer(u, empty, scan)[0], rtol=1e-4, atol=1e-5)
