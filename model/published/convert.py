"""Pickled weights to safetensors, without running what a pickle may hold.

``torch.load(weights_only=True)`` builds tensors and plain containers alone and refuses everything else, so a program
that hides in a file is not run. Reading a model never opens a pickle: this is a step of its own, which a user asks for.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from model.disk import writing
from model.errors import UserError
from model.json_file import write_json
from model.published.files import INDEX, PICKLED, SINGLE

WRAPPED = ("state_dict", "model_state_dict", "model", "module")
"""Under which names training programs put the weights beside what else they save."""


def convert(folder: Path, out: Path | None = None) -> Path:
    """Write the pickled weights in ``folder`` as safetensors to ``out``, or beside them; the folder that was written.

    What else a checkpoint needs is copied. UserError if there is nothing to convert, a file is damaged, or holds
    anything but tensors.
    """
    if not folder.is_dir():
        raise UserError("published.no_folder", path=str(folder))
    target = folder if out is None else out
    if any(target.glob("*.safetensors")):
        raise UserError("convert.already", path=str(target))
    sources = pickled_files(folder)
    if not sources:
        raise UserError("convert.nothing", path=str(folder))
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
    weight_map: dict[str, str] = {}
    written: list[Path] = []
    with cleared(written):
        for number, source in enumerate(sources, 1):
            named = SINGLE if len(sources) == 1 else f"model-{number:05d}-of-{len(sources):05d}.safetensors"
            tensors = tensors_of(source)
            twice = sorted(weight_map.keys() & tensors.keys())
            if twice:
                raise UserError("convert.twice", file=source.name, tensor=twice[0])
            written.append(target / f"{named}.partial")
            with writing(written[-1]):
                save(tensors, written[-1])
            weight_map |= dict.fromkeys(tensors, named)
    for partial in written:  # all or none: a half of a checkpoint would be taken for a whole one
        partial.replace(partial.with_suffix(""))
    if len(sources) > 1:
        write_json(target / INDEX, {"metadata": {}, "weight_map": weight_map})
    if target != folder:
        with writing(target):
            copy_beside(folder, target)
    return target


def copy_beside(folder: Path, target: Path) -> None:
    """Copy what a checkpoint in ``folder`` has beside its weights."""
    for file in (*folder.glob("*.json"), *folder.glob("*.model"), *folder.glob("*.txt")):
        if not file.name.endswith(".index.json"):
            shutil.copy2(file, target)


def save(tensors: dict[str, Tensor], file: Path) -> None:
    """Write ``tensors`` as safetensors; OSError for what the system refuses, which the library says in words alone."""
    try:
        save_file(tensors, file, metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(file)) from error


@contextmanager
def cleared(files: Sequence[Path]) -> Iterator[None]:
    """Delete ``files`` if not all could be written: halves of weights would fill a full disk."""
    try:
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def pickled_files(folder: Path) -> list[Path]:
    """The weights to convert: those of an index, else all files of their kind; never an optimiser's state."""
    for index in sorted(folder.glob("*.bin.index.json")):
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError("convert.damaged", file=index.name) from error
        files = [folder / Path(name).name for name in sorted(names)]
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise UserError("published.missing_file", name=str(folder), file=missing[0])
        return files
    found = sorted(file for file in folder.iterdir() if file.suffix in PICKLED and file.is_file())
    beside = ("optimizer", "scheduler", "training_args", "rng_state", "scaler")
    return [file for file in found if not file.name.startswith(beside)]


def tensors_of(file: Path) -> dict[str, Tensor]:
    """Every tensor in ``file`` by name, each with memory of its own; UserError for whatever is not safe or not one."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError("convert.unsafe", file=file.name) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise UserError("convert.damaged", file=file.name) from error
    tensors = dict(tensors_in(found))
    if not tensors:
        raise UserError("convert.damaged", file=file.name)
    known: set[int] = set()
    for name, tensor in tensors.items():  # tied tensors lie at one place, which safetensors does not have
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone().contiguous() if place in known else tensor.contiguous()
        known.add(place)
    return tensors


def tensors_in(found: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state dict, also of one that lies beside other things."""
    if not isinstance(found, dict):
        return
    if not any(isinstance(value, Tensor) for value in found.values()):
        inner = next((found[name] for name in WRAPPED if isinstance(found.get(name), dict)), None)
        yield from tensors_in(inner)
        return
    yield from ((str(name), value) for name, value in found.items() if isinstance(value, Tensor))
