"""What every module of a model gives, so that two models whose logits differ can be compared where they part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from model.published.body import LibraryModel


@contextmanager
def module_outputs(model: Any) -> Iterator[dict[str, Tensor]]:
    """Collect the output (1, seqlen, width) of every module of a causal language model, under the library's names.

    The first calls come first. What a later call gives is appended, as a model that reads in pieces is called more than
    once; outputs of other shapes are left out. A module that is called twice in a pass, as a shared one, is left out.
    """
    body = model.wrapped if isinstance(model, LibraryModel) else model
    found: dict[str, Tensor] = {}

    def note(name: str, _module: nn.Module, _given: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor) and first.ndim == 3 and len(first) == 1:
            noted = first.detach().float()
            found[name] = torch.cat([found[name], noted], dim=1) if name in found else noted

    hooks = [
        module.register_forward_hook(partial(note, name))
        for name, module in body.named_modules()
        if name and not isinstance(module, nn.ModuleList)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def first_difference(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float, padding: slice = slice(0, 0)
) -> str | None:
    """The first module by its call whose output differs by more than ``tolerance`` of the largest; None if none does.

    ``padding`` are the tokens of ``found`` that are not among those expected.
    """
    for name, theirs in expected.items():
        ours = found.get(name)
        if ours is None:
            continue
        kept = torch.cat([ours[:, : padding.start], ours[:, padding.stop :]], dim=1)
        if kept.shape == theirs.shape and not (kept - theirs).abs().max() <= tolerance * theirs.abs().max():
            return name
    return None
