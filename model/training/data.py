"""Training sequences: spans of ordinary text in which facts are inserted and, later, queried.

Plain text alone teaches a small model no long memory, and a model without long memory has nothing that could
collapse. So most sequences hold keys of digits behind names and query them again; the digits of an answer weigh
more in the loss than prose does. Every batch is a function of (seed, step), so a run can stop and resume anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from model.studies.recall import NAMES, PAIR, PASSKEYS, RecallForm
from model.tokenizer import encode

Groups = Mapping[str, Sequence[np.ndarray]]
"""Token streams by group (a language): groups are drawn equally, streams of a group by the root of their length."""


@dataclass(frozen=True, kw_only=True)
class RecallConfig:
    """How many facts a sequence holds and how much their answers weigh."""

    share: float = 0.7
    pairs: int = 5
    digits: tuple[int, ...] = (3, 4, 5)
    passkey_share: float = 0.5
    weight: float = 20.0


def split_held_out(text: str, share: float = 0.03) -> tuple[str, str]:
    """The text for training and its last ``share``, cut at a line break, which no training step sees."""
    cut = text.rfind("\n", 0, int(len(text) * (1 - share))) + 1
    return text[:cut], text[cut:]


def tokenize_groups(tokenizer: Tokenizer, groups: Mapping[str, Sequence[str]]) -> Groups:
    """Tokens of every text, by group, as int16 to keep them small."""
    return {name: [encode(tokenizer, text)[0].astype(np.int16) for text in texts] for name, texts in groups.items()}


class Sampler:
    """Draws batches of (tokens, weights) from token streams."""

    def __init__(self, groups: Groups, tokenizer: Tokenizer, recall: RecallConfig) -> None:
        self.streams = [list(streams) for streams in groups.values()]
        roots = [np.sqrt([len(stream) for stream in streams]) for streams in self.streams]
        self.shares = [root / root.sum() for root in roots]
        self.recall = recall
        self.digits = np.array([tokenizer.token_to_id(str(digit)) for digit in range(10)])
        self.names = np.array([tokenizer.token_to_id(name) for name in NAMES])
        self.forms = {form: (parts(tokenizer, form.needle), parts(tokenizer, form.query)) for form in ALL_FORMS}

    def batch(self, rows: int, seqlen: int, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (rows, seqlen + 1) int64 and the weight of each prediction (rows, seqlen) float32."""
        random = np.random.default_rng(key)
        drawn = [self.sequence(seqlen, random) for _ in range(rows)]
        return np.stack([tokens for tokens, _ in drawn]), np.stack([weights for _, weights in drawn])

    def sequence(self, seqlen: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One span of text, with or without facts: tokens (seqlen + 1,) and weights (seqlen,)."""
        group = random.integers(len(self.streams))
        stream = self.streams[group][random.choice(len(self.shares[group]), p=self.shares[group])]
        start = random.integers(len(stream) - seqlen - 1)
        tokens = stream[start : start + seqlen + 1].astype(np.int64)
        weights = np.ones(seqlen + 1, np.float32)
        if random.random() < self.recall.share:
            self.hide(tokens, weights, random)
        return tokens, weights[1:]

    def hide(self, tokens: np.ndarray, weights: np.ndarray, random: np.random.Generator) -> None:
        """Write facts and queries over spans of ``tokens``, each query after its fact."""
        items = self.items(len(tokens), random)
        free = len(tokens) - sum(len(ids) for ids, _ in items)
        starts = np.sort(random.integers(0, free + 1, len(items)))
        for start, (ids, answers) in zip(starts, items, strict=True):
            tokens[start : start + len(ids)] = ids
            weights[start : start + len(ids)][answers] = self.recall.weight
            starts += len(ids)

    def items(self, room: int, random: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Facts and queries in the order they appear: (ids, which of them are an answer's digits)."""
        recall = self.recall
        long = room > 100  # a sentence and its query would fill a shorter sequence
        forms: list[RecallForm] = [PAIR] * (recall.pairs if room > 200 else min(recall.pairs, 3, room // 20))
        if long and random.random() < recall.passkey_share:
            sentences = list(PASSKEYS.values())
            forms = [*forms, sentences[random.integers(len(sentences))]]
        names = random.permutation(self.names)[: len(forms)]
        needles, queries = [], []
        for form, name in zip(forms, names, strict=True):
            count = recall.digits[random.integers(len(recall.digits))] if long else recall.digits[0]
            key = random.choice(self.digits, count)
            needle, query = self.forms[form]
            needles.append(fill(needle, name, key, first_is_answer=False))
            queries.append(fill(query, name, key, first_is_answer=True))
        # All facts first: none may be forgotten before the sequence ends, so nothing teaches the model to forget.
        return needles + [queries[index] for index in random.permutation(len(forms))]


ALL_FORMS = (PAIR, *PASSKEYS.values())


def parts(tokenizer: Tokenizer, template: str) -> list[np.ndarray | str]:
    """Tokens of a template's fixed text, with "name" and "key" where they go."""
    found: list[np.ndarray | str] = []
    for piece in template.replace("{name}", "\0name\0").replace("{key}", "\0key\0").split("\0"):
        if piece in ("name", "key"):
            found.append(piece)
        elif piece:
            found.append(np.asarray(tokenizer.encode(piece, add_special_tokens=False).ids))
    return found


def fill(
    template: list[np.ndarray | str], name: int, key: np.ndarray, first_is_answer: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of a filled template and which of them can be known: the digits of every key but the first of a needle."""
    ids: list[np.ndarray] = []
    known: list[np.ndarray] = []
    answer = first_is_answer
    for part in template:
        piece = key if isinstance(part, str) and part == "key" else [name] if isinstance(part, str) else part
        is_key = isinstance(part, str) and part == "key"
        ids.append(np.asarray(piece))
        known.append(np.full(len(piece), is_key and answer))
        answer = answer or is_key
    return np.concatenate(ids), np.concatenate(known)
