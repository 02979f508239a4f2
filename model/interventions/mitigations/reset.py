"""Begin anew: a cell's state is emptied after every R tokens, counted from where the reading began.

Where a state is no sum of what single tokens wrote, old text cannot be taken out of it again, as a sliding window does.
Emptying it is what remains: each token then sees at most R tokens, and the first after a reset sees none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.cells.types import CellInputs
    from kernels.types import Memory, Scan, ScanOutput


def emptied(every: float, norm_at_train_length: Tensor | None, inner: Scan | None) -> Scan:
    """The loop, or ``inner``, whose state is emptied after ``every`` tokens.

    ``memory.past`` has how many tokens each row has read since, (batch,) int64. The state at a boundary is the one
    before it is emptied.
    """

    def loop_emptied(inputs: CellInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        from kernels import dispatch
        from kernels.cells.parts import in_parts

        return in_parts(inner or dispatch.scan, inputs, memory, int(every), token_norms)  # type: ignore[arg-type]

    return loop_emptied  # type: ignore[return-value]
