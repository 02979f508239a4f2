"""A state in a file of its own: the memory of a model after some tokens of a document, to keep, to compare, to ask.

A safetensors file, so nothing is ever unpickled. Its tensors have the names of :func:`model.state.flatten_state`:

    <layer>.state        (1, nheads, headdim, d_state) float32, the recurrent memory
    <layer>.window       (1, d_conv - 1, channels), the last inputs of the short convolution
    <layer>.past.<k>     what a mitigation keeps beside the memory, or the keys and values that attention caches
    <layer>.rest.<k>     keys and values of attention beside it
    hidden               (1, d_model), what the head reads after the last token, so that the next token is known too

Its metadata: ``format`` and ``version``, ``model`` and ``weights`` (their fingerprint), ``document`` (SHA-256 of its
text, which is not in the file), ``tokens`` that were read, ``heads`` as they are recorded (groups of channels where a
head is one), and ``experiment``, the whole reading with its strategy as JSON. Opened with numpy alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.disk import write_whole, writing
from model.errors import UserError
from model.experiment import Experiment
from model.recording.reader import Recording

FORMAT, VERSION = "memory-explorer state", 1
HIDDEN = "hidden"
NAMES = re.compile(r"\d{1,4}\.(state|window|past\.\d{1,3}|rest\.\d{1,3})", re.ASCII)
DIGITS = 12
"""Hexadecimal digits of a file's SHA-256 that name it in an experiment."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StateFile:
    """The memory after ``tokens`` tokens of the reading ``experiment``, by tensor name.

    ``heads`` are those that a layer is recorded with; ``name`` is for sentences.
    """

    experiment: Experiment
    tokens: int
    heads: int
    tensors: Mapping[str, np.ndarray]
    name: str = ""

    @property
    def layers(self) -> int:
        """Recurrent layers that it has the memory of."""
        return sum(name.endswith(".state") for name in self.tensors)

    def memory(self, layer: int) -> np.ndarray:
        """The recurrent memory of ``layer`` by recorded head, (heads, headdim, d_state), in float64."""
        found = self.tensors[f"{layer}.state"][0].astype(np.float64)
        return found.reshape(self.heads, -1, found.shape[-1])

    def cache(self, layer: int) -> np.ndarray:
        """Keys and values of attention in ``layer``, (heads, tokens, 2 * headdim), in float64."""
        parts = [self.tensors[f"{layer}.past.{place}"][0].astype(np.float64) for place in (0, 1)]
        return np.concatenate(parts, axis=2).transpose(1, 0, 2)

    def to_bytes(self) -> bytes:
        """The content of the file."""
        values = self.experiment
        metadata = {
            "format": FORMAT,
            "version": str(VERSION),
            "model": values.model,
            "weights": values.weights,
            "document": values.document,
            "tokens": str(self.tokens),
            "heads": str(self.heads),
            "experiment": json.dumps(values.to_json(), sort_keys=True),
        }
        tensors = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        return save(tensors, metadata)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.to_bytes())

    @staticmethod
    def load(path: Path) -> StateFile:
        """The state in the file ``path``; UserError if there is none."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError("state_file.unreadable", name=path.name, reason=error.strerror or str(error)) from error
        return StateFile.of(data, path.name)

    @staticmethod
    def of(data: bytes, name: str) -> StateFile:
        """The state in the content ``data`` of the file ``name``; UserError for anything else."""
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = header.get("__metadata__") or {}
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("state_file.not_safetensors", name=name) from error
        try:
            if metadata["format"] != FORMAT:
                raise ValueError("of another kind")
            if int(metadata["version"]) > VERSION:
                raise UserError("state_file.newer", name=name)
            experiment = Experiment.from_json(json.loads(metadata["experiment"]))
            tokens, heads = int(metadata["tokens"]), int(metadata["heads"])
            found = StateFile(experiment=experiment, tokens=tokens, heads=heads, tensors=tensors, name=name)
            _check(found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError("state_file.not_a_state", name=name) from error
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise UserError("state_file.not_finite", name=name)
        return found

    def check_weights(self, model: str, weights: str) -> None:
        """UserError unless the state is of the model with the fingerprint ``weights``, here called ``model``."""
        if self.experiment.weights != weights:
            raise UserError("state_file.other_weights", name=self.name, of=self.experiment.model, model=model)


def _check(found: StateFile) -> None:
    """ValueError or TypeError unless names, shapes and metadata are those of a state."""
    experiment, names = found.experiment, set(found.tensors) - {HIDDEN}
    for value in (experiment.model, experiment.weights, experiment.document, *experiment.off):
        if not isinstance(value, str):
            raise TypeError("a text")
    if not all(NAMES.fullmatch(name) for name in names) or not found.layers:
        raise ValueError("other tensors")
    if not {f"{layer}.{part}" for layer in range(found.layers) for part in ("state", "window")} <= names:
        raise ValueError("a layer is missing")
    for layer in range(found.layers):
        array = found.tensors[f"{layer}.state"]
        if array.ndim != 4 or len(array) != 1 or not array.size or array.dtype.kind != "f":
            raise ValueError("another shape")
        if found.heads < 1 or array.shape[1] % found.heads:
            raise ValueError("other heads")
    if found.tokens < 1:
        raise ValueError("no tokens")


def carried_from(path: Path) -> tuple[str, Mapping[str, np.ndarray], StateFile | None]:
    """What a carried state at ``path`` is: its name in an experiment, its tensors, and the state file if it is one.

    A folder is a recording, named by its key; a file is a state file, named by the first digits of its SHA-256.
    """
    if path.is_dir():
        recording = Recording(path)
        return recording.key, recording.state(), None
    found = StateFile.load(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS], found.tensors, found
