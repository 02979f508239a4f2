"""From text files to a checkpoint folder: tokenizer, weights, explored states, and a record of how it was made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from model.checkpoint import save_checkpoint
from model.config import PRESETS
from model.errors import UserError
from model.explore import explore
from model.recording import versions, write_json
from model.tokenizer import load_tokenizer, train_tokenizer
from model.training.data import Sampler, split_held_out, tokenize_groups
from model.training.loop import StepReport
from model.training.train import TrainConfig, train

TOKENIZER_CHARACTERS = 4_000_000
"""Characters of each text that the merges are learned from: more changes nothing and takes longer."""


def train_checkpoint(
    preset: str,
    groups: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    steps: int,
    seed: int,
    echo: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train ``preset`` on ``groups`` of files and write a checkpoint to ``out``; goes on from an interrupted run.

    The last 3% of every file is held out: neither tokenizer nor weights see it.
    """
    if preset not in PRESETS:
        raise UserError("training.unknown_preset", name=preset, known=", ".join(PRESETS))
    config = TrainConfig(model=PRESETS[preset], steps=steps, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    texts = {group: [split_held_out(path.read_text("utf-8"))[0] for path in paths] for group, paths in groups.items()}
    file = out / "tokenizer.json"
    if not file.exists():
        echo("learning the tokenizer")
        learned = (text[:TOKENIZER_CHARACTERS] for group in texts.values() for text in group)
        train_tokenizer(learned, config.model.vocab_size).save(str(file))
    tokenizer = load_tokenizer(file)
    echo("encoding the text")
    streams = tokenize_groups(tokenizer, texts)
    sampler = Sampler(streams, tokenizer, config.recall)
    save = out / "training.safetensors"
    log = out / "training.jsonl"

    def report(step: StepReport) -> None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(step)) + "\n")
        echo(
            f"step {step.step:6,} of {steps:,}  length {step.seqlen:5,}  loss {step.loss:.3f} nats  "
            f"recall {step.recall:.3f}  {step.seconds:6.0f} s"
        )

    model = train(config, sampler, save, report, stop)
    save_checkpoint(out, model, tokenizer)
    model.requires_grad_(False)
    echo("recording the states it explores")
    explored = explore(model, [stream for group in streams.values() for stream in group], config.model.train_length)
    explored.save(out / "explored.safetensors")
    curve = {entry["step"]: entry for entry in map(json.loads, log.read_text("utf-8").splitlines())}
    write_json(
        out / "training.json",
        {
            "command": " ".join(
                ["memory-explorer", *(Path(word).name if "/" in word else word for word in sys.argv[1:])]
            ),
            "config": asdict(config),
            "versions": versions(),
            "tokens": {group: sum(len(stream) for stream in found) for group, found in streams.items()},
            "curve": [curve[step] for step in sorted(curve)],
        },
    )
    log.unlink()
    save.unlink()
    echo(f"checkpoint written to {out}")
