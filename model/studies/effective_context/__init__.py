"""Effective remembrance: how much the next prediction still depends on what is far back in the text.

    EffRem_T(t) = d(q(. | x[0:T]), q(. | x[t:T]))        d = total variation, 1/2 sum_v |q - q'|

compares the prediction after T tokens with the one of a memory that began t tokens later, and so never read the first
t (Ruiz & Gu 2025, arXiv 2507.02782). It is a share of the probability, 0 to 1: 0 if those tokens change nothing.

Here it is given from the other end, by n = T - t, the number of tokens kept: "forgetting everything older than n tokens
changes the next prediction by so much". Read that way a curve falls from left (little is kept) to right (all is), and
its place on the axis is a distance that people know. Healthy is a curve that has come down long before n = T, which is
a gradual rise as t goes to T; one that stays high up to the right end depends on the first tokens of a long text too
much. The curve of a document is the mean over several end points, each with its own last T tokens.

High is not wrong by itself: a name from page one may be needed. The loss says whether old text helps or harms.

``result`` holds the task and the numbers, ``run`` reads. Importing this package does not import torch.
"""

from model.studies.effective_context.result import Curve, EffectiveContextResult, EffectiveContextTask, kept_lengths
from model.studies.effective_context.run import measure, run_effective_context, sharing_tokenizer

__all__ = [
    "Curve",
    "EffectiveContextResult",
    "EffectiveContextTask",
    "kept_lengths",
    "measure",
    "run_effective_context",
    "sharing_tokenizer",
]
