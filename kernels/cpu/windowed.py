"""The scan of a sliding window: the state of the last R tokens alone, exact to the token and summed without cancelling.

    h_t = sum_{t - R < j <= t} a_t ... a_{j+1} x_j B_j^T

A state less its own delayed copy is the same on paper, but keeps the rounding of whatever has left the window (1e-3
of the state after a past 1e4 times as loud). Here only what is in the window is ever added. With R = whole * chunk +
rest, query i of a chunk that starts at token s sees

    old tokens     after s + i - R, before s - (whole - 1) chunk
    whole chunks   the whole - 1 before s, as one state, from :class:`kernels.cpu.window_past.Queue`
    local tokens   from s to s + i, as in :mod:`kernels.cpu.chunked_scalar`

Old tokens are decayed to s. From there on a query takes the ones it sees as it takes the state, with one factor for
all, so the heads of a group share one masked product. The initial state counts as token -1: it is seen while fewer
than R tokens have been read.

Letters as in :mod:`kernels.types`. Here tensors are (batch, nchunks, ngroups, ...), with ``heads`` those of one group
and ``width`` heads * headdim.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.chunked_scalar import (
    causal_decay,
    over_width,
    pack_state,
    room,
    scale_heads,
    steep_heads,
    unpack_states,
    without_float16,
)
from kernels.cpu.window_past import Keys, Past, take
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, boundary_count


def windowed_scan(
    inputs: ScanInputs, memory: Memory, window: int, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory``, remembering the last ``window`` tokens, the initial state as one before them.

    ``memory.past`` is empty at a document's start and from then on what this function returned, for the same window
    and chunk; it grows with the window, not with the document. Products run in the dtype of ``inputs.x``, of float16
    in float32. No gradient passes. Raises ValueError for a decay per channel, if a gradient is asked for, for a window
    below one, and for a memory of another window.
    """
    inputs = without_float16(inputs.for_rows(memory.state.shape[0]))
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups = inputs.B.shape[2]
    if inputs.log_decay.shape != (batch, seqlen, nheads, 1):
        raise ValueError(f"windowed_scan takes one decay per head, got log_decay of shape {inputs.log_decay.shape}")
    if inputs.low_rank is not None:
        raise ValueError("windowed_scan takes a diagonal transition: what erases cannot be summed over a window")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*inputs.tensors, memory.state)):
        raise ValueError("windowed_scan has no gradient; call it under torch.no_grad()")
    if window < 1:
        raise ValueError(f"a window holds at least one token, not {window}")
    heads = nheads // ngroups
    past = Past.unpack(memory, inputs, window, chunk)
    compute, sums = inputs.x.dtype, memory.state.dtype

    # 1. The tokens from the last chunk border on, and those that leave the window as they are read.
    segment = Segment.of(inputs, past, window, chunk)
    tokens, edges, nchunks = segment.tokens, segment.edges, segment.nchunks
    x, B = (windows(tensor, chunk, chunk, nchunks) for tensor in (tokens.x, tokens.B))
    C = windows(segment.aligned(inputs.C), chunk, chunk, nchunks)
    decay = windows(tokens.decay, chunk, chunk, nchunks) - edges[:, :-1, :, None]
    to_end = torch.exp2((decay[..., -1:, :] - decay).to(sums))
    free = room(inputs._replace(x=tokens.x, B=tokens.B), memory.state, token_norms=False)
    steep = steep_heads(decay.flatten(0, 2), free)
    since_start = torch.exp2(-decay).to(sums)
    since_start[..., steep] = 0  # these heads are weighted pair by pair
    grown = torch.exp2(decay.to(sums))  # (batch, nchunks, ngroups, chunk, heads)
    old, visible = segment.old(past.initial)

    # 2. Before every chunk, the state of the whole chunks that all its tokens see, and that of one chunk more.
    scaled = scale_heads(x, to_end)
    over_chunk = over_width(edges[:, 1:] - edges[:, :-1], past.initial)
    states = past.initial.new_empty(2, batch, nchunks + 1, *past.initial.shape[1:])
    complete = (segment.end - segment.start) // chunk
    additions = torch.matmul(B[:, :complete].transpose(-1, -2), scaled[:, :complete]).to(sums)
    for index in range(complete + 1):
        past.queue.states(states[:, :, index])
        if index < complete:
            past.queue.push(additions[:, index], over_chunk[:, index], edges[:, index + 1])

    # 3. Read: within the chunk, from the state before it, and from the old tokens that are still visible.
    scores = torch.matmul(C, B.transpose(-1, -2)).tril_().triu_(1 - window)
    start = states[1, :, :nchunks]
    before = torch.matmul(C, start.to(compute)).to(sums)  # (batch, nchunks, ngroups, chunk, width)
    into = before.flatten(0, 2)
    add_product(into, torch.matmul(C, old.B.transpose(-1, -2)) * visible, old.x)
    add_product(into, scores, scale_heads(x, since_start))
    read = before.unflatten(-1, (heads, headdim)).mul_(grown[..., None])
    if steep:
        mixed = scores.unsqueeze(3) * pairs(decay[..., steep], window, sums).to(compute)
        read[..., steep, :] += torch.matmul(mixed, split_heads(x, heads)[:, :, :, steep]).transpose(3, 4)
    y = segment.joined(read)

    norms = None
    if token_norms:
        norms = window_norms(Seen(x, B), old, visible, start, pairs(decay, window, sums), grown)
        norms = segment.joined(norms[..., None]).squeeze(-1)

    # 4. The windows at the boundaries, which are those of this piece, and at its end.
    at_chunks = seqlen // chunk
    boundaries = past.initial.new_empty(batch, boundary_count(seqlen, chunk), *past.initial.shape[1:])
    boundaries[:, 0] = pack_state(memory.state, ngroups)
    borders = Borders(states[1], states[0], past.initial)
    segment.write_states(boundaries[:, 1 : at_chunks + 1], past.position + chunk, borders)
    segment.write_states(boundaries[:, at_chunks + 1 :], segment.end, borders)
    boundary_states = unpack_states(boundaries, headdim)
    carried = past.advanced(tokens, complete * chunk, segment.end, window).pack(window, chunk)
    return ScanOutput(y, boundary_states, Memory(boundary_states[:, -1], carried), norms, inputs.log_decay)


def add_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right, (..., chunk, k) and (..., k, width), to ``into`` (the rest flattened, chunk, width)."""
    left, right = left.flatten(0, -3), right.flatten(0, -3)
    if into.dtype == left.dtype:
        into.baddbmm_(left, right)
    else:
        into += torch.bmm(left, right)


def pairs(decay: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """What each token of a chunk has kept of those before it that it still sees: (..., heads, chunk, chunk).

    ``decay`` (batch, nchunks, ngroups, chunk, heads): running sum of log2 decay within the chunk.
    """
    weights = causal_decay(decay.flatten(0, 2), dtype).unflatten(0, decay.shape[:3])
    return weights.triu(1 - window) if window < decay.shape[3] else weights


class Seen(NamedTuple):
    """Tokens seen from one place per chunk, (batch, nchunks, ngroups, length, ...): ``x`` decayed to it, and ``B``."""

    x: Tensor
    B: Tensor


class Borders(NamedTuple):
    """States at the borders of the grid, (batch, borders, ngroups, d_state, width).

    ``states``, ``one_more``: of the last whole - 1 chunks and of the last whole ones, before each chunk of a segment
    (and after its last, if that one is complete). ``initial``: the state before the document.
    """

    states: Tensor
    one_more: Tensor
    initial: Tensor


class Segment(NamedTuple):
    """A piece of a document on the grid of chunks: from the border before its first token on, filled up to the next.

    ``start``, ``first``, ``end``: positions of the border, of the piece's first token, and after its last.
    ``leaving``: the tokens from start - window on, which leave the window while this segment is read.
    ``edges`` (batch, nchunks + 1, ngroups, heads): the sum of log2 decay at every border.
    """

    start: int
    first: int
    end: int
    window: int
    chunk: int
    tokens: Keys
    leaving: Keys
    edges: Tensor

    @classmethod
    def of(cls, inputs: ScanInputs, past: Past, window: int, chunk: int) -> Segment:
        """The segment of ``inputs`` after ``past``."""
        start = past.position - past.opened.x.shape[1]
        edge = past.queue.edges[-1]
        tokens = past.opened.extended(inputs, edge, chunk)
        length = tokens.x.shape[1]
        stop = start - window + length + window % chunk
        leaving = take([*past.blocks, tokens], start + length, start - window, stop)
        edges = torch.cat([edge[:, None], tokens.decay[:, chunk - 1 :: chunk]], dim=1)
        return cls(start, past.position, past.position + inputs.x.shape[1], window, chunk, tokens, leaving, edges)

    @property
    def nchunks(self) -> int:
        """Chunks, the last one filled up."""
        return self.edges.shape[1] - 1

    def aligned(self, tensor: Tensor) -> Tensor:
        """Put zeros around (batch, seqlen, k, l) of the piece, up to the segment's borders."""
        before = self.first - self.start
        return F.pad(tensor, (0, 0, 0, 0, before, self.nchunks * self.chunk - before - tensor.shape[1]))

    def joined(self, tensor: Tensor) -> Tensor:
        """(batch, nchunks, ngroups, chunk, heads, k) -> (batch, seqlen, nheads, k) of the piece."""
        tensor = tensor.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return tensor[:, self.first - self.start : self.end - self.start]

    def old(self, initial: Tensor) -> tuple[Seen, Tensor]:
        """The tokens before each chunk that only some of its queries see, decayed to its start, and which see them.

        Oldest first, and the initial state before them, as d_state tokens with unit vectors for B. The second tensor
        broadcasts over (batch, nchunks, ngroups, chunk, length).
        """
        chunk, window, nchunks = self.chunk, self.window, self.nchunks
        length = window % chunk + (chunk if window >= chunk else 0)
        at = self.edges[:, :-1]
        seen = self._seen(self.leaving, 0, length, at)
        visible = torch.ones(chunk, length, dtype=torch.bool, device=at.device).triu(1).expand(nchunks, 1, -1, -1)
        if self.start + 1 >= window or not initial.any():
            return seen, visible
        d_state = initial.shape[-2]
        decay = torch.exp2(at).to(initial.dtype).unsqueeze(-2).expand(-1, -1, -1, d_state, -1)
        x = scale_heads(initial[:, None].expand(-1, nchunks, -1, -1, -1), decay).to(seen.x.dtype)
        B = torch.eye(d_state, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1)
        read = torch.arange(self.start + 1, self.start + 1 + nchunks * chunk, device=at.device)
        sees = (read < window).view(nchunks, 1, chunk, 1).expand(-1, -1, -1, d_state)
        seen = Seen(torch.cat([x, seen.x], dim=-2), torch.cat([B, seen.B], dim=-2))
        return seen, torch.cat([sees, visible], dim=-1)

    def write_states(self, into: Tensor, position: int, borders: Borders) -> None:
        """Fill ``into`` (batch, n, ngroups, d_state, width): windows after ``position`` tokens and every chunk more."""
        chunk, window, count = self.chunk, self.window, into.shape[1]
        if not count:
            return
        index, inside = divmod(position - self.start, chunk)
        if inside <= window % chunk or window < chunk:
            before, older = borders.one_more, max(window % chunk - inside, 0)
        else:
            before, older = borders.states, window % chunk + chunk - inside
        newer = min(inside, window)
        into.copy_(before[:, index : index + count])
        at = self.tokens.decay[:, position - self.start - 1 :: chunk][:, :count]
        if inside:
            into *= over_width(at - self.edges[:, index : index + count], into)
        for tokens, offset, length in (
            (self.leaving, position - self.start, older),
            (self.tokens, position - self.start - newer, newer),
        ):
            if length:
                seen = self._seen(tokens, offset, length, at)
                into += torch.matmul(seen.B.transpose(-1, -2), seen.x)
        for place in range(min(count, -(-(window - position) // chunk))):
            into[:, place] += borders.initial * over_width(at[:, place], into)

    def _seen(self, tokens: Keys, offset: int, length: int, at: Tensor) -> Seen:
        """``length`` tokens from ``offset`` and every chunk further, decayed to ``at`` (batch, n, ngroups, heads)."""
        x, B, decay = (windows(tensor[:, offset:], length, self.chunk, at.shape[1]) for tensor in tokens)
        log_factor = (at.unsqueeze(-2) - decay).to(torch.promote_types(x.dtype, torch.float32))
        return Seen(scale_heads(x, torch.exp2(log_factor)), B)


def window_norms(local: Seen, old: Seen, visible: Tensor, start: Tensor, weights: Tensor, grown: Tensor) -> Tensor:
    """The norm of every windowed state without forming one: (batch, nchunks, ngroups, chunk, heads).

    After token i of a chunk the state is grown_i (M + O_i) + L_i, with M that of the whole chunks, O_i the old tokens
    still seen and L_i the local ones. Its square is made of products of tokens that are in the window:

        |M + O_i|^2      from the youngest old token back: each adds 2 x (its B's read of the sum so far) + |x B^T|^2
        <M + O_i, L_i>   what the local B read of M and of O_i, dotted with x and weighted
        |L_i|^2          the weights on both sides of (B B^T) o (x x^T)
    """
    heads = grown.shape[-1]
    compute, sums = local.x.dtype, start.dtype
    state = start.to(compute)
    x, x_old = (split_heads(seen.x, heads).contiguous() for seen in (local, old))

    def per_head(read: Tensor, x: Tensor) -> Tensor:
        return (read.to(sums) * x).unflatten(-1, (heads, -1)).sum(-1)

    younger = torch.matmul(old.B, old.B.transpose(-1, -2)).triu(1)
    met = per_head(torch.matmul(old.B, state) + torch.matmul(younger, old.x), old.x)
    own = old.B.to(sums).square().sum(-1, keepdim=True) * per_head(old.x, old.x)
    shown = visible.to(sums)
    anchor = start.square().sum(-2).unflatten(-1, (heads, -1)).sum(-1).unsqueeze(-2)
    squared = grown.square() * (anchor + torch.matmul(shown, 2 * met + own))

    from_state = per_head(torch.matmul(local.B, state), local.x)
    across = torch.matmul(weights, from_state.transpose(-1, -2).unsqueeze(-1)).squeeze(-1)
    squared = squared + 2 * grown * across.transpose(-1, -2)

    products = torch.matmul(x_old, x.transpose(-1, -2)).to(sums)
    products *= torch.matmul(old.B, local.B.transpose(-1, -2)).unsqueeze(3)
    crossed = torch.matmul(shown.unsqueeze(-3), products)
    crossed *= 2 * grown.transpose(-1, -2).unsqueeze(-1)
    products = torch.matmul(x, x.transpose(-1, -2)).to(sums)
    products *= torch.matmul(local.B, local.B.transpose(-1, -2)).unsqueeze(3)
    crossed += torch.matmul(weights, products)
    crossed *= weights
    squared = squared + crossed.sum(-1).transpose(-1, -2)
    return squared.clamp_min(0).sqrt()


def windows(tensor: Tensor, length: int, stride: int, count: int) -> Tensor:
    """``count`` spans of (batch, tokens, ngroups, k), one every ``stride``: (batch, count, ngroups, length, k)."""
    return tensor.unfold(1, length, stride)[:, :count].transpose(-1, -2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., chunk, width) -> (..., heads, chunk, headdim)."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)
