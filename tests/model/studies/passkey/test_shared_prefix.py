"""Forked states: what many rows share is read once, and every cell is what a run from scratch gives."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import torch

from kernels.cpu.chunked import chunked_scan
from kernels.types import Memory, ScanInputs
from model.config import ModelConfig
from model.interventions.initial_states import INITIAL_STATES, Origin, initial_state
from model.interventions.mitigations import mitigated
from model.mixers.mamba2 import Mamba2
from model.state import LayerState, flatten_state
from model.studies.passkey import Prompts, even_depths, shared_prefix
from model.studies.passkey.cell_by_cell import run_passkey
from model.studies.passkey.continuation import Continuation
from model.studies.passkey.fork import plan, run_forked
from model.studies.passkey.shared_mamba2 import advance, write
from model.studies.passkey.shared_prefix import SharedContinuation
from model.studies.passkey.shared_scans import shared_scan, state_scan
from tests.support.passkey import DOCUMENT, a_task, empty

STRATEGIES = [
    {},
    {"decay": 4.0},
    {"retention": 0.9999, "insertion": 0.75},
    {"window": 100},
    {"state_norm": 0.5},
    {"window": 70, "state_norm": 0.5, "decay": 2.0},
]


def inputs_and_memory(rows: int, seqlen: int, ngroups: int = 2, past: int = 0):
    torch.manual_seed(seqlen)
    inputs = ScanInputs(
        torch.randn(1, seqlen, 4, 3).double(),
        torch.randn(1, seqlen, ngroups, 5).double(),
        torch.randn(1, seqlen, ngroups, 5).double(),
        -torch.rand(1, seqlen, 4, 1).double() * torch.tensor([1e-4, 1e-2, 1.0, 20.0])[:, None],
    )
    return inputs, Memory(torch.randn(rows, 4, 3, 5).double())


@pytest.mark.parametrize("settings", STRATEGIES)
@pytest.mark.parametrize("seqlen", [1, 63, 64, 200])
@pytest.mark.parametrize("ngroups", [1, 2])
def test_shared_inputs_are_inputs_for_every_row(settings, seqlen, ngroups):
    inputs, memory = inputs_and_memory(3, seqlen, ngroups)
    norms = torch.full((4,), 2.0).double()
    right = mitigated(chunked_scan, settings, norms)(inputs.for_rows(3), memory)
    found = mitigated(shared_scan, settings, norms)(inputs, memory)
    torch.testing.assert_close(found.y, right.y, rtol=1e-11, atol=1e-11)
    for given in (inputs, inputs.for_rows(3)):
        for scan in (shared_scan, state_scan):
            found = mitigated(scan, settings, norms)(given, memory)
            torch.testing.assert_close(found.memory.state, right.memory.state, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("ngroups", [1, 2])
@pytest.mark.parametrize("lengths", [[5], [1, 2, 1], [64, 40, 3, 64, 1]])
@pytest.mark.parametrize("decays", [(200.0, 1.0, 1e-3, 60.0), (200.0, 90.0, 150.0, 60.0)])
def test_what_is_forgotten_by_the_end_need_not_be_written(ngroups, lengths, decays):
    """A mixer whose heads forget at once, soon, late and never, over parts of a span; and one that only forgets."""
    torch.manual_seed(len(lengths))
    config = ModelConfig(
        layers=("mamba2",), d_model=24, d_state=6, headdim=12, vocab_size=8, train_length=8, ngroups=ngroups
    )
    mixer = Mamba2(config).double()
    with torch.no_grad():
        mixer.A_log.copy_(torch.tensor(decays).log())
        mixer.dt_bias.fill_(0.5)
        state = mixer.zero_state(3)
        state = LayerState(Memory(torch.randn_like(state.memory.state)), torch.randn_like(state.window))
        parts = [torch.randn(3, length, 24).double() for length in lengths]
        right = advance(mixer, torch.cat(parts, dim=1), state, state_scan)
        products = mixer.in_proj.products
        asked = []
        linear = products.linear
        products.linear = lambda u, weight, bias, *rows: asked.append(rows) or linear(u, weight, bias, *rows)
        found = write(mixer, parts, state)
    torch.testing.assert_close(found.memory.state, right.memory.state, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found.window, right.window)
    width = {sum(part.stop - part.start for part in rows) for rows in asked if len(rows) > 1}
    if min(decays) < 1:  # heads were left out, where a later part makes them forget; as many of each group
        assert (min(width) < max(width)) == (len(lengths) > 1 and (ngroups == 1 or max(lengths) > 5))


def scans_of(model, settings):
    """As ``open_reader`` makes them, with made-up norms."""
    norms = torch.full((model.config.nheads,), 0.05)
    return lambda kernel=chunked_scan: [mitigated(kernel, settings, norms)] * len(model.config.layers)


class Statistics(NamedTuple):
    """Mean and spread of every head's states, as recorded ones have them: (layers, heads)."""

    mean: np.ndarray
    std: np.ndarray


def started(model, kind: str):
    """The memory that a reader of this kind starts from, made by the table of initial states."""
    random = np.random.default_rng(7)
    shape = len(model.config.layers), model.config.nheads
    statistics = Statistics(random.normal(size=shape), random.uniform(0.1, 0.5, shape))
    torch.manual_seed(7)
    read = model.hidden(torch.randint(model.config.vocab_size, (1, 90)))[1]
    origin = Origin(explored=statistics, source=flatten_state(read), seed=3)
    return initial_state(kind, model.zero_state(), origin)


@pytest.mark.parametrize("settings", STRATEGIES)
@pytest.mark.parametrize("start", INITIAL_STATES)
@pytest.mark.parametrize(("filler", "quick"), [("sentence", True), ("text", True), ("sentence", False)])
def test_every_cell_is_that_of_a_run_from_scratch(
    model,
    tokenizer,
    settings,
    start,
    filler,
    quick,
    monkeypatch,
):
    """With the file that only makes it quicker, and as if that file had been deleted."""
    if not quick:
        monkeypatch.setitem(sys.modules, "model.studies.passkey.shared_prefix", None)
    monkeypatch.setattr("model.reading.stream.SEGMENT", 90)
    task = a_task(lengths=(100, 150, 200, 400), depths=even_depths(4), trials=3, filler=filler)
    prompts = Prompts(task, tokenizer, DOCUMENT)
    scans, state = scans_of(model, settings), started(model, start)
    right = run_passkey(model, prompts, empty(task), scans=scans(), state=state)
    found = run_forked(model, prompts, empty(task), scans_over=scans, state=state, workers=2)
    assert list(found.cells) == task.cells == list(right.cells)
    for place, cell in right.cells.items():
        assert found.cells[place][:2] == cell[:2], place
        assert found.cells[place].probability == pytest.approx(cell.probability, rel=1e-8), place
    assert len({cell.probability for cell in right.cells.values()}) > 8  # cells differ, so something is compared


@pytest.mark.parametrize("settings", [{}, {"window": 100}, {"state_norm": 0.5}])
def test_in_float32_within_rounding(model, tokenizer, settings):
    import copy

    single = copy.deepcopy(model).float()
    task = a_task(lengths=(150, 600), depths=even_depths(4), trials=3)
    prompts = Prompts(task, tokenizer)
    scans = scans_of(single, settings)
    right = run_passkey(single, prompts, empty(task), scans=scans())
    found = run_forked(single, prompts, empty(task), scans_over=scans)
    for place, cell in right.cells.items():
        assert found.cells[place].probability == pytest.approx(cell.probability, rel=1e-3), place


def test_places_of_doubled_lengths_coincide_and_lie_where_they_should(tokenizer):
    task = a_task(lengths=(4096, 8192, 16384), depths=even_depths(10), trials=1, digits=5)
    prompts = Prompts(task, tokenizer)
    places = {(length, depth): prompts.place(length, depth, 0) for length, depth in task.cells}
    for (length, depth), place in places.items():
        position = place.cut + place.before
        assert abs(position - depth * (length - prompts.least)) <= prompts.least + 1
        assert place.before + place.after <= 3
        assert (depth < 1) or position == length - prompts.least
    assert len(plan(prompts, task.cells, 8)) == 10 + 5 + 5


def test_the_map_fills_coarse_to_fine_and_a_row_from_its_short_end(model, tokenizer):
    task = a_task(lengths=(120, 240, 480), depths=even_depths(5), trials=2)
    seen: list[tuple[int, float]] = []

    def report(result, done):
        seen.extend(cell for cell in result.cells if cell not in seen)

    run_forked(model, Prompts(task, tokenizer), empty(task), report=report, workers=1)
    assert seen[:3] == [(120, 0.0), (240, 0.0), (480, 0.0)]
    assert {depth for _, depth in seen[:9]} == {0.0, 0.5, 1.0} and len(seen) == 15


def test_what_follows_a_needle_at_once_is_not_shared(model, tokenizer, monkeypatch):
    """Trials with the same needle leave the prefix as one row, whose window the sentence is still in."""
    monkeypatch.setattr("model.reading.stream.SEGMENT", 1)
    item = Prompts.item
    monkeypatch.setattr(Prompts, "item", lambda self, trial, position: item(self, 0, position))
    least = Prompts(a_task(trials=1), tokenizer).least
    lengths = (least + 40, least + 42, least + 84)  # at depths 1, 20/21 and 10/21 all inserted after 40 tokens
    task = a_task(lengths=lengths, depths=(0.0, 10 / 21, 20 / 21, 1.0), trials=2)
    prompts, scans = Prompts(task, tokenizer), scans_of(model, {})
    right = run_passkey(model, prompts, empty(task), scans=scans())
    found = run_forked(model, prompts, empty(task), scans_over=scans, watched=False, workers=1)
    for place, cell in right.cells.items():
        assert found.cells[place].probability == pytest.approx(cell.probability, rel=1e-8), place


def test_threads_that_begin_afterwards_have_as_many_threads_as_before(model, tokenizer):
    task = a_task(lengths=(150,), depths=even_depths(2), trials=2)
    before = torch.get_num_threads()
    run_forked(model, Prompts(task, tokenizer), empty(task), workers=2)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before == torch.get_num_threads()


def test_branches_share_what_comes_before_the_first_scan(model, tokenizer, monkeypatch):
    monkeypatch.setattr("model.reading.stream.SEGMENT", 30)
    task = a_task(lengths=(150, 600), depths=even_depths(4), trials=3)
    prompts, scans, shared = Prompts(task, tokenizer), scans_of(model, {}), []
    share = shared_prefix.share
    monkeypatch.setattr(shared_prefix, "share", lambda *given: shared.append(given[1].shape[1]) or share(*given))
    found = run_forked(model, prompts, empty(task), scans_over=scans, watched=False, workers=1)
    kept = sum(shared)
    monkeypatch.setattr("model.studies.passkey.shared_prefix.KEPT", 0)
    again = run_forked(model, prompts, empty(task), scans_over=scans, watched=False, workers=1)
    assert 2 * kept < sum(shared)
    for place, cell in found.cells.items():
        assert again.cells[place].probability == pytest.approx(cell.probability, rel=1e-12)


def test_a_forked_run_reads_far_fewer_tokens(model, tokenizer, monkeypatch):
    task = a_task(lengths=(2048, 4096), depths=even_depths(10), trials=2, digits=5)
    prompts = Prompts(task, tokenizer)
    read = []
    for way in ("_segments", "_shared"):
        monkeypatch.setattr(SharedContinuation, way, lambda self, state, ids, *more: read.append(ids.shape[1]) or state)
    monkeypatch.setattr(Continuation, "said", lambda self, state, ids, scored: np.zeros((2, 2, 5)))
    run_forked(model, prompts, empty(task), workers=1)
    assert sum(read) * task.trials < 0.55 * task.tokens  # the prefix counted as if every trial read it
    row = sum(layer.memory.state.nbytes for layer in model.zero_state())
    monkeypatch.setattr(
        "model.studies.passkey.fork.STATES", 2 * row
    )  # no room to remember the prefix: each round reads it
    remembered = sum(read)
    read.clear()
    run_forked(model, prompts, empty(task), workers=1)
    assert 3000 < sum(read) - remembered < 4096


def test_cancel_keeps_finished_cells_and_a_second_run_does_only_the_rest(model, tokenizer):
    task = a_task(trials=3)
    prompts = Prompts(task, tokenizer)
    whole = run_forked(model, prompts, empty(task))
    seen: list[tuple[int, int]] = []

    def report(result, done):
        seen.append((len(result.cells), done))

    part = run_forked(model, prompts, empty(task), report=report, stop=lambda: bool(seen) and seen[-1][0] >= 3)
    assert 3 <= len(part.cells) < 6 and not part.complete
    assert all(part.cells[place] == pytest.approx(whole.cells[place]) for place in part.cells)
    assert seen == sorted(seen) and seen[-1][1] <= task.tokens
    done: list[int] = []
    rest = run_forked(model, prompts, part, report=lambda result, tokens: done.append(tokens))
    assert rest.complete and done[0] == part.tokens and done[-1] == task.tokens
    assert all(rest.cells[place] == pytest.approx(whole.cells[place]) for place in task.cells)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_fails_in_a_thread_is_raised_and_ends_the_others(model, tokenizer, workers, monkeypatch):
    def said(self, state, ids, scored):
        raise MemoryError

    monkeypatch.setattr(Continuation, "said", said)
    with pytest.raises(MemoryError):
        run_forked(model, Prompts(a_task(), tokenizer), empty(a_task()), workers=workers)


def test_threads_do_not_change_how_many_torch_uses(model, tokenizer):
    before = torch.get_num_threads()
    run_forked(model, Prompts(a_task(), tokenizer), empty(a_task()), workers=3)
    assert torch.get_num_threads() == before


def test_few_rows_at_a_time_change_nothing(model, tokenizer, monkeypatch):
    task = a_task(trials=5)
    prompts = Prompts(task, tokenizer)
    whole = run_forked(model, prompts, empty(task))
    monkeypatch.setattr("model.studies.passkey.fork.STATES", 1)
    monkeypatch.setattr("model.studies.passkey.shared_prefix.WORK", 1)
    monkeypatch.setattr("model.studies.passkey.shared_prefix.SIDE_BY_SIDE", 1)
    monkeypatch.setattr("model.studies.passkey.shared_prefix.TURN", 1)
    alone = run_forked(model, prompts, empty(task))
    for place, cell in whole.cells.items():
        assert alone.cells[place] == pytest.approx(cell, rel=1e-9)
