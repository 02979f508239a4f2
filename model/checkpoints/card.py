"""A model as it stands on disk: its name, its folder, its configuration, the fingerprint of its weights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from model.config import ModelConfig
from model.mixers import rates, recurrent, state_size


def home() -> Path:
    """Where this user's checkpoints and kept recordings live: MEMORY_EXPLORER_HOME, or the usual data folder."""
    return Path(os.environ.get("MEMORY_EXPLORER_HOME") or Path.home() / ".local" / "share" / "memory-explorer")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A model of this project that can be chosen: the folder ``path`` with its weights. Opening one reads no weights.

    A checkpoint that others trained is a :class:`model.published.registry.PublishedCard`.
    """

    name: str
    path: Path
    config: ModelConfig
    shipped: bool

    @property
    def published(self) -> bool:
        """Whether others trained it, so that it is read by what transformers knows of it."""
        return False

    @property
    def train_length(self) -> int:
        """Tokens of a training sequence."""
        return self.config.train_length

    @property
    def state_size(self) -> int:
        """Elements of the recurrent state, without the cache of attention."""
        return state_size(self.config)

    @property
    def has_cache(self) -> bool:
        """Whether one of its layers is attention, whose cache grows with what is read."""
        return recurrent(self.config.layers) != self.config.layers

    @property
    def has_rates(self) -> bool:
        """Whether it has logarithms of decay rates, which may be taught at a learning rate of their own."""
        return rates(self.config.layers)

    @property
    def weights(self) -> str:
        """Fingerprint of the weights: the first sixteen digits of the file's SHA-256."""
        file = self.path / "model.safetensors"
        return fingerprint(file, file.stat().st_mtime_ns)

    @property
    def explored_file(self) -> Path:
        """Where its explored states lie, or would lie."""
        return self.path / "explored.safetensors"

    @property
    def explored(self) -> Path | None:
        """The file of explored states, if there is one; None without a recurrent state, which a cache is not."""
        file = self.explored_file
        return file if recurrent(self.config.layers) and file.exists() else None

    @property
    def training(self) -> dict[str, Any] | None:
        """What its ``training.json`` says of how it was made; None if that is missing or cannot be read."""
        try:
            record = json.loads((self.path / "training.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    @property
    def made_from(self) -> str | None:
        """The weights that it was post-trained from, "" if it was trained from scratch, None if it does not say."""
        record = self.training
        return None if record is None else str(record.get("base_weights") or "")


@lru_cache(maxsize=64)
def fingerprint(file: Path, _changed: int) -> str:
    """The first sixteen hexadecimal digits of a file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def same_tokenizer(one: ModelCard, other: ModelCard) -> bool:
    """Whether two models read the same tokens, so that their losses and predictions can be compared."""
    files = [card.path / "tokenizer.json" for card in (one, other)]
    if not all(file.exists() for file in files):
        return one.name == other.name
    first, second = (fingerprint(file, file.stat().st_mtime_ns) for file in files)
    return first == second
