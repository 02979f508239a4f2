"""``memory-explorer convert``: pickled weights to safetensors, or our own weights to half the room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a checkpoint whose weights are pickled, or are to be halved.")
    ],
    half: Annotated[
        bool, typer.Option("--half", help="Rewrite matrices of a checkpoint trained here in float16.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; beside the pickle if not given.")] = None,
) -> None:
    """Write pickled weights as safetensors. Only tensors are opened: a file that holds anything else is refused."""
    if half:
        from model.checkpoints.half import halve

        before, after = halve(folder)
        typer.echo(f"{before:,} bytes before, {after:,} now")
        return
    from model.published.convert import convert as convert_weights

    typer.echo(f"written to {convert_weights(folder, out)}")
