"""How far the gradient reaches back: what a loss still says about a state that is k tokens old.

    reach(k) = mean over sequences and positions t of || d loss_t / d state_{t-k} ||

Back-propagation through time multiplies one Jacobian d state_i / d state_{i-1} per token, so the norm falls or grows
geometrically with k: it vanishes or explodes (Bengio et al. 1994; Pascanu et al. 2013, arXiv 1211.5063). Where it has
vanished, training cannot learn to keep what is older; where it explodes, one step may ruin the weights, and
the gradient is clipped. For a diagonal decay a, d state_t / d state_{t-k} = a^k, and so is the norm.

``result`` holds the numbers and the verdict, ``reach`` computes them. Importing this package does not import torch.
"""

from model.studies.gradients.reach import doubling_lags, gradient_reach, reach_on
from model.studies.gradients.result import EXPLODED, GROWN, VANISHED, VERDICTS, GradientReach

__all__ = [
    "EXPLODED",
    "GROWN",
    "VANISHED",
    "VERDICTS",
    "GradientReach",
    "doubling_lags",
    "gradient_reach",
    "reach_on",
]
