"""``memory-explorer text``: what would be read of a file, where each part stands in it, and what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from model.documents.document import Document, read_path
from model.messages import message


def text(
    file: Annotated[Path, typer.Argument(help="A file, archive or folder.")],
    encoding: Annotated[str | None, typer.Option(help="The document's encoding, where detection is wrong.")] = None,
    main_text: Annotated[bool, typer.Option(help="Of a web page leave out navigation and footers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Print the text that a model would read, every line after its place in the file, and what was left out."""
    document = read_path(file, encoding, allow_blank=True, main_text_only=main_text)
    if as_json:
        typer.echo(json.dumps(_as_json(document), ensure_ascii=False))
        return
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
