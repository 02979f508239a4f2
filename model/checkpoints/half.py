"""Weights of a checkpoint in half the room: matrices of products in float16, everything else in float32.

A model computes in float32 whatever its file holds. Decay rates, frequencies, step sizes and norms are few and act over
thousands of tokens, so they keep all their digits; so does a matrix with a number that float16 does not hold.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from model.checkpoints.catalogue import holds_ours, load_model
from model.disk import write_whole, writing
from model.errors import UserError
from model.published.files import SINGLE


def halved(name: str, tensor: Tensor) -> Tensor:
    """``tensor`` in float16 if it is the matrix of a product, by its ``name``, and fits; else as it is."""
    fits = tensor.ndim > 1 and name.endswith(".weight") and bool(tensor.abs().max() < torch.finfo(torch.float16).max)
    return tensor.half() if fits else tensor


def halve(folder: Path) -> tuple[int, int]:
    """Write the weights of the checkpoint in ``folder`` again, halved; returns the bytes before and after.

    Explored states and whatever else lies in the folder stay. UserError if it is no checkpoint of this project, or if
    its weights cannot be read.
    """
    file = folder / SINGLE
    if not holds_ours(folder):
        raise UserError("checkpoints.not_ours", name=folder.name)
    try:
        tensors = load_file(file)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError("checkpoints.bad_weights", name=folder.name) from error
    before = file.stat().st_size
    with writing(folder):
        write_whole(file, save({name: halved(name, tensor).contiguous() for name, tensor in tensors.items()}))
    load_model.cache_clear()
    return before, file.stat().st_size
