"""The table of gradient clippings: what holds an exploding gradient back before a step is taken. One row each.

    norm     g <- g min(1, limit / ||g||)       one factor for all weights: the direction stays (Pascanu et al. 2013)
    value    g_i <- max(-limit, min(limit, g_i)) every component by itself: the direction changes
    none     g <- g

Titles and help are the messages ``training.clipping_<name>`` and ``training.clipping_<name>_help``. No torch here: the
page that draws the table does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Clipping:
    """One row: ``clip(gradients, limit, norm)`` changes gradients in place; ``usual`` is the suggested limit."""

    clip: Callable[[list[Tensor], float, Tensor], None]
    usual: float


def by_norm(gradients: list[Tensor], limit: float, norm: Tensor) -> None:
    """Scale all ``gradients`` by one factor, so that their common norm is at most ``limit``."""
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def by_value(gradients: list[Tensor], limit: float, norm: Tensor) -> None:
    """Hold every component of ``gradients`` between ``-limit`` and ``limit``."""
    for gradient in gradients:
        gradient.clamp_(-limit, limit)


def not_at_all(gradients: list[Tensor], limit: float, norm: Tensor) -> None:
    """Leave ``gradients`` as they are."""


CLIPPINGS: dict[str, Clipping] = {
    "norm": Clipping(clip=by_norm, usual=1.0),
    "value": Clipping(clip=by_value, usual=0.01),
    "none": Clipping(clip=not_at_all, usual=1.0),
}
"""The first is what every shipped model was trained with, at its usual limit."""


def clip_gradients(weights: Iterable[nn.Parameter], name: str, limit: float) -> Tensor:
    """Clip the gradients of ``weights`` by the row ``name``; returns their common norm before, a scalar."""
    import torch

    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    CLIPPINGS[name].clip(gradients, limit, norm)
    return norm


def check_clipping(name: str) -> None:
    """UserError if there is no row ``name``."""
    if name not in CLIPPINGS:
        raise UserError("training.unknown_clipping", name=name, known=", ".join(CLIPPINGS))
