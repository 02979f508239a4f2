"""What several commands of the command line share."""

from __future__ import annotations

from typing import Annotated

import typer

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


def set_threads(threads: int | None) -> None:
    """Use ``threads`` CPU threads from now on."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
