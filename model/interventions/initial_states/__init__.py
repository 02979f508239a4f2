"""The table of initial states: what the memory holds before the first token. One file each, one row each.

A row's function takes the empty state and returns another of the same shapes; only the recurrent memory changes, the
convolution windows stay empty. Titles and help are in ``messages/initial_states.toml``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from model.config import ModelConfig
from model.errors import UserError
from model.interventions.initial_states import carried, fitted, gaussian, zeros
from model.mixers import recurrent

if TYPE_CHECKING:  # the sidebar reads this table before torch is wanted
    import numpy as np

    from model.state import State


class Statistics(Protocol):
    """Mean and standard deviation of the elements of recorded states, (layers, heads) each: an Explored has them."""

    @property
    def mean(self) -> np.ndarray:
        """Mean of a head's elements."""
        ...

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of a head's elements."""
        ...


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What an initial state may be made from.

    ``explored`` holds the statistics of the model's own states (in reading: those within its training length),
    ``source`` the tensors of a recorded state by name, ``seed`` feeds the noise.
    """

    explored: Statistics | None
    source: Mapping[str, np.ndarray] | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """One row: ``make(empty, origin)`` and what it cannot do without: explored states, a source, a recurrent memory."""

    make: Callable[[State, Origin], State]
    needs_explored: bool = False
    needs_source: bool = False
    needs_recurrence: bool = True

    def fits(self, config: ModelConfig) -> bool:
        """Whether a model of ``config`` has a recurrent memory to begin with; the cache of attention begins empty."""
        return not self.needs_recurrence or bool(recurrent(config.layers))


INITIAL_STATES: dict[str, InitialState] = {
    "zeros": InitialState(make=zeros.zeros, needs_recurrence=False),
    "gaussian": InitialState(make=gaussian.gaussian, needs_explored=True),
    "fitted": InitialState(make=fitted.fitted, needs_explored=True),
    "carried": InitialState(make=carried.carried, needs_source=True),
}


def check_fits(name: str, config: ModelConfig) -> None:
    """UserError if a model of ``config`` has no memory that the initial state ``name`` could fill."""
    if not row_of(name).fits(config):
        raise UserError("initial_states.cache", name=name)


def initial_state(name: str, empty: State, origin: Origin) -> State:
    """The state ``name``, shaped like ``empty``; UserError if it is unknown or lacks what it is made from."""
    row = row_of(name)
    if row.needs_explored and origin.explored is None:
        raise UserError("initial_states.needs_explored", name=name)
    if row.needs_source and origin.source is None:
        raise UserError("initial_states.needs_source")
    return row.make(empty, origin)


def row_of(name: str) -> InitialState:
    """The row ``name``; UserError if there is none."""
    if name not in INITIAL_STATES:
        raise UserError("initial_states.unknown", name=name, known=", ".join(INITIAL_STATES))
    return INITIAL_STATES[name]
