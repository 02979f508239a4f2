"""Sentences of the document of a recording: which one a token is in."""

from __future__ import annotations

import re

import numpy as np
import streamlit as st

from model.checkpoints.catalogue import available, tokens_of
from model.errors import UserError
from model.recording.reader import Recording
from model.recording.schema import CHARACTER, POSITION


def sentence_of(recording: Recording, text: str, token: int) -> str:
    """The sentence of ``text`` that ``token`` begins in; its place is interpolated where the tokenizer is not here."""
    exact = characters_of(recording, text)
    if exact is not None:
        return sentence_at(text, int(exact[token]))
    return sentence_at(text, int(np.interp(token, recording.array(POSITION), recording.array(CHARACTER))))


def sentence_at(text: str, character: int, most: int = 240) -> str:
    """The sentence of ``text`` that the character stands in, at most ``most`` characters of it around the place."""
    low, high = max(0, character - most), min(len(text), character + most)
    before = max((match.end() for match in re.finditer(r"[.!?]\s|[。！？\n]", text[low:character])), default=0)
    after = re.search(r"[.!?](?=\s)|[。！？]|\n|$", text[character:high])
    words = text[low + before : character + (after.end() if after else 0)]
    return " ".join(words.split())


def characters_of(recording: Recording, text: str) -> np.ndarray | None:
    """Where in ``text`` each token begins; None where the model or its tokenizer is not here."""
    experiment = recording.experiment
    if experiment.tokenizer or experiment.model not in available():
        return None
    try:
        found = _tokenised(experiment.model, experiment.document, text)
    except UserError:
        return None
    return found if len(found) == experiment.tokens else None


@st.cache_data(max_entries=4, show_spinner=False)
def _tokenised(model: str, _document: str, text: str) -> np.ndarray:
    return tokens_of(model, text)[1]
