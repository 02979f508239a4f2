"""What a model remembers: one LayerState per layer, in float32, never changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.types import Memory
from model.config import ModelConfig


class LayerState(NamedTuple):
    """The memory of one layer.

    ``memory`` is the recurrent memory, (batch, nheads, headdim, d_state) and what a mitigation adds to it;
    ``window`` the last inputs of the short convolution, (batch, d_conv - 1, channels);
    ``rest`` what else is needed to read on and is no recurrent memory: the keys and values of attention beside it.
    """

    memory: Memory
    window: Tensor
    rest: tuple[Tensor, ...] = ()


def empty_layer(config: ModelConfig, like: Tensor, batch: int, tokens: int, channels: int) -> LayerState:
    """The empty memory of a layer with heads, and a window of ``tokens`` by ``channels``; on the device of ``like``."""
    memory = Memory(like.new_zeros(batch, config.nheads, config.headdim, config.d_state))
    return LayerState(memory, like.new_zeros(batch, tokens, channels))


State = tuple[LayerState, ...]
"""The memory of a model: one LayerState per layer."""


def map_state(state: State, function) -> State:  # type: ignore[no-untyped-def]
    """Apply ``function`` (tensor to tensor) to every tensor of ``state``: detach, clone, move, select a batch row."""
    return tuple(
        LayerState(
            Memory(function(layer.memory.state), tuple(map(function, layer.memory.past))),
            function(layer.window),
            tuple(map(function, layer.rest)),
        )
        for layer in state
    )


def expand_rows(state: State, rows: int) -> State:
    """``state`` of one row, seen by each of ``rows``: nothing is copied until it is read on."""
    return map_state(state, lambda tensor: tensor.expand(rows, *tensor.shape[1:]))


def joined(states: Sequence[State]) -> State:
    """The rows of ``states`` as the rows of one state, without their gradients."""
    named = [flatten_state(state) for state in states]
    return unflatten_state({name: torch.cat([state[name] for state in named]) for name in named[0]})


def flatten_state(state: State) -> dict[str, Tensor]:
    """Name every tensor of ``state``, for a safetensors file; the inverse of :func:`unflatten_state`."""
    named = {}
    for index, layer in enumerate(state):
        named[f"{index}.state"] = layer.memory.state
        named[f"{index}.window"] = layer.window
        named |= {f"{index}.past.{place}": tensor for place, tensor in enumerate(layer.memory.past)}
        named |= {f"{index}.rest.{place}": tensor for place, tensor in enumerate(layer.rest)}
    return {name: tensor.detach().contiguous() for name, tensor in named.items()}


def unflatten_state(named: dict[str, Tensor]) -> State:
    """Rebuild a state from the tensors that :func:`flatten_state` named."""
    layers = []
    for index in range(sum(name.endswith(".window") for name in named)):
        past, rest = (_places(named, f"{index}.{part}.") for part in ("past", "rest"))
        layers.append(LayerState(Memory(named[f"{index}.state"], past), named[f"{index}.window"], rest))
    return tuple(layers)


def _places(named: dict[str, Tensor], prefix: str) -> tuple[Tensor, ...]:
    return tuple(named[f"{prefix}{place}"] for place in range(sum(name.startswith(prefix) for name in named)))
