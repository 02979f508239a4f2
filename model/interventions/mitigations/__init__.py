"""The table of mitigations: each transforms the inputs of the scan or replaces its operator, one file and one row each.

A mitigation acts from outside and never touches a model that other sessions share. All of them, and the telemetry,
compose in one line:

    scan = recorded(transformed(operator or kernel, transforms), recorder)

:func:`mitigated` is all of it but the telemetry, :func:`model.reading.telemetry.recorded`. Titles and help are in
``messages/mitigations.toml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.config import ModelConfig
from model.errors import UserError
from model.interventions.mitigations import decay, insertion, reset, retention, state_norm, window
from model.mixers import all_cells, decay_per_head, erases, nonlinear, recurrent, retains
from model.plugins import rows_of

if TYPE_CHECKING:  # the sidebar reads this table before torch is wanted
    from torch import Tensor

    from kernels.types import Memory, Scan, ScanInputs, ScanOutput

    Transform = Callable[[ScanInputs, float], ScanInputs]
    Operator = Callable[[float, Tensor | None, Scan | None], Scan]


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """One row, which is either a transform of the inputs or an operator; the other of the two is None.

    ``transform(inputs, value)`` gives the inputs that the scan gets instead. ``operator(value, norm_at_train_length,
    inner)`` gives the scan that runs instead of the kernel; ``inner`` is the operator of an earlier row, or None.

    ``neutral`` is the value that changes nothing, ``suggested`` the one a user starts from, ``low`` to ``high`` the
    sensible range, ``others`` two more strengths that a diagnosis tries; ``integer`` values are counted in tokens.
    ``needs_reference`` says that the norms of the model's own states at its training length, (nheads,), must be known;
    ``per_head`` that its operator only knows heads that forget at one rate, as Mamba-2's do, and not a rate for every
    channel; ``diagonal`` that it sums what single tokens wrote, which a transition that erases, as a delta rule's does,
    does not leave apart; ``linear`` that the next state is a linear function of the last, as no cell's is; ``retains``
    that a share of the state is kept by a gate or a rate; ``cells`` that it is for cells alone. ``caches``: it acts on
    the cache of attention too. ``additive``: its operator is linear in what tokens write, as the kernel is;
    ``rescales``: it scales whole heads by what depends on their norm alone.
    """

    transform: Transform | None = None
    operator: Operator | None = None
    neutral: float
    suggested: float
    low: float
    high: float
    step: float
    others: tuple[float, ...] = ()
    integer: bool = False
    needs_reference: bool = False
    per_head: bool = False
    diagonal: bool = False
    linear: bool = False
    retains: bool = False
    cells: bool = False
    caches: bool = False
    additive: bool = False
    rescales: bool = False

    def __post_init__(self) -> None:
        """ValueError for a row that is both or neither."""
        if (self.transform is None) == (self.operator is None):
            raise ValueError("a mitigation is a transform or an operator, one of the two")

    def fits(self, config: ModelConfig) -> bool:
        """Whether a model of ``config`` has what the operator works on."""
        return self.obstacle(config) is None

    def obstacle(self, config: ModelConfig) -> str | None:
        """Which need of the row a model of ``config`` does not meet; None if it fits.

        One of "cache", "linear", "cells", "retains", "diagonal" and "per_head".
        """
        layers = recurrent(config.layers)
        if len(layers) < len(config.layers) and not self.caches:
            return "cache"
        if self.linear and nonlinear(layers):
            return "linear"
        if self.cells and not all_cells(layers):
            return "cells"
        if self.retains and not retains(layers):
            return "retains"
        if self.diagonal and erases(layers):
            return "diagonal"
        return "per_head" if self.per_head and not decay_per_head(layers) else None


MITIGATIONS: dict[str, Mitigation] = {  # from the kernel outwards
    "window": Mitigation(
        operator=window.windowed,
        neutral=math.inf,
        suggested=256,
        low=1,
        high=65536,
        step=64,
        others=(1024, 64),
        integer=True,
        per_head=True,
        diagonal=True,
        linear=True,
        caches=True,
        additive=True,
    ),
    "state_norm": Mitigation(
        operator=state_norm.clipped,
        neutral=math.inf,
        suggested=1.0,
        low=0.1,
        high=4.0,
        step=0.05,
        others=(2.0, 0.5),
        needs_reference=True,
        per_head=True,
        rescales=True,
    ),
    "reset": Mitigation(
        operator=reset.emptied,
        neutral=math.inf,
        suggested=256,
        low=64,
        high=65536,
        step=64,
        others=(1024, 128),
        integer=True,
        cells=True,
    ),
    "insertion": Mitigation(
        transform=insertion.inserted,
        neutral=1.0,
        suggested=0.75,
        low=0.05,
        high=1.0,
        step=0.05,
        others=(0.9, 0.5),
        linear=True,
    ),
    "retention": Mitigation(
        transform=retention.retained,
        neutral=1.0,
        suggested=0.9999,
        low=0.9,
        high=1.0,
        step=0.0001,
        others=(0.999, 0.99),
        retains=True,
    ),
    "decay": Mitigation(
        transform=decay.decayed,
        neutral=1.0,
        suggested=256.0,
        low=0.25,
        high=1024.0,
        step=0.25,
        others=(4.0, 1024.0),
        retains=True,
    ),
}
MITIGATIONS |= rows_of("mitigations", Mitigation, MITIGATIONS)

PRESETS: dict[str, dict[str, float]] = {
    # Reduced memory retention and insertion, with the published values (Stuffed Mamba, arXiv 2410.07145, 3.2.2).
    "forget_more_write_less": {"retention": 0.9999, "insertion": 0.75},
    "faster_decay": {"decay": 256.0},
    "sliding_window": {"window": 256},
    "clip_norm": {"state_norm": 1.0},
}


def active(settings: Mapping[str, float]) -> dict[str, float]:
    """The settings that change something, in table order, checked; UserError for what cannot be."""
    for name, value in settings.items():
        if name not in MITIGATIONS:
            raise UserError("mitigations.unknown", name=name, known=", ".join(MITIGATIONS))
        row = MITIGATIONS[name]
        fits = value == row.neutral or (math.isfinite(value) and row.low <= value <= row.high)
        if not fits or (row.integer and math.isfinite(value) and value != int(value)):
            raise UserError("mitigations.out_of_range", name=name, value=value, low=row.low, high=row.high)
    chosen = {name: float(settings[name]) for name in MITIGATIONS if name in settings}
    return {name: value for name, value in chosen.items() if value != MITIGATIONS[name].neutral}


def check_fits(settings: Mapping[str, float], config: ModelConfig) -> None:
    """UserError if one of the active ``settings`` has an operator that a model of ``config`` does not fit."""
    for name in active(settings):
        obstacle = MITIGATIONS[name].obstacle(config)
        if obstacle is not None:
            raise UserError(f"mitigations.{obstacle}", name=name)


def mitigated(kernel: Scan, settings: Mapping[str, float], norm_at_train_length: Tensor | None = None) -> Scan:
    """The scan of one layer with every active mitigation over ``kernel``; without any, ``kernel`` itself."""
    operator: Scan | None = None
    transforms: list[tuple[Transform, float]] = []
    for name, value in active(settings).items():
        row = MITIGATIONS[name]
        if row.needs_reference and norm_at_train_length is None:
            raise UserError("mitigations.needs_reference", name=name)
        if row.operator is not None:
            operator = row.operator(value, norm_at_train_length, operator)
        if row.transform is not None:
            transforms.append((row.transform, value))
    return transformed(operator or kernel, transforms)


def transformed(scan: Scan, transforms: Sequence[tuple[Transform, float]]) -> Scan:
    """``scan`` with ``transforms`` and their values around it, from the kernel outwards; without any, ``scan``."""
    if not transforms:
        return scan

    def scan_transformed(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        for transform, value in reversed(transforms):
            inputs = transform(inputs, value)
        return scan(inputs, memory, token_norms)

    return scan_transformed
