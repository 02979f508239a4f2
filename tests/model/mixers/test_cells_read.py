"""Models of cells through everything that reads: recordings, initial states, mitigations, and what refuses them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kernels.cells.parts import in_parts
from kernels.cells.types import CellInputs
from kernels.dispatch import scan
from kernels.types import Memory
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.config import PRESETS
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS, check_fits
from model.reading.explore import explore
from model.reading.runner import run
from model.state import expand_rows, flatten_state, unflatten_state
from model.studies.shares.run import remembered
from model.tokenizer import encode, train_tokenizer
from model.training.checkpoint import train_config
from tests.support.cells import CELLS, cell_config, make_cell, random_state
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(150, seed=3)


def make_model(home, name: str) -> str:
    torch.manual_seed(0)
    model = LanguageModel(cell_config(name, layers=2)).requires_grad_(False)
    tokenizer = train_tokenizer([tiny_text(4000)], 320)
    save_checkpoint(home / "checkpoints" / name, model, tokenizer)
    tokens, _ = encode(tokenizer, tiny_text(300, seed=1))
    explore(model, [tokens], 64, windows=4).save(home / "checkpoints" / name / "explored.safetensors")
    return name


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_read_like_any_model(home, name):
    make_model(home, name)
    plain = run(prepared(TEXT, name), home / "recordings")
    assert plain.complete and plain.meta.layers == (name, name) and plain.meta.nheads == 4
    assert (plain.array("norm")[1:] > 0).all() and np.isfinite(plain.array("loss")[1:]).all()
    decay = plain.array("decay")[1:]
    if CELLS[name].retains:
        known = decay[:, :, 0]  # the first head of SCRN is of slow units
        assert ((known > 0) & (known < 1)).all() and plain.summary["longest_half_life"] > 0
    else:
        assert np.isnan(decay).all() and plain.summary["longest_half_life"] is None


def test_initial_states_act_on_both_vectors_of_an_lstm(home):
    make_model(home, "lstm")
    plain = run(prepared(TEXT, "lstm"), home / "recordings")
    noise = run(prepared(TEXT, "lstm", initial_state="fitted"), home / "recordings")
    assert not plain.array("norm")[0].any() and (noise.array("norm")[0] > 0).all()
    state = noise.state()["0.state"]
    assert state.shape == (1, 4, 6, 2) and all(np.abs(state[..., vector]).max() > 0 for vector in (0, 1))
    carried = run(prepared(TEXT, "lstm", initial_state="carried", source=noise.path), home / "recordings")
    np.testing.assert_allclose(carried.array("norm")[0], noise.array("norm")[-1], rtol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "scrn", "ltc"])
def test_what_fits_a_cell_changes_its_reading_and_the_rest_says_why(home, name):
    make_model(home, name)
    plain = run(prepared(TEXT, name, control=False), home / "recordings").array("norm")
    bounded = run(prepared(TEXT, name, control=False, mitigations={"state_norm": 0.5}, token_norms=True), home / "r")
    limit = 0.5 * prepared(TEXT, name).explored.norm_at_train_length
    assert (bounded.array("token_norm") <= limit * 1.0001).all()
    faster = run(prepared(TEXT, name, control=False, mitigations={"decay": 4.0}), home / "recordings")
    assert np.nanmean(faster.array("norm")[-1]) < np.nanmean(plain[-1])
    for refused, words in (("window", "not a linear function"), ("insertion", "not a linear function")):
        with pytest.raises(UserError, match=words):
            check_fits({refused: MITIGATIONS[refused].suggested}, cell_config(name))


def test_mitigations_of_gates_need_one_and_resets_need_a_cell():
    for name in ("rnn", "cfc"):
        for refused in ("decay", "retention"):
            assert MITIGATIONS[refused].obstacle(cell_config(name)) == "retains"
    assert MITIGATIONS["reset"].obstacle(PRESETS["mamba2-base"]) == "cells"
    with pytest.raises(UserError, match="for models of cells only"):
        check_fits({"reset": 128.0}, replace(PRESETS["mamba2-base"], layers=("mamba2", "gru")))


def test_a_reset_reads_on_as_if_nothing_had_been(home):
    make_model(home, "gru")
    reset = run(prepared(TEXT, "gru", mitigations={"reset": 128.0}), home / "recordings")
    plain = run(prepared(TEXT, "gru"), home / "recordings")
    assert reset.read_tokens > 3 * 128
    np.testing.assert_allclose(reset.array("norm")[:3], plain.array("norm")[:3], rtol=1e-5)
    assert not np.allclose(reset.array("norm")[3], plain.array("norm")[3], rtol=1e-3)


@torch.no_grad()
def test_resets_fall_where_they_should_however_the_text_arrives():
    mixer = make_cell("lstm")
    x = torch.randn(2, 150, mixer.config.d_model, dtype=torch.float64)
    inputs, memory = CellInputs(mixer, x), Memory(random_state(mixer, 2))
    whole = in_parts(scan, inputs, memory, 70, True)
    empty = torch.zeros_like(memory.state)
    parts = [scan(inputs.segment(0, 70), memory), scan(inputs.segment(70, 140), Memory(empty))]
    parts.append(scan(inputs.segment(140, 150), Memory(empty)))
    torch.testing.assert_close(whole.y, torch.cat([part.y for part in parts], 1))
    assert whole.boundary_states.shape[1] == 4
    torch.testing.assert_close(whole.boundary_states[:, 1], scan(inputs.segment(0, 64), memory).memory.state)
    torch.testing.assert_close(whole.boundary_states[:, -1], parts[-1].memory.state)
    first = in_parts(scan, inputs.segment(0, 70), memory, 70)
    torch.testing.assert_close(first.memory.state, parts[0].memory.state)  # read before it is emptied
    (layer,) = unflatten_state(flatten_state((mixer.zero_state(2)._replace(memory=first.memory),)))
    second = in_parts(scan, inputs.segment(70, 150), layer.memory, 70)
    torch.testing.assert_close(second.y, whole.y[:, 70:])
    (layer,) = expand_rows((layer,), 2)
    assert layer.memory.past[0].tolist() == [70, 70]


def test_shares_of_a_cell_are_refused(home):
    make_model(home, "lstm")
    with pytest.raises(UserError, match="linear recurrence"):
        remembered(prepared(TEXT, "lstm"), 20)


def test_presets_have_half_a_million_weights():
    for name in CELLS:
        count = sum(weight.numel() for weight in LanguageModel(PRESETS[f"{name}-base"]).parameters())
        assert name == "ltc" or abs(count / 500_000 - 1) < 0.05, (name, count)


def test_a_cell_has_no_other_state_size():
    with pytest.raises(UserError, match="d-state"):
        train_config("lstm-base", steps=1, seed=0, d_state=64)
