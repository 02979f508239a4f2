"""Stretches of running text, cut into sequences that follow each other: what truncated backpropagation reads.

Each sequence holds its own facts and questions, as many as one that stands alone, so that the loss asks for the same
thing whether a step continues or begins anew. A span is a function of (seed, step at which it began).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from model.training.data import Groups, RecallConfig, Sampler


class RunningText:
    """Draws ``rows`` spans of ``segments`` sequences of ``length`` tokens, and gives them part by part."""

    def __init__(
        self, groups: Groups, tokenizer: Tokenizer, recall: RecallConfig, *, rows: int, length: int, segments: int
    ) -> None:
        self.text = Sampler(groups, tokenizer, replace(recall, share=0.0))
        self.facts = Sampler(groups, tokenizer, recall)
        self.rows, self.length, self.segments = rows, length, segments
        self.last: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

    def part(self, index: int, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Sequence ``index`` of the spans ``key``: tokens (rows, length + 1) int64, weights (rows, length).

        The last token of one part is the first of the next, which reads it; so it belongs to the first part's facts.
        """
        if self.last is None or self.last[0] != key:
            self.last = (key, *self.draw(key))
        _, tokens, weights = self.last
        first = index * self.length
        return tokens[:, first : first + self.length + 1], weights[:, first + 1 : first + self.length + 1]

    def draw(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Whole spans with their facts: twice (rows, segments * length + 1)."""
        random = np.random.default_rng(key)
        whole = self.length * self.segments
        tokens = np.stack([self.text.sequence(whole, random)[0] for _ in range(self.rows)])
        weights = np.ones(tokens.shape, np.float32)
        recall = self.facts.recall
        for row in range(self.rows):
            for first in range(1, whole, self.length):
                part = row, slice(first, first + self.length)  # a view: facts are written into the span
                if random.random() < recall.share:
                    self.facts.hide(tokens[part], weights[part], random)
        return tokens, weights
