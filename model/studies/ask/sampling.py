"""From scores of the vocabulary to the next token, in numpy and float64: the same for a seed on every device.

A distribution is cut to its nucleus (top-p: Holtzman et al. 2020, arXiv 1904.09751): the smallest set of most probable
tokens that together have the probability p.
"""

from __future__ import annotations

import numpy as np


def probabilities(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of ``scores`` (vocab_size,) divided by ``temperature``, which is above 0; float64."""
    scaled = scores.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()


def entropy(probability: np.ndarray) -> float:
    """Entropy of a distribution (vocab_size,) in nats."""
    positive = probability[probability > 0]
    return float(-(positive * np.log(positive)).sum()) + 0.0


def nucleus(probability: np.ndarray, top_p: float) -> np.ndarray:
    """The tokens of the smallest set whose probabilities add up to ``top_p`` or more, most probable first.

    Of equally probable tokens the lower id comes first.
    """
    order = np.argsort(-probability, kind="stable")
    reached = np.cumsum(probability[order])
    return order[: int(np.searchsorted(reached, min(top_p, reached[-1]))) + 1]


def draw(scores: np.ndarray, temperature: float, top_p: float, random: np.random.Generator) -> int:
    """The next token for ``scores`` (vocab_size,): the most probable at ``temperature`` 0, else one of the nucleus."""
    if temperature == 0:
        return int(scores.argmax())
    probability = probabilities(scores, temperature)
    kept = nucleus(probability, top_p)
    share = np.cumsum(probability[kept])
    return int(kept[min(len(kept) - 1, int(np.searchsorted(share, random.random() * share[-1], side="right")))])
