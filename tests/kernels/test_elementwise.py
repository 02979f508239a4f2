"""What is compiled, or laid out for the processor, against the plain lines of PyTorch that it stands in for."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu import products
from kernels.cpu.elementwise import gated_norm, rms_norm, short_convolution
from kernels.cpu.products import Products
from model.arch.layers import Linear
from model.reading.telemetry import reduce_states


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def both(function, *arguments) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """The compiled result, and the plain one in float64."""
    wide = [given.double() if isinstance(given, Tensor) else given for given in arguments]
    with torch.no_grad():
        return function(*arguments), function(*wide)


def assert_close(ours: Tensor, truth: Tensor) -> None:
    assert ours.dtype == torch.float32 and truth.dtype == torch.float64
    torch.testing.assert_close(ours.double(), truth, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("shape", [(7,), (2, 5, 48), (0, 16)])
def test_root_mean_square_norm(shape: tuple[int, ...]) -> None:
    assert_close(*both(rms_norm, 3 * normal(*shape), normal(shape[-1]), 1e-5))


def test_root_mean_square_norm_of_what_does_not_lie_in_order() -> None:
    assert_close(*both(rms_norm, normal(6, 4, 5).transpose(0, 1), normal(5), 1e-5))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_gated_norm(groups: int, shared: bool) -> None:
    rows, seqlen, nheads, headdim = 3, 5, 4, 6
    one = 1 if shared else rows
    x, gate = normal(one, seqlen, nheads * headdim + 8), normal(one, seqlen, nheads * headdim)
    weight = normal(groups, nheads * headdim // groups)
    assert_close(*both(gated_norm, normal(rows, seqlen, nheads, headdim), x, normal(nheads), gate, weight, 1e-5))


@pytest.mark.parametrize("seqlen", [1, 2, 3, 40])
@pytest.mark.parametrize("taps", [2, 4, 5])
def test_short_convolution(seqlen: int, taps: int) -> None:
    window, inputs, weight = normal(2, taps - 1, 6), normal(2, seqlen, 11), normal(taps, 9)[:, :6]
    ours, truth = both(short_convolution, window, inputs, 3, weight, normal(6))
    assert_close(ours, truth)
    span = torch.cat([window, inputs[..., 3:9]], dim=1).transpose(1, 2)
    library = F.conv1d(span, weight.t()[:, None], normal(6), groups=6).transpose(1, 2)
    torch.testing.assert_close(ours, F.silu(library), rtol=1e-5, atol=1e-5)


def test_what_is_large_or_no_number_comes_out_of_a_convolution_as_it_should() -> None:
    extreme = torch.tensor([0.0, -0.0, 1e-30, -87.3, -88.8, -1e4, 88.8, 1e4, 3e38, -3e38, math.inf, math.nan])
    weight, nothing = torch.zeros(4, len(extreme)), torch.zeros(len(extreme))
    weight[3] = 1
    with torch.no_grad():
        ours = short_convolution(torch.zeros(1, 3, len(extreme)), extreme[None, None], 0, weight, nothing)[0, 0]
    torch.testing.assert_close(ours, F.silu(extreme), rtol=1e-6, atol=1e-6, equal_nan=True)


def test_a_gradient_goes_through_all_of_them() -> None:
    leaves = [normal(*shape).requires_grad_() for shape in ((2, 5, 2, 3), (2, 5, 8), (2,), (2, 5, 6), (1, 6))]
    convolved = short_convolution(normal(2, 3, 8), leaves[1], 0, normal(4, 8), normal(8))
    y = gated_norm(leaves[0], convolved, leaves[2], leaves[3], leaves[4], 1e-5)
    rms_norm(y, leaves[4][0], 1e-5).sum().backward()
    assert all(leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves)


@pytest.mark.parametrize("rows", [[], [slice(2, 5)], [slice(1, 3), slice(5, None)]])
def test_a_product_is_that_of_the_plain_weight(rows: list[slice]) -> None:
    made, weight, bias = Products(), normal(7, 5), normal(7)
    chosen = np.arange(7) if not rows else np.concatenate([np.arange(7)[part] for part in rows])
    with torch.no_grad():
        for u in (normal(5), normal(3, 5), normal(2, 3, 5), normal(5, 3).t()):
            for given in (bias, None):
                found = made.linear(u, weight, given, *rows)
                right = F.linear(u, weight[chosen], None if given is None else given[chosen])
                torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)
    assert made.size == (weight[chosen].nbytes if products.available() else 0)


def test_a_weight_that_changes_is_laid_out_anew() -> None:
    layer, u = Linear(5, 4), normal(3, 5)

    def assert_right() -> None:
        with torch.no_grad():
            torch.testing.assert_close(layer(u), F.linear(u, layer.weight), rtol=1e-5, atol=1e-6)

    assert_right()
    with torch.no_grad():
        layer.weight.mul_(3)
    assert_right()
    layer.weight.data = normal(4, 5)
    assert_right()
    before = layer(u).detach().clone()
    torch.optim.SGD(layer.parameters(), lr=0.1).zero_grad()
    layer(u).square().sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    assert_right()
    with torch.no_grad():
        assert not torch.allclose(layer(u), before)


def test_a_copy_starts_without_what_was_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, u = Linear(5, 4), normal(3, 5)
    with torch.no_grad():
        right = layer(u)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert twin.products.size == 0 and twin.products is not layer.products
            torch.testing.assert_close(twin(u), right)
        monkeypatch.setattr(products, "BUDGET", 0)
        poor = Linear(5, 4)
        assert poor(u).shape == (3, 4) and poor.products.size == 0


def test_without_the_operators_products_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "available", lambda: False)
    made, u, weight = Products(), normal(3, 5), normal(4, 5)
    with torch.no_grad():
        assert torch.equal(made.linear(u, weight), F.linear(u, weight)) and made.size == 0


@pytest.mark.parametrize("packed", [True, False])
def test_statistics_of_states(packed: bool) -> None:
    states = normal(3, 6, 4 * 5).transpose(1, 2).reshape(3, 4, 5, 6) if packed else normal(3, 4, 5, 6)
    states[1, 2] *= 1e3
    norm, mean, std, largest = reduce_states(states).numpy()
    flat = states.double().flatten(2)
    np.testing.assert_allclose(norm, flat.norm(dim=-1), rtol=1e-6)
    np.testing.assert_allclose(mean, flat.mean(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, flat.std(-1, correction=0), rtol=1e-5)
    np.testing.assert_array_equal(largest, flat.abs().amax(-1).float())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_statistics_show_what_overflowed(value: float) -> None:
    packed = normal(2, 6, 4 * 5)
    packed[1, 3, 7] = value  # head 1 of the second state
    norm, _, _, largest = reduce_states(packed.transpose(1, 2).reshape(2, 4, 5, 6)).numpy()
    assert np.isfinite(norm[0]).all() and np.isfinite(largest[0]).all()
    assert [bool(np.isfinite(each)) for each in norm[1]] == [True, False, True, True]
    assert [bool(np.isfinite(each)) for each in largest[1]] == [True, False, True, True]
