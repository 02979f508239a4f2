"""From names to results: which checkpoint it is, the documents, and measuring what is missing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from model.checkpoints.catalogue import load_model, load_tokenizer_of, model_card, tokens_of
from model.diagnostics.collapse import tokens_needed
from model.errors import UserError
from model.published.files import tensors_in
from model.studies.architectures.result import CONTEXT, GRADIENTS, PARTS, PASSKEY, READING, Architecture
from model.studies.passkey import reader_of
from sample_data import SAMPLES, sample_path, sample_text

DOCUMENTS = ("equipment_spec_en", "plant_log_ja")
"""The shipped samples that are read: held out of the training of the shipped checkpoints, English and Japanese."""
TOKENS, TIMES = 16_384, 16
"""Tokens of each document, or so many training lengths if that is more."""
SHIPPED = sample_path(DOCUMENTS[0]).parent / "architectures"
"""The folder of the shipped results."""

Report = Callable[[str, float], None]
"""``report(part, share of all parts that is done)``"""


def sample_texts() -> dict[str, tuple[str, str]]:
    """Name and text of the documents by SHA-256 of the text."""
    texts = [(SAMPLES[key].file, sample_text(key)) for key in DOCUMENTS]
    return {hashlib.sha256(text.encode()).hexdigest(): (name, text) for name, text in texts}


def begin(model: str, texts: Mapping[str, tuple[str, str]], *, tokens: int = TOKENS) -> Architecture:
    """An empty result for the checkpoint ``model``, a name or a folder; UserError if there is none."""
    card = model_card(model)
    recorded = (card.training or {}).get("config")
    settings: dict[str, object] = recorded if isinstance(recorded, dict) else {}
    steps, batch = settings.get("steps"), settings.get("batch_tokens")
    return Architecture(
        name=Path(card.name).name,  # a folder's own name: where it is says nothing about the model
        weights=card.weights,
        layers=card.config.layers,
        train_length=card.train_length,
        parameters=sum(entry.size for entry in tensors_in(card.path, card.name).values()),
        trained=steps * batch if isinstance(steps, int) and isinstance(batch, int) else None,
        tokens=max(tokens, TIMES * card.train_length),
        documents=tuple((name, sha) for sha, (name, _) in texts.items()),
    )


def stored_in(folders: Sequence[Path]) -> list[Architecture]:
    """The results in ``folders``, one per weights: of two, the one with fewer parts to measure; by name.

    Where different weights have one name, those of the first folder are returned.
    """
    found: dict[str, Architecture] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.json"))):
        try:
            result = Architecture.load(file)
        except UserError:
            continue
        known = found.get(result.weights)
        if known is None or len(result.lacking) < len(known.lacking):
            found[result.weights] = result
    named = {result.name: result for result in reversed(found.values())}
    return [named[name] for name in sorted(named)]


def taken_over(begun: Architecture, known: Sequence[Architecture]) -> Architecture:
    """What is known of ``begun``: same weights, documents and number of tokens; ``begun`` if nothing is."""
    same = (
        one
        for one in known
        if (one.weights, one.documents, one.tokens) == (begun.weights, begun.documents, begun.tokens)
    )
    return replace(next(same, begun), name=begun.name)


def measure_architecture(
    begun: Architecture,
    model: str,
    texts: Mapping[str, tuple[str, str]],
    *,
    parts: Sequence[str] = PARTS,
    report: Report = lambda part, share: None,
    keep: Callable[[Architecture], None] = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
) -> Architecture:
    """Measure those of ``parts`` that ``begun`` lacks, of the checkpoint ``model``; ``keep`` gets it after each.

    UserError, before any reading, if a document is too short or a part unknown. When ``stop()`` turns true,
    what is finished is returned.
    """
    from model.studies.architectures import measure

    for part in parts:
        if part not in PARTS:
            raise UserError("architectures.part", name=part, known=", ".join(PARTS))
    wanted = [part for part in begun.lacking if part in parts]
    streams = {sha: tokens_of(model, text[: 16 * begun.tokens])[0][: begun.tokens] for sha, (_, text) in texts.items()}
    least = tokens_needed(begun.train_length)
    for sha, stream in streams.items():
        if len(stream) < least:
            raise UserError("architectures.short", name=texts[sha][0], tokens=len(stream), least=least)
    network, reader = load_model(model), reader_of(model)
    first = next(iter(streams))
    result = begun
    for place, part in enumerate(wanted):

        def passed(share: float, place: int = place, part: str = part) -> bool:
            report(part, (place + share) / len(wanted))
            return stop()

        if passed(0.0):
            return result
        if part == READING:
            state = (begun.train_length, measure.held(network, streams[first][: begun.train_length]))
            for read, (sha, stream) in enumerate(streams.items()):
                if sha in (result.readings or {}):
                    continue

                def ticked(share: float, read: int = read, passed: Callable[[float], bool] = passed) -> bool:
                    return passed((read + share) / len(streams))

                found = measure.read_document(network, stream, ticked)
                if found is None:
                    return result
                sizes = (state, (len(stream), measure.size_of(found[1])))
                result = replace(result, readings={**(result.readings or {}), sha: found[0]}, state=sizes)
                keep(result)
            continue
        value: object
        if part == PASSKEY:
            value, field = measure.answer_passkeys(reader, load_tokenizer_of(model), passed), "passkeys"
        elif part == CONTEXT:
            value, field = measure.measure_context(network, reader, first, streams[first], passed), "context"
        elif part == GRADIENTS:
            value, field = measure.measure_gradients(network, streams[first], passed), "gradients"
        else:
            value, field = measure.measure_speed(network, passed), "speed"
        if value is None:
            return result
        result = replace(result, **{field: value})  # type: ignore[arg-type]
        keep(result)
    report(wanted[-1] if wanted else READING, 1.0)
    return result


def measure_into(
    folders: Sequence[Path],
    name: str,
    texts: Mapping[str, tuple[str, str]],
    *,
    parts: Sequence[str] = PARTS,
    report: Report = lambda part, share: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Measure what is unknown of the checkpoint ``name`` in ``folders``; each part is stored in the first of them."""
    begun = taken_over(begin(name, texts), stored_in(folders))
    file = folders[0] / f"{begun.name}.json"
    measure_architecture(begun, name, texts, parts=parts, report=report, keep=lambda kept: kept.save(file), stop=stop)
