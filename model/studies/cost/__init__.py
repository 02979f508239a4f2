"""What reading costs: a recurrent model against a Transformer of the same size, at lengths that fit and beyond them.

    time of a recurrent model   t(L) = a + b L              memory   constant
    time of a Transformer       t(L) = a + b L + c L^2      memory   2 layers d_model 4 bytes a token (keys and values)

Both are really run on this machine, in float32: the recurrent model through the ordinary reading, with telemetry and
without; the Transformer as transformers' Llama with random weights, of the same width, depth and vocabulary, about as
many parameters, and keys and values for every head. Both read the same random tokens in the same segments and score
every token. Lengths double until the next would exceed the budget; others follow from a fit, and are said to.

``result`` holds the points, ``fit`` the curves and where they cross, ``plan`` goes through the lengths, ``measure``
runs the models, ``prices`` turns seconds into energy and money. Importing this package does not import torch.
"""

from model.studies.cost.fit import Crossing, Curve, Value
from model.studies.cost.prices import Prices, default_prices
from model.studies.cost.result import READERS, CostResult, CostTask, Point, Sizes
from model.studies.cost.run import begin, measure_cost

__all__ = [
    "READERS",
    "CostResult",
    "CostTask",
    "Crossing",
    "Curve",
    "Point",
    "Prices",
    "Sizes",
    "Value",
    "begin",
    "default_prices",
    "measure_cost",
]
