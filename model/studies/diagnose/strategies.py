"""What a diagnosis reads: every sensible strategy for a model, from the tables and the installed checkpoints.

    plain         the model as it is
    mitigations   each that fits, at its suggested strength and at two others, and the published combinations
    initial       each initial state that is made from the model's own explored states
    post-trained  other weights of the same base, plain, if they read the same tokens

A carried state needs a recording to start from, so it is not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from model.checkpoints.card import ModelCard, same_tokenizer
from model.checkpoints.catalogue import available, model_card
from model.experiment import PLAIN, Strategy, key_of
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS, PRESETS
from model.reading.prepare import DEFAULTS, Options


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One strategy to read: ``model`` with ``weights``, "" for ``post_trained`` if they are the diagnosed ones.

    Else that names the interventions by which they were trained.
    """

    model: str
    weights: str
    strategy: Strategy = PLAIN
    post_trained: str = ""


def candidates(model: str) -> list[Candidate]:
    """All strategies for ``model``, the plain one first, simple ones before others; UserError if it is not here."""
    card = model_card(model)
    strategies = [PLAIN, *_mitigations(card), *_initial_states(card)]
    own = [Candidate(model=model, weights=card.weights, strategy=strategy) for strategy in strategies]
    return own + _post_trained(card)


def _mitigations(card: ModelCard) -> list[Strategy]:
    usable = {
        name: row
        for name, row in MITIGATIONS.items()
        if row.fits(card.config) and (card.explored is not None or not row.needs_reference)
    }
    settings: list[dict[str, float]] = [{name: float(row.suggested)} for name, row in usable.items()]
    settings += [{name: float(value)} for name, row in usable.items() for value in row.others]
    settings += [preset for preset in PRESETS.values() if len(preset) > 1 and preset.keys() <= usable.keys()]
    # In the order in which they act, as every experiment has them, so that the same reading has the same key.
    return [Strategy.of(mitigations={name: one[name] for name in MITIGATIONS if name in one}) for one in settings]


def _initial_states(card: ModelCard) -> list[Strategy]:
    fitting = {name: row for name, row in INITIAL_STATES.items() if row.fits(card.config)}
    usable = [name for name, row in fitting.items() if card.explored is not None or not row.needs_explored]
    return [
        Strategy.of(name) for name in usable if name != PLAIN.initial_state and not INITIAL_STATES[name].needs_source
    ]


def _post_trained(card: ModelCard) -> list[Candidate]:
    """The installed models that were post-trained from the base of ``card``, which may be one of them itself."""
    root = card.made_from or card.weights
    return [
        Candidate(model=other.name, weights=other.weights, post_trained=_interventions(other))
        for other in available().values()
        if other.made_from == root and other.weights != card.weights and same_tokenizer(other, card)
    ]


def _interventions(card: ModelCard) -> str:
    """By which interventions the weights of ``card`` were trained, as ``--intervention`` takes them."""
    config = (card.training or {}).get("config")
    named = config.get("interventions", ()) if isinstance(config, dict) else ()
    return "+".join(str(name) for name, _ in named) or "?"


def question_key(
    document: str, wanted: Sequence[Candidate], options: Options = DEFAULTS, *, recall: bool = True
) -> str:
    """Twelve hexadecimal digits that name a diagnosis: the document (the SHA-256 of its text), what reads, and how.

    Another one if a strategy was added to the tables or a model of the family was installed: there is more to read.
    """
    strategies = [[one.model, one.weights, asdict(one.strategy)] for one in wanted]
    how = [options.precision, options.train_length, options.attention_window]
    return key_of(["diagnosis", document, strategies, how, recall])
