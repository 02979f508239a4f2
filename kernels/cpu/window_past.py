"""What a sliding window carries through a document: its last tokens, and the states of its last whole chunks.

Chunks lie on one grid from the start of the document, whatever pieces it is read in. ``heads`` are those of a group
and ``width`` is heads * headdim, as in :mod:`.chunked_scalar`; a state here is (batch, ngroups, d_state, width).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.chunked_scalar import LOG2_E, over_width, pack_state
from kernels.types import Memory, ScanInputs


class Keys(NamedTuple):
    """Tokens as they were written, each tensor (batch, tokens, ngroups, ...).

    ``x`` (..., width), ``B`` (..., d_state); ``decay`` (..., heads): the sum of log2 decay since the document began,
    in float64, because a window needs small differences of sums that grow with the document.
    """

    x: Tensor
    B: Tensor
    decay: Tensor

    def segment(self, start: int, stop: int) -> Keys:
        """Tokens ``start`` to ``stop`` (a view)."""
        return Keys(*(tensor[:, start:stop] for tensor in self))

    def copied(self) -> Keys:
        """A copy that keeps nothing else alive."""
        return Keys(*(tensor.clone(memory_format=torch.contiguous_format) for tensor in self))

    def extended(self, inputs: ScanInputs, before: Tensor, multiple: int) -> Keys:
        """These tokens and those of ``inputs``, filled up to a ``multiple`` with tokens that write and decay nothing.

        ``before`` (batch, ngroups, heads): the sum of log2 decay before the first of them.
        """
        batch, seqlen = inputs.x.shape[:2]
        opened, ngroups = self.x.shape[1:3]
        steps = inputs.log_decay.reshape(batch, seqlen, ngroups, -1).double() * LOG2_E
        last = self.decay[:, -1:] if opened else before[:, None]
        x, B, decay = inputs.x.reshape(batch, seqlen, ngroups, -1), inputs.B, last + steps.cumsum(1)
        if opened:
            x, B, decay = (torch.cat(pair, dim=1) for pair in zip(self, (x, B, decay), strict=True))
        if fill := -(opened + seqlen) % multiple:
            x, B = (F.pad(tensor, (0, 0, 0, 0, 0, fill)) for tensor in (x, B))
            decay = torch.cat([decay, decay[:, -1:].expand(-1, fill, -1, -1)], dim=1)
        return Keys(x, B, decay)


def take(blocks: list[Keys], end: int, start: int, stop: int) -> Keys:
    """Tokens ``start`` to ``stop`` out of adjoining blocks, the last of which ends at ``end``.

    Before the document began there are empty tokens.
    """
    found = []
    for block in reversed(blocks):
        first = end - block.x.shape[1]
        if first < stop and start < end:
            found.append(block.segment(max(start - first, 0), stop - first))
        end = first
    found = found[::-1] or [blocks[0].segment(0, 0)]
    joined = Keys(*(torch.cat(tensors, dim=1) for tensors in zip(*found, strict=True)))
    if start < 0:
        joined = Keys(*(F.pad(tensor, (0, 0, 0, 0, min(-start, stop - start), 0)) for tensor in joined))
    return joined


class Queue:
    """The states of the last ``whole`` chunks and of the last whole - 1, by additions alone: a queue of two stacks.

    Chunks are taken in blocks of ``whole``. ``back`` has what each chunk of the block being filled adds to a state,
    ``newest`` their sum. ``front`` has sums over the end of the block before: from its oldest chunk still in the
    window on, from the next one on, and so forth, as they stood at its end. One of each, decayed to now, is a window.
    """

    def __init__(self, whole: int, front: list[Tensor], back: list[Tensor], newest: Tensor, edges: list[Tensor]):
        """``edges``: the sum of log2 decay where the block in ``back`` begins and after each of its chunks."""
        self.whole, self.front, self.back, self.newest, self.edges = whole, front, back, newest, edges
        self._since = over_width(edges[-1] - edges[0], newest)  # what is left of what stood where the block begins

    def states(self, into: Tensor) -> None:
        """Fill ``into`` (2, ...) with the states of the last ``whole`` chunks and of the last whole - 1, as of now."""
        for oldest, state in enumerate(into):
            if self.whole <= oldest:
                state.zero_()
            elif len(self.front) > oldest:
                torch.addcmul(self.newest, self.front[oldest], self._since, out=state)
            else:
                state.copy_(self.newest)

    def push(self, addition: Tensor, decay: Tensor, edge: Tensor) -> None:
        """Take in a chunk and let the oldest go: what it adds to a state, its decay over the width, its end's edge."""
        if self.whole:
            self.newest = torch.addcmul(addition, self.newest, decay)
            self.back.append(addition)
            self.front = self.front[1:]
            self._since = self._since * decay
        self.edges.append(edge)
        if len(self.back) == self.whole:  # with no whole chunk in the window: always, and nothing is kept
            self._turn()

    def _turn(self) -> None:
        """The block is full: sum it up from its end on, and begin the next one."""
        total = torch.zeros_like(self.newest)
        self.front = []
        if self.back:
            after = self.edges[-1].unsqueeze(1) - torch.stack(self.edges[1:], dim=1)  # each chunk's end up to the last
            kept = over_width(after, total).unbind(1)
            for addition, decay in zip(reversed(self.back), reversed(kept), strict=True):
                total = torch.addcmul(total, addition, decay)
                self.front.append(total)
        self.front.reverse()
        self.back, self.newest, self.edges = [], torch.zeros_like(self.newest), self.edges[-1:]
        self._since = torch.ones_like(self._since)


class Past(NamedTuple):
    """Everything that a window carries; ``pack`` and ``unpack`` make it a flat tuple of tensors and back.

    ``position``: tokens read. ``initial``: the state before the first of them. ``blocks``: whole chunks of tokens, the
    window's oldest first. ``opened``: the tokens of the chunk that has begun.
    """

    position: int
    initial: Tensor
    queue: Queue
    blocks: list[Keys]
    opened: Keys

    def advanced(self, tokens: Keys, border: int, end: int, window: int) -> Past:
        """What is carried on after ``tokens``, of which the first ``border`` are the whole chunks now in the queue.

        ``end``: how many tokens of the document have been read, those that fill up ``tokens`` not counted.
        """
        start = self.position - self.opened.x.shape[1]
        oldest = start + border - window
        blocks, stop = [], start
        for block in reversed(self.blocks):
            if stop > oldest:
                blocks.append(block)
            stop -= block.x.shape[1]
        blocks.reverse()
        if border:
            blocks.append(tokens.segment(max(oldest - start, 0), border).copied())
        return Past(end, self.initial, self.queue, blocks, tokens.segment(border, end - start).copied())

    def pack(self, window: int, chunk: int) -> tuple[Tensor, ...]:
        """A tuple of tensors that share no storage, each with the batch first."""
        queue, batch = self.queue, self.initial.shape[0]
        sizes = torch.tensor([[self.position, window, chunk, len(queue.front), len(queue.back)]]).repeat(batch, 1)
        edges = torch.stack(queue.edges, dim=1)
        keys = (tensor for block in (self.opened, *self.blocks) for tensor in block)
        # What is a part of a larger tensor would keep all of it.
        back = (part if part.untyped_storage().nbytes() == part.nbytes else part.clone() for part in queue.back)
        return sizes, self.initial, edges, queue.newest, *queue.front, *back, *keys

    @classmethod
    def unpack(cls, memory: Memory, inputs: ScanInputs, window: int, chunk: int) -> Past:
        """What ``memory`` carries; an empty one if it is that of a document's start."""
        batch, _, nheads, headdim = inputs.x.shape
        ngroups, d_state = inputs.B.shape[2:]
        if not memory.past:
            initial = pack_state(memory.state, ngroups).clone()
            edge = initial.new_zeros(batch, ngroups, nheads // ngroups, dtype=torch.float64)
            queue = Queue(window // chunk, [], [], torch.zeros_like(initial), [edge])
            opened = Keys(
                inputs.x.new_zeros(batch, 0, ngroups, nheads // ngroups * headdim),
                inputs.B.new_zeros(batch, 0, ngroups, d_state),
                edge[:, None][:, :0],
            )
            return cls(0, initial, queue, [], opened)
        sizes, initial, edges, newest, *rest = memory.past
        position, *was, front, back = sizes[0].tolist()
        if was != [window, chunk]:
            raise ValueError(f"this memory is of a window of {was[0]} in chunks of {was[1]}, not {window} in {chunk}")
        queue = Queue(window // chunk, rest[:front], rest[front : front + back], newest, list(edges.unbind(1)))
        keys = rest[front + back :]
        opened, *blocks = (Keys(*keys[place : place + 3]) for place in range(0, len(keys), 3))
        return cls(position, initial, queue, blocks, opened)
