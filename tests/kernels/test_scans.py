"""The kernels against the plain loops over time, in float64 unless a test is about rounding."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.cpu.chunked import chunked_scan
from kernels.cpu.chunked_scalar import GENTLE, LOG2_E
from kernels.cpu.clipped import clipped_scan
from kernels.cpu.windowed import windowed_scan
from kernels.reference import reference_clipped_scan, reference_scan, reference_windowed_scan
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput

BATCH, NHEADS, HEADDIM, D_STATE = 2, 4, 3, 5
EXACT = 1e-12
few = settings(max_examples=12, deadline=None, derandomize=True)


class Case(NamedTuple):
    inputs: ScanInputs
    memory: Memory


def case(seqlen: int, ngroups: int = 1, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Case:
    """Tokens of mixed step sizes, heads that forget within ten tokens and heads that hardly do, a random state."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape, generator=rng, dtype=torch.float64)

    step = torch.exp(normal(seqlen, NHEADS, 1) - 1)
    log_decay = -step * torch.tensor([1e-3, 1e-2, 0.1, 0.5], dtype=torch.float64)[:, None]
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, B, C = normal(seqlen, NHEADS, HEADDIM) * step, normal(seqlen, ngroups, D_STATE), normal(seqlen, ngroups, D_STATE)
    inputs = ScanInputs(x.to(dtype), B.to(dtype), C.to(dtype), log_decay.to(wide))
    return Case(inputs, Memory(3 * normal(NHEADS, HEADDIM, D_STATE).to(wide)))


def in_float64(case: Case) -> Case:
    return Case(case.inputs.map(Tensor.double), Memory(case.memory.state.double()))


def assert_close(ours: Tensor, truth: Tensor, tolerance: float) -> None:
    assert ours.shape == truth.shape
    assert bool(ours.isfinite().all())
    torch.testing.assert_close(ours.double(), truth, rtol=0, atol=tolerance * float(truth.abs().max()))


def assert_reads_like(truth: ScanOutput, scan, case: Case, cuts: list[int], tolerance: float = EXACT) -> None:  # type: ignore[no-untyped-def]
    """Read ``case`` in pieces; ``truth`` is that of the whole, with a boundary after every token."""
    memory = case.memory
    for start, stop in zip([0, *cuts], [*cuts, case.inputs.x.shape[1]], strict=True):
        output = scan(case.inputs.segment(start, stop), memory, True)
        boundaries = [*range(start, stop, CHUNK), stop]
        assert_close(output.y, truth.y[:, start:stop], tolerance)
        assert_close(output.boundary_states, truth.boundary_states[:, boundaries], tolerance)
        assert_close(output.memory.state, truth.boundary_states[:, stop], tolerance)
        assert truth.token_norms is not None
        assert_close(output.token_norms, truth.token_norms[:, start:stop], tolerance)
        assert output.log_decay is not None and torch.equal(output.log_decay, case.inputs.log_decay[:, start:stop])
        memory = output.memory


def cuts_of(seqlen: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, seqlen - 1), unique=True, max_size=6).map(sorted)


# The plain scan.


@pytest.mark.parametrize("ngroups", [1, 2, NHEADS])
@pytest.mark.parametrize("seqlen", [1, 63, 64, 200])
def test_chunked_is_the_reference(seqlen: int, ngroups: int) -> None:
    given_case = case(seqlen, ngroups)
    assert_reads_like(reference_scan(*given_case, chunk=1), chunked_scan, given_case, [])


@few
@given(cuts=cuts_of(200), ngroups=st.sampled_from([1, 2, NHEADS]))
def test_chunked_in_pieces_is_chunked_in_one(cuts: list[int], ngroups: int) -> None:
    given_case = case(200, ngroups)
    assert_reads_like(reference_scan(*given_case, chunk=1), chunked_scan, given_case, cuts)


def forgetting(given_case: Case, factor: float) -> Case:
    """The same with every decay taken to this power: 6 makes some heads steep, 60 most, and 1 none."""
    inputs, memory = given_case
    found = Case(inputs._replace(log_decay=factor * inputs.log_decay), memory)
    forgotten = -LOG2_E * found.inputs.log_decay[:, :CHUNK].sum(1).amax(0)  # (nheads, 1)
    assert int((forgotten > GENTLE).sum()) == {1: 0, 6: 1, 60: 2}[int(factor)]
    return found


@pytest.mark.parametrize("ngroups", [1, 2])
@pytest.mark.parametrize("factor", [6.0, 60.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, EXACT), (torch.float32, 2e-6)])
def test_steep_heads_among_others(ngroups: int, factor: float, dtype: torch.dtype, tolerance: float) -> None:
    given_case = forgetting(case(200, ngroups, dtype=dtype), factor)
    assert_reads_like(reference_scan(*in_float64(given_case), chunk=1), chunked_scan, given_case, [70], tolerance)


def test_a_head_that_is_all_but_steep_keeps_every_digit() -> None:
    inputs, memory = case(150, dtype=torch.float32)
    given_case = Case(
        inputs._replace(log_decay=torch.full_like(inputs.log_decay, -0.98 * GENTLE / LOG2_E / 64)), memory
    )
    truth = reference_scan(*in_float64(given_case), chunk=1)
    assert_reads_like(truth, chunked_scan, given_case, [], 1e-6)


@pytest.mark.parametrize("ngroups", [1, 2])
@pytest.mark.parametrize("factor", [1.0, 6.0])
def test_gradient_of_chunked_is_that_of_the_reference(ngroups: int, factor: float) -> None:
    def gradients(scan) -> list[Tensor]:  # type: ignore[no-untyped-def]
        inputs, memory = forgetting(case(100, ngroups), factor)
        leaves = [tensor.clone().requires_grad_() for tensor in (*inputs.tensors, memory.state)]
        output = scan(ScanInputs(*leaves[:4]), Memory(leaves[4]), True)
        weigh = torch.Generator().manual_seed(1)
        loss = sum(
            (tensor * torch.randn(tensor.shape, generator=weigh, dtype=tensor.dtype)).sum()
            for tensor in (output.y, output.boundary_states, output.token_norms)
        )
        return list(torch.autograd.grad(loss, leaves))

    for ours, truth in zip(gradients(chunked_scan), gradients(reference_scan), strict=True):
        assert_close(ours, truth, 1e-11)


# The bounded norm.


def share_of_norm(given_case: Case, share: float) -> Tensor:
    """Limits at this share of every head's median norm, so that a small one clips nearly every token."""
    norms = reference_scan(*in_float64(given_case)).token_norms
    assert norms is not None
    return share * norms.flatten(0, 1).median(0).values.to(given_case.memory.state.dtype)


@pytest.mark.parametrize(("share", "least", "most"), [(1e3, 0, 0), (0.5, 0.2, 0.6), (0.01, 0.9, 1)])
@pytest.mark.parametrize("ngroups", [1, 2, NHEADS])
def test_clipped_is_the_reference(share: float, least: float, most: float, ngroups: int) -> None:
    given_case = case(200, ngroups)
    limit = share_of_norm(given_case, share)
    truth = reference_clipped_scan(*given_case, limit, chunk=1)
    assert truth.token_norms is not None
    assert least <= float((truth.token_norms > limit * (1 - 1e-9)).double().mean()) <= most
    scan = partial(clipped_scan, limit=limit)
    for cuts in [], [1, 63, 127, 130]:
        assert_reads_like(
            truth, lambda inputs, memory, norms: scan(inputs, memory, token_norms=norms), given_case, cuts
        )


@few
@given(cuts=cuts_of(150))
def test_clipped_in_pieces_is_clipped_in_one(cuts: list[int]) -> None:
    given_case = case(150, 2)
    limit = share_of_norm(given_case, 0.5)
    truth = reference_clipped_scan(*given_case, limit, chunk=1)
    assert_reads_like(truth, lambda *args: clipped_scan(args[0], args[1], limit, args[2]), given_case, cuts)


def test_without_a_limit_clipped_is_chunked() -> None:
    given_case = case(200, 2)
    free = torch.tensor([torch.inf, torch.inf, torch.inf, 1.0], dtype=torch.float64)
    ours, plain = clipped_scan(*given_case, free, True), chunked_scan(*given_case, True)
    for clipped, whole in zip((ours.y, ours.token_norms), (plain.y, plain.token_norms), strict=True):
        assert clipped is not None and whole is not None
        assert_close(clipped[:, :, :3], whole[:, :, :3], EXACT)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_clipped_norm_is_never_above_its_limit(share: float) -> None:
    inputs, memory = case(200, 2, dtype=torch.float32)
    limit = share_of_norm(Case(inputs, memory), share)
    output = clipped_scan(inputs, Memory(100 * memory.state), limit, True, chunk=3)
    norms = output.boundary_states[:, 1:].double().square().sum((-1, -2)).sqrt()
    assert output.token_norms is not None
    assert bool((norms <= limit * (1 + 1e-5)).all())
    assert bool((output.token_norms <= limit * (1 + 1e-6)).all())


def test_importing_clipped_does_not_import_numba() -> None:
    script = "import kernels.cpu.clipped, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=True)


# The sliding window.


def windowed(window: int):  # type: ignore[no-untyped-def]
    return lambda inputs, memory, norms: windowed_scan(inputs, memory, window, norms)


@pytest.mark.parametrize("window", [1, 7, 63, 64, 65, 100, 128, 200, 500])
def test_windowed_is_the_reference(window: int) -> None:
    given_case = case(230, ngroups=[1, 2, NHEADS][window % 3], seed=window)
    truth = reference_windowed_scan(*given_case, window, chunk=1)
    for cuts in [], [1, 63, 64, 140], [70, 200, 201, 202], [128, 192]:
        assert_reads_like(truth, windowed(window), given_case, cuts)


@few
@given(cuts=cuts_of(160), window=st.integers(1, 180))
def test_windowed_in_pieces_is_windowed_in_one(cuts: list[int], window: int) -> None:
    given_case = case(160, 2)
    truth = windowed_scan(*given_case, window, True, chunk=1)
    assert_reads_like(truth, windowed(window), given_case, cuts)


@pytest.mark.parametrize("window", [7, 100, 128])
def test_a_loud_past_leaves_no_rounding_in_the_window(window: int) -> None:
    inputs, memory = case(330, dtype=torch.float32)
    loud = torch.ones(330)
    loud[:150] = 1e4
    inputs = inputs._replace(x=inputs.x * loud[:, None, None], log_decay=inputs.log_decay * 1e-2)
    after = inputs.segment(150, 330)
    truth = reference_windowed_scan(*in_float64(Case(after, Memory(0 * memory.state))), window)
    ours = windowed_scan(inputs, Memory(1e4 * memory.state), window, True)
    seen_alone = slice(window, 180)
    assert truth.token_norms is not None and ours.token_norms is not None
    assert_close(ours.y[:, 150:][:, seen_alone], truth.y[:, seen_alone], 1e-6)
    assert_close(ours.token_norms[:, 150:][:, seen_alone], truth.token_norms[:, seen_alone], 1e-6)
    assert_close(ours.memory.state, truth.memory.state, 1e-6)


@pytest.mark.parametrize("window", [7, 64, 200])
def test_the_memory_of_a_window_grows_with_the_window_alone(window: int) -> None:
    inputs, memory = case(150, 2)
    sizes = []
    for _ in range(12):
        memory = windowed_scan(inputs, memory, window).memory
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in memory.past}
        assert len({key for key in storages if key}) == sum(tensor.numel() > 0 for tensor in memory.past)
        sizes.append(sum(storages.values()))
    token = NHEADS * (HEADDIM + 1) + 2 * D_STATE
    states = (window // CHUNK + 2) * NHEADS * HEADDIM * D_STATE
    assert max(sizes) <= 8 * BATCH * ((window + 150 + CHUNK) * token + states + 100)


def test_a_window_leaves_its_memory_unchanged_and_takes_one_row_of_it() -> None:
    inputs, memory = case(150, 2)
    memory = windowed_scan(inputs, memory, 100).memory
    before = [tensor.clone() for tensor in memory.past]
    both = windowed_scan(inputs, memory, 100)
    assert all(torch.equal(*pair) for pair in zip(before, memory.past, strict=True))
    row = Memory(memory.state[1:], tuple(tensor[1:] for tensor in memory.past))
    alone = windowed_scan(inputs.map(lambda tensor: tensor[1:]), row, 100)
    assert_close(alone.y, both.y[1:], EXACT)


def test_a_window_refuses_the_memory_of_another() -> None:
    inputs, memory = case(10)
    memory = windowed_scan(inputs, memory, 100).memory
    with pytest.raises(ValueError, match="window of 100"):
        windowed_scan(inputs, memory, 99)


# All of them.


def scans(limit: Tensor) -> dict[str, tuple]:  # type: ignore[type-arg]
    return {
        "chunked": (chunked_scan, reference_scan),
        "clipped": (
            lambda inputs, memory, norms: clipped_scan(inputs, memory, limit, norms),
            lambda inputs, memory: reference_clipped_scan(inputs, memory, limit.double()),
        ),
        "windowed": (windowed(100), lambda inputs, memory: reference_windowed_scan(inputs, memory, 100)),
        "short window": (windowed(7), lambda inputs, memory: reference_windowed_scan(inputs, memory, 7)),
    }


@pytest.mark.parametrize("name", ["chunked", "clipped", "windowed", "short window"])
@pytest.mark.parametrize("log_decay", [-30.0, -200.0])
def test_strong_decay_stays_finite(name: str, log_decay: float) -> None:
    inputs, memory = case(150, dtype=torch.float32)
    inputs = inputs._replace(log_decay=torch.full_like(inputs.log_decay, log_decay))
    scan, reference = scans(share_of_norm(Case(inputs, memory), 0.8))[name]
    ours, truth = scan(inputs, memory, True), reference(*in_float64(Case(inputs, memory)))
    for part in ("y", "boundary_states", "token_norms"):
        assert_close(getattr(ours, part), getattr(truth, part), 2e-6)


@pytest.mark.parametrize("name", ["chunked", "clipped", "windowed", "short window"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.bfloat16, 2e-2)])
def test_rounding_is_that_of_the_products(name: str, dtype: torch.dtype, tolerance: float) -> None:
    given_case = case(150, 2, dtype=dtype)
    scan, reference = scans(share_of_norm(given_case, 0.8))[name]
    ours, truth = scan(*given_case, True), reference(*in_float64(given_case))
    assert ours.y.dtype == ours.memory.state.dtype == torch.float32
    for part in ("y", "boundary_states", "token_norms"):
        assert_close(getattr(ours, part), getattr(truth, part), tolerance)


@pytest.mark.parametrize("name", ["clipped", "windowed"])
def test_a_scan_without_gradient_says_so(name: str) -> None:
    inputs, memory = case(10)
    scan, _ = scans(torch.ones(NHEADS, dtype=torch.float64))[name]
    with pytest.raises(ValueError, match="no gradient"):
        scan(inputs._replace(x=inputs.x.requires_grad_()), memory, False)
