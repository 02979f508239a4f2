"""Triton: LSTM and GRU, backward, with the recurrent weights on the chip.

The same programs as in :mod:`.forward`, from the last token to the first. What the loss wants of a boundary state comes
in where that state was. Out come the gradients of the sums that the gates were made of; those of weights and biases
are products of these over all tokens, which the caller makes at once.

    LSTM    dc_t += dh_t o (1 - tanh(c_t)^2)        dc_{t-1} = f dc_t       dh_{t-1} = sum of gates: dgate R
    GRU     dn = dh (1 - z) (1 - n^2)  ...          dh_{t-1} = z dh_t + dr R_r + dz R_z + dm R_n      dm = r dn
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.cells.forward import SIZES, square, tanh
from kernels.triton.tiles import dot


@triton.jit(do_not_specialize=SIZES)
def cell_backward(  # type: ignore[no-untyped-def]
    weights, initial, y, saved, cells, dy, dstates, dgates, dinitial,
    batch, seqlen, nchunks, units,
    UNITS: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, GRU: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """All tokens of ROWS rows, backwards; shapes as in :func:`.forward.cell_forward`.

    dy (batch, seqlen, units), dstates (batch, nchunks + 1, units, vectors); dgates (batch, seqlen, 4, units) of the
    LSTM's i, f, g, o or the GRU's r, z, n, m; dinitial (batch, units, vectors).
    """
    VECTORS: tl.constexpr = 1 if GRU else 2
    row, unit = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, UNITS)
    known = unit < units
    inside = (row < batch)[:, None] & known[None, :]
    first = square(weights, 0, units, known, UNITS, True)
    second = square(weights, 1, units, known, UNITS, True)
    third = square(weights, 2, units, known, UNITS, True)
    if not GRU:
        fourth = square(weights, 3, units, known, UNITS, True)
    row = row.to(tl.int64)[:, None]
    start = (row * units + unit[None, :]) * VECTORS
    boundary = ((row * (nchunks + 1) + nchunks) * units + unit[None, :]) * VECTORS
    by_saved = ((row * seqlen + seqlen - 1) * 4) * units + unit[None, :]
    by_token = (row * seqlen + seqlen - 1) * units + unit[None, :]
    dc, dh = tl.zeros([ROWS, UNITS], tl.float32), tl.zeros([ROWS, UNITS], tl.float32)
    for back in range(seqlen):
        t = seqlen - 1 - back
        if ((t + 1) % CHUNK == 0) | (t + 1 == seqlen):
            if not GRU:
                dc += tl.load(dstates + boundary, mask=inside, other=0.0)
            dh += tl.load(dstates + boundary + VECTORS - 1, mask=inside, other=0.0)
            boundary -= units * VECTORS
        dh += tl.load(dy + by_token, mask=inside, other=0.0)
        a = tl.load(saved + by_saved, mask=inside, other=0.0)
        b = tl.load(saved + by_saved + units, mask=inside, other=0.0)
        d = tl.load(saved + by_saved + 2 * units, mask=inside, other=0.0)
        e = tl.load(saved + by_saved + 3 * units, mask=inside, other=0.0)
        if GRU:
            before = tl.load(initial + start, mask=inside & (t + row * 0 == 0), other=0.0)
            before += tl.load(y + by_token - units, mask=inside & (t + row * 0 > 0), other=0.0)
            dd = dh * (1 - b) * (1 - d * d)
            db = dh * (before - d) * b * (1 - b)
            da = dd * e * a * (1 - a)
            de = dd * a
            through = dot(de, third, PRODUCTS)
            kept = dh * b
        else:
            c = tl.load(cells + by_token, mask=inside, other=0.0)
            before = tl.load(initial + start, mask=inside & (t + row * 0 == 0), other=0.0)
            before += tl.load(cells + by_token - units, mask=inside & (t + row * 0 > 0), other=0.0)
            bent = tanh(c)
            dc += dh * e * (1 - bent * bent)
            da = dc * d * a * (1 - a)
            db = dc * before * b * (1 - b)
            dd = dc * a * (1 - d * d)
            de = dh * bent * e * (1 - e)
            dc = dc * b
            through = dot(dd, third, PRODUCTS)
            through += dot(de, fourth, PRODUCTS)
            kept = tl.zeros([ROWS, UNITS], tl.float32)
        tl.store(dgates + by_saved, da, mask=inside)
        tl.store(dgates + by_saved + units, db, mask=inside)
        tl.store(dgates + by_saved + 2 * units, dd, mask=inside)
        tl.store(dgates + by_saved + 3 * units, de, mask=inside)
        through += dot(da, first, PRODUCTS)
        through += dot(db, second, PRODUCTS)
        dh = kept + through
        by_saved -= 4 * units
        by_token -= units
    if not GRU:
        dc += tl.load(dstates + boundary, mask=inside, other=0.0)
        tl.store(dinitial + start, dc, mask=inside)
    dh += tl.load(dstates + boundary + VECTORS - 1, mask=inside, other=0.0)
    tl.store(dinitial + start + VECTORS - 1, dh, mask=inside)
