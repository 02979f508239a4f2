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


def name_of(shape: Shape) -> str:
    sizes = asdict(shape) | {"dtype": str(shape.dtype).removeprefix("torch.")}
    return " ".join(str(sizes[key]) for key in ("seqlen", "nheads", "headdim", "ngroups", "d_state", "dtype"))


LONGEST_LOW_RANK = 100
"""Tokens up to which the delta rule's checks run: its kernels are the slowest to interpret."""


def checks_of(shape: Shape) -> list[str]:
    """The names of the checks that run at ``shape``."""
    return [name for name in CHECKS if shape.seqlen <= LONGEST_LOW_RANK or not name.startswith("low_rank")]


if __name__ == "__main__":
    for shape in SHAPES:
        for check, compared in run_checks(shape, checks_of(shape)):
            line = {"shape": name_of(shape), "check": check, "what": compared.what, "passed": compared.passed}
            print(json.dumps(line | {"error": compared.error}), flush=True)
