"""Which models the evidence is about: a base, its post-trained models, and the capacity series trained from scratch.

A post-trained model is found by its name, ``<base>-state-passing`` and so on, and counts
only if it says that it was made from these very weights of the base. The capacity series is found by what the models
are: trained from scratch, with the base's sizes in all but one of ``d_state`` and ``train_length``. A series that was
trained for fewer steps than the base has a member of the base's own sizes, which then stands in the middle of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import DEFAULT, available, model_card
from model.diagnostics.collapse import tokens_needed
from model.errors import UserError
from model.experiment import key_of
from model.interventions.mitigations import MITIGATIONS, PRESETS

OTHERS = {"delta": "gated-deltanet-base", "scrn": "scrn-base", "rnn": "rnn-base"}
"""Models of other families that single claims are about, by their roles; read only where the base is the default."""

POST_TRAINED = {
    "carried": "state-passing",
    "tbtt": "tbtt",
    "fitted": "fitted",
    "gaussian": "gaussian",
    "zeros": "fine-tuned",
    "longer": "longer",
}
"""Interventions by their names in the table of them, and how a model's name ends that had one."""

MITIGATED: dict[str, dict[str, float]] = {
    "rri": PRESETS["forget_more_write_less"],
    **{name: {name: float(row.suggested)} for name, row in MITIGATIONS.items() if not row.cells},
}
"""The readings with a mitigation: the published pair, and every row of the table at its suggested strength.

Those for cells alone are left out: no claim is about them."""

TOKENS = 16_384
"""Tokens read of each document: 64 training lengths of the shipped base."""
LEAST_DOCUMENTS = 2


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model: ``role`` is "base", a name of POST_TRAINED or OTHERS, or "series".

    ``state_size`` is in elements of the state.
    """

    name: str
    weights: str
    role: str
    train_length: int
    d_state: int
    state_size: int


@dataclass(frozen=True, kw_only=True)
class EvidenceTask:
    """What is read: the first ``tokens`` of each of ``documents`` (name, SHA-256), whose text is never stored."""

    base: str
    documents: tuple[tuple[str, str], ...]
    tokens: int = TOKENS

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this task."""
        return key_of(asdict(self))

    @staticmethod
    def of(documents: Sequence[tuple[str, str]], *, tokens: int, base: str) -> EvidenceTask:
        """The task for ``documents`` (name, text), each text counted once."""
        hashed = {hashlib.sha256(text.encode()).hexdigest(): name for name, text in documents}
        return EvidenceTask(base=base, documents=tuple((name, sha) for sha, name in hashed.items()), tokens=tokens)

    def check(self, train_length: int) -> None:
        """UserError for what gives no interval, or does not reach far beyond ``train_length``."""
        if len(self.documents) < LEAST_DOCUMENTS:
            raise UserError("evidence.few_documents", count=len(self.documents), least=LEAST_DOCUMENTS)
        if self.tokens < tokens_needed(train_length):
            raise UserError("evidence.few_tokens", tokens=self.tokens, least=tokens_needed(train_length))

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> EvidenceTask:
        """The task that :func:`dataclasses.asdict` wrote."""
        documents = tuple((str(name), str(sha)) for name, sha in values["documents"])
        return EvidenceTask(base=str(values["base"]), documents=documents, tokens=int(values["tokens"]))


def members(base: str) -> tuple[Member, ...]:
    """The models of the family of ``base`` that are here, the base first, and last those of other families.

    UserError if the base is not here.
    """
    card = model_card(base)
    cards = available()
    found = [_member(card, "base")]
    for role, ending in POST_TRAINED.items():
        found_card = cards.get(f"{base}-{ending}")
        if found_card is not None and found_card.made_from in (None, card.weights):
            found.append(_member(found_card, role))
    found += [_member(other, "series") for other in cards.values() if other.name != base and _in_series(other, card)]
    if base == DEFAULT:
        found += [_member(cards[name], role) for role, name in OTHERS.items() if name in cards]
    return tuple(found)


def _member(card: ModelCard, role: str) -> Member:
    return Member(
        name=card.name,
        weights=card.weights,
        role=role,
        train_length=card.train_length,
        d_state=card.config.d_state,
        state_size=card.config.state_size,
    )


def _in_series(card: ModelCard, base: ModelCard) -> bool:
    """Whether ``card`` was trained from scratch and differs from ``base`` in state size or training length at most."""
    same = replace(card.config, d_state=base.config.d_state, train_length=base.config.train_length) == base.config
    changed = (card.config.d_state != base.config.d_state) + (card.train_length != base.train_length)
    return same and changed <= 1 and card.shipped == base.shipped and card.made_from == ""
