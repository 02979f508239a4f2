"""mLSTM and RWKV-4, whose reads are divided by a normaliser in the memory, against their papers' equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import scan
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.mixers import MIXERS
from model.mixers.rwkv4 import HIGH

NAMES = ("mlstm", "rwkv4")
SEQLEN = 150


def config_of(name: str) -> ModelConfig:
    sizes = {"d_state": 1, "headdim": 1} if name == "rwkv4" else {"d_state": 6, "headdim": 8}
    return ModelConfig(layers=(name,), d_model=12, vocab_size=50, train_length=64, **sizes)


def mixer_of(name: str):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    mixer = MIXERS[name].make(config_of(name)).double().requires_grad_(False)
    for parameter in mixer.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    if name == "mlstm":
        mixer.i_bias.uniform_(-2, 6)
    return mixer


def given() -> Tensor:
    return torch.randn(SEQLEN, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def written_mlstm(mixer, u: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """One sequence with the stabiliser of the paper: memory and normaliser divided by e^m."""
    config, weights = mixer.config, dict(mixer.named_parameters())
    heads, out = config.nheads, []
    C = torch.zeros(heads, config.headdim - 1, config.d_state, dtype=u.dtype)
    n, m = torch.zeros(heads, config.d_state, dtype=u.dtype), torch.full((heads,), -torch.inf, dtype=u.dtype)
    for token in u:
        q, k, v = ((weights[f"{name}_proj.weight"] @ token).view(heads, -1) for name in "qkv")
        i, f = (15 * torch.tanh((weights[f"{g}_proj.weight"] @ token + weights[f"{g}_bias"]) / 15) for g in "if")
        highest = torch.maximum(F.logsigmoid(f) + m, i)
        forget, take, m = torch.exp(F.logsigmoid(f) + m - highest), torch.exp(i - highest), highest
        C = forget[:, None, None] * C + take[:, None, None] * v[:, :, None] * k[:, None, :]
        n = forget[:, None] * n + take[:, None] * k
        q = q / config.d_state**0.5
        weight = torch.maximum((n * q).sum(-1).abs(), torch.exp(-m))
        y = torch.einsum("hpn,hn->hp", C, q) / weight[:, None]
        y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, correction=0, keepdim=True) + config.norm_eps).sqrt()
        y = y.flatten() * weights["norm.weight"] + weights["norm.bias"]
        out.append(weights["o_proj.weight"] @ (y * torch.sigmoid(weights["z_proj.weight"] @ token)))
    return torch.stack(out)


def written_rwkv4(mixer, u: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """One sequence as a weighted mean of all values so far, whose weights are formed as logarithms."""
    weights, padded = dict(mixer.named_parameters()), F.pad(u, (0, 0, 1, 0))
    k, v, r = (
        (share * u + (1 - share) * padded[:-1]) @ weights[f"{name}_proj.weight"].T
        for share, name in zip(weights["shift"], "kvr", strict=True)
    )
    out = []
    for t in range(len(u)):
        ages = torch.arange(t - 1, -1, -1, dtype=u.dtype)[:, None]
        logs = torch.cat([k[:t] - ages * weights["time_decay"].exp(), weights["bonus"] + k[t : t + 1]])
        y = (logs.softmax(0) * v[: t + 1]).sum(0)
        out.append(weights["o_proj.weight"] @ (torch.sigmoid(r[t]) * y))
    return torch.stack(out)


WRITTEN = {"mlstm": written_mlstm, "rwkv4": written_rwkv4}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_papers_recurrence_in_one_piece_and_in_three(name: str) -> None:
    mixer, u = mixer_of(name), given()
    truth = WRITTEN[name](mixer, u)
    whole, _ = mixer(u[None], mixer.zero_state(1), scan)
    torch.testing.assert_close(whole[0], truth, rtol=0, atol=1e-10)
    state, pieces = mixer.zero_state(1), []
    for piece in u[None].split([1, 70, SEQLEN - 71], dim=1):
        y, state = mixer(piece, state, scan)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1)[0], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_normaliser_counts(name: str) -> None:
    """Gates and keys of these tests are such that neither the normaliser nor what bounds it is idle."""
    mixer = mixer_of(name)
    seen: list[Tensor] = []

    def look(inputs, memory, token_norms=False):  # type: ignore[no-untyped-def]
        output = scan(inputs, memory, token_norms)
        seen.append(output.y)
        return output

    mixer(given()[None], mixer.zero_state(1), look)
    weight = seen[0][..., -1].abs() if name == "mlstm" else seen[0][..., mixer.width :, 0]
    assert bool((weight > 1.5).any()) and bool((weight < 0.7).any())


@pytest.mark.parametrize("name", NAMES)
def test_in_single_precision_the_largest_gates_overflow_nothing(name: str) -> None:
    mixer, u = mixer_of(name), given()
    if name == "mlstm":
        mixer.i_bias.fill_(1000.0)
    else:
        mixer.k_proj.weight.mul_(40)
        keys = torch.lerp(F.pad(u, (0, 0, 1, 0))[:-1], u, mixer.shift[0]) @ mixer.k_proj.weight.T
        assert keys.max() > 90 > HIGH  # e^90 is no float32
    truth = WRITTEN[name](mixer, u)
    single = mixer.float()
    found, state = single(u[None].float(), single.zero_state(1), scan)
    torch.testing.assert_close(found[0].double(), truth, rtol=0, atol=1e-4)
    assert bool(state.memory.state.square().sum().isfinite())


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    model = LanguageModel(config_of(name))
    if name == "mlstm":
        model.blocks[0].mixer.i_bias.data.fill_(3.0)
    logits, _ = model(torch.randint(0, 50, (2, 70)))
    F.cross_entropy(logits.flatten(0, 1), torch.randint(0, 50, (140,))).backward()
    for parameter, tensor in model.named_parameters():
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all()) and bool(tensor.grad.any()), parameter
