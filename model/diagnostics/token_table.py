"""Everything that is known of single tokens, as one table: of a recording, or of a document as a model reads it.

Norms and decays are recorded at chunk boundaries and the novelty at snapshots, so a token has the value of the first
one that has read it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from model.checkpoints.catalogue import available, tokens_of
from model.diagnostics.explored import Explored, novelty
from model.documents.document import Document
from model.errors import UserError
from model.recording.reader import Recording
from model.recording.schema import DECAY, NORM, POSITION, SKETCHED, SNAPSHOT_POSITION, TOKEN_NORM
from model.recording.tables import Column, base_columns, pieces_of, table_of

PLACE = "where it stands in the document"


def token_table(
    recording: Recording, *, text: str | None = None, document: Document | None = None, language: str = "en"
) -> pa.Table:
    """One row a token that was read: its text and place, losses, state norm of every layer, decay, novelty.

    ``text`` is that of the document, where it is not stored with the recording. ``document`` is the document itself,
    whose places are in it in ``language``. What is not known has no column. UserError for another document.
    """
    text = recording.text if text is None else text
    if document is not None:
        if document.sha256 != recording.experiment.document:
            raise UserError("reading.other_document", name=recording.document_name)
        text = document.text
    starts = starts_of(recording, text)
    found = base_columns(recording, starts, text)
    count, position = recording.read_tokens, recording.array(POSITION)
    if document is not None:
        characters = np.asarray(found[1].values)
        found.insert(2, Column("place", places_of(document, characters, language), "", PLACE))
    if not recording.has(TOKEN_NORM):
        norm = recording.array(NORM).mean(axis=2)
        for layer in range(norm.shape[1]):
            meaning = "mean state norm of the layer's heads, at the end of the token's chunk"
            found.append(Column(f"norm_layer_{layer}", stretched(norm[:, layer], position, count), "1", meaning))
    with np.errstate(invalid="ignore"):
        decay = recording.array(DECAY).mean(axis=(1, 2))
    meaning = "mean decay over the token's chunk, all layers and heads"
    found.append(Column(DECAY, stretched(decay, position, count), "1", meaning))
    explored = _explored(recording)
    if explored is not None and len(recording.array(SNAPSHOT_POSITION)):
        scores = novelty(explored, recording.array(SKETCHED))
        values = stretched(scores, recording.array(SNAPSHOT_POSITION), count)
        found.append(Column("novelty", values, "1", "distance to the explored states at the next snapshot; limit 1"))
    return table_of(found, recording)


def document_table(document: Document, model: str, language: str = "en") -> pa.Table:
    """One row a token of ``document`` as ``model`` reads it: where it begins, its place, its text, its id."""
    tokens, starts = tokens_of(model, document.text)
    return table_of(
        [
            Column("token", np.arange(len(tokens), dtype=np.int32), "1", "number of the token, from 0"),
            Column("character", starts, "characters", "where it begins in the text"),
            Column("place", places_of(document, starts, language), "", PLACE),
            Column("text", pieces_of(document.text, starts), "", "text of the token"),
            Column("id", tokens, "1", "number of the token in the vocabulary"),
        ]
    )


def starts_of(recording: Recording, text: str | None) -> np.ndarray | None:
    """Where in its ``text`` each token begins; None if the text or the tokenizer it was read with is not here."""
    if text is None or recording.experiment.tokenizer or recording.experiment.model not in available():
        return None
    try:
        _, starts = tokens_of(recording.experiment.model, text)
    except UserError:
        return None
    return starts if len(starts) == recording.tokens else None


def places_of(document: Document, characters: np.ndarray, language: str) -> list[str]:
    """Where each of ``characters`` (n,) stands in ``document``, in words."""
    last = max(0, len(document.text) - 1)
    return [document.place(character, language) for character in np.minimum(characters, last).tolist()]


def stretched(values: np.ndarray, position: np.ndarray, tokens: int) -> np.ndarray:
    """For every token the value at the first position that has read it: (n,), (n,) -> (tokens,)."""
    after = np.searchsorted(position, np.arange(1, tokens + 1))
    return values[np.minimum(after, len(values) - 1)].astype(np.float32)


def _explored(recording: Recording) -> Explored | None:
    """The explored states of the model that read, where it is here and its own."""
    card = available().get(recording.experiment.model)
    if card is None or card.explored is None or card.weights != recording.experiment.weights:
        return None
    return Explored.load(card.explored)
