"""Weights of a published checkpoint into our modules, tensor by tensor: never more than one of them twice in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from model.errors import UserError
from model.machine import free_memory
from model.published import FAMILIES
from model.published.config import PublishedConfig
from model.published.files import TensorEntry, tensors_in
from model.published.lm import PublishedModel, Source
from model.published.room import check_room, room_of

IGNORED = ("rotary_emb.inv_freq",)
"""Tensors that some checkpoints hold and that follow from the configuration."""


def outline(config: PublishedConfig) -> PublishedModel:
    """The model of ``config`` without a single weight: its tensors are on no device."""
    anatomy = import_module(f"model.published.{FAMILIES[config.family].module}").anatomy
    with torch.device("meta"):
        return PublishedModel(config, anatomy(config)).requires_grad_(False).eval()


def load_published(
    folder: Path,
    name: str,
    config: PublishedConfig,
    precision: str = "float32",
    device: str = "cpu",
    make_room: Callable[[], None] = lambda: None,
) -> PublishedModel:
    """The checkpoint in ``folder``, matrices in ``precision``, on ``device``.

    ``make_room`` is called once if there is not enough memory, before giving up. UserError for a checkpoint that does
    not fit into memory, is damaged, or whose tensors are not those of its configuration.
    """
    model = outline(config)
    entries = tensors_in(folder, name)
    check_tensors(model, entries, name)
    room = room_of(config, sum(entry.size for entry in entries.values()), precision)
    if room.needed > free_memory(device):
        make_room()
        gc.collect()
    check_room(room, name, device)

    narrow = model.compute_parameters() if precision == "bfloat16" else set()
    with ExitStack() as stack:
        opened: dict[Path, Any] = {}
        for parameter, source in model.table.items():
            tensor = torch.zeros(shape_of(model, parameter))
            if source is not None:
                theirs, change = (source, None) if isinstance(source, str) else source
                entry = entries[alias(theirs, entries)]
                try:
                    if entry.file not in opened:
                        opened[entry.file] = stack.enter_context(safe_open(entry.file, "pt", device=device))
                    tensor = opened[entry.file].get_tensor(alias(theirs, entries))
                except (OSError, SafetensorError) as error:
                    raise UserError("checkpoints.bad_weights", name=name) from error
                tensor = tensor if change is None else change(tensor)
            if tensor.shape != shape_of(model, parameter):
                raise UserError("checkpoints.bad_weights", name=name)
            dtype = torch.bfloat16 if parameter in narrow else torch.float32
            place(model, parameter, tensor.to(device, dtype).contiguous())
    return model


def check_tensors(model: PublishedModel, entries: dict[str, TensorEntry], name: str) -> None:
    """UserError unless the checkpoint has every tensor that ``model`` needs, and none that it knows nothing of."""
    wanted = {alias(_name(source), entries) for source in model.table.values() if source is not None}
    missing = sorted(wanted - entries.keys())
    if missing:
        raise UserError("published.missing_tensor", name=name, tensor=missing[0])
    tied = {"lm_head.weight"} if model.config.tied else set()
    foreign = sorted(entry for entry in entries.keys() - wanted - tied if not entry.endswith(IGNORED))
    if foreign:
        raise UserError("published.foreign_tensor", name=name, tensor=foreign[0])


def _name(source: Source) -> str:
    assert source is not None
    return source if isinstance(source, str) else source[0]


def alias(theirs: str, entries: dict[str, TensorEntry]) -> str:
    """``theirs``, or what the original layout of the state-spaces repositories calls it."""
    other = theirs.replace("backbone.embeddings.", "backbone.embedding.")
    return other if theirs not in entries and other in entries else theirs


def shape_of(model: nn.Module, parameter: str) -> torch.Size:
    """The shape that ``model`` wants for a parameter."""
    return model.get_parameter(parameter).shape


def place(model: nn.Module, parameter: str, tensor: Tensor) -> None:
    """Put ``tensor`` where ``model`` has the outline of ``parameter``."""
    owner, _, last = parameter.rpartition(".")
    setattr(model.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
