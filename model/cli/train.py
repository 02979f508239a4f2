"""``memory-explorer train | post-train``: checkpoints from texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.catalogue import model_card
from model.cli.options import set_threads
from model.errors import UserError
from model.machine import chosen_device
from model.recording.reader import Recording
from model.training.clipping import CLIPPINGS
from model.training.interventions import described, parse_interventions
from model.training.post_config import PostTrainConfig


def train(
    preset: Annotated[str, typer.Argument(help="A preset of model/config.py, for example mamba2-base.")],
    text: Annotated[list[str], typer.Option(help="GROUP=FILE, as often as you like; groups are drawn equally.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps of 4,096 tokens.")] = 8000,
    d_state: Annotated[int | None, typer.Option(help="Size of a head's state instead of the preset's.")] = None,
    train_length: Annotated[int | None, typer.Option(help="Tokens of a sequence instead of the preset's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a model from scratch on text files; run again after an interruption, it resumes."""
    from model.training.checkpoint import train_checkpoint, train_config

    set_threads(threads)
    config = train_config(preset, steps=steps, seed=seed, d_state=d_state, train_length=train_length)
    train_checkpoint(config, text_groups(text), out, echo=typer.echo, device=chosen_device(device))


def post_train(
    base: Annotated[str, typer.Argument(help="The model to start from: a name (see `models`) or a folder.")],
    intervention: Annotated[
        list[str],
        typer.Option(help="NAME or NAME=SHARE of steps: zeros, gaussian, fitted, carried, tbtt, longer, stretches."),
    ],
    text: Annotated[list[str], typer.Option(help="GROUP=FILE, as often as you like; groups are drawn equally.")],
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 400,
    rows: Annotated[int, typer.Option(help="Sequences of a step.")] = 16,
    length: Annotated[int | None, typer.Option(help="Tokens of a sequence; the base's training length.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-3,
    clipping: Annotated[str, typer.Option(help="Gradient clipping: norm, value or none.")] = "norm",
    clip: Annotated[float | None, typer.Option(help="Its limit; 1 for norm and 0.01 for value if not given.")] = None,
    truncation: Annotated[
        int, typer.Option(help="Tokens of a sequence that gradients reach back; 0: all of them.")
    ] = 0,
    empty_rows: Annotated[
        float, typer.Option(help="Share of each step's sequences that start empty, beside those of the intervention.")
    ] = 0.0,
    decay_rates: Annotated[
        float, typer.Option(help="Learning rate of the decay rates (A_log), as a multiple of the learning rate.")
    ] = 1.0,
    stretches: Annotated[
        Path | None,
        typer.Option(help="For stretches: a plain recording of BASE with its text; its most novel spans are taken."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of batches, noise and lots.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a model further from other initial states; run again after an interruption, it resumes."""
    from model.training.checkpoint import post_train_checkpoint, training_streams, typed_command
    from model.training.loop import StepReport
    from model.training.spans import starts_of

    set_threads(threads)
    config = PostTrainConfig(
        base=base,
        interventions=parse_interventions(intervention),
        length=model_card(base).train_length if length is None else length,
        rows=rows,
        steps=steps,
        learning_rate=learning_rate,
        clipping=clipping,
        clip=CLIPPINGS[clipping].usual if clip is None and clipping in CLIPPINGS else clip or 0.0,
        truncation=truncation,
        empty_rows=empty_rows,
        decay_rates=decay_rates,
        seed=seed,
    )
    config.check()
    for line in described(config.interventions):
        typer.echo(line)
    starts = None
    if config.from_spans and stretches is not None:
        starts = starts_of(Recording(stretches), base)
        typer.echo(f"starting {starts.about}")

    def show(step: StepReport) -> None:
        typer.echo(
            f"step {step.step:6,} of {steps:,}  length {step.seqlen:5,}  loss {step.loss:.3f} nats  "
            f"{step.seconds:6.0f} s, {step.seconds_left:.0f} s left"
        )

    streams = training_streams(base, text_groups(text))
    post_train_checkpoint(config, streams, out, command=typed_command(), report=show, starts=starts)
    typer.echo(f"checkpoint written to {out}")


def text_groups(entries: list[str]) -> dict[str, list[Path]]:
    """``GROUP=FILE`` entries as files by group; UserError if one names no file."""
    groups: dict[str, list[Path]] = {}
    for entry in entries:
        group, _, name = entry.partition("=")
        if not name or not Path(name).is_file():
            raise UserError("training.no_text", entry=entry)
        groups.setdefault(group, []).append(Path(name))
    return groups
