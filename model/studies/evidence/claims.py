"""The published effects that the evidence table is about, as frozen data: who reports what, and how we measure it.

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


def _post_trained(name: str, direction: int, where: str, mark: str, size: tuple[float, float] | None = None) -> Claim:
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


def _mitigation(name: str, title: str, paper: str, where: str, mark: str, long: int, short: int) -> tuple[Claim, Claim]:
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


def _state(key: str, measure: str, of: tuple[str, ...], words: str, says: str, **more) -> Claim:  # type: ignore[no-untyped-def]
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


def _extension(role: str, who: str, says: str, direction: int, mark: str) -> Claim:
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


def _slow_units(measure: str, unit: str, direction: int, where: str, mark: str) -> Claim:
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


CLAIMS: tuple[Claim, ...] = (
    Claim(
        key="base_excess",
        group="collapse",
        paper=STATES,
        where="370m",
        mark="F",
        measure="excess",
        of=("base",),
        unit="nats",
        direction=1,
        words="excess",
        says="base_excess",
        who=BASE,
    ),
    Claim(
        key="base_criterion",
        group="collapse",
        paper=STUFFED,
        where="4.2",
        mark="P",
        measure="criterion",
        of=("base",),
        unit="ratio",
        null=2.0,
        direction=1,
        words="criterion",
        says="base_criterion",
        who=BASE,
    ),
    # Perplexities of the 370m model at 32K, 7.9 within T, 12.4 of the base: share = ln(p / 7.9) / ln(12.4 / 7.9).
    _post_trained("carried", -1, "370m", "F", (-0.06, 0.0)),
    _post_trained("tbtt", -1, "370m", "F", (-0.06, 0.0)),
    _post_trained("fitted", -1, "370m", "F", (0.0, 0.0)),
    _post_trained("gaussian", -1, "370m", "F", (0.08, 0.24)),
    _post_trained("longer", -1, "abstract", "A"),
    _post_trained("zeros", 0, "babilong", "F"),
    Claim(
        key="more_zeros",
        group="post_training",
        paper=STATES,
        where="babilong",
        mark="F",
        measure="left_more",
        of=("zeros", "carried"),
        unit="share",
        direction=1,
        words="left_more",
        says="more_zeros",
    ),
    Claim(
        key="cost_carried",
        group="post_training",
        paper=STATES,
        where="370m",
        mark="F",
        measure="cost",
        of=("carried",),
        unit="share",
        null=HARDLY,
        direction=-1,
        words="cost",
        says="cost_carried",
        who="interventions.carried_title",
    ),
    Claim(
        key="cost_gaussian",
        group="post_training",
        paper=STATES,
        where="780m",
        mark="F",
        measure="cost",
        of=("gaussian",),
        unit="share",
        direction=1,
        words="cost",
        says="cost_gaussian",
        who="interventions.gaussian_title",
    ),
    Claim(
        key="recall_fitted",
        group="post_training",
        paper=STATES,
        where="780m",
        mark="F",
        measure="recall_more",
        of=("fitted", "zeros"),
        unit="doublings",
        direction=1,
        words="recall_more",
        says="recall_fitted",
    ),
    Claim(
        key="carried_base",
        group="initial",
        paper=LONG,
        mark="A",
        measure="carried",
        of=("base",),
        unit="share",
        direction=1,
        words="carried",
        says="carried_base",
        who=BASE,
    ),
    Claim(
        key="carried_post_trained",
        group="initial",
        paper=STATES,
        mark="A",
        measure="carried",
        of=("carried",),
        unit="share",
        null=HARDLY,
        direction=-1,
        words="carried",
        says="carried_post_trained",
        who="interventions.carried_title",
    ),
    Claim(
        key="far_base",
        group="initial",
        paper=STATES,
        mark="A",
        measure="carried_far",
        of=("base",),
        unit="nats",
        direction=0,
        words="carried_far",
        says="nothing",
        who=BASE,
    ),
    Claim(
        key="far_post_trained",
        group="initial",
        paper=STATES,
        mark="A",
        measure="carried_far",
        of=("carried",),
        unit="nats",
        direction=0,
        words="carried_far",
        says="nothing",
        who="interventions.carried_title",
    ),
    _extension("base", BASE, "extension_zero", 1, "A"),
    _extension("zeros", "interventions.zeros_title", "extension_zero", 1, "A"),
    _extension("carried", "interventions.carried_title", "extension_carried", -1, "S"),
    _extension("tbtt", "interventions.tbtt_title", "extension_carried", -1, "S"),
    _extension("delta", "evidence.who_delta", "nothing", 0, "A"),
    *_mitigation("rri", "mitigations.preset_forget_more_write_less", STUFFED, "3.2.2", "P", 1, 1),
    *_mitigation("window", "mitigations.window_title", STUFFED, "3.2.2", "P", 1, -1),
    *_mitigation("decay", "mitigations.decay_title", MODULATION, "pg19", "S", 1, 0),
    *_mitigation("state_norm", "mitigations.state_norm_title", STUFFED, "v1", "S", 1, 0),
    *_mitigation("insertion", "mitigations.insertion_title", STUFFED, "3.2.2", "P", 0, 0),
    *_mitigation("retention", "mitigations.retention_title", STUFFED, "3.2.2", "P", 0, 0),
    _state("std_base", "growth", ("base", "std", "4"), "growth_std_4", "std_base", size=(1.69, 1.69)),
    _state(
        "norm_base_8",
        "growth",
        ("base", "norm", "8"),
        "growth_norm_8",
        "norm_base",
        paper=STUFFED,
        where="fig5",
        mark="P",
    ),
    _state(
        "norm_base_64",
        "growth",
        ("base", "norm", "64"),
        "growth_norm_64",
        "norm_base",
        paper=STUFFED,
        where="fig5",
        mark="P",
    ),
    _state("flatter_carried", "flatter", ("carried", "std", "64"), "flatter", "std_carried"),
    _state("larger_carried", "larger", ("carried", "std"), "larger", "larger_carried", size=(1.35, 1.80)),
    Claim(
        key="forget_state",
        group="capacity",
        paper=STUFFED,
        where="5.2",
        mark="P",
        measure="forget_slope",
        of=("state_size",),
        unit="slope",
        direction=1,
        words="forget_state",
        says="forget_state",
    ),
    Claim(
        key="forget_length",
        group="capacity",
        paper=STUFFED,
        where="5.2",
        mark="P",
        measure="forget_slope",
        of=("train_length",),
        unit="slope",
        direction=-1,
        words="forget_length",
        says="forget_length",
    ),
    Claim(
        key="recall_state",
        group="capacity",
        paper=STUFFED,
        where="5.3",
        mark="P",
        measure="recall_slope",
        of=("state_size",),
        unit="doublings",
        direction=1,
        words="recall_state",
        says="recall_state",
    ),
    Claim(
        key="recall_length",
        group="capacity",
        paper=STUFFED,
        where="5.3",
        mark="P",
        measure="recall_slope",
        of=("train_length",),
        unit="doublings",
        direction=0,
        words="recall_length",
        says="nothing",
    ),
    _slow_units("loss_more", "nats", -1, "text8", "S"),
    _slow_units("reach_more", "doublings", 1, "abstract", "A"),
    _slow_units("context_more", "doublings", 1, "abstract", "A"),
)
