"""Shares of the state: each token's part is what it alone would have left, and together they are the state."""

import numpy as np
import pytest
import torch

from kernels.types import Memory
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.errors import UserError
from model.mixers import MIXERS, additive
from model.studies.shares import run as module
from model.studies.shares.result import Shares, shares_file, stored_moments
from model.studies.shares.run import Backwards, StoppedError, capture, remembered
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

SIZES = {
    "lightning": {"d_state": 8},
    "mamba": {"headdim": 1},
    "rg_lru": {"headdim": 1, "d_state": 1},
    "rwkv4": {"headdim": 1, "d_state": 1},
    "lru": {"headdim": 1, "d_state": 1},
    "s4d": {"headdim": 1},
    "s5": {"headdim": 1, "d_state": 1},
}
"""Of mixers whose heads are channels, or as wide as their keys."""

LINEAR = [name for name in MIXERS if additive([name])]
"""Mixers whose state is a sum of what tokens wrote."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "LEAF", 64)
    monkeypatch.setattr(module, "PARTS", 3)


def walk_of(name: str, tokens: np.ndarray) -> Backwards:
    """The way back of a random model of two layers ``name``, in float64."""
    torch.manual_seed(0)
    sizes = {"d_state": 6, "headdim": 8} | SIZES.get(name, {})
    config = ModelConfig(layers=(name,) * 2, d_model=16, vocab_size=50, train_length=64, **sizes)
    model = LanguageModel(config).double().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # biases and bounds of decays stay what they are
            parameter.add_(0.2 * torch.randn_like(parameter))
    held = []
    return Backwards(model, tokens, [capture(held)] * 2, held, lambda done, total: None, lambda: False)


@pytest.mark.parametrize("name", LINEAR)
def test_the_shares_add_up_to_the_state_of_every_mixer(name):
    tokens = np.random.default_rng(0).integers(0, 50, 64 * 3 * 3 + 70)
    walk = walk_of(name, tokens)
    first = tuple(
        layer._replace(memory=layer.memory._replace(state=0.5 * torch.randn_like(layer.memory.state)))
        for layer in walk.model.zero_state()
    )
    found = walk.shares(first)
    assert (found.norm > 0).all()
    assert np.abs(found.by_token.sum(1) + found.initial - 1).max() < 1e-5
    assert np.abs(found.by_chunk.sum(2) + found.initial_by_head - 1).max() < 1e-5


@pytest.mark.parametrize("name", ["mamba2", "gla", "mamba", "gated_deltanet", "rwkv7"])
def test_a_passage_has_the_share_of_what_it_wrote(name):
    """What the scan leaves of the passage alone, with everything else it was given, projected on the whole state."""
    tokens, passage = np.random.default_rng(1).integers(0, 50, 60), slice(21, 34)
    walk = walk_of(name, tokens)
    first = walk.model.zero_state()
    found = walk.shares(first)
    walk.read(0, len(tokens), first)
    for layer, inputs in enumerate(walk.held):
        whole = module.scan(inputs, first[layer].memory).memory.state
        alone = torch.zeros_like(inputs.x)
        alone[:, passage] = inputs.x[:, passage]
        part = module.scan(inputs._replace(x=alone), Memory(torch.zeros_like(whole))).memory.state
        expected = float((part * whole).sum() / whole.square().sum())
        assert found.by_token[layer, passage].sum() == pytest.approx(expected, abs=1e-6)


def test_a_reading_that_is_mitigated_and_starts_from_noise(home):
    make_tiny_checkpoint(home)
    ready = prepared(tiny_text(300), initial_state="gaussian", mitigations={"decay": 2.0})
    moment, done = ready.experiment.tokens - 5, []
    found = remembered(ready, moment, on_progress=lambda now, total: done.append((now, total)))
    assert done[-1] == (moment, moment) and found.moment == moment
    assert np.abs(found.by_token.sum(1) + found.initial - 1).max() < 1e-5
    assert found.token_shares().shape == (moment,)
    with pytest.raises(StoppedError):
        remembered(ready, moment, stop=lambda: True)


def test_what_cannot_be_told_apart_is_said_in_a_sentence(home):
    make_tiny_checkpoint(home)
    with pytest.raises(UserError, match="window"):
        remembered(prepared(tiny_text(100), mitigations={"window": 64}), 50)
    ready = prepared(tiny_text(100))
    for moment in (0, ready.experiment.tokens + 1):
        with pytest.raises(UserError, match=f"{ready.experiment.tokens:,}"):
            remembered(ready, moment)


def test_what_is_stored_is_read_again_or_not_at_all(tmp_path):
    draw = np.random.default_rng(0).random
    found = Shares(
        moment=100,
        by_token=draw((2, 100), np.float32),
        by_chunk=draw((2, 3, 2), np.float32),
        initial=draw(2, np.float32),
        initial_by_head=draw((2, 3), np.float32),
        norm=draw((2, 3), np.float32),
    )
    file = found.save(tmp_path)
    again = Shares.load(tmp_path, 100)
    assert again is not None and np.array_equal(again.by_token, found.by_token) and stored_moments(tmp_path) == [100]
    assert Shares.load(tmp_path, 99) is None
    good = file.read_bytes()
    for place in range(0, len(good), 97):
        file.write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
        damaged = Shares.load(tmp_path, 100)
        assert damaged is None or np.array_equal(damaged.by_token, found.by_token)
    shares_file(tmp_path, 99).write_bytes(good)  # a file under another moment's name
    assert Shares.load(tmp_path, 99) is None


def test_a_write_that_the_scan_gets_a_token_later_counts_for_the_token_that_wrote_it():
    """Mamba-3: without what the window held of one token, its share is what is missing."""
    tokens, place = np.random.default_rng(1).integers(0, 50, 40), 17
    walk = walk_of("mamba3", tokens)
    first = walk.model.zero_state()
    found = walk.shares(first)
    assert found.by_token[0, place] != 0 and not found.by_token[:, -1].any()
    whole = walk.read(0, len(tokens), first)[0].memory.state
    middle = walk.read(0, place + 1, first)
    forgotten = (middle[0]._replace(window=torch.zeros_like(middle[0].window)), *middle[1:])
    missing = whole - walk.read(place + 1, len(tokens), forgotten)[0].memory.state
    assert found.by_token[0, place] == pytest.approx(float((missing * whole).sum() / whole.square().sum()), abs=1e-6)
