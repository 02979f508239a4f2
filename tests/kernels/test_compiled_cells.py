"""The compiled loops of cells against the plain loop in float64: values, telemetry, gradients, and who runs what."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from kernels.cells import dispatch
from kernels.cells.compiled.forward import sigmoid, tanh
from kernels.cells.compiled.loop import LOOPS, ROWS, UNITS, compiled_loop, supports
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.types import Memory
from tests.support.cells import CELLS, make_cell, random_state

COMPILED = [name for name in CELLS if make_cell(name).fused is None]
CHUNK = 16


def drawn(name: str, rows: int, seqlen: int, **sizes):
    """The same inputs and memory in float32, and in float64."""
    wide = make_cell(name, **sizes)
    x, state = torch.randn(rows, seqlen, wide.config.d_model, dtype=torch.float64), random_state(wide, rows)
    narrow = CellInputs(copy.deepcopy(wide).float(), x.float())
    return (narrow, Memory(state.float())), (CellInputs(wide, x), Memory(state))


def assert_close(ours, truth):
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), truth, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize(("rows", "seqlen"), [(1, 1), (3, 37), (2, 32)])
@torch.no_grad()
def test_a_compiled_loop_is_the_plain_loop(name, rows, seqlen):
    (inputs, memory), (wide, truth) = drawn(name, rows, seqlen, headdim=5, expand=5 / 3)
    ours = compiled_loop(inputs, memory, True, chunk=CHUNK)
    plain = step_loop(wide, truth, True, chunk=CHUNK)
    for part in ("y", "boundary_states", "token_norms", "log_decay"):
        assert_close(getattr(ours, part), getattr(plain, part))
    assert_close(ours.memory.state, plain.memory.state)


@pytest.mark.parametrize("name", [name for name in COMPILED if CELLS[name].retains])
@torch.no_grad()
def test_a_weaker_retention_is_that_of_the_plain_loop(name):
    (inputs, memory), (wide, truth) = drawn(name, 2, 21)
    change = {"power": 2.5, "factor": 0.7}
    ours, plain = compiled_loop(inputs.forgetting(**change), memory), step_loop(wide.forgetting(**change), truth)
    assert_close(ours.y, plain.y)
    assert_close(ours.log_decay, plain.log_decay)
    assert not torch.allclose(ours.y, compiled_loop(inputs, memory).y, atol=1e-3)


@pytest.mark.parametrize("name", COMPILED)
def test_gradients_are_those_of_the_plain_loop(name):
    def gradients(run, inputs, memory):
        x, state = inputs.x.clone().requires_grad_(), memory.state.clone().requires_grad_()
        output = run(inputs._replace(x=x), Memory(state), chunk=CHUNK)
        loss = output.y.square().sum() + output.boundary_states.sin().sum() + output.memory.state.sum()
        loss.backward()
        weights = {key: weight.grad for key, weight in inputs.cell.named_parameters() if weight.grad is not None}
        return {"x": x.grad, "state": state.grad} | weights

    ours, truth = drawn(name, 3, 19)
    found, expected = gradients(compiled_loop, *ours), gradients(step_loop, *truth)
    assert found.keys() == expected.keys() and len(found) > 4
    for key, gradient in expected.items():
        scale = gradient.abs().max()
        assert scale > 0
        torch.testing.assert_close(found[key].double() / scale, gradient / scale, rtol=0, atol=2e-5, msg=key)


def test_a_gradient_needs_no_weight_that_wants_one():
    (inputs, memory), (wide, truth) = drawn("cfc", 1, 9)
    states = []
    for run, given, before in ((compiled_loop, inputs, memory), (step_loop, wide, truth)):
        given.cell.requires_grad_(False)
        state = before.state.clone().requires_grad_()
        states.append(torch.autograd.grad(run(given, Memory(state)).memory.state.sum(), state)[0])
    assert_close(*states)


def test_threads_change_nothing():
    (inputs, memory), _ = drawn("scrn", 5, 12)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 8):
            torch.set_num_threads(count)
            with torch.no_grad():
                found.append(compiled_loop(inputs, memory).y)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_functions_that_vectorise_are_exact_to_float32():
    numbers = np.concatenate([np.linspace(-12, 12, 4001), [-1e30, 1e30, -np.inf, np.inf, 0]]).astype(np.float32)
    with np.errstate(over="ignore"):
        logistic = 1 / (1 + np.exp(-numbers.astype(np.float64)))
    np.testing.assert_allclose([tanh(x) for x in numbers], np.tanh(numbers.astype(np.float64)), atol=5e-7)
    np.testing.assert_allclose([sigmoid(x) for x in numbers], logistic, atol=5e-7)
    assert np.isnan(tanh(np.float32(np.nan)))


def test_every_cell_without_a_fused_kernel_has_a_loop_that_small_float32_takes():
    assert len(COMPILED) == 5 and {make_cell(name).compiled for name in COMPILED} == set(LOOPS)
    (inputs, memory), (wide, truth) = drawn("ctrnn", 2, 3)
    assert supports(inputs, memory) and not supports(wide, truth)
    assert not supports(inputs, Memory(memory.state.repeat(ROWS, 1, 1, 1)))
    assert not supports(inputs, Memory(torch.zeros(2, UNITS // 6 + 1, 6, 1)))
    assert not supports(*drawn("gru", 2, 3)[0])


@pytest.mark.parametrize("how", ["missing", "failing"])
@torch.no_grad()
def test_the_plain_loop_runs_where_the_compiled_one_does_not(how, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "broken", set())
    if how == "missing":
        monkeypatch.setattr(dispatch, "COMPILED", "kernels.cells.no_such_loop")
    else:
        monkeypatch.setitem(LOOPS, "scrn", LOOPS["scrn"]._replace(there=lambda *_: 1 / 0))
    (inputs, memory), _ = drawn("scrn", 2, 9)
    plain = step_loop(inputs, memory)
    for _ in range(2):
        assert torch.equal(dispatch.loop(inputs, memory).y, plain.y)
    assert len(caplog.records) == 1 and "the plain loop runs" in caplog.text
