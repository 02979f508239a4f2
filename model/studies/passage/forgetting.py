"""How long until a passage is forgotten: by its share of the state, and by what the model does when it comes again.

The text is read on from the end of the passage twice, over the same tokens: once from the state that has read the
passage, once from the state before it. What a repeated passage costs less in the first case is what reading it left
behind and nothing else:

    remembered = loss after the text without the passage - loss after the text with it          nats per token

A fresh state, of the plain model and without the passage too, is the other control; against it a long memory also gets
credit for what it knows of the rest of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.experiment import Strategy
from model.interventions.mitigations import active, check_fits
from model.reading.again import Moment, first_state
from model.reading.prepare import Prepared
from model.studies.passage.follow import begun, followed, follower, separated
from model.studies.passage.heads import shares_of
from model.studies.passage.probe import Prober, StoppedError, walk
from model.studies.passage.result import SHARES, Difference, Forgetting, Passage, Probe, distances_after, mean, planned


def with_strategy(prepared: Prepared, strategy: Strategy) -> Prepared:
    """The same reading with another ``strategy``, whose initial state comes from no other recording.

    UserError for one that does not fit the model.
    """
    if strategy == prepared.experiment.strategy:
        return prepared
    settings = active(dict(strategy.mitigations))
    check_fits(settings, prepared.card.config)
    chosen = replace(strategy, mitigations=tuple(settings.items()))
    return replace(prepared, experiment=replace(prepared.experiment, strategy=chosen), source=None)


def cost(passage: Passage, tokens: int, train_length: int) -> int:
    """Tokens that are read to follow ``passage`` in one reading."""
    rest = tokens - passage.stop
    fresh = sum(min(distance, train_length) for distance in planned(passage, tokens))
    return passage.stop + 2 * rest + fresh + 3 * passage.length * len(planned(passage, tokens))


@dataclass(eq=False)
class _Ticks:
    """Counts tokens, and stops where the user wants it."""

    total: int
    on_progress: Callable[[int, int], None]
    stop: Callable[[], bool]
    done: int = 0

    def __call__(self, tokens: int) -> None:
        self.done += tokens
        self.on_progress(min(self.done, self.total), self.total)
        if self.stop():
            raise StoppedError


def follow(
    prepared: Prepared,
    passage: Passage,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Forgetting:
    """Follow ``passage`` to the end of the document; what is known is stored in ``folder`` after every probe.

    Probes that are stored there are not made again. ``on_progress`` gets tokens read and to read; ends early where
    ``stop()`` turns true. UserError for a passage that is not in the document, or at its very end.
    """
    tokens = len(prepared.tokens)
    passage.check(tokens)
    found = Forgetting.load(folder, passage)
    wanted = planned(passage, tokens)
    if found.complete and found.planned == len(wanted):
        return found
    known = {probe.distance: probe for probe in found.probes}
    prober = Prober(prepared, passage)
    tick = _Ticks(cost(passage, tokens, prober.train_length), on_progress, stop)
    try:
        for distance, shares, probe in _along(prepared, passage, prober, wanted, known, tick):
            found = replace(found, shares={**found.shares, **shares}, planned=len(wanted))
            if probe is not None:
                known[distance] = probe
                found = replace(found, probes=tuple(known[each] for each in sorted(known)))
                found.save(folder)
    except StoppedError:
        return found
    found.save(folder)
    return found


def _along(
    prepared: Prepared,
    passage: Passage,
    prober: Prober,
    wanted: list[int],
    known: dict[int, Probe],
    tick: _Ticks,
) -> Iterator[tuple[int, dict[int, tuple[float, ...]], Probe | None]]:
    """For every moment after the passage: its distance, the share there, and a new probe where one is wanted."""
    model, scans, tokens = prober.model, prober.scans, prepared.tokens
    first = Moment(0, first_state(prepared, model), None)
    before = next(walk(model, scans, first, tokens, [passage.start], tick))
    how = follower(dict(prepared.experiment.strategy.mitigations), model.config.layers)
    reading = scans if how is None else followed(scans, passage.length, how)
    began = before if how is None else before._replace(state=begun(before.state, model.config.layers))
    at = sorted({*wanted, *(distances_after(len(tokens) - passage.stop, SHARES) if how is not None else ())})
    moments = [passage.stop + distance for distance in at]
    without = Moment(passage.stop, before.state, before.hidden)  # as if the passage were not there
    pairs = zip(
        walk(model, reading, began, tokens, moments, tick),
        walk(model, scans, without, tokens, moments, tick),
        strict=True,
    )
    for distance, (there, other) in zip(at, pairs, strict=True):
        state, shares = there.state, {}
        if how is not None:
            state, parts = separated(there.state)
            shares = {distance: tuple(shares_of(state, parts, model.config.recorded_heads).weight.sum(1).tolist())}
        probe = None
        if distance in wanted and distance not in known:
            probe = _probe(prober, distance, there._replace(state=state), other)
            tick(3 * passage.length)
        yield distance, shares, probe


def _probe(prober: Prober, distance: int, there: Moment, other: Moment) -> Probe:
    """The passage again after ``there``, and after ``other``, which has not read it."""
    losses = np.stack(
        [
            prober.again(there.state, there.hidden)[0],
            prober.again(other.state, other.hidden)[0],
            prober.fresh(distance),
        ]
    )
    losses[:, ~np.isfinite(losses).all(axis=0)] = np.nan  # the same tokens in all numbers
    again, unread, fresh = losses
    loss, without, reset = map(mean, losses)
    recalled = prober.recalled(there.state)
    return Probe(
        distance=distance,
        loss=loss,
        without=without,
        fresh=reset,
        remembered=Difference.between(unread, again),
        gain=Difference.between(fresh, again),
        recalled=recalled[0] if recalled else None,
    )
