"""Is a published checkpoint computed right? Ours against the library, and the library against itself.

The reference is one forward pass of transformers in float32 over random tokens, without a cache; of a family that the
library does not have, our own loop over time. Ours is judged: in one piece, in uneven pieces, and in bfloat16 against
what the library's own bfloat16 loses. How the library continues from its cache, and what padding does to it, is
reported beside that: what serves a model runs these ways, and they have been wrong more than once.

A difference is the largest of a logit, divided by the largest logit of the reference. Where two part, a second pass
compares what their modules give and names the first that differs (:mod:`model.studies.module_outputs`).
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from kernels.reference import reference_scan
from kernels.types import Scan
from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.published import FAMILIES
from model.published.config import PublishedConfig
from model.published.load import load_published, read_library
from model.studies.module_outputs import first_difference, module_outputs

TOKENS = 257
TOLERANCE = 1e-4
PADDING = 7
"""Tokens of padding, on either side."""
STEPS = 16
"""Tokens that are read one by one at the end."""
PIECES = (1, 2, 7, 63, 64)
"""Lengths of uneven pieces; the rest of the tokens is one more."""
LEAST, MOST = sum(PIECES) + STEPS, 65_536
"""Tokens that can be asked for: every way has its pieces, and logits of a large vocabulary fit into memory."""
MOVED, DRAWS = 1e-6, 4
"""Relative change of weights, and how often it is drawn, that shows where rounding decides what is selected."""

Way = Callable[[Any, Tensor], Tensor]
"""``way(model, tokens (1, seqlen))`` gives logits (1, seqlen, vocab_size) in float32."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row of the table.

    ``difference`` is None where the computation failed, and ``error`` then says how. A row that is not ``judged`` is
    reported only. Where ``allowed`` is exceeded, ``position`` is the first token that differs, counted from 0, and
    ``module`` the first module whose output does. ``tie``: the library's own logits move too at these positions when
    its weights move by a millionth, so that rounding decides there which tokens or experts are selected.
    """

    way: str
    allowed: float
    judged: bool = True
    difference: float | None = None
    position: int | None = None
    module: str | None = None
    tie: bool = False
    error: str | None = None

    @property
    def parts(self) -> bool:
        """Whether it differs by more than is allowed, or was not computed."""
        return self.difference is None or not self.difference <= self.allowed


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All rows: ``ours``, and how the ``library`` computes in other ways. ``reference`` is its version, or "loop"."""

    name: str
    family: str
    reference: str
    tokens: int
    ours: tuple[Check, ...]
    library: tuple[Check, ...] = ()

    @property
    def right(self) -> bool:
        """Whether ours computes what the reference computes."""
        return not any(check.parts and check.judged and not check.tie for check in self.ours)

    def to_json(self) -> dict[str, object]:
        """A dictionary for JSON."""
        return {**asdict(self), "right": self.right}


def verify(name: str, *, tokens: int = TOKENS, seed: int = 0, tolerance: float = TOLERANCE) -> Verification:
    """Compare the published model ``name``, a folder or a downloaded name of the hub, with its reference.

    ``tokens`` random ones are read, drawn with ``seed``. UserError if it is no published model, or cannot be read.
    """
    card = model_card(name)
    if not isinstance(card.config, PublishedConfig):
        raise UserError("verify.not_published", name=name)
    if not LEAST <= tokens <= MOST:
        raise UserError("verify.tokens", value=tokens, least=LEAST, most=MOST)
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, card.config.vocab_size, (1, tokens), generator=draw)
    subject = Subject(card.path, card.name, card.config, ids, tolerance)
    with torch.inference_mode():
        return subject.against_library() if FAMILIES[card.config.family].in_transformers else subject.against_loop()


@dataclass(frozen=True)
class Subject:
    """One checkpoint and the tokens ``ids`` (1, seqlen) that it reads; one model is in memory at a time."""

    folder: Path
    name: str
    config: PublishedConfig
    ids: Tensor
    tolerance: float

    def against_library(self) -> Verification:
        """Every row, of a family that transformers has."""
        library = self.library()
        expected = whole(library, self.ids)
        theirs = self.compared(library, self.library_ways, expected)
        if any(check.parts and check.error is None for check in theirs):
            outputs = self.outputs_of(library)
            theirs = [self.located(check, library, outputs) for check in theirs]
        del library
        gc.collect()
        rounded = compare("bfloat16", whole, self.library("bfloat16"), self.ids, expected, self.tolerance)
        ours = self.ours()
        checks = self.compared(ours, OUR_WAYS, expected)
        if any(check.parts and check.error is None for check in checks):
            library = self.library()
            outputs = self.outputs_of(library)
            checks = [self.located(check, ours, outputs) for check in checks]
            checks = [self.tied(check, ours, library, expected) for check in checks]
            del library
        del ours
        gc.collect()
        # Both round, at other places: ours may lose somewhat more than the library does, and no more than that.
        allowed = 2 * (rounded.difference or 0) + self.tolerance
        own = compare("bfloat16", one_piece, self.ours("bfloat16"), self.ids, expected, allowed)
        checks.append(own if rounded.difference is not None else replace(own, position=None, judged=False))
        reported = [replace(check, judged=False) for check in (*theirs, replace(rounded, position=None))]
        return self.result(f"transformers {transformers.__version__}", checks, reported)

    def against_loop(self) -> Verification:
        """The rows of a family that transformers does not have: our kernels against our loop over time."""
        ours = self.ours()
        scans: list[Scan] = [reference_scan] * len(self.config.layers)
        expected = ours.logits(ours.hidden(self.ids, None, scans)[0]).float()
        checks = self.compared(ours, OUR_WAYS, expected)
        del ours
        gc.collect()
        rounded = compare("bfloat16", one_piece, self.ours("bfloat16"), self.ids, expected, self.tolerance)
        return self.result("loop", [*checks, replace(rounded, position=None, judged=False)], [])

    def library(self, precision: str = "float32") -> Any:
        """The library's own model."""
        return read_library(self.folder, self.name, self.config, precision)

    def ours(self, precision: str = "float32") -> Any:
        """Our model."""
        return load_published(self.folder, self.name, self.config, precision)

    @property
    def library_ways(self) -> dict[str, Way]:
        """The ways of the library; a mask over all tokens so far is for families that attend to them."""
        return LIBRARY_WAYS | {"padded_right": partial(padded_right, attends=self.config.kept_per_token > 0)}

    def compared(self, model: Any, ways: Mapping[str, Way], expected: Tensor) -> list[Check]:
        """``model`` in all ``ways`` against the ``expected`` logits."""
        return [compare(name, way, model, self.ids, expected, self.tolerance) for name, way in ways.items()]

    def outputs_of(self, library: Any) -> dict[str, Tensor]:
        """What every module of ``library`` gives in the pass that is the reference."""
        with module_outputs(library) as outputs:
            whole(library, self.ids)
        return outputs

    def located(self, check: Check, model: Any, expected: Mapping[str, Tensor]) -> Check:
        """``check`` with the first module of ``model`` whose output is not the one ``expected``."""
        if not check.parts or check.error is not None:
            return check
        with module_outputs(model) as outputs:
            (OUR_WAYS | self.library_ways)[check.way](model, self.ids)
        return replace(check, module=first_difference(outputs, expected, self.tolerance, padding(check.way, self.ids)))

    def tied(self, check: Check, ours: Any, library: Any, expected: Tensor) -> Check:
        """``check`` with whether the library's logits move as well where ours differ; its weights change on the way."""
        if not check.parts or check.error is not None:
            return check
        found = differences(OUR_WAYS[check.way](ours, self.ids), expected)
        moved = torch.zeros_like(found)
        original = [parameter.clone() for parameter in library.parameters()]
        for seed in range(DRAWS):
            draw = torch.Generator().manual_seed(seed)
            for parameter, kept in zip(library.parameters(), original, strict=True):
                parameter.copy_(kept * (1 + MOVED * torch.randn(kept.shape, generator=draw)))
            moved = torch.maximum(moved, differences(whole(library, self.ids), expected))
        return replace(check, tie=bool((moved[found > self.tolerance] > self.tolerance).all()))

    def result(self, reference: str, ours: Sequence[Check], library: Sequence[Check]) -> Verification:
        """The rows as a table."""
        family = FAMILIES[self.config.family].title
        return Verification(
            name=self.name,
            family=family,
            reference=reference,
            tokens=self.ids.shape[1],
            ours=tuple(ours),
            library=tuple(library),
        )


def compare(name: str, way: Way, model: Any, ids: Tensor, expected: Tensor, allowed: float) -> Check:
    """What ``model`` gives in one ``way`` against the ``expected`` logits."""
    try:
        found = differences(way(model, ids), expected)
    except Exception as error:  # whatever the library raises is the answer
        reason = " ".join(str(error).split())
        return Check(way=name, allowed=allowed, error=f"{type(error).__name__}: {reason}"[:160])
    beyond = (found > allowed).nonzero()
    position = int(beyond[0]) if len(beyond) else None
    return Check(way=name, allowed=allowed, difference=float(found.max()), position=position)


def differences(found: Tensor, expected: Tensor) -> Tensor:
    """At every token the largest difference of a logit over the largest of all that is expected, (seqlen,)."""
    return ((found - expected).abs().amax(-1)[0] / expected.abs().max()).nan_to_num(nan=torch.inf)


def padding(way: str, ids: Tensor) -> slice:
    """Which outputs of a ``way`` over ``ids`` are those of padding."""
    start = {"padded_left": 0, "padded_right": ids.shape[1] // 2}.get(way)
    return slice(0, 0) if start is None else slice(start, start + PADDING)


# The ways to compute the same logits.


def whole(library: Any, ids: Tensor) -> Tensor:
    """The library, in one forward pass without a cache."""
    logits: Tensor = library(input_ids=ids, use_cache=False).logits
    return logits.float()


def one_piece(ours: Any, ids: Tensor) -> Tensor:
    """Ours, at once."""
    logits: Tensor = ours(ids)[0]
    return logits.float()


def uneven_pieces(ours: Any, ids: Tensor) -> Tensor:
    """Ours, from piece to piece."""
    state, found = None, []
    for piece in ids.split([*PIECES, ids.shape[1] - sum(PIECES)], dim=1):
        logits, state = ours(piece, state)
        found.append(logits.float())
    return torch.cat(found, dim=1)


def cached(library: Any, pieces: Sequence[Tensor], chosen: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
    """The library's logits of ``pieces``, each continued from the cache that the one before left.

    ``chosen`` is what every piece is given beside its tokens, such as a mask.
    """
    memory: dict[str, Any] = {}
    found = []
    for piece, given in zip(pieces, chosen, strict=True):
        output = library(input_ids=piece, use_cache=True, **memory, **given)
        found.append(output.logits.float())
        memory = {name: output[name] for name in ("cache", "state") if output.get(name) is not None}
        if not memory:
            raise NotImplementedError("the library returns no cache")
    return found


def two_pieces(library: Any, ids: Tensor) -> Tensor:
    """The library, its second half continued from the cache of the first."""
    pieces = ids.split([ids.shape[1] // 2, ids.shape[1] - ids.shape[1] // 2], dim=1)
    return torch.cat(cached(library, pieces, [{}] * 2), dim=1)


def one_by_one(library: Any, ids: Tensor) -> Tensor:
    """The library, its last tokens one by one from the cache, as it generates."""
    pieces = [ids[:, :-STEPS], *ids[:, -STEPS:].split(1, dim=1)]
    return torch.cat(cached(library, pieces, [{}] * len(pieces)), dim=1)


def padded_left(library: Any, ids: Tensor) -> Tensor:
    """The library, with masked padding before the text."""
    before = ids.new_zeros(1, PADDING)
    mask = torch.cat([before, torch.ones_like(ids)], dim=1)
    output = library(input_ids=torch.cat([before, ids], dim=1), attention_mask=mask, use_cache=False)
    logits: Tensor = output.logits
    return logits[:, PADDING:].float()


def padded_right(library: Any, ids: Tensor, *, attends: bool) -> Tensor:
    """The library, with masked padding after the first half, and the second half continued from the cache.

    Texts of several lengths in one batch leave this behind. No layer may remember padding; positions are counted
    without it where the library takes them.
    """
    half, after = ids.shape[1] // 2, ids.new_zeros(1, PADDING)
    early, late = torch.cat([ids[:, :half], after], dim=1), ids[:, half:]
    mask = torch.cat([torch.ones_like(ids[:, :half]), after], dim=1)
    given: list[dict[str, Tensor]] = [{"attention_mask": mask}, {}]
    if attends:
        given[1]["attention_mask"] = torch.cat([mask, torch.ones_like(late)], dim=1)
    if "position_ids" in inspect.signature(library.forward).parameters:
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        given[0]["position_ids"] = torch.cat([positions[:, :half], after], dim=1)
        given[1]["position_ids"] = positions[:, half:]
    first, second = cached(library, [early, late], given)
    return torch.cat([first[:, :half], second], dim=1)


OUR_WAYS: dict[str, Way] = {"one_piece": one_piece, "uneven_pieces": uneven_pieces}
LIBRARY_WAYS: dict[str, Way] = {
    "two_pieces": two_pieces,
    "one_by_one": one_by_one,
    "padded_left": padded_left,
    "padded_right": partial(padded_right, attends=False),
}
