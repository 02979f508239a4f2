"""Inputs of any size and decays of any strength: what the plain loop holds finite, the chunked scan has right."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.cpu.chunked import chunked_scan
from kernels.cpu.clipped import clipped_scan
from kernels.cpu.windowed import windowed_scan
from kernels.reference import reference_scan
from kernels.types import Memory, ScanInputs
from tests.kernels.test_scans import Case, in_float64

SEQLEN, NHEADS, HEADDIM, D_STATE = 130, 3, 4, 8
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-5, torch.bfloat16: 3e-2}
"""By the dtype of the inputs; products of float16 are in float32."""
size = st.integers(-15, 15)


def sized(dtype: torch.dtype, exponents: tuple[int, int, int, int], strongest: float, seed: int = 0) -> Case:
    """x, B, C and a state of about these powers of ten, every head with its own decay up to e^-``strongest``."""
    rng = torch.Generator().manual_seed(seed)
    most = torch.finfo(dtype).max

    def normal(exponent: int, *shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=rng, dtype=torch.float64).mul(10.0**exponent).clamp(-most, most)

    x, B, C = (normal(power, SEQLEN, n, k) for power, n, k in zip(exponents, (3, 1, 1), (4, 8, 8), strict=False))
    log_decay = -strongest * torch.tensor([1.0, 0.9, 0.0])[:, None].expand(1, SEQLEN, NHEADS, 1)
    log_decay = log_decay * torch.rand(1, SEQLEN, NHEADS, 1, generator=rng).round()  # every other token keeps
    state = normal(exponents[3], NHEADS, HEADDIM, D_STATE).float()
    return Case(ScanInputs(x.to(dtype), B.to(dtype), C.to(dtype), log_decay.float()), Memory(state))


def assert_right_where_the_loop_is_finite(ours: Tensor, given_case: Case, part: str) -> None:
    """As near to float64 as the loop in float32 is, and the rounding of the products, by the largest of each token."""
    truth = getattr(reference_scan(*in_float64(given_case)), part)
    wide = Case(given_case.inputs.map(Tensor.float), given_case.memory)
    loop = getattr(reference_scan(*wide), part)
    finite = loop.isfinite()
    assert bool(ours[finite].isfinite().all()), part
    per_token = truth.abs().where(finite, 0).flatten(2).amax(-1).cummax(1).values
    allowed = TOLERANCE[given_case.inputs.x.dtype] * per_token[(...,) + (None,) * (truth.dim() - 2)]
    error = (ours.double() - truth).abs().where(finite, 0)
    beyond = error - 4 * (loop.double() - truth).abs().where(finite, 0) - allowed
    assert float(beyond.amax()) <= 1e-44, (part, float(beyond.amax()))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    dtype=st.sampled_from(list(TOLERANCE)),
    exponents=st.tuples(size, size, size, size),
    strongest=st.sampled_from([0.0, 1e-3, 0.1, 0.5, 0.9, 3.0, 60.0]),
    token_norms=st.booleans(),
)
@example(dtype=torch.float16, exponents=(0, 0, 0, 0), strongest=0.5, token_norms=True)
@example(dtype=torch.float16, exponents=(4, 4, 4, 4), strongest=0.9, token_norms=True)
@example(dtype=torch.float32, exponents=(15, 0, 0, 0), strongest=0.9, token_norms=False)
@example(dtype=torch.float32, exponents=(15, 15, 15, 15), strongest=60.0, token_norms=True)
@example(dtype=torch.bfloat16, exponents=(15, 0, -15, 0), strongest=0.9, token_norms=True)
@example(dtype=torch.float32, exponents=(-15, -15, -15, -15), strongest=0.9, token_norms=True)
def test_what_the_loop_holds_finite_is_right(
    dtype: torch.dtype, exponents: tuple[int, int, int, int], strongest: float, token_norms: bool
) -> None:
    given_case = sized(dtype, exponents, strongest)
    output = chunked_scan(*given_case, token_norms)
    assert output.y.dtype == output.boundary_states.dtype == torch.float32
    for part in ("y", "boundary_states", "token_norms") if token_norms else ("y", "boundary_states"):
        assert_right_where_the_loop_is_finite(getattr(output, part), given_case, part)


@pytest.mark.parametrize(("dtype", "exponent"), [(torch.float16, 1), (torch.float32, 15), (torch.bfloat16, 15)])
def test_the_other_operators_hold_the_same(dtype: torch.dtype, exponent: int) -> None:
    given_case = sized(dtype, (exponent, 0, 0, 0), 0.9)
    endless = torch.full((NHEADS,), torch.inf)
    for scan in (partial(windowed_scan, window=SEQLEN + 1), partial(clipped_scan, limit=endless)):
        output = scan(*given_case)
        for part in ("y", "boundary_states"):
            assert_right_where_the_loop_is_finite(getattr(output, part), given_case, part)


def test_gradients_of_large_inputs_are_those_of_the_loop() -> None:
    inputs, memory = sized(torch.float32, (15, 0, 0, 0), 0.9)
    found = []
    for scan, given_case in ((chunked_scan, Case(inputs, memory)), (reference_scan, in_float64(Case(inputs, memory)))):
        leaves = [tensor.clone().requires_grad_() for tensor in given_case.inputs.tensors]
        y = scan(ScanInputs.of(leaves), given_case.memory).y
        found.append(torch.autograd.grad(y.sum(), leaves))
    for ours, truth in zip(*found, strict=True):
        assert bool(ours.isfinite().all())
        torch.testing.assert_close(ours.double(), truth, rtol=0, atol=1e-4 * float(truth.abs().max()))
