"""An empty memory: how models are trained and, by default, read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.interventions.initial_states import Origin
    from model.state import State


def zeros(empty: State, _: Origin) -> State:
    """The empty state itself."""
    return empty
