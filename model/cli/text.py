"""``memory-explorer text``: what would be read of a file, or was read in a recording, as text or by tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.documents.document import Document, read_path
from model.errors import UserError
from model.messages import message
from model.recording.reader import META, Recording

if TYPE_CHECKING:
    import pyarrow as pa


def text(
    file: Annotated[Path, typer.Argument(help="A file, archive or folder; or the folder of a recording.")],
    encoding: Annotated[str | None, typer.Option(help="The document's encoding, where detection is wrong.")] = None,
    main_text: Annotated[bool, typer.Option(help="Of a web page leave out navigation and footers.")] = False,
    model: Annotated[str | None, typer.Option(help="Of a document, also the tokens that this model reads.")] = None,
    document: Annotated[
        Path | None, typer.Option(help="Of a recording, the file that was read: its pages and other places.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the table of tokens to this file, which ends with .csv or .parquet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Print the text that a model would read, every line after its place in the file, and what was left out.

    Of a recording, print the table of its tokens: losses, excess, state norms, decay, novelty.
    """
    if (file / META).exists():
        _recording(Recording(file), document, out, as_json)
        return
    opened = read_path(file, encoding, allow_blank=True, main_text_only=main_text)
    table = None if model is None else _tokens(opened, model)
    if out is not None:
        if table is None:
            raise UserError("document.needs_model")
        _write(table, out)
    elif as_json:
        found = _as_json(opened) | ({} if table is None else _rows(table))
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif table is not None:
        _print(table)
    else:
        _lines(opened)


def _recording(recording: Recording, document: Path | None, out: Path | None, as_json: bool) -> None:
    from model.diagnostics.token_table import token_table

    table = token_table(recording, document=None if document is None else read_path(document, allow_blank=True))
    if out is not None:
        _write(table, out)
    elif as_json:
        about = {"key": recording.key, "title": recording.title, "name": recording.document_name}
        experiment = recording.experiment.to_json()
        typer.echo(json.dumps({**about, "experiment": experiment, **_rows(table)}, ensure_ascii=False))
    else:
        _print(table)


def _tokens(document: Document, model: str) -> pa.Table:
    from model.diagnostics.token_table import document_table

    return document_table(document, model)


def _write(table: pa.Table, out: Path) -> None:
    from model.recording.tables import write_table

    write_table(table, out)
    typer.echo(str(out))


def _rows(table: pa.Table) -> dict[str, Any]:
    """A table as JSON holds it: what its columns are, and a row for every token, null for what is not known."""
    from model.recording.tables import MEANING, UNIT

    columns = [
        {"name": field.name, "unit": field.metadata[UNIT].decode(), "meaning": field.metadata[MEANING].decode()}
        for field in table.schema
    ]
    return {"columns": columns, "tokens": table.to_pylist()}


def _print(table: pa.Table) -> None:
    """The table with tabs between its columns; of a text, line breaks and tabs are escaped."""
    typer.echo("\t".join(table.column_names))
    for row in table.to_pylist():
        typer.echo("\t".join(map(_cell, row.values())))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)[1:-1]
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _lines(document: Document) -> None:
    """Every line after its place, and what was left out."""
    start = 0
    for line in document.text.removesuffix("\n").split("\n"):
        typer.echo(f"{document.place(start)}\t{line}")
        start += len(line) + 1
    for note in _notes(document):
        typer.echo(note, err=True)


def _notes(document: Document) -> list[str]:
    """What a user should know about the text, one sentence each."""
    notes = [omission.sentence("en") for omission in document.omissions]
    if document.guess is not None and document.guess.doubtful:
        others = ", ".join(document.guess.alternatives) or "utf-8"
        notes.insert(0, message("omitted.doubtful_encoding", "en", encoding=document.encoding, others=others))
    return notes


def _as_json(document: Document) -> dict[str, object]:
    """The document as plain values; ``places`` are the parts of the file and the index of their first character."""
    places = [
        {"start": place.start, "place": document.place(place.start), "steps": document.steps(place.start)}
        for place in document.places
    ]
    return {
        "name": document.name,
        "media": document.media,
        "size": document.size,
        "encoding": document.encoding,
        "doubtful": document.guess is not None and document.guess.doubtful,
        "alternatives": list(document.guess.alternatives) if document.guess is not None else [],
        "characters": len(document.text),
        "sha256": document.sha256,
        "places": places,
        "omissions": [
            {"place": omission.place("en"), "why": omission.reason("en"), "key": omission.key}
            for omission in document.omissions
        ],
        "text": document.text,
    }
