"""``memory-explorer report``: recordings or a diagnosis to a document for a meeting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.documents.document import read_path
from viz.cli.export import Language


def report(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of recordings of one document, or the file of a diagnosis.")
    ],
    language: Annotated[Language, typer.Option(help="Language of the report.")] = Language.en,
    out: Annotated[
        Path | None, typer.Option(help="report.html, or report.pdf; HTML named after document and date if not given.")
    ] = None,
    company: Annotated[str, typer.Option(help="Name on the first page.")] = "",
    logo: Annotated[Path | None, typer.Option(help="PNG, JPEG or SVG, at most 512 KB.")] = None,
    notes: Annotated[
        str, typer.Option(help="Text that the report ends with before its appendix, or a file of it.")
    ] = "",
) -> None:
    """Write a report: two pages for executives, and an appendix for engineers. PDF needs Chromium, Chrome or Edge."""
    from viz.report.logo import read_logo
    from viz.report.make import Wishes, facts_of, file_name, make

    wishes = Wishes(
        language=language.value,
        company=company,
        logo="" if logo is None else read_logo(logo),
        notes=text_of(notes),
    )
    facts = facts_of(sources)
    target = out or Path(file_name(facts, ".html"))
    make(facts, target, wishes)
    typer.echo(str(target))


def text_of(notes: str) -> str:
    """The notes themselves, or what is in the file of that name."""
    try:
        is_file = 0 < len(notes) < 1000 and Path(notes).is_file()
    except (OSError, ValueError):  # too long for a name, or not one
        is_file = False
    return read_path(notes).text if is_file else notes
