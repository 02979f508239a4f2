"""The final state of another text: what state passing trains on (Ruiz & Gu, arXiv 2507.02782).

Only the recurrent memory is carried over. A window that a mitigation kept beside it starts anew, so the carried
state counts as what was remembered before the first token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.errors import UserError

if TYPE_CHECKING:
    from model.interventions.initial_states import Origin
    from model.state import State


def carried(empty: State, origin: Origin) -> State:
    """The memory of ``origin.source`` in every layer; UserError if its shapes are not this model's."""
    import torch

    source = origin.source
    assert source is not None
    layers = []
    for index, layer in enumerate(empty):
        like = layer.memory.state
        found = source.get(f"{index}.state")
        if found is None or found.shape[1:] != tuple(like.shape[1:]) or f"{len(empty)}.state" in source:
            raise UserError("initial_states.other_model")
        state = torch.as_tensor(found).to(like).expand_as(like)
        if layer.memory.past:  # the cache of attention begins empty
            layers.append(layer)
            continue
        rest = layer.rest
        if len(rest) == 1 and f"{index}.rest.0" in source and f"{index}.rest.1" not in source:
            # How many tokens were read belongs to a state whose angles go by position.
            rest = (torch.as_tensor(source[f"{index}.rest.0"]).to(rest[0]).expand_as(rest[0]),)
        layers.append(layer._replace(memory=layer.memory._replace(state=state), rest=rest))
    return tuple(layers)
