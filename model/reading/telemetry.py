"""Telemetry is a function from scan to scan: it reduces every output to sums and keeps no trajectory.

Everything is reduced where the tensors are: a boundary state of a hundred thousand numbers becomes a handful per head
before the next segment starts. Only at the snapshot positions is more kept, a sketch of each layer's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.summary import chunk_means, count_sketch, summarise
from kernels.layer import eigenvalues
from kernels.types import LowRank, Memory, Scan, ScanInputs, ScanOutput, Telemetry
from model.mixers import additive, recurrent
from model.reading.overwriting import overwriting
from model.reading.transfer import Transfer
from model.recording.schema import CHUNK, DECAYS, EFFECTIVE_RANK, OVERWRITING, SKETCH, SKETCHED, STATISTICS, TOKEN_NORM

SNAPSHOTS_AT_ONCE = 1 << 26
"""Numbers of the states of a layer that are sketched together: a quarter of a gigabyte."""

Observer = Callable[[ScanOutput], None]
Wanted = Callable[[ScanInputs], Tensor | None]


def recorded(scan: Scan, observe: Observer, token_norms: bool = False, wanted: Wanted | None = None) -> Scan:
    """``scan``, with every output shown to ``observe``; ``token_norms`` asks for the norm at every token.

    ``wanted`` says which boundary states are enough (:class:`ScanInputs`), where statistics of all come with them.
    """

    def scan_recorded(inputs: ScanInputs, memory: Memory, token_norms: bool = token_norms) -> ScanOutput:
        if wanted is not None and isinstance(inputs, ScanInputs):  # cells and attention have few numbers
            inputs = inputs._replace(boundaries=wanted(inputs))
        output = scan(inputs, memory, token_norms)
        observe(output)
        return output

    return scan_recorded


def snapshot_positions(tokens: int, count: int, chunk: int = CHUNK) -> np.ndarray:
    """At most ``count`` boundaries at which a sketch is kept, (n,) int32, for a document of ``tokens`` tokens.

    Half are spread evenly over the document, half evenly in the logarithm of the position, so that the first
    training lengths are seen as finely as the chunk allows and the end of a long document is not forgotten. A short
    document has fewer, about every sixteenth boundary: a snapshot costs as much as the statistics of twenty chunks.
    """
    boundaries = -(-tokens // chunk)
    count = min(count, 4 + boundaries // 16)
    if boundaries <= count:
        chosen = np.arange(1, boundaries + 1)
    else:
        even = np.linspace(1, boundaries, count // 2)
        early = np.geomspace(1, boundaries, count - count // 2)
        chosen = np.unique(np.rint(np.concatenate([even, early])).astype(int))
    return np.minimum(chosen * chunk, tokens).astype(np.int32)


class Sketcher:
    """A count sketch of a layer's state: each element goes, with a random sign, into one of SKETCH sums.

    Distances survive in expectation (Charikar, Chen & Farach-Colton 2002), at the price of one pass and no matrix.
    Heads are first divided by their explored spread, so that a loud head does not drown the rest.
    """

    def __init__(self, elements: int, spread: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)  # the same for every recording: sketches must be comparable
        place = torch.randint(SKETCH, (elements,), generator=generator)
        sign = torch.randint(2, (elements,), generator=generator).float() * 2 - 1
        weight = (sign.view(spread.shape[1], -1) / spread.clamp_min(1e-12)[..., None]).flatten(1)
        self._place, self._weight = place.numpy(), weight.float().numpy()
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._lying: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, layer: int, states: Tensor) -> Tensor:
        """(n, nheads, headdim, d_state) -> (n, SKETCH), where the states are."""
        if states.device.type == "cpu":
            return torch.stack([self._of(layer, state) for state in states])
        place, weight = self._on(states.device)
        return (states.flatten(1).float()[:, place] * weight[layer]).sum(-1)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """For every sum the places of its elements and, in each layer, their weights: no two write to one place.

        (SKETCH, most of a sum) and (layers, SKETCH, most of a sum); what a sum has fewer of has the weight 0.
        """
        if device not in self._tables:
            order = np.argsort(self._place, kind="stable")
            counts = np.bincount(self._place, minlength=SKETCH)
            inside = np.arange(counts.max()) < counts[:, None]
            place = np.zeros(inside.shape, np.int64)
            place[inside] = order
            weight = np.where(inside, self._weight[:, place], np.float32(0))
            self._tables[device] = torch.from_numpy(place).to(device), torch.from_numpy(weight).to(device)
        return self._tables[device]

    def _of(self, layer: int, state: Tensor) -> Tensor:
        """(nheads, headdim, d_state) on the CPU -> (SKETCH,)."""
        # A state in the order of the CPU scan, or in its own, need not be moved.
        order = (2, 0, 1) if state.permute(2, 0, 1).is_contiguous() else (0, 1, 2)
        place, weight = self._in_order(order, state.shape)
        sketch = np.zeros(SKETCH, np.float32)
        values = state.permute(order).float().contiguous().view(-1).numpy()
        count_sketch(values, weight[layer], place, sketch)
        return torch.from_numpy(sketch)

    def _in_order(self, order: tuple[int, ...], shape: torch.Size) -> tuple[np.ndarray, np.ndarray]:
        """Places (elements,) and weights (layers, elements) of a state whose axes lie in this ``order``."""
        if order not in self._lying:
            place = self._place.reshape(shape).transpose(order).ravel()
            weight = np.stack([row.reshape(shape).transpose(order).ravel() for row in self._weight])
            self._lying[order] = place, weight
        return self._lying[order]


class Recorder:
    """Collects the telemetry of one segment at a time; ``take`` hands it over as numpy and starts the next.

    ``layers`` are names of mixers, ``heads`` those that are recorded: a layer's own if None, or groups of channels (see
    :func:`grouped`).
    """

    def __init__(
        self, layers: Sequence[str], snapshots: np.ndarray, sketcher: Sketcher, heads: int | None = None
    ) -> None:
        self.layers = tuple(layers)
        self.heads = heads
        self.snapshots = snapshots
        self.sketcher = sketcher
        self.position = 0
        self._reset()

    def _reset(self) -> None:
        self._boundaries: list[Tensor] = []  # of each layer (6, boundaries, heads)
        self._sketches: list[Tensor] = []  # of each layer (snapshots, SKETCH)
        self._ranks: list[Tensor] = []  # of each layer (snapshots, heads)
        self._norms: list[Tensor] = []
        self._overwriting: dict[int, Tensor] = {}  # of each layer with a delta rule (2, boundaries, heads)
        # How many snapshots the segment has, and their boundaries with the last one: on the device once for all layers,
        # for a copy waits for all that was launched.
        self._places: tuple[int, Tensor] | None = None

    def scans(self, scans: Sequence[Scan], token_norms: bool) -> list[Scan]:
        """``scans``, one per layer, each recorded."""

        def observer(layer: int) -> Observer:
            return lambda output: self._observe(layer, output)

        return [recorded(scan, observer(layer), token_norms, self._wanted) for layer, scan in enumerate(scans)]

    def _wanted(self, inputs: ScanInputs) -> Tensor | None:
        """The boundaries whose states are looked at: snapshots, but all where a delta rule overwrites them."""
        return None if inputs.low_rank is not None else self._snapshots(inputs.x)[1]

    def _snapshots(self, like: Tensor) -> tuple[int, Tensor]:
        """How many snapshots there are in a segment ``like`` (batch, seqlen, ...), and :attr:`_places` of them."""
        if self._places is None:
            seqlen = like.shape[1]
            rows, last = self._snapshot_rows(seqlen), -(-seqlen // CHUNK)
            places = np.union1d(rows, [last])
            self._places = len(rows), torch.from_numpy(places).to(like.device)
        return self._places

    def _observe(self, layer: int, output: ScanOutput) -> None:
        first = 0 if self.position == 0 else 1  # the state before the first token of a document is a boundary too
        states = grouped(output.boundary_states[0], self.heads)
        if output.telemetry is not None:  # the kernel has reduced every state already
            statistics, decays = reduced_by_kernel(output.telemetry, self.heads)
            statistics = statistics[:, first:]
        else:
            assert output.log_decay is not None and output.boundaries is None
            statistics = reduce_states(states[first:])
            decays = mean_decay(grouped(output.log_decay[0][:, :, None], self.heads).flatten(2))
        if first == 0:  # a decay is that of the tokens before a boundary: none before the first
            decays = F.pad(decays, (0, 0, 1, 0), value=np.nan)
        self._boundaries.append(torch.cat([statistics, decays]).float())
        if output.low_rank is not None:
            found = overwriting(states, LowRank(*(part[0] for part in output.low_rank)))
            self._overwriting[layer] = F.pad(found, (0, 0, 1 - first, 0), value=np.nan).float()
        if output.token_norms is not None:
            norms = output.token_norms[0]
            if self.heads not in (None, norms.shape[1]):
                norms = grouped(norms[..., None, None], self.heads).square().sum((-1, -2)).sqrt()
            self._norms.append(norms)
        count, places = self._snapshots(output.y)
        at_once = max(1, SNAPSHOTS_AT_ONCE // states[0].numel())
        for start in range(0, count, at_once):
            rows = slice(start, min(start + at_once, count))
            kept = states[places[rows] if output.boundaries is None else rows]
            self._sketches.append(sketch_of(self.sketcher, layer, self.layers[layer], kept))
            self._ranks.append(rank_of(self.layers[layer], kept))

    def _snapshot_rows(self, seqlen: int) -> np.ndarray:
        """Which boundaries of the next ``seqlen`` tokens are snapshots, (n,) int64: the same in every layer."""
        low, high = np.searchsorted(self.snapshots, [self.position, self.position + seqlen], side="right")
        return -(-(self.snapshots[low:high].astype(np.int64) - self.position) // CHUNK)

    def take(self, seqlen: int) -> dict[str, tuple[int, np.ndarray]]:
        """The segment's telemetry: array name -> (first row, values), in the dimensions of the recording."""
        rows, values = self.hand_over(seqlen)
        return {name: (rows[name], array) for name, array in Transfer(values).arrays().items()}

    def drop(self, position: int | None = None) -> None:
        """Forget what was seen of a segment that has to be read again, from ``position`` on if that is earlier."""
        self.position = self.position if position is None else position
        self._reset()

    def hand_over(self, seqlen: int) -> tuple[dict[str, int], dict[str, Tensor]]:
        """Like :meth:`take`, but where the tensors are: the first row of each array, and its values."""
        rows: dict[str, int] = {}
        found: dict[str, Tensor] = {}
        row = 0 if self.position == 0 else self.position // CHUNK + 1
        stacked = torch.stack(self._boundaries, dim=2)  # (6, boundaries, layers, heads)
        for name, values in zip((*STATISTICS, *DECAYS), stacked, strict=True):
            rows[name], found[name] = row, values
        if self._overwriting:
            empty = torch.full_like(next(iter(self._overwriting.values())), torch.nan)
            layers = [self._overwriting.get(layer, empty) for layer in range(len(self.layers))]
            for name, values in zip(OVERWRITING, torch.stack(layers, dim=2), strict=True):
                rows[name], found[name] = row, values
        if self._norms:
            rows[TOKEN_NORM], found[TOKEN_NORM] = self.position, torch.stack(self._norms, dim=1).float()
        if self._sketches:
            row = int(np.searchsorted(self.snapshots, self.position, side="right"))
            for name, parts in ((SKETCHED, self._sketches), (EFFECTIVE_RANK, self._ranks)):
                by_layer = torch.cat(parts).float().unflatten(0, (len(self.layers), -1))
                rows[name], found[name] = row, by_layer.transpose(0, 1)
        self.position += seqlen
        self._reset()
        return rows, found


def grouped(states: Tensor, heads: int | None) -> Tensor:
    """Make ``heads`` of all heads, neighbours together: (n, nheads, headdim, k) -> (n, heads, more headdim, k).

    Where a head is one channel there are thousands of them, and a statistic for each would be larger than the states.
    """
    if heads in (None, states.shape[1]):
        return states
    return states.unflatten(1, (heads, -1)).flatten(2, 3)


def reduce_states(states: Tensor) -> Tensor:
    """The STATISTICS of every state and head: (n, nheads, headdim, d_state) -> (4, n, nheads)."""
    in_order = states.permute(0, 3, 1, 2)  # as the scan of the CPU lays them out
    if in_order.dtype == torch.float32 and in_order.device.type == "cpu" and in_order.is_contiguous():
        values, found = in_order.numpy(), np.empty((len(STATISTICS), *states.shape[:2]), np.float32)
        summarise(values, values.view(np.int32), found)
        return torch.from_numpy(found)
    elements = states.shape[-1] * states.shape[-2]
    squared = states.square().sum(-1).sum(-1)  # d_state first and headdim then: faster than both at once
    mean = states.sum(-1).sum(-1) / elements
    largest = torch.maximum(states.amax(-1).amax(-1), -states.amin(-1).amin(-1))
    std = (squared / elements - mean.square()).clamp_min(0).sqrt()
    return torch.stack([squared.sqrt(), mean, std, largest])


def mean_decay(log_decay: Tensor) -> Tensor:
    """The DECAYS of every chunk: (seqlen, nheads, channels) -> (2, nchunks, nheads)."""
    if log_decay.shape[-1] == 1 and log_decay.device.type == "cpu" and log_decay.dtype == torch.float32:
        values = log_decay[..., 0].contiguous().numpy()
        found = np.empty((len(DECAYS), -(-len(values) // CHUNK), values.shape[1]), np.float32)
        chunk_means(values, CHUNK, found[0])
        chunk_means(np.exp(values), CHUNK, found[1])
        return torch.from_numpy(found)
    whole = len(log_decay) // CHUNK * CHUNK
    parts = [log_decay[:whole].unflatten(0, (-1, CHUNK)), log_decay[None, whole:]]
    means = [torch.stack([part.mean((1, 3)), part.exp().mean((1, 3))]) for part in parts if part.numel()]
    return torch.cat(means, dim=1)


def reduced_by_kernel(telemetry: Telemetry, heads: int | None) -> tuple[Tensor, Tensor]:
    """What :func:`reduce_states` and :func:`mean_decay` would find, from what the kernel found.

    Heads that are recorded together add up: squares and means do, and so do the spreads around a common mean.
    """

    def together(values: Tensor) -> Tensor:
        count = values.shape[1] if heads is None else heads
        return values.unflatten(1, (count, -1))

    norm, mean, std, max_abs, log_decay, decay = (together(values[0]) for values in telemetry)
    middle = mean.mean(-1)
    variance = (std.square() + mean.square()).mean(-1) - middle.square() if mean.shape[-1] > 1 else std[..., 0].square()
    statistics = [norm.square().sum(-1).sqrt(), middle, variance.clamp_min(0).sqrt(), max_abs.amax(-1)]
    decays = [log_decay.mean(-1), decay.mean(-1)]
    return torch.stack(statistics), torch.stack(decays)


def sketch_of(sketcher: Sketcher, layer: int, mixer: str, states: Tensor) -> Tensor:
    """The sketches (n, SKETCH) of the ``states`` of a ``layer`` of that ``mixer``.

    Zero for a cache of attention: what is recorded in place of its state is a mean, which says nothing of what
    training has explored, and zeros change no distance.
    """
    return sketcher(layer, states) if recurrent([mixer]) else states.new_zeros(len(states), SKETCH)


def rank_of(mixer: str, states: Tensor) -> Tensor:
    """The effective ranks (n, nheads) of the ``states`` of that ``mixer``.

    NaN where a state is no sum of products of two vectors, as that of a cell or a cache, or is one vector.
    """
    if additive([mixer]) and min(states.shape[-2:]) > 1:
        return effective_rank(gram(states))
    return states.new_full(states.shape[:2], torch.nan)


def gram(state: Tensor) -> Tensor:
    """The products of a state's rows, or of its columns if those are fewer: (nheads, P, N) -> (nheads, n, n)."""
    wide = state.transpose(-1, -2) if state.shape[-2] > state.shape[-1] else state
    return wide @ wide.transpose(-1, -2)


def effective_rank(grams: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007): (..., n, n) -> (...).

    ``grams`` are those of the states (:func:`gram`), whose eigenvalues are the squares of the singular values.
    Between 1 (one direction holds everything) and min(P, N); 0 for an empty state, NaN for one that is not finite.
    """
    finite = torch.isfinite(grams).all(-1).all(-1)
    singular = eigenvalues(torch.where(finite[..., None, None], grams, 0)).clamp_min(0).sqrt()
    share = singular / singular.sum(-1, keepdim=True).clamp_min(1e-30)
    entropy = -(share * share.clamp_min(1e-30).log()).sum(-1)
    return torch.where(singular.sum(-1) > 0, entropy.exp(), torch.where(finite, 0.0, torch.nan))
