"""What several commands of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.documents.document import read_path
from model.documents.token_ids import MEDIA as TOKEN_IDS
from model.documents.token_ids import read_token_ids
from model.errors import UserError
from model.recording.reader import Recording

OFF = Annotated[
    list[str] | None,
    typer.Option(help="Switch a part off, as often as you like: recurrence, layer:3, head:3.5 ..."),
]
ATTENTION_WINDOW = Annotated[
    str | None,
    typer.Option(help="Tokens that attention sees at most; 0 or full: all. The training length by default."),
]
EACH = Annotated[
    bool, typer.Option("--each", help="Of a folder, every file is a document; without it the folder is one.")
]

AT = Annotated[
    int | None, typer.Option(help="The moment: how many tokens have been read. Without it, all of the recording.")
]
DOCUMENT = Annotated[Path | None, typer.Option(help="The document, where its text is not stored in the recording.")]
SOURCE = Annotated[
    Path | None,
    typer.Option(help="What a carried initial state came from: the folder of a recording, or a state file."),
]


def text_of(recording: Recording, document: Path | None) -> str:
    """The text of ``recording``: stored with it, or that of the file ``document``; UserError without either."""
    if document is not None and recording.experiment.tokenizer == TOKEN_IDS:
        return read_token_ids(document).text
    if document is not None:
        return read_path(document, allow_blank=True).text
    if recording.text is None:
        raise UserError("question.no_text", name=recording.title)
    return recording.text


def moment_of(recording: Recording, at: int | None) -> int:
    """The moment ``at`` of ``recording``, by default its end; UserError if so much was not read."""
    moment = recording.read_tokens if at is None else at
    if not 1 <= moment <= recording.read_tokens:
        raise UserError("question.moment", moment=moment, tokens=recording.read_tokens)
    return moment


def set_threads(threads: int | None) -> None:
    """Use ``threads`` CPU threads from now on."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
