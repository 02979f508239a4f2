"""Noise of one size: h_{-1} ~ N(0, s^2) for every element of every layer (Ruiz & Gu, arXiv 2507.02782).

Their s is not published; here it is the root mean square of the model's own states within its training length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.interventions.initial_states import Origin
    from model.state import State


def gaussian(empty: State, origin: Origin) -> State:
    """Noise of one standard deviation everywhere."""
    import torch

    explored = origin.explored
    assert explored is not None
    spread = float(((explored.std**2 + explored.mean**2).mean()) ** 0.5)
    generator = torch.Generator().manual_seed(origin.seed)
    return tuple(
        layer._replace(
            memory=layer.memory._replace(
                state=spread * torch.randn(layer.memory.state.shape, generator=generator).to(layer.memory.state)
            )
        )
        if not layer.memory.past  # the cache of attention begins empty
        else layer
        for layer in empty
    )
