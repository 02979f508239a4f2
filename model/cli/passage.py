"""``memory-explorer passage``: how long a passage of a recorded document is remembered, and which head holds it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from model.cli.options import AT, DOCUMENT, SOURCE, moment_of, set_threads, text_of
from model.errors import UserError
from model.experiment import Strategy, parse_mitigations
from model.recording.reader import Recording
from model.studies.passage.result import Forgetting, HeadTable, Passage

SHOWN = 12
"""Heads that are printed."""


def passage(
    recording: Annotated[Path, typer.Argument(help="The folder of a recording.")],
    mark: Annotated[str, typer.Option(help="First and last token of the passage, counted from 1, as in 120-180.")],
    at: AT = None,
    mitigation: Annotated[
        list[str] | None, typer.Option(help="Follow it with this mitigation instead, name=value; repeatable.")
    ] = None,
    heads: Annotated[bool, typer.Option(help="Which heads hold it at the moment, not how it is forgotten.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the results; an interrupted run resumes.")] = Path("passages"),
    document: DOCUMENT = None,
    source: SOURCE = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Follow a passage: its share of the state and what is remembered of it by distance, or the heads that hold it."""
    from model.reading.again import prepare_again
    from model.studies.passage.forgetting import follow, with_strategy
    from model.studies.passage.heads import heads_of

    set_threads(threads)
    opened, marked = Recording(recording), passage_of(mark)
    prepared = prepare_again(opened, text_of(opened, document), source, device)
    if mitigation:
        prepared = with_strategy(prepared, Strategy.of(mitigations=parse_mitigations(mitigation)))
    if heads:
        table = heads_of(prepared, marked, moment_of(opened, at))
        assert table is not None
        typer.echo(json.dumps(_head_values(table)) if as_json else "\n".join(head_lines(table)))
        return
    found = follow(prepared, marked, out / prepared.experiment.key)
    typer.echo(json.dumps(_values(found)) if as_json else "\n".join(lines(found)))


def passage_of(mark: str) -> Passage:
    """The passage in words, both ends in it and counted from 1; UserError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,10})-([1-9][0-9]{0,10})", mark.strip())
    if match is None:
        raise UserError("passage.not_a_passage", value=mark)
    return Passage(start=int(match[1]) - 1, stop=int(match[2]))


def lines(found: Forgetting) -> list[str]:
    """How a passage is forgotten, as it is printed."""
    gone = {"half of its share is gone": found.half_life(), "its share is below 1%": found.forgotten()}
    said = [f"{name} after {'-' if tokens is None else f'{tokens:,.0f}'} tokens" for name, tokens in gone.items()]
    if not found.shares:
        said = ["no share of the state: with this memory, or these mitigations, it is no sum of what tokens wrote"]
    lost = found.lost()
    said.append(f"having read it no longer helps from {'-' if lost is None else f'{lost:,}'} tokens on")
    keyed = any(probe.recalled for probe in found.probes)
    if keyed:
        wrong = found.unanswered()
        said.append(f"its key is no longer answered from {'-' if wrong is None else f'{wrong:,}'} tokens on")
    shares = dict(zip(*(array.tolist() for array in found.share()), strict=True))
    table = [f"{'tokens after':>12s} {'share':>8s} {'loss':>8s} {'without':>8s} {'fresh':>8s} {'remembered':>22s}"]
    table[0] += f"{'key':>7s}" if keyed else ""
    for probe in found.probes:
        share = shares.get(float(probe.distance))
        interval = f"{probe.remembered.mean:+.3f} ({probe.remembered.low:+.3f}, {probe.remembered.high:+.3f})"
        table.append(
            f"{probe.distance:12,d} {'-' if share is None else f'{share:.2%}':>8s} {probe.loss:8.3f} "
            f"{probe.without:8.3f} {probe.fresh:8.3f} {interval:>22s}"
            + (f"{probe.recalled.probability:7.0%}" if probe.recalled else "")
        )
    return [*said, "", *table]


def head_lines(table: HeadTable) -> list[str]:
    """Which heads hold a passage, as it is printed."""
    heads = table.weight.shape[1]
    found = [f"after {table.moment:,} tokens the passage is {table.total:.2%} of the state", ""]
    keyed = table.whole is not None and table.whole.recalled is not None
    names = f"{'layer':>5s} {'head':>5s} {'of head':>8s} {'of state':>9s} {'again':>8s} {'next':>8s}"
    found.append(names + (f"{'key':>7s}" if keyed else ""))
    for place in abs(table.weight).argsort(axis=None)[::-1][:SHOWN]:
        layer, head = divmod(int(place), heads)
        effect = table.effect(layer, head)
        changes = "" if effect is None else f" {effect.again_change.mean:+8.3f} {effect.loss_change.mean:+8.3f}"
        changes += "" if effect is None or effect.recalled is None else f"{effect.recalled.probability:7.0%}"
        share = table.weight[layer, head] / len(table.weight)
        found.append(f"{layer:5d} {head:5d} {table.share[layer, head]:8.2%} {share:9.3%}{changes}")
    alone = table.effect(-1, -1)
    if alone is not None:
        changes = f"{alone.again_change.mean:+8.3f} {alone.loss_change.mean:+8.3f}"
        key = "" if alone.recalled is None else f"{alone.recalled.probability:7.0%}"
        found.append(f"{'the passage in all heads':>30s} {changes}{key}")
    notes = ["again, next: nats per token that the repeated passage and the next tokens cost more without it"]
    if keyed and table.whole is not None and table.whole.recalled is not None:
        notes.append(f"key: probability of the key without it; {table.whole.recalled.probability:.0%} with all")
    return [*found, "", *notes]


def _values(found: Forgetting) -> dict[str, Any]:
    """The same as JSON holds it, null for what is not known."""
    probes = [_known(asdict(probe)) for probe in found.probes]
    return {
        "passage": asdict(found.passage),
        "half_life": found.half_life(),
        "forgotten": found.forgotten(),
        "lost": found.lost(),
        "unanswered": found.unanswered(),
        "shares": {str(distance): list(row) for distance, row in sorted(found.shares.items())},
        "probes": probes,
    }


def _head_values(table: HeadTable) -> dict[str, Any]:
    arrays = {name: getattr(table, name).tolist() for name in ("share", "weight", "norm")}
    effects = {
        "whole": None if table.whole is None else _known(asdict(table.whole)),
        "without": [_known(asdict(effect)) for effect in table.without],
    }
    about = {"passage": asdict(table.passage), "moment": table.moment, "total": table.total, "ahead": table.ahead}
    return {**about, **arrays, **effects}


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_known(entry) for entry in value]
    return None if isinstance(value, float) and value != value else value
