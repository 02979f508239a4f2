"""Products with a weight, which a CPU takes in an order of its own: laid out once, not anew for every product.

``torch.nn.functional.linear`` in float32 goes to a library that lays the weight out while it multiplies; oneDNN, which
torch brings along, multiplies with what it laid out before, a seventh to a third faster. Torch's compiler does the
same to the weights of a frozen model. Where that is not at hand, or a gradient is wanted, this is ``linear``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor
from torch.nn import functional as F

BUDGET = 600_000_000
"""Bytes of weights that a process keeps a second time: a model of 130 million weights, and little more."""

ROWS = 512
"""Rows of the products that the order is chosen for; others come out as right."""


# oneDNN compiles a product for every number of rows it meets and keeps the latest 1,024, half a megabyte each. It asks
# for this when it first multiplies.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


class LaidOut(NamedTuple):
    """Some rows of a weight as oneDNN takes them, and which weight that was: it may have been trained on since."""

    weight: Tensor
    version: int
    address: int
    size: int


class Products:
    """The products of a module with its weight. A copy of the module starts without what is laid out here."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[int | None, int | None], ...], LaidOut] = {}
        with _lock:
            _all.add(self)

    def __reduce__(self) -> tuple[type[Products], tuple[()]]:
        """What a copied or pickled module comes back with: a new one, for its weight may go another way."""
        return Products, ()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(kept.size for kept in self._kept.values())

    def linear(self, u: Tensor, weight: Tensor, bias: Tensor | None = None, *rows: slice) -> Tensor:
        """``u`` (..., in) times the ``rows`` of ``weight`` (out, in), plus those of ``bias``: (..., rows).

        Without ``rows``, times all of them.
        """
        kept = None if torch.is_grad_enabled() else self._laid_out(weight, rows)
        bias = None if bias is None else _rows_of(bias, rows)
        if kept is None:
            return F.linear(u, _rows_of(weight, rows), bias)
        return _product(u, kept.weight, bias)

    def _laid_out(self, weight: Tensor, rows: Sequence[slice]) -> LaidOut | None:
        if weight.dtype != torch.float32 or weight.device.type != "cpu" or weight.is_inference():
            return None
        place = tuple((part.start, part.stop) for part in rows)
        kept = self._kept.get(place)
        if kept is None or (kept.version, kept.address) != (weight._version, weight.data_ptr()):
            part = _rows_of(weight.detach(), rows)
            with _lock:
                if not available() or part.nbytes + sum(each.size for each in _all) > BUDGET:
                    return None
                kept = LaidOut(_lay_out(part), weight._version, weight.data_ptr(), part.nbytes)
                self._kept[place] = kept
        return kept


def _rows_of(tensor: Tensor, rows: Sequence[slice]) -> Tensor:
    parts = [tensor[part] for part in rows]
    return tensor if not parts else parts[0] if len(parts) == 1 else torch.cat(parts)


_all: WeakSet[Products] = WeakSet()
_lock = Lock()


@cache
def available() -> bool:
    """Whether this torch has the operators, which are not part of its public interface, and they do what they did."""
    try:
        u, weight, bias = torch.randn(2, 3, 5), torch.randn(4, 5), torch.randn(4)
        right = F.linear(u, weight, bias)
        return torch.allclose(_product(u, _lay_out(weight), bias), right, rtol=1e-4, atol=1e-5)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


def _lay_out(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)


def _product(u: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(u, weight, bias, "none", [], "")
