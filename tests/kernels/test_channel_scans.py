"""The scans of decay per channel and of heads one channel wide, against the plain loop over time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.cpu.chunked import chunked_scan
from kernels.reference import reference_scan
from kernels.types import CHUNK, Memory, ScanInputs

BATCH, NHEADS, D_STATE = 2, 4, 5
few = settings(max_examples=10, deadline=None, derandomize=True)
KINDS = {"per channel": (3, D_STATE), "Mamba-1": (1, D_STATE), "diagonal": (1, 1)}
"""headdim, and the channels of a decay."""


def case(kind: str, seqlen: int, ngroups: int = 1, dtype: torch.dtype = torch.float64) -> tuple[ScanInputs, Memory]:
    """Channels that are reset by single tokens beside channels that hardly forget, from a random state."""
    headdim, channels = KINDS[kind]
    d_state = 1 if kind == "diagonal" else D_STATE
    rng = torch.Generator().manual_seed(seqlen)

    def normal(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape, generator=rng, dtype=torch.float64)

    rate = torch.logspace(-3, 0, channels, dtype=torch.float64)
    log_decay = -torch.exp(3 * normal(seqlen, NHEADS, 1)) * rate
    x, B, C = normal(seqlen, NHEADS, headdim), normal(seqlen, ngroups, d_state), normal(seqlen, ngroups, d_state)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    inputs = ScanInputs(x.to(dtype), B.to(dtype), C.to(dtype), log_decay.to(wide))
    return inputs, Memory(3 * normal(NHEADS, headdim, d_state).to(wide))


def close(ours: Tensor | None, truth: Tensor | None, tolerance: float) -> None:
    assert ours is not None and truth is not None
    assert ours.shape == truth.shape and bool(ours.isfinite().all())
    torch.testing.assert_close(ours.double(), truth.double(), rtol=0, atol=tolerance * float(truth.abs().max()))


def assert_reads_like_the_reference(kind: str, seqlen: int, ngroups: int, cuts: list[int]) -> None:
    inputs, memory = case(kind, seqlen, ngroups)
    truth = reference_scan(inputs, memory, chunk=1)
    with torch.no_grad():
        for start, stop in zip([0, *cuts], [*cuts, seqlen], strict=True):
            output = chunked_scan(inputs.segment(start, stop), memory, True)
            close(output.y, truth.y[:, start:stop], 1e-12)
            close(output.boundary_states, truth.boundary_states[:, [*range(start, stop, CHUNK), stop]], 1e-12)
            close(output.token_norms, truth.token_norms[:, start:stop], 1e-12)
            assert output.log_decay is not None
            assert torch.equal(output.log_decay, inputs.log_decay[:, start:stop])
            memory = output.memory


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ngroups", [1, 2, NHEADS])
@pytest.mark.parametrize("seqlen", [1, 63, 64, 200])
def test_it_is_the_reference(kind: str, ngroups: int, seqlen: int) -> None:
    assert_reads_like_the_reference(kind, seqlen, ngroups, [])


@few
@given(kind=st.sampled_from(list(KINDS)), cuts=st.lists(st.integers(1, 149), unique=True, max_size=6).map(sorted))
def test_it_is_the_same_in_any_pieces(kind: str, cuts: list[int]) -> None:
    assert_reads_like_the_reference(kind, 150, 2, cuts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("log_decay", [-0.0, -30.0, -2000.0])
def test_extreme_decay_stays_finite(kind: str, log_decay: float) -> None:
    inputs, memory = case(kind, 150, dtype=torch.float32)
    inputs = inputs._replace(log_decay=torch.full_like(inputs.log_decay, log_decay))
    exact = inputs.map(Tensor.double)
    truth = reference_scan(exact, Memory(memory.state.double()))
    ours = chunked_scan(inputs, memory, True)
    for part in ("y", "boundary_states", "token_norms"):
        close(getattr(ours, part), getattr(truth, part), 3e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.bfloat16, 2e-2)])
def test_rounding_is_that_of_the_inputs(kind: str, dtype: torch.dtype, tolerance: float) -> None:
    inputs, memory = case(kind, 150, dtype=dtype)
    truth = reference_scan(inputs.map(Tensor.double), Memory(memory.state.double()))
    with torch.inference_mode():
        ours = chunked_scan(inputs, memory)
    assert ours.y.dtype == ours.memory.state.dtype == torch.float32
    close(ours.y, truth.y, tolerance)
    close(ours.memory.state, truth.boundary_states[:, -1], tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_reference(kind: str) -> None:
    def gradients(scan) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]
        inputs, memory = case(kind, 70, 2)
        leaves = [tensor.clone().requires_grad_() for tensor in (*inputs.tensors, memory.state)]
        output = scan(ScanInputs(*leaves[:4]), Memory(leaves[4]), True)
        weigh = torch.Generator().manual_seed(1)
        parts = (output.y, output.boundary_states, output.token_norms)
        loss = sum((part * torch.randn(part.shape, generator=weigh, dtype=part.dtype)).sum() for part in parts)
        return torch.autograd.grad(loss, leaves)

    for ours, truth in zip(gradients(chunked_scan), gradients(reference_scan), strict=True):
        close(ours, truth, 1e-11)


def test_a_scan_leaves_its_inputs_and_its_memory_alone() -> None:
    for kind in KINDS:
        inputs, memory = case(kind, 100)
        before = [tensor.clone() for tensor in (*inputs.tensors, memory.state)]
        with torch.inference_mode():
            chunked_scan(inputs, memory, True)
        assert all(torch.equal(*pair) for pair in zip(before, (*inputs.tensors, memory.state), strict=True))
