"""Which head holds a passage: shares that add up, and removals that take away what was there and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kernels.dispatch import scan, windowed
from kernels.types import Memory
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS
from model.reading.again import Moment
from model.state import map_state
from model.studies.passage.follow import begun, followed, follower, separated
from model.studies.passage.heads import heads_of, removal, shares_of
from model.studies.passage.probe import Prober, losses_from, walk
from model.studies.passage.result import HeadTable, Passage
from model.studies.shares.run import Backwards, capture, remembered
from tests.model.studies.test_shares import LINEAR, SIZES
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TEXT = tiny_text(300)
PASSAGE = Passage(start=101, stop=133)


@pytest.fixture
def ready(home):
    make_tiny_checkpoint(home)
    return prepared(TEXT)


def random_model(name: str) -> LanguageModel:
    torch.manual_seed(0)
    sizes = {"d_state": 6, "headdim": 8} | SIZES.get(name, {})
    config = ModelConfig(layers=(name,) * 2, d_model=16, vocab_size=50, train_length=64, **sizes)
    model = LanguageModel(config).double().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", LINEAR)
def test_a_passage_that_is_followed_has_the_share_of_its_tokens(name):
    """Forward and backward: the part that a scan of the passage alone leaves, and the derivative of every token."""
    tokens, passage = np.random.default_rng(1).integers(0, 50, 150), Passage(start=21, stop=34)
    model = random_model(name)
    held = []
    back = Backwards(model, tokens, [capture(held)] * 2, held, lambda done, total: None, lambda: False)
    shares = back.shares(model.zero_state())
    before = next(walk(model, [scan] * 2, Moment(0, model.zero_state(), None), tokens, [passage.start]))
    began = before._replace(state=begun(before.state, model.config.layers))
    for moment in walk(model, followed([scan] * 2, passage.length), began, tokens, [60, 150]):
        found = shares_of(*separated(moment.state), model.config.recorded_heads)
    expected = shares.by_token[:, passage.start : passage.stop].sum(1)
    assert np.abs(found.weight.sum(1) - expected).max() < 1e-5
    assert np.allclose(found.norm, shares.norm, rtol=1e-5)


def test_a_sliding_window_holds_nothing_of_a_passage_that_has_left_it():
    tokens, passage, window = np.random.default_rng(1).integers(0, 50, 300), Passage(start=100, stop=140), 70
    model = random_model("mamba2")

    def scan_windowed(inputs, memory, token_norms=False):
        return windowed(inputs, memory, window, token_norms)

    first = Moment(0, model.zero_state(), None)
    before = next(walk(model, [scan_windowed] * 2, first, tokens, [passage.start]))
    began = before._replace(state=begun(before.state, model.config.layers))
    found = {
        there.tokens: shares_of(*separated(there.state), 4)
        for there in walk(model, followed([scan_windowed] * 2, passage.length), began, tokens, [140, 160, 209, 210])
    }
    assert np.abs(found[160].weight).max() > 0.01
    assert np.abs(found[209].weight).max() > 0 and np.abs(found[210].weight).max() < 1e-9
    rest = next(walk(model, [scan_windowed] * 2, first, tokens, [210]))
    assert np.allclose(found[210].norm[0], rest.state[0].memory.state[0].square().sum((1, 2)).sqrt())


@pytest.mark.parametrize("name", ["mamba2", "gated_deltanet"])
def test_a_bound_of_the_norm_scales_a_passage_as_it_scales_the_state(name):
    """Against the recurrence token by token, whose norm is bounded after every one."""
    tokens, passage = np.random.default_rng(1).integers(0, 50, 150), Passage(start=21, stop=34)
    model = random_model(name)
    held = []

    def bounded_by(limit):
        def scan_bounded(inputs, memory, token_norms=False):
            held.append(inputs)
            operator = MITIGATIONS["state_norm"].operator(1.0, limit, None)
            return operator(inputs, memory, token_norms)

        return scan_bounded

    limits = [torch.full((model.config.nheads,), 0.6, dtype=torch.float64)] * 2
    scans = [bounded_by(limit) for limit in limits]
    first = Moment(0, model.zero_state(), None)
    whole = next(walk(model, scans, first, tokens, [40])).state
    inputs = held[0]  # of the first layer
    before = next(walk(model, scans, first, tokens, [passage.start]))
    began = before._replace(state=begun(before.state, model.config.layers))
    reading = followed(scans, passage.length, follower({"state_norm": 1.0}, model.config.layers))
    state, parts = separated(list(walk(model, reading, began, tokens, [30, 40]))[-1].state)
    assert all(
        torch.allclose(one.memory.state, other.memory.state, atol=1e-6) for one, other in zip(state, whole, strict=True)
    )
    h = torch.zeros_like(whole[0].memory.state)
    m = torch.zeros_like(h)
    for token in range(40):
        piece = inputs.segment(token, token + 1)
        alone = piece._replace(x=piece.x * (passage.start <= token < passage.stop))
        h, m = (scan(each, Memory(old)).memory.state for each, old in ((piece, h), (alone, m)))
        scale = (0.6 / h.square().sum((-1, -2), keepdim=True).sqrt()).clamp_max(1)
        h, m = h * scale, m * scale
    assert torch.allclose(h, whole[0].memory.state, atol=1e-6)
    assert m.abs().max() > 1e-3 and torch.allclose(parts[0], m, atol=1e-6)


def test_the_table_adds_up_to_the_share_of_the_passage(ready):
    table = heads_of(ready, PASSAGE, 200)
    of_tokens = remembered(ready, 200).by_token[:, PASSAGE.start : PASSAGE.stop].sum(1)
    assert np.allclose(table.weight.sum(1), of_tokens, atol=1e-4)
    assert table.total == pytest.approx(of_tokens.mean(), abs=1e-4)
    square = table.norm**2
    assert np.allclose(table.share * square / square.sum(1, keepdims=True), table.weight)
    assert len(table.without) == table.weight.size + 1
    alone = table.effect(-1, -1)
    assert alone.again_change.mean != 0 and table.whole.loss_change.mean == 0
    largest = np.abs(table.weight).argmax()
    assert (table.without[1].layer, table.without[1].head) == divmod(int(largest), table.weight.shape[1])
    assert all(len(effect.next) == 20 for effect in table.without)


def test_the_whole_reading_is_that_of_the_document(ready):
    """Nothing removed: the losses are those of a reading that never stopped."""
    table = heads_of(ready, PASSAGE, 200, ahead=50)
    prober = Prober(ready, PASSAGE)
    first = Moment(0, prober.model.zero_state(), None)
    there = next(walk(prober.model, prober.scans, first, ready.tokens, [150]))
    losses = losses_from(prober.model, prober.scans, there.state, there.hidden, ready.tokens[150:250])
    assert table.whole.loss == pytest.approx(losses[0, 50:].mean(), abs=1e-4)
    follows = next(each for each in table.whole.next if each.token == ready.tokens[200])
    alone = heads_of(ready, PASSAGE, 200, ahead=1)
    assert alone.whole.loss == pytest.approx(-np.log(follows.probability), abs=1e-4)


def test_removing_a_head_whose_state_is_zero_changes_nothing(ready):
    prober = Prober(ready, PASSAGE)
    there = next(walk(prober.model, prober.scans, Moment(0, prober.model.zero_state(), None), ready.tokens, [200]))
    heads = prober.model.config.recorded_heads
    empty = removal(there.state, [torch.zeros_like(layer.memory.state) for layer in there.state], [(1, 2)], heads)
    parts = [torch.zeros_like(layer.memory.state) for layer in there.state]
    wide = removal(empty, parts, [(None, None), (1, 2), (0, 0), (-1, -1)], heads)
    losses = losses_from(prober.model, prober.scans, wide, None, ready.tokens[200:260])[:, 1:]
    assert np.array_equal(losses[0], losses[1]) and np.array_equal(losses[0], losses[3])
    assert np.abs(losses[0] - losses[2]).max() > 1e-3
    assert there.state[1].memory.state[0, 2].abs().max() > 0  # the state that was copied is as it was


def test_without_the_part_of_all_tokens_the_state_is_empty(home):
    """The passage is the whole text so far: its part of every head is the state."""
    make_tiny_checkpoint(home)
    ready = prepared(TEXT)
    table = heads_of(ready, Passage(start=0, stop=120), 120)
    assert np.allclose(table.share, 1, atol=1e-5)
    prober = Prober(ready, Passage(start=0, stop=120))
    model = prober.model
    began = Moment(0, begun(model.zero_state(), model.config.layers), None)
    state, parts = separated(next(walk(model, followed(prober.scans, 120), began, ready.tokens, [120])).state)
    left = removal(state, parts, [(-1, -1)], model.config.recorded_heads)
    zero = map_state(state, torch.zeros_like)
    assert all(
        torch.allclose(one.memory.state, none.memory.state, atol=1e-5) for one, none in zip(left, zero, strict=True)
    )


def test_what_cannot_be_told_is_said_in_a_sentence(ready):
    with pytest.raises(UserError, match="134"):
        heads_of(ready, replace(PASSAGE, stop=134), 133)
    with pytest.raises(UserError, match="not within the document"):
        heads_of(ready, Passage(start=5, stop=5), 200)
    both = {"window": 64.0, "state_norm": 1.0}
    with pytest.raises(UserError, match="window"):
        heads_of(prepared(TEXT, mitigations=both), PASSAGE, 200)
    assert heads_of(ready, PASSAGE, 200, stop=lambda: True) is None
    windowed_table = heads_of(prepared(TEXT, mitigations={"window": 64}), PASSAGE, 150)
    assert windowed_table.whole is None and windowed_table.total > 0


def test_a_table_is_stored_and_read_again_or_not_at_all(ready, tmp_path):
    tmp_path = tmp_path / "passages"
    table = heads_of(ready, PASSAGE, len(ready.tokens), ahead=50)  # at the end: nothing follows
    assert np.isnan(table.whole.loss) and np.isfinite(table.whole.again)
    table.save(tmp_path)
    again = HeadTable.load(tmp_path, PASSAGE, len(ready.tokens))
    assert np.array_equal(again.share, table.share) and again.without[3].next == table.without[3].next
    assert again.without[3].again_change == pytest.approx(table.without[3].again_change)
    assert HeadTable.load(tmp_path, PASSAGE, 5) is None
    file = next(tmp_path.iterdir())
    file.write_text(file.read_text().replace("0.", "1.", 1))
    assert HeadTable.load(tmp_path, PASSAGE, len(ready.tokens)) is None
