"""``memory-explorer export``: the numbers of a recording as tables, its figures as a page or as pictures."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.disk import write_whole
from model.errors import UserError
from model.messages import message
from model.recording.figures import figures
from model.recording.reader import Recording

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDTH, HEIGHT = 900, 420
"""Pixels of a picture, before it is scaled."""


class Format(StrEnum):
    """What a recording is exported as."""

    parquet = "parquet"
    csv = "csv"
    html = "html"
    png = "png"


class Language(StrEnum):
    """The language of what is written."""

    en = "en"
    ja = "ja"


def export(
    recording: Annotated[Path, typer.Argument(help="The folder of a recording.")],
    format: Annotated[Format, typer.Option(help="Tables (parquet, csv) or figures (html, png).")] = Format.parquet,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; named after the document in this folder if not given.")
    ] = None,
    figure: Annotated[
        list[str] | None, typer.Option(help="A figure by name, as often as you like; all that there are if none.")
    ] = None,
    language: Annotated[Language, typer.Option(help="Language of the figures.")] = Language.en,
    dark: Annotated[bool, typer.Option(help="Figures for a dark background.")] = False,
) -> None:
    """Write a recording as a table of tokens and one of chunks, or its figures as a page or as pictures."""
    opened = Recording(recording)
    stem = Path(opened.document_name).stem or "recording"
    target = out or Path(f"{stem}-{opened.key}.{format.value}")
    if format in (Format.parquet, Format.csv):
        written = _tables(opened, format, target)
    else:
        drawn = _drawn(opened, figure or [], language.value, dark)
        if format is Format.html:
            written = [_page(opened, drawn, language.value, dark, target)]
        else:
            written = _pictures(drawn, language.value, dark, target)
    for file in written:
        typer.echo(str(file))


def beside(target: Path, name: str) -> Path:
    """The file beside ``target`` whose name also says ``name``."""
    return target.with_name(f"{target.stem}-{name}{target.suffix}")


def _tables(recording: Recording, format: Format, target: Path) -> list[Path]:
    """Write the table of tokens to ``target`` and that of chunks beside it."""
    from model.diagnostics.token_table import token_table
    from model.recording.tables import chunk_table, write_csv, write_parquet

    write = write_parquet if format is Format.parquet else write_csv
    target.parent.mkdir(parents=True, exist_ok=True)
    chunks = beside(target, "chunks")
    write(token_table(recording), target)
    write(chunk_table(recording), chunks)
    return [target, chunks]


def _drawn(recording: Recording, names: list[str], language: str, dark: bool) -> dict[str, go.Figure]:
    """The figures ``names``, or without any those that the recording has the numbers for."""
    if names:
        return {name: recording.figure(name, language, dark) for name in names}
    found = {}
    for name in figures():
        try:
            found[name] = recording.figure(name, language, dark)
        except UserError as error:
            typer.echo(error.sentence(language), err=True)
    return found


def _page(recording: Recording, drawn: dict[str, go.Figure], language: str, dark: bool, target: Path) -> Path:
    """One page with all figures, which needs no network."""
    from viz.report.embed import page_of

    charts = [
        {
            "title": message(f"figures.{name}_title", language),
            "help": message(f"figures.{name}_help", language),
            "figure": figure,
        }
        for name, figure in drawn.items()
    ]
    page = page_of("figures.html", language, title=recording.title, dark=dark, charts=charts)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page.encode())
    return target


def _pictures(drawn: dict[str, go.Figure], language: str, dark: bool, target: Path) -> list[Path]:
    """A picture of every figure; the name says which where there are several."""
    from viz.report.chromium import photograph
    from viz.report.embed import page_of

    target.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in drawn.items():
            height = int(figure.layout.height or HEIGHT)
            page = page_of("picture.html", language, title=name, dark=dark, figure=figure, width=WIDTH, height=height)
            file = Path(folder) / "picture.html"
            file.write_text(page, "utf-8")
            picture = target if len(drawn) == 1 else beside(target, name)
            photograph(file, picture, WIDTH, height)
            written.append(picture)
    return written
