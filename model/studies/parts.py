"""Which part of a model remembers? The same document once whole and once without each part, and what that costs.

    change = mean of (loss without the part - loss of the whole model), over tokens beyond the training length     nats

Both losses are of the same tokens, so the interval is that of their difference (batch means). Beside it the share of
passkeys that is recalled from texts of the training length, over even depths. Parts and their exact meaning are those
of :mod:`model.interventions.parts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from model.checkpoints.catalogue import load_tokenizer_of
from model.config import ModelConfig
from model.diagnostics.collapse import batch_interval
from model.errors import UserError
from model.experiment import Experiment
from model.interventions.parts import Off
from model.json_file import write_json
from model.mixers import recurrent, title
from model.reading.prepare import Prepared
from model.reading.runner import layer_scans, read_with
from model.reading.stream import read
from model.studies.passkey import PasskeyResult, PasskeyTask, even_depths, measure, reader_of
from model.studies.passkey.prompts import least_length

Report = Callable[[int, int, int, int], None]
"""``report(parts done, parts, tokens of this part, tokens)``."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What the loss beyond the training length gains without a part: mean and 95% interval, nats per token."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PartsResult:
    """``loss`` beyond the training length of the whole model, and the ``changes`` by part, in the order of reading.

    ``recall``: the share of passkeys recalled, by part, and under "" by the whole model; empty if that was not asked.
    """

    experiment: Experiment
    loss: float
    changes: dict[str, Change]
    recall: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """A dictionary for JSON."""
        changes = {part: asdict(change) for part, change in self.changes.items()}
        return {
            "experiment": self.experiment.to_json(),
            "loss": self.loss,
            "changes": changes,
            "recall": self.recall,
        }


def parts_of(config: ModelConfig, *, heads: bool) -> list[str]:
    """Every part of a model of ``config``: recurrence and attention whole, each layer, and each of its ``heads``."""
    layers = range(len(config.layers))
    found = recurrent(config.layers)
    beside = getattr(config, "kept_per_token", 0) or len(found) < len(config.layers)
    parts = [*(["recurrence"] if found else []), *(["attention"] if beside else [])]
    parts += [f"layer:{layer}" for layer in layers]
    if heads:
        parts += [f"head:{layer}.{head}" for layer in layers for head in range(config.recorded_heads)]
    return parts


def measure_parts(
    prepared: Prepared,
    parts: Sequence[str],
    folder: Path,
    *,
    tokens: int | None = None,
    report: Report = lambda done, parts, read, tokens: None,
) -> PartsResult:
    """Read the first ``tokens`` tokens of ``prepared`` without each of ``parts``.

    What is measured is written to ``folder`` after every part, and an interrupted run resumes from there.
    UserError if the document does not reach beyond the training length.
    """
    length = prepared.experiment.train_length
    ids = prepared.tokens[:tokens]
    if len(ids) <= length + 1:
        raise UserError("parts.too_short", tokens=len(ids), train_length=length)
    experiment = replace(prepared.experiment, tokens=len(ids), control=False, off=())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"parts-{experiment.key}.json"
    known = stored(file, experiment)
    changes = {} if known is None else known.changes
    left = [part for part in parts if part not in changes]
    if known is not None and not left:
        return known
    model = read_with(experiment, experiment.precision)
    scans = layer_scans(model, dict(experiment.strategy.mitigations), prepared.explored)

    def losses(off: Off, done: int) -> np.ndarray:
        reader, without = off.applied(model, scans)
        found = []
        for segment in read(reader, ids, reader.zero_state(), without):
            found.append(segment.losses)
            report(done, len(parts), segment.stop, len(ids))
        return np.concatenate(found)[length:].astype(np.float64)

    done = len(parts) - len(left)
    whole = losses(Off(), done)
    result = PartsResult(experiment=experiment, loss=float(np.nanmean(whole)), changes=changes)
    for part in left:
        interval = batch_interval(losses(Off.of([part]), done) - whole)
        changes[part] = Change(mean=interval.mean, low=interval.low, high=interval.high)
        done += 1
        write_json(file, result.to_json())
    return result


def measure_recall(
    result: PartsResult,
    parts: Sequence[str],
    folder: Path,
    *,
    trials: int = 10,
    depths: int = 5,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> PartsResult:
    """``result`` with the passkeys that the whole model, and the model without each of ``parts``, recalls.

    Texts are as long as the training length, or as a key and its query need. Every test is stored in ``folder`` as the
    passkey test stores it, and is not run again.
    """
    experiment = result.experiment
    least = least_length(load_tokenizer_of(experiment.model), "en", PasskeyTask.digits)
    length = max(experiment.train_length, least)
    task = PasskeyTask(language="en", lengths=(length,), depths=even_depths(depths), trials=trials)
    recall = dict(result.recall)
    wanted = ["", *parts]
    for done, part in enumerate(wanted):
        report(done, len(wanted))
        off = (part,) if part else ()
        reader = reader_of(experiment.model, experiment.strategy, experiment.attention_window, off)
        test = PasskeyResult(task=task, reader=reader)
        file = folder / f"{test.key}.json"
        known = PasskeyResult.known(file)
        if known is None or not known.complete:
            known = measure(test)
            known.save(file)
        recall[part] = known.by_length()[length].accuracy
    return replace(result, recall=recall)


def stored(file: Path, experiment: Experiment) -> PartsResult | None:
    """What ``file`` has of ``experiment``; None if that is nothing."""
    try:
        values = json.loads(file.read_text("utf-8"))
        if Experiment.from_json(values["experiment"]) != experiment:
            return None
        changes = {part: Change(**change) for part, change in values["changes"].items()}
        recall = {part: float(share) for part, share in values.get("recall", {}).items()}
        return PartsResult(experiment=experiment, loss=float(values["loss"]), changes=changes, recall=recall)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def table(result: PartsResult, config: ModelConfig) -> list[str]:
    """The result as lines of text: the wholes, then a matrix with a row for each layer, of losses and of recall."""
    changes, recall = result.changes, result.recall
    length = result.experiment.train_length
    whole = f"; recalls {recall['']:.0%} of passkeys" if recall else ""
    lines = [f"{'whole model':16s} {result.loss:8.3f} nats per token beyond {length:,} tokens{whole}", ""]
    for part in ("recurrence", "attention"):
        if part in changes:
            change = changes[part]
            left = f"; recalls {recall[part]:.0%}" if part in recall else ""
            lines.append(f"{part + ' off':16s} {change.mean:+8.3f}  ({change.low:+.3f} to {change.high:+.3f}){left}")
    heads = sorted({int(part.partition(".")[2]) for part in changes if part.startswith("head:")})
    lines += matrix(
        "change of the loss", config, heads, {part: f"{change.mean:+8.3f}" for part, change in changes.items()}
    )
    if recall:
        lines += matrix("passkeys recalled", config, heads, {part: f"{share:8.0%}" for part, share in recall.items()})
    return lines


def matrix(heading: str, config: ModelConfig, heads: Sequence[int], cells: Mapping[str, str]) -> list[str]:
    """Lines with a row for each layer: what is known, by part, without the layer and without each of its heads."""
    lines = ["", heading, " ".join([f"{'off':22s}", f"{'layer':>8s}", *(f"{f'head {head}':>8s}" for head in heads)])]
    for layer in range(len(config.layers)):
        names = [f"layer:{layer}", *(f"head:{layer}.{head}" for head in heads)]
        found = [cells.get(name, f"{'-':>8s}") for name in names]
        lines.append(" ".join([f"{layer:3d} {title([config.layers[layer]])[:18]:18s}", *found]))
    return lines
