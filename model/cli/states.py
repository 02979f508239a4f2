"""``memory-explorer state save | show | compare``: the state of a moment in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli.options import AT, DOCUMENT, SOURCE, moment_of, set_threads, text_of
from model.recording.reader import Recording
from model.recording.state_file import StateFile

if TYPE_CHECKING:
    import numpy as np

    from model.diagnostics.state_numbers import StateNumbers

AS_JSON = Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")]
FILE = Annotated[Path, typer.Argument(help="A state file.")]
state_app = typer.Typer(no_args_is_help=True, help="The state of a moment in a file of its own: save, show, compare.")


@state_app.command()
def save(
    recording: Annotated[Path, typer.Argument(help="The folder of a recording.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    at: AT = None,
    document: DOCUMENT = None,
    source: SOURCE = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
) -> None:
    """Read a recorded document again up to a moment and write the state there to a file."""
    from model.reading.again import prepare_again
    from model.studies.ask.states import state_at

    set_threads(threads)
    opened = Recording(recording)
    prepared = prepare_again(opened, text_of(opened, document), source, device)
    found = state_at(prepared, moment_of(opened, at))
    assert found is not None
    found.save(out)
    typer.echo(f"{out}: the state after {found.tokens:,} tokens of {opened.document_name}")


@state_app.command()
def show(file: FILE, as_json: AS_JSON = False) -> None:
    """Print what a state file holds: its model, its reading, and the numbers of every layer and head."""
    from model.studies.ask.states import measured

    state = StateFile.load(file)
    found = measured(state)
    about = facts(state)
    if as_json:
        typer.echo(json.dumps(about | numbers(found)))
        return
    for name, value in about.items():
        typer.echo(f"{name:16s} {value}")
    typer.echo(f"\n{'layer':>5s} {'head':>5s} {'norm':>12s} {'effective rank':>15s}")
    for layer, row in enumerate(found.norm):
        for head, norm in enumerate(row):
            typer.echo(f"{layer:5d} {head:5d} {norm:12,.4g} {one_digit(found.rank[layer, head]):>15s}")
    for line in novelty_lines(found, file.name):
        typer.echo(line)


@state_app.command()
def compare(first: FILE, second: FILE, as_json: AS_JSON = False) -> None:
    """Compare two states by layer and head: norm, angle in degrees, effective rank, distance to explored states."""
    from model.studies.ask.states import compared

    states = [StateFile.load(file) for file in (first, second)]
    found = compared(*states)
    if as_json:
        sides = [facts(state) | numbers(each) for state, each in zip(states, (found.first, found.second), strict=True)]
        typer.echo(json.dumps({"first": sides[0], "second": sides[1], "angle": listed(found.angle)}))
        return
    for name, state in zip("AB", states, strict=True):
        typer.echo(f"{name}: {state.name}, {state.experiment.model}, after {state.tokens:,} tokens")
    heads = ("norm A", "norm B", "angle", "rank A", "rank B")
    typer.echo("\n" + f"{'layer':>5s} {'head':>5s} " + " ".join(f"{name:>10s}" for name in heads))
    for layer, row in enumerate(found.angle):
        for head, angle in enumerate(row):
            norms = (found.first.norm[layer, head], found.second.norm[layer, head])
            ranks = (found.first.rank[layer, head], found.second.rank[layer, head])
            values = [
                f"{norms[0]:10,.4g}",
                f"{norms[1]:10,.4g}",
                f"{one_digit(angle):>10s}",
                *(f"{one_digit(rank):>10s}" for rank in ranks),
            ]
            typer.echo(f"{layer:5d} {head:5d} " + " ".join(values))
    for name, each in (("A", found.first), ("B", found.second)):
        for line in novelty_lines(each, name):
            typer.echo(line)


def one_digit(value: float) -> str:
    """A rank or an angle with one digit; "-" where there is none."""
    return "-" if value != value else f"{value:,.1f}"


def facts(state: StateFile) -> dict[str, Any]:
    """What a state is of."""
    experiment = state.experiment
    return {
        "model": experiment.model,
        "weights": experiment.weights,
        "document": experiment.document,
        "tokens": state.tokens,
        "initial_state": experiment.strategy.initial_state,
        "mitigations": dict(experiment.strategy.mitigations),
        "off": list(experiment.off),
    }


def numbers(found: StateNumbers) -> dict[str, Any]:
    """The numbers of a state as JSON holds them."""
    values = {"norm": found.norm, "rank": found.rank, "novelty": found.novelty, "nearest": found.nearest}
    return {name: None if array is None else listed(array) for name, array in values.items()}


def listed(array: np.ndarray) -> list[Any]:
    """Numbers as lists; None for NaN, which JSON does not have."""
    return [listed(row) if row.ndim else (None if row != row else row.item()) for row in array]


def novelty_lines(found: StateNumbers, name: str) -> list[str]:
    """How far the layers are from the explored states, a line each; none where that is not known."""
    if found.novelty is None or found.nearest is None:
        return []
    pairs = zip(found.novelty, found.nearest, strict=True)
    return [
        f"{name}, layer {layer}: novelty {score:.2f} (unexplored above 1), nearest explored state after {near:,} tokens"
        for layer, (score, near) in enumerate(pairs)
        if score == score
    ]
