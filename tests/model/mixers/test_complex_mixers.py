"""LRU, S4D, S5 and linear attention against their papers' recurrences, written with complex numbers, token by token."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import scan
from kernels.reference import reference_scan
from model.config import ModelConfig
from model.mixers import MIXERS


def mixer_of(name: str) -> Any:
    sizes = {"s4d": {"headdim": 1, "d_state": 8}, "linear_attention": {"headdim": 8, "d_state": 6}}
    config = ModelConfig(
        layers=(name,), d_model=16, vocab_size=8, train_length=64, **sizes.get(name, {"headdim": 1, "d_state": 1})
    )
    torch.manual_seed(0)
    mixer = MIXERS[name].make(config).double()
    for parameter in mixer.parameters():  # where all is one or zero, a mistake would not be seen
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return mixer


def paired(weight: Tensor, *, of_columns: bool = False) -> Tensor:
    """A complex matrix from one whose first half are real parts; a product's real part takes minus the imaginary."""
    real, imaginary = weight.chunk(2, dim=1 if of_columns else 0)
    return torch.complex(real, -imaginary if of_columns else imaginary)


def written_complex(mixer: Any, u: Tensor, lam: Tensor, factor: Tensor, read: float) -> Tensor:
    B, C = paired(mixer.B.weight), paired(mixer.C.weight, of_columns=True)
    h, found = torch.zeros(len(u), len(lam), dtype=torch.complex128), []
    for t in range(u.shape[1]):
        h = lam * h + factor * (u[:, t].to(B.dtype) @ B.T)
        found.append(read * (h @ C.T).real + mixer.D * u[:, t])
    return gated(mixer.output, torch.stack(found, 1))


def gated(output: Any, y: Tensor) -> Tensor:
    a, b = (F.gelu(y) @ output.gate_proj.weight.T).chunk(2, dim=-1)
    return (a * torch.sigmoid(b)) @ output.out_proj.weight.T


def written(name: str, mixer: Any, u: Tensor) -> Tensor:
    if name == "lru":
        lam = torch.exp(torch.complex(-mixer.nu_log.exp(), mixer.theta_log.exp()))
        return written_complex(mixer, u, lam, mixer.gamma_log.exp().to(lam.dtype), 1)
    if name == "s5":
        poles, step = torch.complex(-mixer.decay_log.exp(), mixer.frequency), mixer.step_log.exp()
        lam = torch.exp(poles * step)
        return written_complex(mixer, u, lam, (lam - 1) / poles, 2)
    if name == "s4d":
        poles, step = torch.complex(-mixer.decay_log.exp(), mixer.frequency), mixer.step_log.exp()
        lam, C = torch.exp(poles * step), torch.complex(mixer.C_real, mixer.C_imaginary)
        v = u @ mixer.in_proj.weight.T
        h, found = torch.zeros(len(u), *lam.shape, dtype=torch.complex128), []
        for t in range(u.shape[1]):
            h = lam * h + (lam - 1) / poles * v[:, t, :, None]
            found.append(2 * (C * h).sum(-1).real + mixer.D * v[:, t])
        a, b = (F.gelu(torch.stack(found, 1)) @ mixer.gate_proj.weight.T).chunk(2, dim=-1)
        return a * torch.sigmoid(b)
    parts = mixer.q_proj, mixer.k_proj, mixer.v_proj
    q, k, v = ((u @ part.weight.T).unflatten(-1, (mixer.config.nheads, -1)) for part in parts)
    q, k = F.elu(q) + 1, F.elu(k) + 1
    weights = torch.einsum("bthn,bshn->bhts", q, k).tril()
    y = torch.einsum("bhts,bshp->bthp", weights / weights.sum(-1, keepdim=True), v)
    return y.flatten(-2) @ mixer.o_proj.weight.T


@pytest.mark.parametrize("name", ["lru", "s4d", "s5", "linear_attention"])
def test_it_computes_what_its_paper_says(name: str) -> None:
    mixer = mixer_of(name)
    u = torch.randn(2, 70, 16, dtype=torch.float64)
    truth = written(name, mixer, u)
    for door in (reference_scan, scan):
        found, _ = mixer(u, mixer.zero_state(2), door)
        torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["lru", "s4d", "s5", "linear_attention"])
def test_gradients_are_those_of_the_paper(name: str) -> None:
    mixer = mixer_of(name)
    u = torch.randn(2, 40, 16, dtype=torch.float64)
    weights = list(mixer.parameters())
    ours = torch.autograd.grad(mixer(u, mixer.zero_state(2), scan)[0].square().sum(), weights)
    theirs = torch.autograd.grad(written(name, mixer, u).square().sum(), weights)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["lru", "s5", "s4d"])
def test_angles_are_right_after_a_million_tokens(name: str) -> None:
    """The same tokens from an empty memory give the same, wherever the document has come to."""
    mixer = mixer_of(name).float()
    u, empty = torch.randn(1, 12, 16), mixer.zero_state(1)
    late = empty._replace(rest=(empty.rest[0] + 1_000_003,))
    torch.testing.assert_close(mixer(u, late, scan)[0], mixer(u, empty, scan)[0], rtol=1e-4, atol=1e-5)
