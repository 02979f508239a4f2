"""The delta-rule mixers against their papers' equations, token by token, and under mitigations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.clipped_low_rank import clipped_low_rank_scan
from kernels.dispatch import scan
from kernels.reference import reference_clipped_scan
from kernels.types import Memory, ScanInputs, ScanOutput
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS, check_fits
from model.mixers import MIXERS

WITH_KEYS = ("deltanet", "gated_deltanet", "kda")
"""The mixers that erase at the key that they write at."""
NAMES = (*WITH_KEYS, "rwkv7")
SEQLEN = 150


def config_of(name: str) -> ModelConfig:
    return ModelConfig(layers=(name,), d_model=12, d_state=6, headdim=8, vocab_size=50, train_length=64)


def mixer_of(name: str):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    mixer = MIXERS[name].make(config_of(name)).double().requires_grad_(False)
    for parameter in mixer.parameters():  # many are 0 or 1 before training, which would hide a mistake
        parameter.add_(0.1 * torch.randn_like(parameter))
    return mixer


def written(name: str, mixer, u: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """One sequence (seqlen, d_model) by the equations of the papers; the state is (d_k, d_v) as they write it."""
    config, weights = mixer.config, dict(mixer.named_parameters())
    heads, groups = config.nheads, config.ngroups if name == "gated_deltanet" else config.nheads
    taps = weights["keys.conv_weight"]
    channels = F.pad(u @ weights["keys.proj.weight"].T, (0, 0, config.d_conv - 1, 0))
    convolved = torch.stack([(channels[t : t + config.d_conv] * taps).sum(0) for t in range(len(u))])
    keys = groups * config.d_state
    q, k, v = F.silu(convolved + weights["keys.conv_bias"]).split([keys, keys, config.d_inner], -1)
    q, k = (part.view(len(u), groups, -1).repeat_interleave(heads // groups, 1) for part in (q, k))
    v = v.view(len(u), heads, -1)
    out = []
    S = torch.zeros(heads, config.d_state, config.headdim, dtype=u.dtype)
    for t, token in enumerate(u):
        beta = torch.sigmoid(weights["b_proj.weight"] @ token)
        alpha = torch.ones(heads, 1, dtype=u.dtype)
        if name == "gated_deltanet":
            step = F.softplus(weights["a_proj.weight"] @ token + weights["dt_bias"])
            alpha = torch.exp(-weights["A_log"].exp() * step)[:, None]
        if name == "kda":
            low = weights["f_proj.1.weight"] @ (weights["f_proj.0.weight"] @ token)
            step = F.softplus(low + weights["dt_bias"]).view(heads, -1)
            alpha = torch.exp(-weights["A_log"].exp()[:, None] * step)
        reads = []
        for h in range(heads):
            key, query = (each / torch.sqrt(each @ each + 1e-6) for each in (k[t, h], q[t, h]))
            decayed = alpha[h][:, None] * S[h]
            S[h] = decayed - beta[h] * torch.outer(key, key @ decayed) + beta[h] * torch.outer(key, v[t, h])
            read = query @ S[h] / config.d_state**0.5
            reads.append(read * torch.rsqrt(read.square().mean() + config.norm_eps) * weights["norm.weight"])
        y = torch.cat(reads)
        if name == "gated_deltanet":
            y = y * F.silu(weights["z_proj.weight"] @ token)
        if name == "kda":
            y = y * torch.sigmoid(weights["g_proj.1.weight"] @ (weights["g_proj.0.weight"] @ token))
        out.append(weights["o_proj.weight"] @ y)
    return torch.stack(out)


def written_rwkv7(mixer, u: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """The same for RWKV-7, whose decay and erasing act beside each other on the state before."""
    config, weights = mixer.config, dict(mixer.named_parameters())
    heads = config.nheads
    before, out = torch.zeros_like(u[0]), []
    S = torch.zeros(heads, config.headdim, config.d_state, dtype=u.dtype)
    for token in u:
        r_in, w_in, k_in, v_in, a_in, g_in = (token + (before - token) * mu for mu in weights["shift"])
        before = token
        r, k, v = (weights[f"{n}_proj.weight"] @ s for n, s in (("r", r_in), ("k", k_in), ("v", v_in)))
        low = weights["decay.2.weight"] @ torch.tanh(weights["decay.0.weight"] @ w_in) + weights["decay.2.bias"]
        d = torch.exp(-math.exp(-0.5) * torch.sigmoid(low))
        eta = torch.sigmoid(weights["erase.1.weight"] @ weights["erase.0.weight"] @ a_in + weights["erase.1.bias"])
        gate = weights["gate.2.weight"] @ torch.sigmoid(weights["gate.0.weight"] @ g_in)
        kappa = (weights["xi"] * k).view(heads, -1)
        kappa = kappa / kappa.norm(dim=-1, keepdim=True)
        k = k * (1 + (eta - 1) * weights["alpha"])
        r, d, eta, k, v = (part.view(heads, -1) for part in (r, d, eta, k, v))
        reads = []
        for h in range(heads):
            transition = torch.diag(d[h]) - torch.outer(kappa[h], eta[h] * kappa[h])
            S[h] = S[h] @ transition + torch.outer(v[h], k[h])
            y = S[h] @ r[h]
            y = (y - y.mean()) / torch.sqrt(y.var(correction=0) + config.d_state * config.norm_eps)
            reads.append(y)
        y = torch.cat(reads) * weights["norm.weight"] + weights["norm.bias"]
        y = y + torch.cat([(r[h] * weights["rho"][h] * k[h]).sum() * v[h] for h in range(heads)])
        out.append(weights["o_proj.weight"] @ (y * gate))
    return torch.stack(out)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_papers_recurrence_in_one_piece_and_in_three(name: str) -> None:
    mixer = mixer_of(name)
    u = torch.randn(SEQLEN, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = written_rwkv7(mixer, u) if name == "rwkv7" else written(name, mixer, u)
    whole, _ = mixer(u[None], mixer.zero_state(1), scan)
    torch.testing.assert_close(whole[0], truth, rtol=0, atol=1e-10)
    state, pieces = mixer.zero_state(1), []
    for piece in u[None].split([1, 70, SEQLEN - 71], dim=1):
        y, state = mixer(piece, state, scan)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1)[0], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    model = LanguageModel(config_of(name))
    logits, _ = model(torch.randint(0, 50, (2, 70)))
    F.cross_entropy(logits.flatten(0, 1), torch.randint(0, 50, (140,))).backward()
    for parameter, tensor in model.named_parameters():
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all()) and bool(tensor.grad.any()), parameter


def inputs_of(name: str) -> tuple[ScanInputs, Memory]:
    """What a mixer gives the scan."""
    given: list[tuple[ScanInputs, Memory]] = []

    def look(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        given.append((inputs, memory))
        return scan(inputs, memory, token_norms)

    mixer = mixer_of(name)
    mixer(torch.randn(2, SEQLEN, 12, dtype=torch.float64), mixer.zero_state(2), look)
    return given[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_bounded_norm_is_the_reference(name: str) -> None:
    inputs, memory = inputs_of(name)
    limit = 0.7 * scan(inputs, memory, True).token_norms.flatten(0, 1).median(0).values
    ours, truth = clipped_low_rank_scan(inputs, memory, limit, True), reference_clipped_scan(inputs, memory, limit)
    for part in ("y", "boundary_states", "token_norms"):
        torch.testing.assert_close(getattr(ours, part), getattr(truth, part), rtol=0, atol=1e-11)
    assert bool((truth.token_norms > limit * (1 - 1e-9)).any())


@pytest.mark.parametrize("name", NAMES)
def test_a_window_is_refused_with_its_reason(name: str) -> None:
    assert MITIGATIONS["window"].obstacle(config_of(name)) == "diagonal"
    with pytest.raises(UserError, match="erases as it writes"):
        check_fits({"window": 20.0}, config_of(name))
    expected = None if MIXERS[name].decay_per_head else "per_head"
    assert MITIGATIONS["state_norm"].obstacle(config_of(name)) == expected
