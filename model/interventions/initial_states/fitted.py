"""Noise fitted to the model: h_{-1} ~ N(mean, sd^2) per layer and head (Ruiz & Gu, arXiv 2507.02782).

Mean and standard deviation are those of the elements of states recorded at the training length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.interventions.initial_states import Origin
    from model.state import State


def fitted(empty: State, origin: Origin) -> State:
    """Noise with each head's own mean and spread."""
    import torch

    explored = origin.explored
    assert explored is not None
    generator = torch.Generator().manual_seed(origin.seed)
    layers = []
    for index, layer in enumerate(empty):
        if layer.memory.past:  # the cache of attention begins empty
            layers.append(layer)
            continue
        like = layer.memory.state
        together = like.shape[1] // len(explored.mean[index])  # where heads are channels, statistics are of groups
        mean = torch.as_tensor(explored.mean[index]).to(like).repeat_interleave(together)[:, None, None]
        spread = torch.as_tensor(explored.std[index]).to(like).repeat_interleave(together)[:, None, None]
        state = mean + spread * torch.randn(like.shape, generator=generator).to(like)
        layers.append(layer._replace(memory=layer.memory._replace(state=state)))
    return tuple(layers)
