"""Text to tokens and back: byte-level BPE, so any Unicode text can be read, with every digit a token of its own.

Digits stay single so that a number is a sequence to be remembered and never one lucky token. The merges are
learned by the ``tokenizers`` library; this file only says which kind of tokenizer this project uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PIECE = 20_000
"""Characters that are encoded at once; pieces end at a line break where there is one, so cuts change nothing."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn ``vocab_size`` byte-level tokens from ``texts``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in pieces(text)), trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer file."""
    return Tokenizer.from_file(str(path))


def pieces(text: str) -> Iterable[str]:
    """Cut ``text`` at line breaks into pieces of about :data:`PIECE` characters."""
    start = 0
    while start < len(text):
        stop = min(start + PIECE, len(text))
        if stop < len(text):
            stop = text.rfind("\n", start, stop) + 1 or stop
        yield text[start:stop]
        start = stop


def encode(tokenizer: Tokenizer, text: str, *, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of ``text`` and where each begins.

    ``whole`` encodes it in one go, for a tokenizer of others that a line break does not part from what follows.
    Returns token ids (n_tokens,) int32 and character offsets (n_tokens,) int32 into ``text``.
    """
    ids: list[np.ndarray] = []
    offsets: list[np.ndarray] = []
    start = 0
    for piece in [text] if whole and text else pieces(text):
        encoding = tokenizer.encode(piece, add_special_tokens=False)
        ids.append(np.asarray(encoding.ids, dtype=np.int32))
        offsets.append(np.asarray([first for first, _ in encoding.offsets], dtype=np.int32) + start)
        start += len(piece)
    if not ids:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    return np.concatenate(ids), np.concatenate(offsets)
