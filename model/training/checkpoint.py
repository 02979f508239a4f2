"""From text files to a checkpoint folder: tokenizer, weights, explored states, and a record of how it was made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_tokenizer_of, model_card, save_checkpoint
from model.config import PRESETS
from model.errors import UserError
from model.json_file import write_json
from model.mixers import nonlinear, recurrent
from model.reading.explore import Visits, explore
from model.recording.writer import versions
from model.tokenizer import load_tokenizer, train_tokenizer
from model.training.data import Groups, Sampler, split_held_out, tokenize_groups
from model.training.loop import StepReport, read_about
from model.training.post_config import PostTrainConfig
from model.training.post_training import Starts, post_train
from model.training.train import TrainConfig, train
from model.training.visited import visits_of

TOKENIZER_CHARACTERS = 4_000_000
"""Characters of each text that the merges are learned from: more changes nothing and takes longer."""

SHORTEST = 128
"""The shortest training length: the first phase reads a quarter of it, and its facts need about 30 tokens."""

SAVE, LOG = "training.safetensors", "training.jsonl"
"""Files of an unfinished run in its folder; they go when the checkpoint is there."""


def train_config(
    preset: str, *, steps: int, seed: int, d_state: int | None = None, train_length: int | None = None
) -> TrainConfig:
    """The run that trains ``preset``, with another state size or training length if one is given.

    UserError for a preset that is not known, for another state size of a cell, or for a length that is too short for a
    fact and its query.
    """
    if preset not in PRESETS:
        raise UserError("training.unknown_preset", name=preset, known=", ".join(PRESETS))
    model = PRESETS[preset]
    if nonlinear(model.layers) and d_state not in (None, model.d_state):
        raise UserError("training.cell_vectors", name=preset, count=model.d_state)
    model = replace(model, d_state=d_state or model.d_state, train_length=train_length or model.train_length)
    config = TrainConfig(model=model, steps=steps, seed=seed)
    if model.train_length < SHORTEST or model.train_length > config.batch_tokens:
        raise UserError("training.length", least=SHORTEST, most=config.batch_tokens)
    return config


def train_checkpoint(
    config: TrainConfig,
    groups: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    echo: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    device: str = "cpu",
) -> None:
    """Train from scratch on ``groups`` of files and write a checkpoint to ``out``; resumes an interrupted run.

    ``device`` trains; what is written is the same kind of checkpoint on any.

    The last 3% of every file is held out: neither tokenizer nor weights see it.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts = training_texts(groups)
    file = out / "tokenizer.json"
    if not file.exists():
        echo("learning the tokenizer")
        learned = (text[:TOKENIZER_CHARACTERS] for group in texts.values() for text in group)
        train_tokenizer(learned, config.model.vocab_size).save(str(file))
    tokenizer = load_tokenizer(file)
    echo("encoding the text")
    streams = tokenize_groups(tokenizer, texts)
    sampler = Sampler(streams, tokenizer, config.recall)
    save = out / SAVE

    def report(step: StepReport) -> None:
        log_step(out, step)
        echo(
            f"step {step.step:6,} of {config.steps:,}  length {step.seqlen:5,}  loss {step.loss:.3f} nats  "
            f"recall {step.recall:.3f}  {step.seconds:6.0f} s"
        )

    model = train(config, sampler, save, report, stop, device=device)
    echo("recording the states it explores")
    write_checkpoint(out, model, tokenizer, streams, {"command": typed_command(), "config": asdict(config)})
    echo(f"checkpoint written to {out}")


def post_train_checkpoint(
    config: PostTrainConfig,
    streams: Groups,
    out: Path,
    *,
    command: str,
    report: Callable[[StepReport], None] = lambda step: None,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[LanguageModel, StepReport], None] = lambda model, step: None,
    exploring: Callable[[int, int], None] = lambda done, total: None,
    starts: Starts | None = None,
) -> bool:
    """Post-train ``config.base`` on token streams made with its tokenizer and write a checkpoint to ``out``.

    ``command`` is how the checkpoint says that it was made. Returns whether it was finished: a run that was stopped, or
    killed, is a save in ``out`` and no checkpoint yet, and resumes when this is called again with the same arguments.
    ``report``, ``watch`` and ``starts`` are those of :func:`~model.training.post_training.post_train`;
    ``exploring(done, total)`` follows the reading of the windows whose states are recorded at the end. UserError if
    ``out`` holds a checkpoint, or what :func:`~model.training.post_training.post_train` refuses.
    """
    if (out / "model.safetensors").exists() and not (out / SAVE).exists():
        raise UserError("training.exists", name=out.name)
    if not (out / SAVE).exists():
        (out / LOG).unlink(missing_ok=True)  # of a run that was killed before its first save
    weights = model_card(config.base).weights

    def logged(step: StepReport) -> None:
        log_step(out, step)
        report(step)

    model = post_train(config, streams, out / SAVE, logged, stop, watch, starts)
    if int(read_about(out / SAVE)["step"]) < config.steps:
        return False
    made_from = {**asdict(config), "base": Path(config.base).name}
    about = {"command": command, "config": made_from, "base_weights": weights}
    if starts is not None:
        about["stretches"] = starts.about
    visits = visits_of(config, streams, out / SAVE, model)
    write_checkpoint(out, model, load_tokenizer_of(config.base), streams, about, exploring, visits)
    return True


def write_checkpoint(
    out: Path,
    model: LanguageModel,
    tokenizer: Tokenizer,
    streams: Groups,
    about: Mapping[str, Any],
    exploring: Callable[[int, int], None] = lambda done, total: None,
    visits: Visits | None = None,
) -> None:
    """Write what a finished run gives, with the states that ``model`` explores; its save and log go last.

    ``visits`` are the steps of a training that started from other memories, whose states count as explored too. A model
    without a recurrent state explores none.
    ``about`` is what ``training.json`` says besides versions, size of the text and loss curve.
    """
    model.requires_grad_(False)
    save_checkpoint(out, model, tokenizer)
    if recurrent(model.config.layers):
        texts = [np.asarray(stream) for group in streams.values() for stream in group]
        explored = explore(model, texts, model.config.train_length, visits=visits, report=exploring)
        explored.save(out / "explored.safetensors")
    curve = {entry["step"]: entry for entry in map(json.loads, (out / LOG).read_text("utf-8").splitlines())}
    write_json(
        out / "training.json",
        {
            **about,
            "versions": versions(),
            "tokens": {group: sum(len(stream) for stream in found) for group, found in streams.items()},
            "curve": [curve[step] for step in sorted(curve)],
        },
    )
    (out / SAVE).unlink()
    (out / LOG).unlink()


def log_step(out: Path, step: StepReport) -> None:
    """Append ``step`` to the log of an unfinished run; a step that is done again after a kill replaces its first."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOG).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(step)) + "\n")


def typed_command() -> str:
    """The command that runs now, with the names of files and not where they lie."""
    words = ("=".join(Path(part).name if "/" in part else part for part in word.split("=")) for word in sys.argv[1:])
    return " ".join(["memory-explorer", *words])


def training_texts(groups: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """The texts of ``groups`` of files without what is held out."""
    return {group: [split_held_out(path.read_text("utf-8"))[0] for path in paths] for group, paths in groups.items()}


def training_streams(base: str, groups: Mapping[str, Sequence[Path]]) -> Groups:
    """Tokens of the texts of ``groups`` of files in the tokens of the model ``base``, without what is held out."""
    return tokenize_groups(load_tokenizer_of(base), training_texts(groups))
