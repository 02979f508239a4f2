"""The table of differences in docs/checkpoints.md: a tiny random model of every published family, verified.

python -m tests.families
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from model.published import FAMILIES
from model.studies.verify import Verification, verify
from tests.support import plain
from tests.support.published import TINY, random_model, save

HEADER = """| family | reference | one piece | uneven pieces | bfloat16 | the library's bfloat16 |
|---|---|---|---|---|---|"""


def line(found: Verification) -> str:
    """One row of the table, as Markdown."""
    whole, pieces, rounded = (f"{check.difference:.1e}" for check in found.ours)
    theirs = next((check for check in found.library if check.way == "bfloat16"), None)
    last = "" if theirs is None else "fails" if theirs.difference is None else f"{theirs.difference:.1e}"
    reference = "the loop over time" if found.reference == "loop" else "transformers"
    return f"| {found.family} | {reference} | {whole} | {pieces} | {rounded} | {last} |"


def main() -> None:
    """Verify each family once and print the table."""
    torch.set_num_threads(1)
    print(HEADER)
    for kind in FAMILIES:
        with tempfile.TemporaryDirectory() as made:
            folder = save(random_model(kind), Path(made)) if kind in TINY else plain.save(kind, Path(made))
            print(line(verify(str(folder))), flush=True)


if __name__ == "__main__":
    main()
