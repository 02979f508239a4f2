"""States of moments in files of their own: made from a recorded reading, continued, and put side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import model_card
from model.diagnostics.explored import Explored
from model.diagnostics.state_numbers import Comparison, StateNumbers, angles, check_alike, numbers_of
from model.errors import UserError
from model.mixers import with_state
from model.reading.again import Moment, states_at
from model.reading.prepare import Prepared
from model.reading.telemetry import Sketcher, sketch_of
from model.recording.state_file import HIDDEN, StateFile
from model.state import State, flatten_state, unflatten_state
from model.studies.ask.result import Answer, Question
from model.studies.ask.run import Voice


def state_at(
    prepared: Prepared, moment: int, *, passed: Callable[[int], bool] = lambda tokens: False
) -> StateFile | None:
    """The state after ``moment`` tokens of ``prepared``; None if ``passed(tokens read so far)`` turned true.

    UserError for a moment outside the document.
    """
    if not 1 <= moment <= prepared.experiment.tokens:
        raise UserError("question.moment", moment=moment, tokens=prepared.experiment.tokens)
    there = next(states_at(prepared, [moment], passed=passed), None)
    return None if there is None else file_of(there, prepared)


def file_of(there: Moment, prepared: Prepared) -> StateFile:
    """The state of a moment as a file holds it, floating point numbers in float32."""
    tensors = flatten_state(there.state)
    if there.hidden is not None:
        tensors[HIDDEN] = there.hidden
    arrays = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
        for name, tensor in tensors.items()
    }
    heads = prepared.card.config.recorded_heads
    return StateFile(experiment=prepared.experiment, tokens=there.tokens, heads=heads, tensors=arrays)


def card_of(state: StateFile) -> ModelCard:
    """The model of ``state``; UserError where it is not here, or has other weights now."""
    card = model_card(state.experiment.model)
    state.check_weights(card.name, card.weights)
    return card


def ask_state(state: StateFile, question: Question, device: str = "auto") -> Answer:
    """What the model of ``state`` says from it, with the strategy that it was made with.

    UserError where the model is not here or has other weights, and for a state that does not fit it.
    """
    question.check()
    card = card_of(state)
    explored = Explored.load(card.explored) if card.explored else None
    voice = Voice(state.experiment, explored, device, needs_words=bool(question.text))
    there = restored(state, voice.model.zero_state())
    try:
        return voice.answer(there, question)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError("state_file.unfit", name=state.name) from error


def restored(state: StateFile, empty: State) -> Moment:
    """The moment in ``state``, in tensors like those of ``empty``; UserError for other layers or shapes."""
    if state.layers != len(empty):
        raise UserError("state_file.other_layers", name=state.name, found=state.layers, wanted=len(empty))
    like = flatten_state(empty)
    tensors = {}
    for name, array in state.tensors.items():
        tensor = torch.from_numpy(np.array(array))
        if name.endswith((".state", ".window")) and tensor.shape != like[name].shape:
            found, wanted = (" × ".join(map(str, shape[1:])) for shape in (tensor.shape, like[name].shape))
            layer = name.partition(".")[0]
            raise UserError("state_file.other_shape", name=state.name, layer=layer, found=found, wanted=wanted)
        as_layer = like.get(name, like["0.state"])
        tensors[name] = tensor.to(as_layer.device, as_layer.dtype if tensor.is_floating_point() else tensor.dtype)
    hidden = tensors.pop(HIDDEN, None)
    return Moment(state.tokens, unflatten_state(tensors), hidden)


def measured(state: StateFile) -> StateNumbers:
    """The numbers of ``state``, with its distance to the explored states where its model is here and has some."""
    explored, layers = None, mixers_of(state)
    if layers is not None:
        card = card_of(state)
        explored = Explored.load(card.explored) if card.explored else None
    found = None if explored is None or layers is None else sketched(state, explored, layers)
    return numbers_of(state, explored, found, layers)


def mixers_of(state: StateFile) -> tuple[str, ...] | None:
    """The mixers of the layers of ``state``, by name; None if its model is not here."""
    try:
        return card_of(state).config.layers
    except UserError:
        return None


def sketched(state: StateFile, explored: Explored, layers: Sequence[str]) -> np.ndarray | None:
    """The count sketch of each layer's state, (layers, features), in units of the explored states; None if unlike."""
    if explored.std.shape != (state.layers, state.heads):
        return None
    sketcher = Sketcher(state.tensors["0.state"][0].size, torch.from_numpy(explored.std.astype(np.float32)))
    memories = [torch.from_numpy(np.array(state.tensors[f"{layer}.state"])) for layer in range(state.layers)]
    pairs = enumerate(zip(layers, memories, strict=True))
    return np.stack([sketch_of(sketcher, at, name, memory)[0].numpy() for at, (name, memory) in pairs])


def compared(first: StateFile, second: StateFile) -> Comparison:
    """Two states side by side; UserError unless they have the same layers of the same shapes, or if all are caches."""
    check_alike(first, second)
    layers, angle = mixers_of(first), angles(first, second)
    if layers is not None:
        known = with_state(layers)
        if not known:
            raise UserError("state_file.caches", first=first.name, second=second.name)
        angle[[at for at in range(len(layers)) if at not in known]] = np.nan
    return Comparison(first=measured(first), second=measured(second), angle=angle)
