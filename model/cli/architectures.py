"""``memory-explorer architectures``: checkpoints of different families, each asked the same questions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.card import home
from model.cli.options import set_threads
from model.studies.architectures import PARTS, measure_into, sample_texts, stored_in
from model.studies.architectures.report import markdown, row, said, with_matrix
from model.studies.architectures.run import SHIPPED


def architectures(
    model: Annotated[
        list[str] | None, typer.Option(help="A model, by name or folder, as often as you like; without any, print.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help=f"Measure this alone: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of results; an interrupted run resumes from it.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the matrix between the marks of this page.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the matrix as JSON, and nothing else.")] = False,
) -> None:
    """Measure loss, collapse, recall, effective context, gradients and speed of models, and print the matrix."""
    set_threads(threads)
    folder = out or home() / "architectures"
    folders, texts = (folder, SHIPPED), sample_texts()
    for name in model or ():

        def show(part: str, share: float, name: str = Path(name).name) -> None:
            if not as_json and sys.stderr.isatty():
                sys.stderr.write(f"\r{name}: {part}, {share:4.0%}   ")

        measure_into(folders, name, texts, parts=part or PARTS, report=show)
    results = stored_in(folders)
    if markdown_file is not None:
        markdown_file.write_text(with_matrix(markdown_file.read_text("utf-8"), results), "utf-8")
    if as_json:
        typer.echo(json.dumps([{"name": one.name, **row(one)} for one in results], ensure_ascii=False))
    else:
        typer.echo(f"{said(results)}\n\n{markdown(results)}\n{folder}")
