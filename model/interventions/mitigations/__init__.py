"""The table of mitigations: each is a function from scan to scan, one file and one row each.

A mitigation acts from outside. It changes what enters the scan (decay, insertion) or which operator runs (clipped,
windowed), and never touches a model that other sessions share. Titles and help are in ``messages/mitigations.toml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.config import ModelConfig
from model.errors import UserError
from model.interventions.mitigations import decay, insertion, retention, state_norm, window

if TYPE_CHECKING:  # the sidebar reads this table before torch is wanted
    from torch import Tensor

    from kernels.types import Scan


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """One row: ``wrap(scan, value, norm_at_train_length)`` gives the mitigated scan of one layer.

    ``neutral`` is the value that changes nothing, ``suggested`` the one a user starts from, ``low`` to ``high`` the
    sensible range; ``integer`` values are counted in tokens. ``needs_reference`` says that the norms of the model's own
    states at its training length, (nheads,), must be known; ``per_head`` that its operator only knows heads that
    forget at one rate, as Mamba-2's do, and not a rate for every channel.
    """

    wrap: Callable[[Scan, float, Tensor | None], Scan]
    neutral: float
    suggested: float
    low: float
    high: float
    step: float
    integer: bool = False
    needs_reference: bool = False
    per_head: bool = False

    def fits(self, config: ModelConfig) -> bool:
        """Whether a model of ``config`` has what the operator works on."""
        return config.decay_per_head or not self.per_head


MITIGATIONS: dict[str, Mitigation] = {  # from the kernel outwards
    "window": Mitigation(
        wrap=window.windowed, neutral=math.inf, suggested=256, low=1, high=65536, step=64, integer=True, per_head=True
    ),
    "state_norm": Mitigation(
        wrap=state_norm.clipped,
        neutral=math.inf,
        suggested=1.0,
        low=0.1,
        high=4.0,
        step=0.05,
        needs_reference=True,
        per_head=True,
    ),
    "insertion": Mitigation(wrap=insertion.inserted, neutral=1.0, suggested=0.75, low=0.05, high=1.0, step=0.05),
    "retention": Mitigation(wrap=retention.retained, neutral=1.0, suggested=0.9999, low=0.9, high=1.0, step=0.0001),
    "decay": Mitigation(wrap=decay.decayed, neutral=1.0, suggested=4.0, low=0.25, high=16.0, step=0.25),
}

PRESETS: dict[str, dict[str, float]] = {
    # Reduced memory retention and insertion, with the published values (Stuffed Mamba, arXiv 2410.07145, 3.2.2).
    "forget_more_write_less": {"retention": 0.9999, "insertion": 0.75},
    "decay_times_four": {"decay": 4.0},
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
        if not MITIGATIONS[name].fits(config):
            raise UserError("mitigations.per_head", name=name)


def mitigated(scan: Scan, settings: Mapping[str, float], norm_at_train_length: Tensor | None = None) -> Scan:
    """Wrap ``scan`` in every active mitigation, from the kernel outwards; without any, ``scan`` itself."""
    for name, value in active(settings).items():
        row = MITIGATIONS[name]
        if row.needs_reference and norm_at_train_length is None:
            raise UserError("mitigations.needs_reference", name=name)
        scan = row.wrap(scan, value, norm_at_train_length)
    return scan
