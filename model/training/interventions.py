"""The table of interventions: which memory the sequences of a training step start from. One row each.

A recurrent model fails on long texts where training never took its state (Ruiz & Gu 2025, arXiv 2507.02782: the
unexplored-states hypothesis; LongSSM, arXiv 2406.02080, argues against the zero state alike). So each row chooses
h_{-1} from outside; the model and its mixers know nothing of it. Noise and the empty state are those of
:mod:`model.interventions.initial_states`, the same functions as in reading.

What is carried is the whole :class:`~model.state.State`: recurrent memory and convolution windows. The two belong
together. A reader in the middle of a long text always has the window of the tokens that were written last, and a full
memory beside an empty window occurs in no reading; for three tokens an unrelated text begins as if it followed the
other, which is what it does at the border of two documents.

Titles and help are in ``messages/interventions.toml``. No torch here: the page that draws the table does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.errors import UserError
from model.interventions.initial_states import Origin, Statistics, initial_state
from model.messages import message
from model.mixers import recurrent

if TYPE_CHECKING:
    from model.config import ModelConfig
    from model.state import State

Mixture = tuple[tuple[str, float], ...]
"""Interventions with the share of the steps that each takes; what is left to 1 starts empty."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a step's initial state may be made from.

    ``final``: the memory after the previous step's batch, row by row and without gradients; None before there is one.
    ``base``: the base model's own states within its training length; ``running``: the final states of this run so far.
    ``spans``: the base's states at the picked spans of a document, a row for each; None if none were picked.
    ``seed`` feeds noise and shuffling and is another one at every step.
    """

    final: State | None
    base: Statistics | None
    running: Statistics | None
    spans: State | None = None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """One row: ``start(empty, past)`` gives the memory of as many rows as ``empty`` has.

    ``share`` of the steps is what it takes by default. A memory that is passed on is passed on for
    1 / (1 - share) sequences before one starts empty: at 0.9, ten sequences, the shipped base still drifts on texts of
    a hundred training lengths; at 0.98 it does not, and pays more for an empty start, unless rows start empty beside it
    (``empty_rows`` of the configuration). ``consecutive`` says that the
    sequences continue where those of the previous step ended, ``longer`` that they are several times as long,
    ``needs_explored`` that the base must have recorded its states, ``needs_spans`` that spans of a document must have
    been picked.
    """

    start: Callable[[State, Past], State]
    share: float = 0.9
    consecutive: bool = False
    longer: bool = False
    needs_explored: bool = False
    needs_spans: bool = False

    def obstacle(self, config: ModelConfig) -> str | None:
        """Why a model of ``config`` cannot be trained so: "cache", or "spans" where attention stands beside; or None.

        Only a state of fixed size can be passed on, drawn at random or taken from several places of a document.
        """
        states = recurrent(config.layers)
        if not self.empty and not states:
            return "cache"
        return "spans" if self.needs_spans and len(states) < len(config.layers) else None

    @property
    def empty(self) -> bool:
        """Whether it starts from an empty memory, as training from scratch does."""
        return self.start is zeros


def zeros(empty: State, past: Past) -> State:
    """An empty memory: plain fine-tuning, the control of all others."""
    return initial_state("zeros", empty, Origin(explored=None, source=None, seed=past.seed))


def gaussian(empty: State, past: Past) -> State:
    """N(0, s^2), one s in every layer and head: the root mean square of the base's own states."""
    return initial_state("gaussian", empty, Origin(explored=past.base, source=None, seed=past.seed))


def fitted(empty: State, past: Past) -> State:
    """N(mean, sd^2) with each head's own mean and sd, those of the final states of this run so far."""
    return initial_state("fitted", empty, Origin(explored=past.running, source=None, seed=past.seed))


def carried(empty: State, past: Past) -> State:
    """State passing: the memory that the previous batch left, its rows shuffled; empty before there is one.

    The previous batch may have had another number of rows; then some are used twice, or not at all.
    """
    return empty if past.final is None else shuffled(past.final, len(empty[0].window), past.seed)


def tbtt(empty: State, past: Past) -> State:
    """Truncated backpropagation through time: each row continues from its own true prefix, without its gradient."""
    return empty if past.final is None else past.final


def spans(empty: State, past: Past) -> State:
    """The memories that the base had at the picked spans of a document, each as often as any other.

    An unrelated text is read from there: what is learnt is to read on from these states, not what the document says.
    """
    if past.spans is None:
        raise UserError("interventions.needs_spans")
    return shuffled(past.spans, len(empty[0].window), past.seed)


def shuffled(state: State, rows: int, seed: int) -> State:
    """The rows of ``state`` in a random order, as many as ``rows``: each equally often, give or take one."""
    import torch

    from model.state import map_state

    had = len(state[0].window)
    order = torch.randperm(had, generator=torch.Generator().manual_seed(seed))
    taken = order[torch.arange(rows) % had]
    return map_state(state, lambda tensor: tensor[taken])


INTERVENTIONS: dict[str, Intervention] = {
    "zeros": Intervention(start=zeros, share=1.0),
    "gaussian": Intervention(start=gaussian, needs_explored=True),
    "fitted": Intervention(start=fitted, needs_explored=True),
    "carried": Intervention(start=carried, share=0.98),
    "tbtt": Intervention(start=tbtt, consecutive=True),
    "longer": Intervention(start=zeros, share=1.0, longer=True),
    "stretches": Intervention(start=spans, needs_spans=True),
}


def drawn(mixture: Mixture, point: float) -> str:
    """The intervention of a step whose lot is ``point``, uniform in [0, 1)."""
    for name, share in mixture:
        if point < share:
            return name
        point -= share
    return "zeros"


def parse_interventions(entries: Iterable[str]) -> Mixture:
    """``["carried=0.9", "longer"]`` to a mixture; without a share an entry takes its row's. UserError if it is none."""
    mixture = []
    for entry in entries:
        name, _, number = entry.partition("=")
        row = row_of(name)
        try:
            mixture.append((name, float(number) if number else row.share))
        except ValueError as error:
            raise UserError("interventions.share", name=name, value=number) from error
    check_mixture(tuple(mixture))
    return tuple(mixture)


def check_mixture(mixture: Mixture) -> None:
    """UserError if an intervention is unknown or named twice, or the shares are not those of one whole."""
    for name, share in mixture:
        row_of(name)
        if not 0 < share <= 1:
            raise UserError("interventions.share", name=name, value=share)
    total = sum(share for _, share in mixture)
    if not mixture or total > 1 + 1e-9 or len(dict(mixture)) < len(mixture):
        raise UserError("interventions.total", total=f"{total:.0%}")


def row_of(name: str) -> Intervention:
    """The row ``name``; UserError if there is none."""
    if name not in INTERVENTIONS:
        raise UserError("interventions.unknown", name=name, known=", ".join(INTERVENTIONS))
    return INTERVENTIONS[name]


def check_fits(name: str, config: ModelConfig) -> None:
    """UserError if a model of ``config`` cannot be trained with the intervention ``name``."""
    obstacle = row_of(name).obstacle(config)
    if obstacle is not None:
        raise UserError(f"interventions.{obstacle}", name=name)


def described(mixture: Mixture, language: str = "en") -> list[str]:
    """One line for each part of ``mixture``, the empty rest included: share, title, help."""
    rest = 1 - sum(share for _, share in mixture)
    parts = [*mixture, ("zeros", rest)] if rest > 1e-9 else mixture
    return [
        f"{share:.0%} {message(f'interventions.{name}_title', language)}: "
        f"{message(f'interventions.{name}_help', language)}"
        for name, share in parts
    ]
