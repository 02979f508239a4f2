"""Cells against other implementations: torch.nn, ncps, and the equations of the papers written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.types import Memory
from tests.support.cells import make_cell, random_state, torch_module

ROWS, SEQLEN = 3, 21


def run(mixer, x, state, **options):
    with torch.no_grad():
        return step_loop(CellInputs(mixer, x), Memory(state), chunk=8, **options)


def drawn(mixer):
    return torch.randn(ROWS, SEQLEN, mixer.config.d_model, dtype=torch.float64), random_state(mixer, ROWS)


def units(state):
    return state.flatten(1, 2)[..., 0]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_rnn_lstm_and_gru_are_those_of_torch(name):
    mixer = make_cell(name)
    x, state = drawn(mixer)
    given = tuple(vector[None].contiguous() for vector in state.flatten(1, 2).unbind(-1))[::-1]
    y, last = torch_module(mixer)(x, given if name == "lstm" else given[0])
    found = run(mixer, x, state)
    torch.testing.assert_close(found.y.flatten(2), y)
    theirs = torch.stack([vector[0] for vector in (last[::-1] if name == "lstm" else (last,))], -1)
    torch.testing.assert_close(found.memory.state.flatten(1, 2), theirs)


@pytest.mark.parametrize("name", ["scrn", "ascrn"])
def test_scrn_is_the_paper_s(name):
    mixer = make_cell(name)
    x, state = drawn(mixer)
    slow = mixer.slow
    B, A = mixer.in_proj.weight[:slow], mixer.in_proj.weight[slow:]
    alpha = torch.full((slow,), 0.95).double() if name == "scrn" else 1 / (1 + torch.exp(-mixer.beta))
    s, h = units(state)[:, :slow], units(state)[:, slow:]
    for t in range(SEQLEN):
        s = (1 - alpha) * (x[:, t] @ B.T) + alpha * s
        h = 1 / (1 + torch.exp(-(s @ mixer.slow_to_fast.T + x[:, t] @ A.T + h @ mixer.recurrent.T)))
    found = run(mixer, x, state)
    torch.testing.assert_close(units(found.memory.state), torch.cat([s, h], -1))
    decay = found.log_decay.flatten(2)
    torch.testing.assert_close(decay[0, 0, :slow], alpha.log())
    assert decay[..., slow:].isnan().all()


def test_ct_rnn_is_an_euler_step_of_its_equation():
    mixer = make_cell("ctrnn")
    x, state = drawn(mixer)
    tau = 1 + torch.exp(-mixer.rate)  # dt = 1
    h = units(state)
    for t in range(SEQLEN):
        drive = torch.tanh(x[:, t] @ mixer.in_proj.weight.T + mixer.in_proj.bias + h @ mixer.recurrent.T)
        h = h + (drive - h) / tau
    found = run(mixer, x, state)
    torch.testing.assert_close(units(found.memory.state), h)
    torch.testing.assert_close(found.log_decay[0, 0].flatten(), torch.log1p(-1 / tau))


def test_cfc_is_that_of_its_authors():
    torch_of_authors = pytest.importorskip("ncps.torch")
    mixer = make_cell("cfc")
    width, count = mixer.config.d_model, mixer.config.d_inner
    theirs = torch_of_authors.CfCCell(width, count, backbone_units=count).double()
    with torch.no_grad():
        theirs.backbone[0].weight.copy_(torch.cat([mixer.in_proj.weight, mixer.recurrent], 1))
        theirs.backbone[0].bias.copy_(mixer.in_proj.bias)
        g, k, s = mixer.heads.chunk(3)
        gb, kb, sb = mixer.heads_bias.chunk(3)
        half = torch.randn_like(s)  # the two matrices of the time gate add up to one
        parts = {"ff1": (g, gb), "ff2": (k, kb), "time_a": (half, sb / 3), "time_b": (s - half, sb * 2 / 3)}
        for part, (weight, bias) in parts.items():
            getattr(theirs, part).weight.copy_(weight)
            getattr(theirs, part).bias.copy_(bias)
        x, state = drawn(mixer)
        h = units(state)
        for t in range(SEQLEN):
            _, h = theirs(x[:, t], h, 1.0)
    torch.testing.assert_close(units(run(mixer, x, state).memory.state), h)


def test_ltc_is_that_of_its_authors():
    torch_of_authors = pytest.importorskip("ncps.torch")
    wirings = pytest.importorskip("ncps.wirings")
    mixer = make_cell("ltc")
    count = mixer.config.d_inner
    theirs = torch_of_authors.LTCCell(
        wirings.FullyConnected(count), count, ode_unfolds=mixer.unfolds, implicit_param_constraints=True
    ).double()
    with torch.no_grad():
        for before, synapses in (("sensory_", mixer.sensory), ("", mixer.synapses)):
            for name, part in (("w", "strength"), ("mu", "middle"), ("sigma", "steepness"), ("erev", "reversal")):
                theirs._params[before + name].copy_(getattr(synapses, part))
        for name, part in (("gleak", "leak"), ("vleak", "rest"), ("cm", "capacitance")):
            theirs._params[name].copy_(getattr(mixer, part))
        x, state = drawn(mixer)
        v = units(state)
        for t in range(SEQLEN):
            _, v = theirs(F.linear(x[:, t], mixer.in_proj.weight, mixer.in_proj.bias), v, 1.0)
    torch.testing.assert_close(units(run(mixer, x, state).memory.state), v)


def test_long_gates_begin_within_the_training_length():
    mixer = make_cell("lstm", headdim=24, expand=64)
    lives = mixer.recurrent_bias.chunk(4)[1].exp()
    assert lives.max() < math.e**3 * 64 and lives.median() > 10
