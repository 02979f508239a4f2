"""What a delta rule does to its state, chunk by chunk: how much it overwrites, and where it writes.

The transition never enlarges a state, so a norm that settles does not say whether there is room left. Against the state
h_c at the start of a chunk, over its tokens t with the pair (a_t, b_t) of :mod:`kernels.types` (a = -beta k, b = k):

    overwritten   mean over t of |h_c a_t| |b_t| / |h_c|          with unit keys  beta_t |h_c k_t| / |h_c|
    alignment     mean over t of |h_c b_t| / (|h_c| |b_t|)        0: the state holds nothing there;  1: nothing else

|h_c| is the Frobenius norm. A decay per head scales the state and its norm alike, so it is left out. What tokens of the
same chunk wrote before t is not counted: this is what the older memory loses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.types import CHUNK, LowRank

TINY = 1e-30


def overwriting(states: Tensor, pair: LowRank) -> Tensor:
    """Overwritten share and alignment of every chunk: (2, nchunks, nheads); NaN where the state was empty.

    ``states`` (nchunks + 1, nheads, headdim, d_state) are the boundary states of one row, the members of ``pair``
    (seqlen, nheads or a divisor, d_state) what was applied between them.
    """
    nheads, seqlen = states.shape[1], pair.a.shape[0]
    a, b = (
        part.to(states.dtype).repeat_interleave(nheads // part.shape[1], dim=1).transpose(0, 1) for part in pair
    )  # (nheads, seqlen, d_state)
    whole = seqlen // CHUNK
    parts = [(0, whole, CHUNK), (whole, whole + 1, seqlen - whole * CHUNK)]
    found = []
    for first, stop, length in parts:
        if stop == first or not length:
            continue
        start, tokens = (
            states[first:stop].transpose(0, 1),
            slice(first * CHUNK, first * CHUNK + (stop - first) * length),
        )
        norm = start.square().sum((-1, -2)).sqrt()  # (nheads, chunks)
        readers = [part[:, tokens].unflatten(1, (stop - first, length)) for part in (a, b)]
        at_a, at_b = (torch.matmul(reader, start.mT).square().sum(-1).sqrt() for reader in readers)
        long = readers[1].square().sum(-1).sqrt()
        shares = torch.stack([(at_a * long).mean(-1), (at_b / long.clamp_min(TINY)).mean(-1)])
        shares = torch.where(norm > 0, shares / norm.clamp_min(TINY), torch.nan)
        found.append(shares.transpose(1, 2))
    return torch.cat(found, dim=1)
