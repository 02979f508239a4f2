"""The loop of cells: fused kernels against the plain loop, pieces against one piece, gradients, boundaries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.cells.dispatch import loop
from kernels.cells.fused import fused_loop, supports
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.dispatch import scan
from kernels.types import Memory
from tests.support.cells import CELLS, make_cell, random_state

FUSED = ("rnn", "lstm", "gru")
SEQLEN, CHUNK = 37, 16
ROOT = Path(__file__).parents[2]


def drawn(name: str, rows: int = 2, seqlen: int = SEQLEN):
    mixer = make_cell(name)
    x = torch.randn(rows, seqlen, mixer.config.d_model, dtype=torch.float64)
    return CellInputs(mixer, x), Memory(random_state(mixer, rows))


@pytest.mark.parametrize("name", FUSED)
@torch.no_grad()
def test_fused_is_the_plain_loop(name):
    inputs, memory = drawn(name)
    fused, plain = fused_loop(inputs, memory, chunk=CHUNK), step_loop(inputs, memory, True, chunk=CHUNK)
    assert supports(inputs, False) and not supports(inputs, True)
    for part in ("y", "boundary_states", "log_decay"):
        torch.testing.assert_close(getattr(fused, part), getattr(plain, part), equal_nan=True)
    torch.testing.assert_close(fused.memory.state, plain.memory.state)


@pytest.mark.parametrize("name", FUSED)
def test_gradients_of_fused_are_those_of_the_plain_loop(name):
    inputs, memory = drawn(name, seqlen=19)

    def gradients(run):
        state = memory.state.clone().requires_grad_()
        x = inputs.x.clone().requires_grad_()
        output = run(inputs._replace(x=x), Memory(state), chunk=CHUNK)
        loss = output.y.square().sum() + output.boundary_states.sin().sum()
        wanted = [state, x, *inputs.cell.weights()]
        return torch.autograd.grad(loss, wanted)

    for fused, plain in zip(gradients(fused_loop), gradients(step_loop), strict=True):
        torch.testing.assert_close(fused, plain)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_differences(name):
    inputs, memory = drawn(name, rows=1, seqlen=3)

    def of(x, state):
        output = step_loop(inputs._replace(x=x), Memory(state), chunk=2)
        return output.y, output.boundary_states

    assert torch.autograd.gradcheck(of, (inputs.x.requires_grad_(), memory.state.requires_grad_()), fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
@torch.no_grad()
def test_pieces_are_one_piece_and_boundaries_are_states(name):
    inputs, memory = drawn(name)
    whole = scan(inputs, memory, chunk=CHUNK)
    assert whole.boundary_states.shape[1] == 4
    torch.testing.assert_close(whole.boundary_states[:, 0], memory.state)
    carried, read, decays = memory, [], []
    for start, stop in ((0, 16), (16, 21), (21, 32), (32, SEQLEN)):
        part = loop(inputs.segment(start, stop), carried, chunk=CHUNK)
        carried = part.memory
        read.append(part.y)
        decays.append(part.log_decay)
        if stop % CHUNK == 0 or stop == SEQLEN:
            torch.testing.assert_close(whole.boundary_states[:, -(-stop // CHUNK)], carried.state)
    torch.testing.assert_close(torch.cat(read, 1), whole.y)
    torch.testing.assert_close(torch.cat(decays, 1), whole.log_decay, equal_nan=True)


@pytest.mark.parametrize("name", CELLS)
@torch.no_grad()
def test_norms_are_those_of_the_states(name):
    inputs, memory = drawn(name)
    output = loop(inputs, memory, True, chunk=1)
    norms = output.boundary_states[:, 1:].square().sum((-1, -2)).sqrt()
    torch.testing.assert_close(output.token_norms, norms)


@pytest.mark.parametrize("name", [name for name, row in CELLS.items() if row.retains])
@torch.no_grad()
def test_a_weaker_retention_is_what_is_recorded(name):
    inputs, memory = drawn(name, seqlen=1)  # later gates depend on the state, which differs by then
    plain, weaker = loop(inputs, memory), loop(inputs.forgetting(power=2.0).forgetting(factor=0.5), memory)
    if name != "ltc":  # whose later unfolds see another state
        expected = 2 * plain.log_decay + torch.tensor(0.5).log()
        torch.testing.assert_close(weaker.log_decay, expected, equal_nan=True, rtol=1e-6, atol=1e-7)
    assert torch.nanmean(weaker.log_decay) < torch.nanmean(plain.log_decay)
    assert not torch.allclose(weaker.memory.state, plain.memory.state)
    torch.testing.assert_close(loop(inputs.forgetting(), memory).y, plain.y)


@torch.no_grad()
def test_a_bound_holds_after_every_token():
    inputs, memory = drawn("lstm")
    limit = torch.full((4,), 0.3, dtype=torch.float64)
    output = step_loop(inputs, memory, True, limit=limit)
    assert output.token_norms.max() <= 0.3 + 1e-9 and (output.token_norms > 0.299).any()
    loose = step_loop(inputs, memory, True, limit=torch.full((4,), 1e3))
    torch.testing.assert_close(loose.y, loop(inputs, memory).y)


def test_triton_is_the_plain_loop_gradients_and_all():
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "tests.support.interpreted_cells"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 7 * 9 and not [line for line in lines if not line["passed"]]


def test_triton_says_which_cells_it_does_not_take():
    pytest.importorskip("triton")
    inputs, memory = drawn("scrn")
    with pytest.raises(ValueError, match="no Triton kernel for the cell SCRN"):
        scan(inputs, memory, kernel="triton")
