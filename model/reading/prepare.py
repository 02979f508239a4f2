"""From a document and some choices to a checked experiment with its tokens: what app, command line and API all call.

Whatever does not fit is said here, in one sentence, before work starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import PRECISIONS, model_card, tokens_of
from model.config import ModelConfig
from model.diagnostics.explored import Explored
from model.documents.document import Document
from model.documents.token_ids import MEDIA as TOKEN_IDS
from model.documents.token_ids import token_ids_of
from model.errors import UserError
from model.experiment import PLAIN, Experiment, Strategy
from model.interventions import initial_states
from model.interventions.initial_states import row_of
from model.interventions.mitigations import MITIGATIONS, active, check_fits
from model.interventions.parts import Off
from model.machine import DEVICES
from model.mixers import recurrent
from model.published.config import sees_everything
from model.recording.state_file import carried_from

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a document is read, beside the strategy.

    ``precision`` is that of matrix products, ``train_length`` None the model's own; ``control`` also reads with a fresh
    state, ``token_norms`` records the exact state norm at every token. ``attention_window`` is how many tokens
    attention beside the memories sees at most, 0 for the whole document, None for the training length.
    ``off`` names parts that are switched off (:mod:`model.interventions.parts`). ``device`` is "cpu", "cuda", or "auto"
    for the GPU where there is one; the result does not depend on it beyond rounding.
    """

    precision: str = "float32"
    control: bool = True
    token_norms: bool = False
    train_length: int | None = None
    attention_window: int | None = None
    off: tuple[str, ...] = ()
    device: str = "auto"


DEFAULTS = Options()

MOST_WINDOW = 10_000_000
"""Tokens of the widest window of attention: more than any document has."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A checked experiment with the tokens it reads; ``characters`` says where in the text each token begins.

    ``device`` is one of :data:`model.machine.DEVICES`.
    """

    experiment: Experiment
    card: ModelCard
    document: Document
    tokens: np.ndarray
    characters: np.ndarray
    explored: Explored | None
    source: Mapping[str, np.ndarray] | None
    device: str = "auto"


def prepare(
    document: Document,
    model: str,
    strategy: Strategy = PLAIN,
    options: Options = DEFAULTS,
    *,
    source: Path | None = None,
    tokenizer: Tokenizer | None = None,
    tokens_known: tuple[np.ndarray, np.ndarray] | None = None,
) -> Prepared:
    """Check every choice and tokenise ``document``; UserError with one sentence for whatever does not fit.

    ``source`` is what a carried state comes from: the folder of a recording, or a state file of the same model.
    ``tokenizer`` replaces that of the model; its tokens must be those of the model's vocabulary. A document of token
    ids needs none. ``tokens_known`` are tokens and characters of the same document, as another model with the same
    tokenizer reads it.
    """
    card = model_card(model)
    settings = active(dict(strategy.mitigations))
    check_fits(settings, card.config)
    row = row_of(strategy.initial_state)
    explored = Explored.load(card.explored) if card.explored else None
    initial_states.check_fits(strategy.initial_state, card.config)
    if explored is None and any(MITIGATIONS[name].needs_reference for name in settings):
        raise UserError("mitigations.needs_reference", name=next(iter(settings)))
    if explored is None and row.needs_explored:
        raise UserError("initial_states.needs_explored", name=strategy.initial_state)
    if row.needs_source and source is None:
        raise UserError("initial_states.needs_source")
    if options.device not in DEVICES:
        raise UserError("machine.unknown_device", name=options.device, known=", ".join(DEVICES))
    if options.precision not in PRECISIONS:
        raise UserError("checkpoints.precision", value=options.precision)
    train_length = card.train_length if options.train_length is None else options.train_length
    if not 16 <= train_length <= 1_000_000:
        raise UserError("checkpoints.train_length", value=train_length)
    off = Off.of(options.off)
    off.check(card.config)
    window = attention_window(card.config, options.attention_window, train_length)
    by_ids = document.media == TOKEN_IDS
    if by_ids:
        tokens, characters = token_ids_of(document)
        if tokens.max() >= card.config.vocab_size:
            raise UserError("document.foreign_token", value=int(tokens.max()), most=card.config.vocab_size - 1)
    else:
        tokens, characters = tokens_known or tokens_of(model, document.text, tokenizer)
    if len(tokens) < 2:
        raise UserError("checkpoints.too_short", tokens=len(tokens))
    carried, memory, file = ("", None, None) if source is None or not row.needs_source else carried_from(source)
    if file is not None:
        file.check_weights(model, card.weights)
    experiment = Experiment(
        document=document.sha256,
        tokens=len(tokens),
        model=model,
        weights=card.weights,
        train_length=train_length,
        strategy=replace(strategy, source=carried, mitigations=tuple(settings.items())),
        precision=options.precision,
        control=options.control,
        token_norms=options.token_norms,
        tokenizer=TOKEN_IDS if by_ids else tokenizer_mark(tokenizer),
        attention_window=window,
        off=off.words,
    )
    return Prepared(
        experiment=experiment,
        card=card,
        document=document,
        tokens=tokens,
        characters=characters,
        explored=explored,
        source=memory,
        device=options.device,
    )


def tokenizer_mark(tokenizer: Tokenizer | None) -> str:
    """What tells a tokenizer of one's own from others in an experiment; empty for that of the model."""
    return "" if tokenizer is None else hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:12]


def attention_window(config: ModelConfig, wanted: int | None, train_length: int) -> int:
    """How many tokens attention of a model of ``config`` sees at most; 0 for all that it would see.

    What a model was not trained to attend to is extrapolation of its attention, and not of its memory: without a wish
    of the user's the window is the training length. UserError for a window where there is no full attention.
    """
    if not sees_everything(config):
        if wanted:
            caches = recurrent(config.layers) != config.layers
            raise UserError("mitigations.window_instead" if caches else "published.no_full_attention", window=wanted)
        return 0
    window = train_length if wanted is None else wanted
    if not 0 <= window <= MOST_WINDOW:
        raise UserError("published.attention_window", value=window)
    return window
