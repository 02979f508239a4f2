"""``memory-explorer ask``: what a model says from its state at a moment of a recorded reading, or in a state file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import AT, DOCUMENT, SOURCE, moment_of, set_threads, text_of
from model.recording.reader import Recording
from model.recording.state_file import StateFile
from model.studies.ask.result import Answer, Question


def ask(
    recording: Annotated[Path, typer.Argument(help="The folder of a recording, or a state file.")],
    at: AT = None,
    question: Annotated[str, typer.Option(help="A text that is read on from the state; without it, simply on.")] = "",
    length: Annotated[int, typer.Option(help="Tokens of the continuation.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token each time.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw among the smallest set with this probability.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    document: DOCUMENT = None,
    source: SOURCE = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Continue, or answer a question, from the state at a moment: next tokens, text, entropy, repetition."""
    from model.reading.again import prepare_again
    from model.studies.ask.run import ask as asked
    from model.studies.ask.states import ask_state

    set_threads(threads)
    wanted = Question(text=question, length=length, temperature=temperature, top_p=top_p, seed=seed)
    if recording.is_file():
        answer = ask_state(StateFile.load(recording), wanted, device)
    else:
        opened = Recording(recording)
        prepared = prepare_again(opened, text_of(opened, document), source, device)
        answer = next(asked(prepared, [(moment_of(opened, at), wanted)]))[1]
    if as_json:
        figures = {"repetition": answer.repetition if len(answer.tokens) > 3 else None}
        typer.echo(json.dumps({"question": asdict(wanted), **asdict(answer), **figures}))
        return
    for line in lines(answer):
        typer.echo(line)


def lines(answer: Answer) -> list[str]:
    """An answer as it is printed."""
    found = [f"after {answer.moment:,} tokens", ""]
    found += [f"{each.rank:4d} {each.probability:8.2%}  {each.text!r}" for each in answer.next[:10]]
    if answer.follows is not None:
        real = answer.follows
        found += ["", f"really follows: {real.text!r}, rank {real.rank:,}, probability {real.probability:.2%}"]
    if not answer.decoded:
        found += ["", "The tokenizer of this model does not open here: ids of tokens stand for their texts."]
    repeated = "-" if answer.repetition != answer.repetition else f"{answer.repetition:.0%}"
    figures = f"entropy {answer.mean_entropy:.2f} nats, {repeated} of its 4-grams occurred before in it"
    return [*found, "", answer.text, "", figures]
