"""Weights on disk to a model in memory: what is shipped, what was trained here, and what others published.

A checkpoint is a folder: ``config.json`` (a ModelConfig), ``model.safetensors``, ``tokenizer.json``,
``explored.safetensors`` (the model's own states within its training length), ``training.json`` (command, seed, loss
curve) and ``README.md`` (the model card). A checkpoint that transformers reads is one too: :mod:`model.published`.
Weights are safetensors only: nothing is ever unpickled.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from kernels.cpu.heap import keep_freed_memory
from model.checkpoints.card import ModelCard, home
from model.config import PRESETS, ModelConfig
from model.disk import write_whole, writing
from model.errors import UserError
from model.mixers import MIXERS
from model.published.config import PublishedConfig, check_sizes
from model.published.files import SINGLE, shape_in_words, tensors_in
from model.published.registry import find, known

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.arch.lm import LanguageModel

SHIPPED = Path(__file__).parent
DEFAULT = "mamba2-base"
PRECISIONS = ("float32", "bfloat16")
LEAST_VOCABULARY = 0.9
"""Share of a published model's vocabulary that its tokenizer has at least: models are padded, but not by a tenth."""


def available() -> dict[str, ModelCard]:
    """Every model that can be read with: shipped ones first, DEFAULT before all, those trained here, published ones."""
    cards = {}
    for folder, shipped in ((SHIPPED, True), (home() / "checkpoints", False)):
        for file in sorted(folder.glob("*/config.json"), key=lambda file: (file.parent.name != DEFAULT, file)):
            if file.parent.name not in cards and holds_ours(file.parent):
                with suppress(UserError):  # model_card says it when it is asked for
                    config = read_config(file)
                    cards[file.parent.name] = ModelCard(
                        name=file.parent.name, path=file.parent, config=config, shipped=shipped
                    )
    return {**cards, **{name: card for name, card in known().items() if name not in cards}}


def model_card(name: str) -> ModelCard:
    """The model ``name``, the checkpoint in the folder ``name``, or the hub's ``name`` if it was downloaded.

    UserError if there is none of them.
    """
    cards = available()
    if name in cards:
        return cards[name]
    for folder in (Path(name), home() / "checkpoints" / name):
        if holds_ours(folder):
            return ModelCard(name=name, path=folder, config=read_config(folder / "config.json"), shipped=False)
    published = find(name)
    if published is not None:
        return published
    raise UserError("checkpoints.unknown", name=name, known=", ".join(cards))


def holds_ours(folder: Path) -> bool:
    """Whether ``folder`` is a checkpoint of this project's kind."""
    return (folder / SINGLE).exists() and is_ours(folder / "config.json")


def is_ours(file: Path) -> bool:
    """Whether ``file`` is a ``config.json`` of this project's kind, damaged ones included, and not transformers'."""
    try:
        values = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return file.exists()
    return not isinstance(values, dict) or not ({"model_type", "architectures", "ssm_cfg"} & values.keys())


def read_config(file: Path) -> ModelConfig:
    """Parse a ``config.json``; UserError if it is not a ModelConfig, or of sizes that no model has."""
    try:
        values: dict[str, Any] = json.loads(file.read_text("utf-8"))
        check_sizes(values, file.parent.name)
        config = ModelConfig(**{**values, "layers": tuple(values["layers"])})
        if config.d_inner % config.headdim or config.nheads % config.ngroups:
            raise ValueError("heads of unequal width")
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise UserError("checkpoints.bad_config", name=file.parent.name) from error
    unknown = [layer for layer in config.layers if layer not in MIXERS]
    if unknown:
        raise UserError("checkpoints.unknown_mixer", name=file.parent.name, mixer=unknown[0], known=", ".join(MIXERS))
    return config


@lru_cache(maxsize=2)
def load_model(name: str, precision: str = "float32", device: str = "cpu") -> LanguageModel:
    """The model ``name`` in evaluation mode on ``device``, with matrix products in ``precision``.

    It is shared, and never changed.
    A preset without weights (``random:mamba2-130m``) gives random ones, for measuring speed.
    """
    import torch
    from safetensors.torch import load_file

    from model.arch.lm import LanguageModel

    keep_freed_memory()
    if name.startswith("random:") and name.removeprefix("random:") in PRESETS:
        torch.manual_seed(0)
        model = LanguageModel(PRESETS[name.removeprefix("random:")])
    else:
        card = model_card(name)
        if card.published:
            from model.published.load import load_published

            assert isinstance(card.config, PublishedConfig)
            return load_published(card.path, card.name, card.config, precision, device, load_model.cache_clear)
        check_fit(card)
        model = LanguageModel(card.config)
        try:
            weights = load_file(card.path / SINGLE)
            model.load_state_dict(weights)
        except (RuntimeError, OSError, ValueError, SafetensorError) as error:
            raise UserError("checkpoints.bad_weights", name=card.name) from error
    model.requires_grad_(False).to(device)
    return model.use_bfloat16() if precision == "bfloat16" else model


def check_fit(card: ModelCard) -> None:
    """UserError unless the tensors in the file of ``card`` have the shapes of its configuration; none is allocated."""
    import torch

    from model.arch.lm import LanguageModel

    entries = tensors_in(card.path, card.name)
    if len(card.config.layers) > len(entries):
        raise UserError("checkpoints.bad_weights", name=card.name)
    try:
        with torch.device("meta"):
            outline = LanguageModel(card.config)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        raise UserError("checkpoints.bad_config", name=card.name) from error
    for tensor, wanted in outline.state_dict().items():
        if tensor not in entries:
            raise UserError("published.missing_tensor", name=card.name, tensor=tensor)
        if (found := entries[tensor].shape) != tuple(wanted.shape):
            shapes = {"found": shape_in_words(found), "wanted": shape_in_words(wanted.shape)}
            raise UserError("published.wrong_shape", name=card.name, tensor=tensor, **shapes)


@lru_cache(maxsize=4)
def load_tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of the model ``name``."""
    from model.published.tokens import load_published_tokenizer
    from model.tokenizer import load_tokenizer

    card = model_card(name)
    if card.published:
        return load_published_tokenizer(card.path, card.name)
    return load_tokenizer(card.path / "tokenizer.json")


def tokens_of(name: str, text: str, tokenizer: Tokenizer | None = None) -> tuple[np.ndarray, np.ndarray]:
    """How the model ``name`` reads ``text``, with its own tokenizer or with ``tokenizer``.

    Returns token ids (n_tokens,) int32 and where in ``text`` each begins (n_tokens,) int32. A published model gets the
    tokens that its tokenizer puts before every text. UserError for tokens that the model does not know.
    """
    from model.published.tokens import beginning
    from model.tokenizer import encode

    card = model_card(name)
    chosen = load_tokenizer_of(name) if tokenizer is None else tokenizer
    tokens, characters = encode(chosen, text, whole=card.published)
    if card.published:
        first = beginning(chosen)
        tokens = np.concatenate([np.array(first, np.int32), tokens])
        characters = np.concatenate([np.zeros(len(first), np.int32), characters])
        if chosen.get_vocab_size() < LEAST_VOCABULARY * card.config.vocab_size:
            sizes = {"found": str(chosen.get_vocab_size()), "wanted": str(card.config.vocab_size)}
            raise UserError("published.smaller_tokenizer", name=name, **sizes)
    if len(tokens) and tokens.max() >= card.config.vocab_size:
        raise UserError("published.other_tokenizer", name=name)
    return tokens, characters


def save_checkpoint(folder: Path, model: LanguageModel, tokenizer: Tokenizer) -> None:
    """Write config, weights and tokenizer of ``model`` to ``folder``."""
    from safetensors.torch import save

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in model.named_parameters()}
    with writing(folder):
        write_whole(folder / "config.json", (json.dumps(asdict(model.config), indent=1) + "\n").encode())
        write_whole(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
        write_whole(folder / SINGLE, save(tensors))
    load_model.cache_clear()  # a checkpoint that is made again has its old name
    load_tokenizer_of.cache_clear()
