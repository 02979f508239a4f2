"""The 60-second story: a reading that collapses, and the same text read with the mitigation that works.

Three acts, a sentence each: fine within the training length, collapsed from the onset on, mitigated from the same place
on. Every number is a mean of the losses that the recordings hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.diagnostics.collapse import collapse_onset
from model.recording.reader import COMPLETE, Recording
from model.recording.schema import CONTROL_LOSS, LOSS
from viz.app import session
from viz.app.choices import describe_reading
from viz.app.language import t
from viz.app.theme import GREEN, VERMILLION
from viz.pages.play.frames import passages, span, tracks, whole_curves
from viz.ui.places import place_of
from viz.ui.player import Replay, Segment
from viz.ui.sentences import sentence_of

MOST = 12
"""Other readings of the document that are looked at for the mitigation."""
ACTS = ("fine", "collapsed", "mitigated")
TO_LENGTH, AT_LENGTH, TO_ONSET, AT_ONSET, TO_END, AT_END = 9.0, 4.0, 8.0, 10.0, 12.0, 3.0
MITIGATED, LAST = 10.0, 4.0
"""Seconds of the parts, with the stops; 60 in all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cast:
    """The readings of a story: the one that collapses, from the token ``onset`` on, and the mitigated one, if any."""

    plain: Recording
    onset: int
    mitigated: Recording | None


def onset_of(recording: Recording) -> int | None:
    """The token from which on the long memory costs; None if there is none, or no control."""
    control = recording.array(CONTROL_LOSS) if recording.has(CONTROL_LOSS) else None
    return collapse_onset(recording.array(LOSS), control, recording.train_length)


def cast(recording: Recording) -> Cast | None:
    """The story of ``recording`` and others of the same document by the same weights; None if none collapses.

    The one that collapses is ``recording`` itself, else the plain model's. The mitigated one has the lowest loss from
    the onset on, plus what it adds to the loss before it.
    """
    read = recording.experiment
    others = [
        session.opened(entry.path)
        for entry in session.visible_recordings(read.model).values()
        if (entry.experiment.document, entry.experiment.weights) == (read.document, read.weights)
        and (entry.experiment.train_length, entry.experiment.tokens) == (read.train_length, read.tokens)
        and entry.key != recording.key
        and entry.row.status == COMPLETE
    ][:MOST]
    others.sort(key=lambda other: not other.experiment.plain)
    onsets = {other.key: onset_of(other) for other in (recording, *others)}
    plain = next((other for other in (recording, *others) if onsets[other.key] is not None), None)
    if plain is None:
        return None
    onset = onsets[plain.key]
    assert onset is not None

    def cost(other: Recording) -> float:
        added = means(other, 0, onset)[0] - means(plain, 0, onset)[0]
        return means(other, onset, None)[0] + max(added, 0)

    held = [other for other in (recording, *others) if onsets[other.key] is None and other.has(CONTROL_LOSS)]
    held = [other for other in held if cost(other) < means(plain, onset, None)[0]]
    return Cast(plain=plain, onset=onset, mitigated=min(held, key=cost, default=None))


def means(recording: Recording, start: int, end: int | None) -> tuple[float, float]:
    """Mean loss and mean loss of the control from the token ``start`` to ``end``, in nats per token; NaN for none."""
    found = []
    for name in (LOSS, CONTROL_LOSS):
        values = recording.array(name)[start:end] if recording.has(name) else np.zeros(0)
        values = values[np.isfinite(values)]
        found.append(float(values.mean(dtype=np.float64)) if len(values) else float("nan"))
    return found[0], found[1]


def sentences(found: Cast, text: str | None) -> list[str]:
    """The sentence of each act."""
    plain, onset = found.plain, found.onset
    within = min(plain.train_length, onset)
    loss, control = means(plain, onset, None)
    said = [t("play.says_fine", train_length=within, loss=means(plain, 0, within)[0])]
    words = {"token": onset + 1, "loss": loss, "control": control}
    place = place_of(plain, onset)
    if text is None:
        said.append(t("play.says_collapsed", **words))
    else:
        sentence = _shortened(sentence_of(plain, text, onset))
        key = "play.says_collapsed_at" if place else "play.says_collapsed_in"
        said.append(t(key, sentence=sentence, place=place, **words))
    if found.mitigated is not None:
        better = means(found.mitigated, onset, None)[0]
        strategy = describe_reading(found.mitigated.experiment)
        said.append(t("play.says_mitigated", strategy=strategy, token=onset + 1, loss=better, plain=loss))
    return said


def _shortened(sentence: str, most: int = 90) -> str:
    return sentence if len(sentence) <= most else sentence[: most - 1] + "…"


def story(found: Cast, text: str | None, *, dark: bool) -> Replay:
    """The story as the player plays it."""
    plain, mitigated, said = found.plain, found.mitigated, sentences(found, text)
    (first, end), onset = span(plain), float(found.onset + 1)
    length = min(float(plain.train_length), onset)
    parts = [
        Segment(track=0, start=first, end=length, seconds=TO_LENGTH, act=0, says=said[0]),
        Segment(track=0, start=length, end=length, seconds=AT_LENGTH, act=0, says=said[0]),
        Segment(track=0, start=length, end=onset, seconds=TO_ONSET, act=0, says=said[0]),
        Segment(track=0, start=onset, end=onset, seconds=AT_ONSET, act=1, says=said[1]),
        Segment(track=0, start=onset, end=end, seconds=TO_END, act=1, says=said[1]),
        Segment(track=0, start=end, end=end, seconds=AT_END, act=1, says=said[1]),
    ]
    readings, names, colours = [plain], [describe_reading(plain.experiment)], [VERMILLION]
    if mitigated is not None:
        last = min(end, float(mitigated.read_tokens))
        parts.append(Segment(track=1, start=onset, end=last, seconds=MITIGATED, act=2, says=said[2]))
        parts.append(Segment(track=1, start=last, end=last, seconds=LAST, act=2, says=said[2]))
        readings.append(mitigated)
        names.append(describe_reading(mitigated.experiment))
        colours.append(GREEN)
    lines = [
        whole_curves(each, name, colour, control=True)
        for each, name, colour in zip(readings, names, colours, strict=True)
    ]
    played, explored = tracks(readings, lines, names, colours)
    return Replay(
        name="story " + " ".join(each.key for each in readings),
        log=True,
        first=first,
        end=end,
        tracks=played,
        segments=parts,
        passages=passages(plain, text),
        explored=explored,
        marks=[(plain.train_length, t("figures.train_length")), (onset, t("play.onset"))],
        acts=[t(f"play.act_{name}") for name in ACTS[: len(said)]],
    )
