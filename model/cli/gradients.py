"""``memory-explorer gradients``: how far the gradient of a loss reaches back through the states of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.catalogue import load_model, model_card, tokens_of
from model.cli.options import set_threads
from model.documents.document import read_path
from model.errors import UserError
from model.studies.gradients import reach_on
from model.studies.gradients.report import printed
from sample_data import SAMPLES, sample_path

CHARACTERS = 1_000_000
"""Characters of the document that the windows are spread over."""


def gradients(
    file: Annotated[Path | None, typer.Argument(help="A document; a shipped sample if none is given.")] = None,
    model: Annotated[str, typer.Option(help="A model's name or a checkpoint folder.")] = "mamba2-base",
    longest: Annotated[
        int | None, typer.Option(help="Tokens of the longest lag; the model's training length if not given.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
) -> None:
    """Measure how far the gradient of a loss reaches back: the norm of d loss_t / d state_{t-k} against k."""
    set_threads(threads)
    card = model_card(model)
    if longest is not None and longest < 1:
        raise UserError("gradients.lags")
    path = file or sample_path(next(iter(SAMPLES)))
    tokens, _ = tokens_of(model, read_path(path).text[:CHARACTERS])
    found = reach_on(load_model(model), tokens, longest=longest or card.train_length)
    assert found is not None  # nothing stops it
    values = {"model": card.name, "weights": card.weights, "document": path.name, **found.values()}
    typer.echo(json.dumps(values) if as_json else printed(found, card.name, path.name))
