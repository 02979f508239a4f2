"""Which published checkpoints are on this machine, and what this user has said about them.

A checkpoint is where it was downloaded, in the hub's own cache, or in a folder that the user named. Nothing is
written there. What belongs to it here (its training length as the user has it, its explored states, the folder's path)
is below the user's home, in ``published/``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from model.checkpoints.card import ModelCard, home
from model.errors import UserError
from model.json_file import write_json
from model.published.config import read_published
from model.published.files import digest, stamp, weight_files

ABOUT = "about.json"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class PublishedCard(ModelCard):
    """A checkpoint that others trained; ``own`` is the folder of what belongs to it here."""

    own: Path

    @property
    def published(self) -> bool:
        """Whether others trained it, so that it is read by what transformers knows of it."""
        return True

    @property
    def weights(self) -> str:
        """The fingerprint of its weights, worked out once for as long as its files do not change."""
        mark = stamp(self.path)
        noted = about(self.name).get("weights")
        if isinstance(noted, dict) and noted.get("stamp") == mark:
            return str(noted["digest"])
        found = digest(self.path, self.name)
        note(self.name, weights={"stamp": mark, "digest": found})
        return found

    @property
    def explored_file(self) -> Path:
        """Where its explored states are kept, for its training length and these very weights."""
        return self.own / f"explored-{self.train_length}-{stamp(self.path)}.safetensors"


def own_folder(name: str) -> Path:
    """Where what belongs to the checkpoint ``name``, a hub name or a folder's path, is kept here."""
    folder = Path(name)
    if HUB_NAME.fullmatch(name) and not folder.exists():
        return home() / "published" / name.replace("/", "--")
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    return home() / "published" / f"{re.sub(r'[^A-Za-z0-9._-]', '-', folder.resolve().name)}-{mark}"


def about(name: str) -> dict[str, Any]:
    """What is noted about the checkpoint ``name``; empty if nothing is."""
    try:
        found = json.loads((own_folder(name) / ABOUT).read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def note(name: str, **values: Any) -> None:
    """Note ``values`` about the checkpoint ``name`` beside what is noted already."""
    folder = own_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ABOUT, {**about(name), **values})


def hub_cache() -> Path:
    """Where downloads from the hub lie, by the hub's own rules; other programs share it."""
    return Path(constants.HF_HUB_CACHE)


def downloaded(name: str) -> Path | None:
    """The folder of the hub's ``name`` in the cache; None if it was never downloaded."""
    folder = hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text("ascii").strip()
    except OSError:
        return None
    found = folder / "snapshots" / commit
    return found if (found / "config.json").exists() else None


def candidates() -> Iterator[tuple[str, Path]]:
    """Names and folders of every checkpoint that was downloaded or named, of whatever kind."""
    for refs in sorted(hub_cache().glob("models--*--*/refs/main")):
        name = refs.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        folder = downloaded(name)
        if folder is not None:
            yield name, folder
    for file in sorted((home() / "published").glob(f"*/{ABOUT}")):
        try:
            folder = Path(json.loads(file.read_text("utf-8"))["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if (folder / "config.json").exists():
            yield str(folder), folder


def known() -> dict[str, ModelCard]:
    """Every published checkpoint on this machine that can be read, by name."""
    cards = {}
    for name, folder in candidates():
        try:
            cards[name] = card_of(name, folder)
        except UserError:
            continue  # the Models page says why
    return cards


def card_of(name: str, folder: Path) -> ModelCard:
    """The checkpoint in ``folder`` as a model that can be chosen; UserError in a sentence if it cannot be read.

    Its weights are not opened.
    """
    noted = about(name)
    config = read_published(folder, name, noted.get("train_length"))
    weight_files(folder, name)
    return PublishedCard(name=name, path=folder, config=config, shipped=False, own=own_folder(name))


def find(name: str) -> ModelCard | None:
    """The published checkpoint ``name``: a folder, or what the hub's cache has of a hub name.

    None if ``name`` is neither. UserError if it is a hub name that was not downloaded, or cannot be read.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise UserError("published.no_config", name=name)
        return card_of(str(folder), folder)
    if not HUB_NAME.fullmatch(name):
        return None
    found = downloaded(name)
    if found is None:
        raise UserError("published.not_downloaded", name=name)
    if any(found.parent.parent.glob("blobs/*.incomplete")) and not any(found.glob("*.safetensors")):
        raise UserError("published.failed", name=name)
    return card_of(name, found)


def add_folder(path: str) -> ModelCard:
    """Take the folder ``path`` into the list of models; UserError if there is no checkpoint that can be read."""
    folder = Path(path).expanduser()
    card = find(str(folder.resolve())) if folder.is_dir() else None
    if card is None:
        raise UserError("published.no_folder", path=path)
    note(card.name, folder=card.name)
    return card


def forget_folder(name: str) -> None:
    """Take a folder off the list; nothing of the checkpoint is touched."""
    kept = {key: value for key, value in about(name).items() if key != "folder"}
    write_json(own_folder(name) / ABOUT, kept)
