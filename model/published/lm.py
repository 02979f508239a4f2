"""A model whose modules are all ours, on our door: the interface of :class:`model.arch.lm.LanguageModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kernels.cpu.products import Products
from kernels.dispatch import scan_to_end
from kernels.types import Scan
from model.arch.layers import Linear
from model.arch.lm import LanguageModel
from model.published.config import PublishedConfig
from model.published.parts import Stage
from model.state import State


class Made(NamedTuple):
    """A parameter that is ``change`` of what lies under ``names``."""

    names: tuple[str, ...]
    change: Callable[..., Tensor]


Source = str | Made | None
"""Where a parameter's values lie in a checkpoint: under a name, under names and to be transformed, or zeros."""

Table = dict[str, Source]


class MemoryPart(NamedTuple):
    """A recurrent memory; ``weights`` are named from its stage: ``norm.weight``, ``mixer.A_log``."""

    norm: nn.Module
    mixer: nn.Module
    weights: Table


class BesidePart(NamedTuple):
    """A part of :mod:`model.published.parts`; ``weights`` are named from the part itself."""

    module: nn.Module
    weights: Table


class Anatomy(NamedTuple):
    """A whole model: its parts in order, a memory first, and what is around them.

    ``weights`` are those of embedding, norm and head.
    """

    parts: Sequence[MemoryPart | BesidePart]
    norm: nn.Module
    weights: Table
    embedding_norm: nn.Module | None = None


class PublishedModel(LanguageModel):
    """A stack of stages, one for each recurrent memory. ``table`` says where every parameter's values lie."""

    def __init__(self, config: PublishedConfig, anatomy: Anatomy) -> None:
        nn.Module.__init__(self)
        self.config: PublishedConfig = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        stages, self.table = assemble(anatomy)
        self.blocks = nn.ModuleList(stages)
        self.norm = anatomy.norm  # type: ignore[assignment]
        self.lm_head = None if config.tied else nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.products = Products()
        self.embedding_norm = anatomy.embedding_norm
        if config.tied:
            self.table.pop("lm_head", None)

    def logits(self, u: Tensor, words: slice = slice(None)) -> Tensor:
        """Scores of the next token, or of the ``words`` of the vocabulary: (..., d_model) -> (..., vocab_size)."""
        return bent(super().logits(u, words), self.config.logit_cap)

    def zero_state(self, batch: int = 1) -> State:
        """An empty memory for ``batch`` sequences."""
        stages: list[Any] = list(self.blocks)
        return tuple(stage.zero_state(batch) for stage in stages)

    def hidden(
        self, tokens: Tensor, state: State | None = None, scans: Sequence[Scan] | None = None
    ) -> tuple[Tensor, State]:
        """What the head reads, (batch, seqlen, d_model), and the state after the last token."""
        state = self.zero_state(tokens.shape[0]) if state is None else state
        scans = [scan_to_end] * len(self.blocks) if scans is None else scans
        u = self.embedding(tokens).to(state[0].memory.state.dtype)
        if self.embedding_norm is not None:
            u = self.embedding_norm(u)
        after = []
        for stage, layer_state, scan in zip(self.blocks, state, scans, strict=True):
            u, layer_state = stage(u, layer_state, scan)
            after.append(layer_state)
        return self.norm(u), tuple(after)

    def use_bfloat16(self) -> PublishedModel:
        """The model itself: a published one is loaded in the precision that it is used in."""
        return self

    def compute_parameters(self) -> set[str]:
        """Names of the parameters that matrix products read, and that bfloat16 is for; the rest stays in float32."""
        linear = [name for name, module in self.named_modules() if isinstance(module, Linear)]
        return {"embedding.weight", "lm_head", *(f"{name}.{part}" for name in linear for part in ("weight", "bias"))}


def bent(scores: Tensor, cap: float | None) -> Tensor:
    """``scores`` softly held between -cap and cap; as they are without one."""
    return scores if cap is None else torch.tanh(scores / cap) * cap


def assemble(anatomy: Anatomy) -> tuple[list[Stage], Table]:
    """Group the parts into stages, one per memory with what follows it, and name every parameter's source."""
    groups: list[tuple[MemoryPart, list[BesidePart]]] = []
    for part in anatomy.parts:
        if isinstance(part, MemoryPart):
            groups.append((part, []))
        else:
            groups[-1][1].append(part)
    table = dict(anatomy.weights)
    stages = []
    for index, (memory, after) in enumerate(groups):
        table |= {f"blocks.{index}.{name}": source for name, source in memory.weights.items()}
        for number, beside in enumerate(after):
            table |= {f"blocks.{index}.after.{number}.{name}": source for name, source in beside.weights.items()}
        stages.append(Stage(memory.norm, memory.mixer, [part.module for part in after]))
    return stages, table


def under(prefix: str, table: Table) -> Table:
    """``table`` with every source below ``prefix``."""

    def below(source: Source) -> Source:
        if isinstance(source, Made):
            return source._replace(names=tuple(prefix + name for name in source.names))
        return None if source is None else prefix + source

    return {name: below(source) for name, source in table.items()}


def linear(ours: str, theirs: str, *, bias: bool = False) -> Table:
    """The rows of a linear map."""
    found: Table = {f"{ours}.weight": f"{theirs}.weight"}
    return found | {f"{ours}.bias": f"{theirs}.bias"} if bias else found
