"""A checkpoint small enough to make in a test: random weights, a tokenizer of a few hundred tokens, explored states."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.config import ModelConfig
from model.documents.document import Document
from model.experiment import Strategy
from model.reading.explore import explore
from model.reading.prepare import Options, Prepared, prepare
from model.tokenizer import encode, train_tokenizer

WORDS = [
    *("pump", "valve", "seal", "bearing", "oil", "checked", "replaced", "normal", "before", "after"),
    *("点検", "交換", "異常", "なし", "ポンプ", "軸受", "温度", "圧力", "値"),
]


def tiny_text(words: int, seed: int = 0) -> str:
    """Sentences of random words and numbers in two languages."""
    random = np.random.default_rng(seed)
    drawn = random.choice(WORDS, words)
    marks = random.choice([" ", " ", " ", ".\n", f" {seed + 17} "], words)
    return "".join(word + mark for word, mark in zip(drawn, marks, strict=True))


def make_tiny_checkpoint(home: Path, train_length: int = 64) -> str:
    """Write the checkpoint ``tiny`` under ``home`` and return its name."""
    torch.manual_seed(0)
    config = ModelConfig(
        layers=("mamba2", "mamba2"), d_model=32, d_state=16, headdim=16, vocab_size=320, train_length=train_length
    )
    model = LanguageModel(config)
    for block in model.blocks:  # a fresh mixer hardly writes: make its state large enough to be seen
        block.mixer.out_proj.weight.data.normal_(std=0.3)
        block.mixer.in_proj.weight.data.mul_(2)
    tokenizer = train_tokenizer([tiny_text(4000)], config.vocab_size)
    folder = home / "checkpoints" / "tiny"
    save_checkpoint(folder, model, tokenizer)
    tokens, _ = encode(tokenizer, tiny_text(4000, seed=1))
    explore(model.requires_grad_(False), [tokens], train_length, windows=40).save(folder / "explored.safetensors")
    return "tiny"


def prepared(text: str, model: str = "tiny", *, source: Path | None = None, **choices: Any) -> Prepared:
    """``text`` prepared for a reading; ``choices`` are those of a strategy and the options, by their names."""
    options = {name: choices.pop(name) for name in Options.__dataclass_fields__ if name in choices}
    strategy = Strategy.of(**choices)
    return prepare(Document.of(text, "notes.txt"), model, strategy, Options(**options), source=source)


def tiny_of(name: str) -> LanguageModel:
    """Two layers of one mixer, in sizes that it takes."""
    for d_state, headdim, expand in ((6, 6, 2), (2, 6, 2), (1, 6, 2), (2, 1, 2), (1, 1, 2), (2, 6, 1)):
        sizes = {"d_state": d_state, "headdim": headdim, "expand": expand, "vocab_size": 30, "train_length": 16}
        try:
            return LanguageModel(ModelConfig(layers=(name, name), d_model=12, **sizes))
        except AssertionError:  # a cell has as many columns as it carries vectors, a selective channel is one wide,
            # and attention has no wider inner dimension
            continue
    raise AssertionError(name)
