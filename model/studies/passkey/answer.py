"""What an answer is: the digits that greedy decoding gives, with their probabilities, and how a cell is counted.

Greedy decoding writes the whole key exactly if each of its digits is the most probable token after the query and the
right digits before it. So the right digits are read along with the prompt, and one pass gives both the exact match and
the probability of every digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.finite import check_scores
from model.reading.stream import SEGMENT
from model.state import State, expand_rows
from model.studies.passkey.prompts import Prompt
from model.studies.passkey.result import Cell


def cell_of(answers: Sequence[np.ndarray]) -> Cell:
    """Sum up the answers of one cell, each (2, digits) as :func:`answer` gives them."""
    correct = sum(bool(right.all()) for _, right in answers)
    return Cell(correct, len(answers), float(np.mean([probability for probability, _ in answers])))


def answer(
    model: LanguageModel,
    batch: Sequence[Prompt],
    scans: Sequence[Scan] | None,
    state: State | None,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> np.ndarray | None:
    """Read prompts of one length; for each digit its probability, and 1 where greedy decoding says it, else 0.

    Returns (rows, 2, digits), or None if ``passed(tokens read so far)`` turned true between two segments.
    """
    found = read_to_answers(model, batch, scans, state, passed)
    return None if found is None else said(model, *found)


def read_to_answers(
    model: LanguageModel,
    batch: Sequence[Prompt],
    scans: Sequence[Scan] | None,
    state: State | None,
    passed: Callable[[int], bool],
) -> tuple[Tensor, Tensor] | None:
    """Read prompts of one length; what the head reads at each digit (rows, digits, d_model), and the right tokens."""
    device = model.embedding.weight.device
    whole = np.stack([np.concatenate([prompt.ids, prompt.key_ids]) for prompt in batch])
    ids = torch.from_numpy(whole).to(device)
    scored = torch.from_numpy(batch[0].scored).to(device)  # of all prompts of one length alike
    rows, first_said = len(batch), int(batch[0].scored[0])
    if state is not None:
        state = expand_rows(state, rows)
    with torch.inference_mode():
        for first in range(0, first_said - 1, SEGMENT):
            segment = ids[:, first : min(first + SEGMENT, first_said - 1)]
            _, state = model.hidden(segment, state, scans)
            if passed(rows * (first + segment.shape[1])):
                return None
        hidden, _ = model.hidden(ids[:, first_said - 1 : -1], state, scans)
    return hidden[:, scored - first_said], ids[:, scored]


def said(model: LanguageModel, hidden: Tensor, right: Tensor) -> np.ndarray:
    """What :func:`answer` returns, from what the head reads (rows, digits, d_model) and the right tokens."""
    probability, likeliest = scores(model, hidden, right)
    return np.stack([probability, likeliest == right.cpu().numpy()], axis=1)


def scores(model: LanguageModel, hidden: Tensor, right: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The probability of every right token, and the most probable token in its place, (rows, digits) each.

    UserError if the scores are not finite, as where a state overflowed.
    """
    with torch.inference_mode():
        logits = model.logits(hidden)  # (rows, digits, vocab_size)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        check_scores(model, logits)
        probability = logits.softmax(-1).gather(-1, right[..., None])[..., 0]
        return probability.cpu().numpy(), logits.argmax(-1).cpu().numpy()
