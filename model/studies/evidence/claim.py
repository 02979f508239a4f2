"""A published effect as frozen data: who reports what, and how we measure it; and the claims that come in several rows.

How sure we are that a paper says so stands with every claim: it was read in the paper or its code ("P"), in its
abstract ("A"), read off one of its figures ("F"), or taken from someone who quotes it ("S"). Sizes that were computed
from such numbers carry the mark of the numbers. Nothing here was measured by us.
"""

from __future__ import annotations

from dataclasses import dataclass

STUFFED, STATES, LONG, MODULATION = "2410.07145", "2507.02782", "2406.02080", "2509.19633"
LONGER_MEMORY = "1412.7753"
PAPERS = {
    STUFFED: "Stuffed Mamba",
    STATES: "Ruiz & Gu",
    LONG: "LongSSM",
    MODULATION: "Mamba Modulation",
    LONGER_MEMORY: "Mikolov et al.",
}
"""Papers by their arXiv numbers."""

GROUPS = ("collapse", "post_training", "initial", "extension", "mitigations", "states", "capacity", "cells")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row of the table.

    ``measure`` names a function of :data:`.findings.MEASURES`, ``of`` its arguments; the estimate is in
    ``unit``. ``direction`` is the side of ``null`` on which the paper puts the effect, +1 or -1; 0 where nothing is
    published to compare with. ``size`` is the published effect in the same unit, lowest and highest, where there is
    one. ``words`` and ``says`` name the messages ``evidence.claim_<words>`` and ``evidence.says_<says>``, ``who`` is
    the message that the former speaks of.
    """

    key: str
    group: str
    paper: str
    where: str = "abstract"
    mark: str
    measure: str
    of: tuple[str, ...]
    unit: str
    direction: int
    words: str
    says: str
    null: float = 0.0
    size: tuple[float, float] | None = None
    who: str = ""


HARDLY = 0.05
"""A cost below this share of the loss counts as none: the limit of :data:`model.diagnostics.collapse.MATERIAL`."""

BASE = "evidence.who_base"


def post_trained(name: str, direction: int, where: str, mark: str, size: tuple[float, float] | None = None) -> Claim:
    """What a post-trained model leaves of the excess of its base."""
    return Claim(
        key=f"left_{name}",
        group="post_training",
        paper=LONG if name == "longer" else STATES,
        where=where,
        mark=mark,
        measure="left",
        of=(name,),
        unit="share",
        null=1.0,
        direction=direction,
        size=size,
        words="left",
        says=f"left_{name}",
        who=f"interventions.{name}_title",
    )


def mitigation(name: str, title: str, paper: str, where: str, mark: str, long: int, short: int) -> tuple[Claim, Claim]:
    """What a mitigation removes on long texts and costs on short ones; ``long`` and ``short`` are the directions."""
    alone = long == short == 0
    removed = Claim(
        key=f"removed_{name}",
        group="mitigations",
        paper=paper,
        where=where,
        mark=mark,
        measure="removed",
        of=(name,),
        unit="share",
        direction=long,
        words="removed",
        says="only_pair" if alone else f"removed_{name}",
        who=title,
    )
    cost = Claim(
        key=f"cost_{name}",
        group="mitigations",
        paper=paper,
        where=where,
        mark=mark,
        measure="mitigation_cost",
        of=(name,),
        unit="share",
        direction=short,
        null=HARDLY if short < 0 else 0.0,
        words="cost",
        says="only_pair" if alone else "nothing" if short == 0 else f"short_{name}",
        who=title,
    )
    return removed, cost


def state(key: str, measure: str, of: tuple[str, ...], words: str, says: str, **more) -> Claim:  # type: ignore[no-untyped-def]
    """How a state grows, by default after Ruiz & Gu and of the base."""
    settings = {"paper": STATES, "where": "std", "mark": "F", "who": BASE, **more}
    return Claim(
        key=key,
        group="states",
        measure=measure,
        of=of,
        unit="ratio",
        null=1.0,
        direction=1,
        words=words,
        says=says,
        **settings,
    )


def extension(role: str, who: str, says: str, direction: int, mark: str) -> Claim:
    """How far the loss rises with the evaluation length; a rise below 5% of the loss counts as none."""
    return Claim(
        key=f"extension_{role}",
        group="extension",
        paper=LONG,
        where="abstract" if mark == "A" else "account",
        mark=mark,
        measure="extension_rise",
        of=(role,),
        unit="share",
        null=HARDLY,
        direction=direction,
        words="extension",
        says=says,
        who=who,
    )


def slow_units(measure: str, unit: str, direction: int, where: str, mark: str) -> Claim:
    """What slow context units do for a simple recurrent network."""
    return Claim(
        key=f"scrn_{measure}",
        group="cells",
        paper=LONGER_MEMORY,
        where=where,
        mark=mark,
        measure=measure,
        of=("scrn", "rnn"),
        unit=unit,
        direction=direction,
        words=f"scrn_{measure}",
        says=f"scrn_{measure}",
    )
