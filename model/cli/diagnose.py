"""``memory-explorer diagnose``: every strategy on one document or many, and what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from model.checkpoints.catalogue import DEFAULT
from model.cli.inputs import files_of
from model.cli.options import set_threads
from model.messages import message
from model.reading.prepare import Options
from model.studies.diagnose import Diagnosis, StrategyResult, file_of
from model.studies.diagnose.many import Outcome, diagnose_file, on_cluster
from model.studies.passkey.executors import open_executor

ENGLISH = "en"
"""What the command line speaks."""


def diagnose(
    file: Annotated[list[Path], typer.Argument(help="Documents, or folders of documents.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A name (see `models`), as often as you like; without any, mamba2-base.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the recordings; an interrupted run resumes.")] = Path(
        "recordings"
    ),
    recall: Annotated[bool, typer.Option(help="Also test passkeys far beyond the training length.")] = True,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for speed.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    keep_text: Annotated[bool, typer.Option(help="Store the text in the recordings.")] = False,
    workers: Annotated[int | None, typer.Option(help="Strategies that are read side by side.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of all of them together.")] = None,
    cluster: Annotated[
        str, typer.Option(help="Address of a Dask cluster, for example tcp://host:8786: a document a worker.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON, and nothing else.")] = False,
) -> None:
    """Read documents with every strategy, and say which to use, what it costs and what to do next."""
    set_threads(threads)
    asked = [(document, name) for document in files_of(file, each=True) for name in model or [DEFAULT]]
    options = Options(precision=precision, device=device)
    working = partial(diagnose_file, out=out, options=options, recall=recall, workers=workers, keep_text=keep_text)
    found = []
    for outcome in outcomes(asked, working, cluster, quiet=as_json):
        found.append(outcome)
        if not as_json:
            typer.echo("\n".join(lines(outcome)))
    if as_json:
        values = [as_values(outcome, out) for outcome in found]
        typer.echo(json.dumps(values[0] if len(asked) == 1 else values, ensure_ascii=False))
    if all(outcome.diagnosis is None for outcome in found):
        raise typer.Exit(2)


def outcomes(
    asked: Sequence[tuple[Path, str]], working: Callable[..., Outcome], cluster: str, *, quiet: bool
) -> Iterator[Outcome]:
    """What comes of each file and model, one after the other here, or side by side on the ``cluster``."""

    def show(diagnosis: Diagnosis, done: int, total: int) -> None:
        if not quiet and sys.stderr.isatty():
            finished = f"{len(diagnosis.strategies)} of {diagnosis.planned} strategies"
            sys.stderr.write(f"\r{done / total:4.0%}, {finished}: {diagnosis.document_name[:40]}   ")

    if cluster:
        with open_executor(cluster, 1) as pool:
            yield from on_cluster(pool, asked, working)
        return
    for file, model in asked:
        yield working(file, model, report=show)


def lines(outcome: Outcome) -> list[str]:
    """An outcome as it is printed: the verdict, the strategies, what to do, and how sure that is."""
    found = outcome.diagnosis
    head = ["", f"{outcome.file} · {outcome.model}"]
    if found is None:
        return [*head, outcome.error.words(ENGLISH) if outcome.error is not None else ""]
    table = [f"{'':2s}{'strategy':34s}{'excess':>9s}{'removed':>20s}{'cost':>8s}{'recall':>8s}{'tokens/s':>10s}"]
    table += [row(result, found) for result in found.strategies]
    level = message(f"diagnose.sure_{found.confidence.level}", ENGLISH)
    reasons = " ".join(reason.words(ENGLISH) for reason in found.confidence.reasons)
    return [
        *head,
        found.verdict.words(ENGLISH),
        "",
        *table,
        "",
        *(f"- {step}" for step in steps(found)),
        f"{level} {reasons}",
    ]


def row(result: StrategyResult, found: Diagnosis) -> str:
    """One strategy: ``>`` marks the recommended one, ``=`` those that are equally good."""
    mark = ">" if result.recording == found.recommended else "=" if result.tie else " "
    if result.failure is not None:
        return f"{mark} {result.text:34s}{result.failure.words(ENGLISH)}"
    excess = "-" if result.excess is None else f"{result.excess.mean:+.3f}"
    removed = result.removed
    share = "-" if removed is None else f"{removed.mean:.0%} ({removed.low:.0%}, {removed.high:.0%})"
    cost = "-" if result.cost is None else f"{result.cost.mean:+.1%}"
    recall = "-" if result.recall is None else f"{result.recall.accuracy:.0%}"
    speed = "-" if result.tokens_per_second is None else f"{result.tokens_per_second:,.0f}"
    return f"{mark} {result.text:34s}{excess:>9s}{share:>20s}{cost:>8s}{recall:>8s}{speed:>10s}"


def steps(found: Diagnosis) -> list[str]:
    """What to do next, the decision first."""
    best, other = found.best, found.of(found.alternative)
    names = {"strategy": "" if best is None else best.text, "other": "" if other is None else other.text}
    return [step.words(ENGLISH, **names) for step in found.steps]


def as_values(outcome: Outcome, out: Path) -> dict[str, Any]:
    """An outcome as JSON holds it: the answer in a few names, and every strategy."""
    found = outcome.diagnosis
    asked = {"file": outcome.file, "model": outcome.model}
    if found is None:
        return {**asked, "error": outcome.error.words(ENGLISH) if outcome.error is not None else ""}
    best = found.best
    removed = None if best is None else best.removed
    return {
        **asked,
        "verdict": found.case,
        "sentence": found.verdict.words(ENGLISH),
        "recommended": None if best is None else best.text,
        "excess_removed": None if removed is None else removed.mean,
        "excess_removed_interval": None if removed is None else [removed.low, removed.high],
        "cost_within": None if best is None or best.cost is None else best.cost.mean,
        "alternative": None if (other := found.of(found.alternative)) is None else other.text,
        "ties": [result.text for result in found.ties],
        "next": steps(found),
        "confidence": found.confidence.level,
        "reasons": [reason.words(ENGLISH) for reason in found.confidence.reasons],
        "tokens": found.tokens,
        "train_length": found.train_length,
        "split": found.split,
        "split_pages": found.split_pages,
        "complete": found.complete,
        "seconds": found.seconds,
        "diagnosis": str(file_of(out, found.key)),
        "strategies": [strategy_values(result) for result in found.strategies],
    }


def strategy_values(result: StrategyResult) -> dict[str, Any]:
    """A strategy as JSON holds it, under the name by which it is typed."""
    values = {name: value for name, value in result.to_json().items() if name not in ("blocks", "windows")}
    failure = None if result.failure is None else result.failure.words(ENGLISH)
    return {**values, "settings": values["strategy"], "strategy": result.text, "failure": failure}
