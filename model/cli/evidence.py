"""``memory-explorer evidence``: what papers report, measured on the installed models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.card import home
from model.cli.options import set_threads
from model.documents.document import read_path
from model.studies.evidence import EvidenceResult, begin, run_evidence
from model.studies.evidence.report import printed, table
from model.studies.evidence.run import samples, taken_over


def evidence(
    text: Annotated[
        list[Path] | None, typer.Option(help="A document, as often as you like; without any, the five shipped samples.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="The base model, whose post-trained models and capacity series count.")
    ] = "mamba2-base",
    tokens: Annotated[int, typer.Option(help="Tokens that are read of each document.")] = 16_384,
    out: Annotated[
        Path | None, typer.Option(help="The result's JSON file; an interrupted run resumes from it.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON, and nothing else.")] = False,
) -> None:
    """Measure what papers report about long memories on the installed models, with a verdict for every claim."""
    set_threads(threads)
    documents = [(path.name, read_path(path).text) for path in text] if text else samples()
    begun, texts = begin(documents, tokens=tokens, base=model)
    file = out or home() / "evidence" / f"{begun.task.key}.json"
    if file.exists():
        begun = taken_over(begun, EvidenceResult.load(file))

    def show(result: EvidenceResult, done: int, total: int) -> None:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{done / max(1, total):4.0%} of about {total:,} tokens   ")

    result = run_evidence(begun, texts, report=show, keep=lambda kept: kept.save(file))
    if as_json:
        typer.echo(json.dumps(table(result), ensure_ascii=False))
        return
    typer.echo(f"{printed(result)}\n\n{file}")
