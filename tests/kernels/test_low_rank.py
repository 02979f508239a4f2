"""The scan whose transition is diagonal plus low rank, against the plain loop over time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import dispatch
from kernels.cpu.chunked import chunked_scan
from kernels.cpu.windowed import windowed_scan
from kernels.reference import reference_scan
from kernels.types import CHUNK, LowRank, Memory, ScanInputs

BATCH, NHEADS, HEADDIM, D_STATE = 2, 4, 3, 5
few = settings(max_examples=8, deadline=None, derandomize=True)
KINDS = {"per head": 1, "per channel": D_STATE}
"""The channels of a decay."""


def case(
    kind: str, seqlen: int, ngroups: int = 2, dtype: torch.dtype = torch.float64, general: bool = False
) -> tuple[ScanInputs, Memory]:
    """The delta rule with its own write strength per token; ``general``: a pair that is unrelated to B."""
    rng = torch.Generator().manual_seed(seqlen)

    def normal(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape, generator=rng, dtype=torch.float64)

    channels = KINDS[kind]
    log_decay = -torch.exp(2 * normal(seqlen, NHEADS, 1)) * torch.logspace(-3, 0, channels, dtype=torch.float64)
    key = torch.nn.functional.normalize(normal(seqlen, ngroups, D_STATE), dim=-1)
    strength = normal(seqlen, NHEADS, 1).sigmoid()
    pair = LowRank(-strength * key.repeat_interleave(NHEADS // ngroups, 2), key)
    if general:
        pair = LowRank(0.2 * normal(seqlen, NHEADS, D_STATE), 0.2 * normal(seqlen, ngroups, D_STATE))
    x = strength * normal(seqlen, NHEADS, HEADDIM)
    inputs = ScanInputs(x, key, normal(seqlen, ngroups, D_STATE), log_decay, pair)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    inputs = inputs.map(lambda tensor: tensor.to(dtype))._replace(log_decay=log_decay.to(wide))
    return inputs, Memory(3 * normal(NHEADS, HEADDIM, D_STATE).to(wide))


def close(ours: Tensor | None, truth: Tensor | None, tolerance: float) -> None:
    assert ours is not None and truth is not None
    assert ours.shape == truth.shape and bool(ours.isfinite().all())
    torch.testing.assert_close(ours.double(), truth.double(), rtol=0, atol=tolerance * float(truth.abs().max()))


def test_the_reference_is_the_gated_delta_rule() -> None:
    inputs, memory = case("per head", 20, NHEADS)
    states = reference_scan(inputs, memory, chunk=1).boundary_states
    assert inputs.low_rank is not None
    for t in range(20):
        k = inputs.B[:, t, :, :, None]
        beta = -(inputs.low_rank.a[:, t] * inputs.B[:, t]).sum(-1)[..., None, None]
        v = inputs.x[:, t, :, :, None] / beta
        alpha = inputs.log_decay[:, t, :, :, None].exp()
        erased = alpha * states[:, t] @ (torch.eye(D_STATE, dtype=torch.float64) - beta * k @ k.mT)
        close(states[:, t + 1], erased + beta * v @ k.mT, 1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_of_zeros_is_the_diagonal_scan(kind: str) -> None:
    inputs, memory = case(kind, 100)
    assert inputs.low_rank is not None
    nothing = inputs._replace(low_rank=LowRank(*(torch.zeros_like(each) for each in inputs.low_rank)))
    ours, plain = chunked_scan(nothing, memory, True), chunked_scan(inputs._replace(low_rank=None), memory, True)
    for part in ("y", "boundary_states", "token_norms"):
        close(getattr(ours, part), getattr(plain, part), 1e-12)


def reads_like_the_reference(kind: str, seqlen: int, ngroups: int, general: bool, cuts: list[int]) -> None:
    inputs, memory = case(kind, seqlen, ngroups, general=general)
    truth = reference_scan(inputs, memory, chunk=1)
    with torch.no_grad():
        for start, stop in zip([0, *cuts], [*cuts, seqlen], strict=True):
            output = dispatch.scan(inputs.segment(start, stop), memory, True)
            close(output.y, truth.y[:, start:stop], 1e-11)
            close(output.boundary_states, truth.boundary_states[:, [*range(start, stop, CHUNK), stop]], 1e-11)
            assert truth.token_norms is not None
            close(output.token_norms, truth.token_norms[:, start:stop], 1e-11)
            assert output.log_decay is not None
            assert torch.equal(output.log_decay, inputs.log_decay[:, start:stop])
            memory = output.memory


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize(("seqlen", "ngroups"), [(1, 1), (63, 2), (64, NHEADS), (200, 1)])
def test_it_is_the_reference(kind: str, general: bool, seqlen: int, ngroups: int) -> None:
    reads_like_the_reference(kind, seqlen, ngroups, general, [])


@few
@given(kind=st.sampled_from(list(KINDS)), cuts=st.lists(st.integers(1, 149), unique=True, max_size=5).map(sorted))
def test_it_is_the_same_in_any_pieces(kind: str, cuts: list[int]) -> None:
    reads_like_the_reference(kind, 150, 2, False, cuts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("log_decay", [-0.0, -30.0, -2000.0])
def test_extreme_decay_stays_finite(kind: str, log_decay: float) -> None:
    inputs, memory = case(kind, 150, dtype=torch.float32)
    inputs = inputs._replace(log_decay=torch.full_like(inputs.log_decay, log_decay))
    truth = reference_scan(inputs.map(Tensor.double), Memory(memory.state.double()))
    ours = chunked_scan(inputs, memory, True)
    for part in ("y", "boundary_states", "token_norms"):
        close(getattr(ours, part), getattr(truth, part), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_reference(kind: str) -> None:
    def gradients(scan) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]
        inputs, memory = case(kind, 70)
        leaves = [tensor.clone().requires_grad_() for tensor in (*inputs.tensors, memory.state)]
        output = scan(ScanInputs.of(leaves[:-1]), Memory(leaves[-1]), True)
        weigh = torch.Generator().manual_seed(1)
        parts = (output.y, output.boundary_states, output.token_norms)
        loss = sum((part * torch.randn(part.shape, generator=weigh, dtype=part.dtype)).sum() for part in parts)
        return torch.autograd.grad(loss, leaves)

    for ours, truth in zip(gradients(chunked_scan), gradients(reference_scan), strict=True):
        close(ours, truth, 1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_is_that_of_the_inputs(dtype: torch.dtype) -> None:
    for kind in KINDS:
        inputs, memory = case(kind, 150, dtype=dtype)
        truth = reference_scan(inputs.map(Tensor.double), Memory(memory.state.double()))
        ours = chunked_scan(inputs, memory)
        assert ours.y.dtype == ours.memory.state.dtype == torch.float32
        close(ours.y, truth.y, 1e-5)


def test_a_window_over_what_erases_is_refused() -> None:
    with pytest.raises(ValueError, match="diagonal transition"):
        windowed_scan(*case("per head", 10), 5)
