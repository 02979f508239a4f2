"""A published checkpoint into memory: by the library with our mixers inside, or tensor by tensor into our modules.

Neither way holds more than one tensor twice. The library reads safetensors alone and runs no code of a checkpoint's
own.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from model.errors import UserError
from model.machine import free_memory
from model.published import FAMILIES
from model.published.attention import bound_attention
from model.published.body import LibraryModel, replace_mixers
from model.published.config import PublishedConfig
from model.published.files import TensorEntry, shape_in_words, tensors_in
from model.published.lm import Made, PublishedModel, Source
from model.published.room import check_room, room_of

IGNORED = ("rotary_emb.inv_freq",)
"""Tensors that some checkpoints hold and that follow from the configuration."""
MOST_LACKING = 2
"""How many times the numbers in its files a model may have: with more of them missing, it is not theirs."""
WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that a compiled model, and one trained on several devices, leave before every name."""


def outline(config: PublishedConfig) -> PublishedModel:
    """The model of ``config`` without a single weight: its tensors are on no device."""
    anatomy = import_module(f"model.published.{FAMILIES[config.family].module}").anatomy
    with torch.device("meta"):
        return PublishedModel(config, anatomy(config)).requires_grad_(False).eval()


def count_parameters(config: PublishedConfig, name: str = "") -> int:
    """Parameters of a model of ``config``, from the configuration alone: nothing is loaded, and nothing allocated.

    UserError, with the model's ``name``, for sizes that do not go together.
    """
    try:
        if FAMILIES[config.family].in_transformers:
            with torch.device("meta"):
                library = AutoModelForCausalLM.from_config(deepcopy(config.source))
            return sum(parameter.numel() for parameter in library.parameters())
        model = outline(config)
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
        raise UserError("checkpoints.bad_config", name=name) from error
    stored = {name for name, source in model.table.items() if source is not None}  # others stay as they are made
    return sum(parameter.numel() for name, parameter in model.named_parameters() if name in stored)


def load_published(
    folder: Path,
    name: str,
    config: PublishedConfig,
    precision: str = "float32",
    device: str = "cpu",
    make_room: Callable[[], None] = lambda: None,
) -> PublishedModel | LibraryModel:
    """The checkpoint in ``folder``, matrices in ``precision``, on ``device``.

    ``make_room`` is called once if there is not enough memory, before giving up. UserError for a checkpoint that does
    not fit into memory, is damaged, or whose tensors are not those of its configuration.
    """
    entries = tensors_in(folder, name)
    if len(config.layers) > len(entries):
        raise UserError("checkpoints.bad_weights", name=name)
    stored = sum(entry.size for entry in entries.values())
    if (wanted := count_parameters(config, name)) > MOST_LACKING * stored:
        raise UserError("published.larger_than_files", name=name, wanted=f"{wanted:,}", found=f"{stored:,}")
    room = room_of(config, stored, precision)
    if room.needed > free_memory(device):
        make_room()
        gc.collect()
    check_room(room, name, device)
    if FAMILIES[config.family].library_body:
        return load_by_library(folder, name, config, precision, device)
    return load_tensors(entries, name, config, precision, device)


def load_by_library(folder: Path, name: str, config: PublishedConfig, precision: str, device: str) -> LibraryModel:
    """The library's model in ``folder`` with our mixers in the place of its own."""
    family = import_module(f"model.published.{FAMILIES[config.family].module}")
    library = read_library(folder, name, config, precision)
    if library.get_output_embeddings().bias is not None:
        raise UserError("published.foreign_tensor", name=name, tensor="lm_head.bias")
    replace_mixers(library, family.MIXER, partial(family.adopted, config), pair=getattr(family, "PAIR", False))
    bound_attention(library)
    return LibraryModel(config, library.to(device), scale=config.logit_scale, cap=config.logit_cap)


def read_library(folder: Path, name: str, config: PublishedConfig, precision: str = "float32") -> Any:
    """The library's own model in ``folder``, in evaluation mode on the CPU, as it is.

    UserError if its tensors are not those of its configuration, or are damaged.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what does not fit is said below, in one sentence
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=deepcopy(config.source),
            dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            key_mapping=renamed(tensors_in(folder, name)),
        )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise UserError("checkpoints.bad_weights", name=name) from error
    library, found = loaded
    refuse_misfits(found, name)
    return library.requires_grad_(False).eval()


def renamed(entries: dict[str, TensorEntry]) -> dict[str, str] | None:
    """Patterns that turn the names of a checkpoint into those of the library; None if they are those.

    Wrappers of training leave a prefix, and the original layout of Mamba calls the embedding by another name.
    """
    found: dict[str, str] = {}
    names, prefix = list(entries), ""
    while wrapper := next((word for word in WRAPPERS if all(name.startswith(word) for name in names)), None):
        prefix, names = prefix + wrapper, [name.removeprefix(wrapper) for name in names]
    if any(name.startswith("backbone.embedding.") for name in names):
        found[f"^{re.escape(prefix)}backbone\\.embedding\\."] = "backbone.embeddings."
    if prefix:
        found[f"^{re.escape(prefix)}"] = ""
    return found or None


def refuse_misfits(found: dict[str, Any], name: str) -> None:
    """UserError in one sentence unless the library found every tensor that it wanted, in its shape, and no other."""
    if found["mismatched_keys"]:
        tensor, theirs, wanted = sorted(found["mismatched_keys"])[0]
        shapes = {"found": shape_in_words(theirs), "wanted": shape_in_words(wanted)}
        raise UserError("published.wrong_shape", name=name, tensor=tensor, **shapes)
    if found["missing_keys"]:
        raise UserError("published.missing_tensor", name=name, tensor=sorted(found["missing_keys"])[0])
    foreign = sorted(entry for entry in found["unexpected_keys"] if not entry.endswith(IGNORED))
    if foreign:
        raise UserError("published.foreign_tensor", name=name, tensor=foreign[0])


def load_tensors(
    entries: dict[str, TensorEntry], name: str, config: PublishedConfig, precision: str, device: str
) -> PublishedModel:
    """The checkpoint of ``entries`` in our own modules, for the families that have none of the library's."""
    model = outline(config)
    check_tensors(model, entries, name)
    narrow = model.compute_parameters() if precision == "bfloat16" else set()
    with ExitStack() as stack:
        opened: dict[Path, Any] = {}

        def stored(theirs: str) -> Tensor:
            file = entries[theirs].file
            try:
                if file not in opened:
                    opened[file] = stack.enter_context(safe_open(file, "pt", device=device))
                tensor: Tensor = opened[file].get_tensor(theirs)
            except (OSError, SafetensorError) as error:
                raise UserError("checkpoints.bad_weights", name=name) from error
            return tensor

        for parameter, source in model.table.items():
            wanted = shape_of(model, parameter)
            tensor = made_of(source, [stored(theirs) for theirs in names_of(source)], wanted, name)
            if tensor.shape != wanted:
                shapes = {"found": shape_in_words(tensor.shape), "wanted": shape_in_words(wanted)}
                raise UserError("published.wrong_shape", name=name, tensor=names_of(source)[0], **shapes)
            dtype = torch.bfloat16 if parameter in narrow else torch.float32
            place(model, parameter, tensor.to(device, dtype).contiguous())
    return model


def check_tensors(model: PublishedModel, entries: dict[str, TensorEntry], name: str) -> None:
    """UserError unless the checkpoint has every tensor that ``model`` needs, and no other."""
    wanted = {theirs for source in model.table.values() for theirs in names_of(source)}
    missing = sorted(wanted - entries.keys())
    if missing:
        raise UserError("published.missing_tensor", name=name, tensor=missing[0])
    tied = {"lm_head.weight", "head.weight"} if model.config.tied else set()
    foreign = sorted(entry for entry in entries.keys() - wanted - tied if not entry.endswith(IGNORED))
    if foreign:
        raise UserError("published.foreign_tensor", name=name, tensor=foreign[0])


def made_of(source: Source, found: Sequence[Tensor], wanted: torch.Size, name: str) -> Tensor:
    """The values of a parameter from the tensors of its ``source``; UserError if these do not fit each other."""
    if not isinstance(source, Made):
        return found[0] if found else torch.zeros(wanted)
    try:
        return source.change(*found)
    except (RuntimeError, IndexError) as error:
        raise UserError("checkpoints.bad_weights", name=name) from error


def names_of(source: Source) -> tuple[str, ...]:
    """The tensors of a checkpoint that a parameter is made of."""
    if isinstance(source, Made):
        return source.names
    return () if source is None else (source,)


def shape_of(model: nn.Module, parameter: str) -> torch.Size:
    """The shape that ``model`` has for a parameter."""
    return model.get_parameter(parameter).shape


def place(model: nn.Module, parameter: str, tensor: Tensor) -> None:
    """Put ``tensor`` where ``model`` has the outline of ``parameter``."""
    owner, _, last = parameter.rpartition(".")
    setattr(model.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
