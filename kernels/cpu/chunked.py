"""The scan on a CPU: which of four chunk-parallel forms fits the shape of the inputs.

heads one channel wide            :mod:`kernels.cpu.stepped`          Mamba-1, RG-LRU
one decay per head                :mod:`kernels.cpu.chunked_scalar`   Mamba-2
one decay per channel of a head   :mod:`kernels.cpu.chunked_vector`   GLA, HGRN-2, RWKV-6
a transition that also erases     :mod:`kernels.cpu.low_rank`         DeltaNet, Gated DeltaNet, KDA, RWKV-7
"""

from __future__ import annotations

from kernels.cpu.chunked_scalar import chunked_scalar_scan
from kernels.cpu.chunked_vector import chunked_vector_scan
from kernels.cpu.low_rank import low_rank_scan
from kernels.cpu.stepped import stepped_scan
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


def chunked_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.types` for every shape."""
    if inputs.low_rank is not None:
        return low_rank_scan(inputs, memory, token_norms, chunk=chunk)
    if inputs.x.shape[3] == 1:
        return stepped_scan(inputs, memory, token_norms, chunk=chunk)
    if inputs.log_decay.shape[3] == 1:
        return chunked_scalar_scan(inputs, memory, token_norms, chunk=chunk)
    return chunked_vector_scan(inputs, memory, token_norms, chunk=chunk)
