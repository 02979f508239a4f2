"""``memory-explorer models | download | explore``: which models are here, and which states they explore."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.catalogue import available, load_model, model_card, tokens_of
from model.documents.document import read_path
from model.messages import message
from model.published import hub
from model.published.cost import expected_speed
from model.published.room import gigabytes
from model.reading.reference import SAMPLE, WINDOWS, record_explored
from model.studies.facts import find_facts
from sample_data import SAMPLES, sample_text

AS_JSON = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
models_app = typer.Typer(invoke_without_command=True)


@models_app.callback()
def models(context: typer.Context, as_json: AS_JSON = False) -> None:
    """List the models that can be read with, or show one of them."""
    if context.invoked_subcommand is not None:
        return
    rows = [
        {
            "name": card.name,
            "layers": list(card.config.layers),
            "d_model": card.config.d_model,
            "state_size": card.config.state_size,
            "train_length": card.train_length,
            "shipped": card.shipped,
            "path": str(card.path),
            "published": card.published,
        }
        for card in available().values()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['name']:24s} {len(row['layers'])} layers, d_model {row['d_model']}, "  # type: ignore[arg-type]
            f"state {row['state_size']:,}, training length {row['train_length']:,} tokens"
        )


@models_app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, a folder (config.json is enough), or a name of the hub.")],
    as_json: AS_JSON = False,
) -> None:
    """Say what is known of a model before it is downloaded or loaded."""
    known = find_facts(name)
    if as_json:
        typer.echo(json.dumps({**asdict(known), "tokens_per_second": expected_speed(known.parameters)}))
        return
    window = 2 * known.grows * known.train_length
    grows = f"{gigabytes(known.grows)} a token, up to {gigabytes(window)} with a window of the training length"
    rows = {
        "name": known.name,
        "family": known.family,
        "parameters": f"{known.parameters:,}",
        "on disk": gigabytes(known.disk) if known.disk else "-",
        "layers": message(
            "published.layers", layers=known.layers, attention=known.attention_layers, share=known.attention_share
        ),
        "state": f"{known.state_size:,} numbers a sequence, {gigabytes(known.state)}",
        "training length": message(f"published.length_{known.length_from}", tokens=known.train_length),
        "memory needed": ", ".join(f"{gigabytes(size)} in {kind}" for kind, size in known.needed.items()),
        "keys and values": grows if known.grows else "-",
        "expected speed": f"about {expected_speed(known.parameters):,.0f} tokens/s on this processor, float32",
    }
    for label, value in rows.items():
        typer.echo(f"{label:16s} {value}")


def download(
    name: Annotated[str, typer.Argument(help="A name of the hub: owner/model.")],
    ask: Annotated[bool, typer.Option("--ask", help="Only say what would be downloaded.")] = False,
) -> None:
    """Download a published model from the hub, or resume an interrupted download."""
    offer = hub.look_up(name)
    for file, size in offer.files.items():
        typer.echo(f"{gigabytes(size):>10s}  {file}")
    state = offer.config.state_size
    typer.echo(f"{gigabytes(offer.size):>10s}  in all; a state of {state:,} numbers, {gigabytes(4 * state)}")
    if ask:
        return

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done / max(1, total):4.0%} of {gigabytes(total)}   ")

    hub.download(offer, report=show)
    typer.echo(f"\nread with it: memory-explorer read FILE --model {name}")


def explore(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    texts: Annotated[list[Path] | None, typer.Argument(help="Reference texts; a shipped sample if none.")] = None,
    windows: Annotated[
        int | None, typer.Option(help="Windows of one training length; 512, or 24 if published.")
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16, of a published model.")] = "float32",
) -> None:
    """Record which states a model explores within its training length, from a reference text."""
    from model.reading.explore import explore as explore_model

    card = model_card(model)
    named = [(path.name, read_path(path).text) for path in texts or []] or [(SAMPLES[SAMPLE].file, sample_text(SAMPLE))]
    if card.published:
        record_explored(card, named, windows=windows or WINDOWS, precision=precision)
    else:
        streams = [tokens_of(model, text)[0] for _, text in named]
        explore_model(load_model(model), streams, card.train_length, windows=windows or 512).save(card.explored_file)
    typer.echo(f"states of {card.name} on {', '.join(name for name, _ in named)} written to {card.explored_file}")
