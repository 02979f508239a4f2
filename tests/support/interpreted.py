"""Every check of the Triton kernels at awkward shapes, under the interpreter: ``python -m tests.support.interpreted``.

A process of its own, because Triton decides when it decorates a kernel whether it is interpreted. One JSON line per
comparison. The shapes are pairwise: every value of every size meets most of the others, at a cost that CI can carry.
"""

import json
import os
from dataclasses import asdict

os.environ["TRITON_INTERPRET"] = "1"

import torch

from kernels.bench.checks import CHECKS, Shape, run_checks

SHAPES = [
    Shape(seqlen=1, nheads=2, headdim=16, ngroups=2, d_state=128),
    Shape(seqlen=63, nheads=2, headdim=64, ngroups=1, d_state=16, batch=2),
    Shape(seqlen=64, nheads=2, headdim=32, ngroups=2, d_state=64, dtype=torch.bfloat16),
    Shape(seqlen=65, nheads=4, headdim=16, ngroups=1, d_state=64, dtype=torch.float16),
    Shape(seqlen=200, nheads=4, headdim=32, ngroups=4, d_state=16),
    Shape(seqlen=200, nheads=2, headdim=64, ngroups=1, d_state=128, dtype=torch.bfloat16),
    Shape(seqlen=65, nheads=2, headdim=64, ngroups=2, d_state=128, chunk=32),
]
BOTH = "forward", "backward"
CHANNEL_SHAPES = {
    Shape(seqlen=1, nheads=1, headdim=16, d_state=128): BOTH,
    Shape(seqlen=17, nheads=2, headdim=32, d_state=16, batch=2, chunk=16, dtype=torch.bfloat16): BOTH,
    Shape(seqlen=37, nheads=1, headdim=64, d_state=64, chunk=32): BOTH,
    Shape(seqlen=49, nheads=1, headdim=16, d_state=16, dtype=torch.float16): BOTH,
    Shape(seqlen=18, nheads=1, headdim=16, d_state=16, chunk=32): ("extremes",),
}
"""Shapes, and checks of the delta rule with a decay per channel: a program per block of tokens takes longest of all."""


ODD_SHAPES = {
    Shape(seqlen=20, nheads=1, headdim=48, d_state=80, chunk=16): (
        *("scalar_forward", "scalar_mitigated", "scalar_backward", "vector_kept", "vector_backward"),
    ),
    Shape(seqlen=3, nheads=1, headdim=80, d_state=256, chunk=16): (
        *("scalar_forward", "vector_kept", "low_rank_forward"),
    ),
    Shape(seqlen=3, nheads=1, headdim=256, d_state=96, chunk=16): ("scalar_windowed", "low_rank_backward"),
    Shape(seqlen=3, nheads=1, headdim=96, d_state=48, chunk=16): ("low_rank_channel_forward",),
    Shape(seqlen=260, nheads=1, headdim=16, d_state=48, chunk=128): ("scalar_forward", "vector_kept"),
}
"""Heads that are no tile, and some of the checks at each; the last in two spans."""


def name_of(shape: Shape) -> str:
    sizes = asdict(shape) | {"dtype": str(shape.dtype).removeprefix("torch.")}
    return " ".join(str(sizes[key]) for key in ("seqlen", "nheads", "headdim", "ngroups", "d_state", "dtype"))


LONGEST_LOW_RANK = 100
"""Tokens up to which the delta rule's checks run: its kernels are the slowest to interpret."""


def checks_of(shape: Shape) -> list[str]:
    """The names of the checks that run at ``shape``."""
    if shape in ODD_SHAPES:
        return list(ODD_SHAPES[shape])
    if shape in CHANNEL_SHAPES:
        return [f"low_rank_channel_{check}" for check in CHANNEL_SHAPES[shape]]
    without = "low_rank_channel" if shape.seqlen <= LONGEST_LOW_RANK else "low_rank"
    return [name for name in CHECKS if not name.startswith((without, "vector_kept"))]


if __name__ == "__main__":
    for shape in [*SHAPES, *CHANNEL_SHAPES, *ODD_SHAPES]:
        for check, compared in run_checks(shape, checks_of(shape)):
            line = {"shape": name_of(shape), "check": check, "what": compared.what, "passed": compared.passed}
            print(json.dumps(line | {"error": compared.error}), flush=True)
