"""A finished run becomes a model of this machine: under a name that is free, and whole or not at all. No torch."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

from model.checkpoints.card import home
from model.checkpoints.catalogue import available
from model.errors import UserError

FILES = ("config.json", "model.safetensors", "tokenizer.json", "explored.safetensors", "training.json")
"""What a checkpoint is made of; anything else in a run's folder stays there."""

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
"""Names that are the same on every file system, in a link and in a command."""


def keep_checkpoint(folder: Path, name: str) -> Path:
    """Copy the checkpoint in ``folder`` to where every page finds models, as ``name``; returns its new folder.

    ``folder`` stays as it is, so that a name that does not do loses nothing. UserError if ``name`` is empty, odd or
    taken, or if nothing can be written there.
    """
    check_name(name)
    target = home() / "checkpoints" / name
    partial = home() / "checkpoints.partial" / f"{name}-{secrets.token_hex(4)}"  # not where models are looked for
    try:
        partial.mkdir(parents=True)
        for file in FILES:
            shutil.copyfile(folder / file, partial / file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise UserError("lab.name_taken", name=name)
        partial.rename(target)
    except OSError as error:
        raise UserError("lab.cannot_keep", folder=str(target.parent)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def check_name(name: str) -> None:
    """UserError if no model can have the name ``name``, or one has it."""
    if not name.strip():
        raise UserError("lab.name_empty")
    if not NAME.fullmatch(name):
        raise UserError("lab.name_odd", name=name)
    taken = {known.casefold() for known in available()}  # some file systems take Base and base for one
    if name.casefold() in taken or (home() / "checkpoints" / name).exists():
        raise UserError("lab.name_taken", name=name)


def free_name(base: str, intervention: str) -> str:
    """A name to suggest: the base and the intervention, with a number if that is taken."""
    stem = f"{base}-{intervention}"[:56]
    taken = {known.casefold() for known in available()}
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in numbered if name.casefold() not in taken)
