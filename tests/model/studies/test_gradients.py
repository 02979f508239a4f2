"""The reach of the gradient: the analytic case, every mixer against finite differences, the verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from kernels.types import Memory
from model.checkpoints.catalogue import load_model, load_tokenizer_of
from model.cli.main import app
from model.errors import UserError
from model.mixers import MIXERS
from model.state import LayerState, State, map_state
from model.studies.gradients import GradientReach, doubling_lags, gradient_reach, reach_on
from model.studies.gradients.reach import carried, leaf, norms_from
from model.tokenizer import encode
from tests.support.tiny import make_tiny_checkpoint, tiny_of, tiny_text

RANDOM = np.random.default_rng(0)


class Decaying(nn.Module):
    """h_t = a h_{t-1} + x_t B^T in one head, read out by a fixed matrix: d loss_t / d h_{t-k} falls as a^k."""

    def __init__(self, decay: float, words: int = 11, width: int = 5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.decay = decay
        self.norm = nn.Linear(1, 1)
        self.written = torch.randn(words, width, 3, generator=generator) * (1e-3 if decay > 1 else 1.0)
        self.read = torch.randn(words, width, 3, generator=generator)
        self.config = SimpleNamespace(layers=("one",), train_length=64)

    def zero_state(self, batch: int) -> State:
        return (LayerState(Memory(torch.zeros(batch, 1, *self.written.shape[1:])), torch.zeros(batch, 0, 1)),)

    def hidden(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        held, seen = state[0].memory.state[:, 0], []
        for token in tokens.T:
            held = self.decay * held + self.written[token]
            seen.append(held)
        after = state[0]._replace(memory=Memory(held[:, None]))
        return torch.stack(seen, dim=1), (after,)

    def logits(self, hidden: Tensor) -> Tensor:
        """A linear head whose loss has the same gradient wherever the state is: see the test."""
        return torch.einsum("...pn,vpn->...v", 1e-4 * hidden, self.read)


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0, 1.1])
def test_the_norm_of_a_decaying_state_falls_as_its_decay(decay: float) -> None:
    tokens = RANDOM.integers(0, 11, (3, 70))
    found = gradient_reach(Decaying(decay), tokens, lags=(1, 2, 4, 8, 16, 32))
    assert found.lags == (1, 2, 4, 8, 16, 32) and found.layers == (found.norms,)
    # The same positions are looked at for every lag, and the last Jacobian is the identity: d loss_t / d h_t is common.
    np.testing.assert_allclose(found.relative, [decay ** (k - 1) for k in found.lags], rtol=1e-4)
    assert found.rate == pytest.approx(decay, rel=1e-4)
    expected = {0.5: "vanishing", 0.9: "healthy", 1.0: "healthy", 1.1: "exploding"}
    assert found.verdict == expected[decay]
    if decay == 0.5:  # 0.5^(k - 1) = 1e-3 at k = 10.97; between lags the logarithm is a straight line
        assert found.reach == pytest.approx(1 + math.log(1e-3) / math.log(0.5), rel=1e-3) and not found.open_ended


@pytest.mark.parametrize("name", MIXERS)
def test_norms_are_those_of_finite_differences(name: str) -> None:
    torch.manual_seed(1)
    model = tiny_of(name).double()
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learnt:  # many are 0 or 1 before training, which would hide a mistake
        parameter.requires_grad_(False).add_(0.1 * torch.randn_like(parameter))
    ids = torch.randint(0, 30, (2, 20))
    _, state = model.hidden(ids[:, :10], None)

    def losses(given: State) -> Tensor:
        hidden, _ = model.hidden(ids[:, 10:-1], given)
        return torch.nn.functional.cross_entropy(model.logits(hidden[:, -1]), ids[:, -1], reduction="none")

    found = norms_from(model, state, ids[:, 10:])
    assert found.shape == (3,) and found[2] > 0
    # One direction, that of the gradient itself, by central differences: its slope is the norm.
    live = map_state(state, leaf)
    leaves = [part for layer in live for part in carried(layer) if part.requires_grad]
    grads = torch.autograd.grad(losses(live).sum(), leaves, allow_unused=True)
    known = [(part, grad) for part, grad in zip(leaves, grads, strict=True) if grad is not None]
    norms = torch.stack([grad.abs().square().flatten(1).sum(1) for _, grad in known]).sum(0).sqrt()
    assert found[2] == pytest.approx(norms.mean().item(), rel=1e-5)
    directions = {id(part): grad / norms.view(-1, *[1] * (grad.ndim - 1)) for part, grad in known}
    step = 1e-5

    def moved(sign: float) -> State:
        def along(tensor: Tensor) -> Tensor:
            return tensor.detach() + sign * step * directions[id(tensor)] if id(tensor) in directions else tensor

        return map_state(live, along)

    with torch.no_grad():
        slope = (losses(moved(1)) - losses(moved(-1))) / (2 * step)
    torch.testing.assert_close(slope, norms, rtol=1e-3, atol=1e-7)


def test_the_verdict_by_its_thresholds() -> None:
    def verdict(*norms: float, train_length: int = 1000) -> str:
        return GradientReach(lags=(1, 10, 100), norms=norms, train_length=train_length).verdict

    assert verdict(1, 0.5, 2e-3) == verdict(1, 1.1, 1.2) == verdict(1, 0.9, 5) == "healthy"
    assert verdict(1, 0.5, 1e-3) == verdict(1, 0.5, 0.0) == "vanishing"
    assert verdict(1, 0.5, 1e-3, train_length=50) == "healthy"  # what is beyond the training length is not judged
    assert verdict(1, 2e3, 1) == verdict(1, 3, 20) == verdict(1, math.inf, 1) == verdict(1, 1, math.nan) == "exploding"
    open_ended = GradientReach(lags=(1, 10), norms=(2.0, 1.0), train_length=10)
    assert open_ended.reach == 10 and open_ended.open_ended and open_ended.relative == (1.0, 0.5)
    assert GradientReach.from_json(json.loads(json.dumps(open_ended.values()))) == open_ended


def test_what_cannot_be_followed_is_one_sentence() -> None:
    model = Decaying(0.9)
    for lags in ((), (0, 1)):
        with pytest.raises(UserError, match="one token"):
            gradient_reach(model, np.zeros((1, 9), int), lags=lags)
    with pytest.raises(UserError, match="too few"):
        gradient_reach(model, np.zeros(9, int), lags=(9,))
    with pytest.raises(UserError, match="too few"):
        reach_on(model, np.zeros(9, int), longest=9)
    assert gradient_reach(model, np.zeros(9, int), lags=(1,), stop=lambda: True) is None
    assert doubling_lags(1) == (1,) and doubling_lags(12) == (1, 2, 4, 8, 12)


def test_the_command_prints_what_the_library_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    make_tiny_checkpoint(tmp_path)
    file = tmp_path / "notes.txt"
    file.write_text(tiny_text(300), encoding="utf-8")
    printed = CliRunner().invoke(app, ["gradients", str(file), "--model", "tiny", "--json"])
    assert printed.exit_code == 0, printed.output
    values = json.loads(printed.output)
    tokens, _ = encode(load_tokenizer_of("tiny"), tiny_text(300))
    found = reach_on(load_model("tiny"), tokens, longest=64)
    assert values["lags"][-1] == 64 and values["norms"] == pytest.approx(found.norms) and len(values["layers"]) == 2
    words = CliRunner().invoke(app, ["gradients", str(file), "--model", "tiny"]).output
    assert "notes.txt" in words and "norm / first" in words
    for parameter in load_model("tiny").parameters():
        assert parameter.grad is None
