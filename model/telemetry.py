"""Telemetry is a function from scan to scan: it looks at what passes and keeps sums, never trajectories.

Everything is reduced where the tensors are: a boundary state of a hundred thousand numbers becomes a handful per head
before the next segment starts. Only at the snapshot positions is more kept, a sketch of each layer's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from kernels.types import Memory, Scan, ScanInputs, ScanOutput, Telemetry
from model.recording import CHUNK, SKETCH

Observer = Callable[[ScanOutput], None]


def recorded(scan: Scan, observe: Observer, token_norms: bool = False) -> Scan:
    """``scan``, with every output shown to ``observe``; ``token_norms`` asks for the norm at every token."""

    def scan_recorded(inputs: ScanInputs, memory: Memory, token_norms: bool = token_norms) -> ScanOutput:
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
        self.place = torch.randint(SKETCH, (elements,), generator=generator)
        sign = torch.randint(2, (elements,), generator=generator).float() * 2 - 1
        self.weight = (sign.view(spread.shape[1], -1) / spread.clamp_min(1e-12)[..., None]).flatten(1)

    def __call__(self, layer: int, state: Tensor) -> Tensor:
        """(nheads, headdim, d_state) -> (SKETCH,)."""
        scaled = torch.empty(state.shape)  # in this order, whatever the state's: one pass instead of three
        torch.mul(state, self.weight[layer].view(state.shape), out=scaled)
        return torch.zeros(SKETCH).index_add_(0, self.place, scaled.flatten())


class Recorder:
    """Collects the telemetry of one segment at a time; ``take`` hands it over as numpy and starts the next.

    ``heads`` are those that are recorded: a layer's own if None, or groups of channels (see :func:`grouped`).
    """

    def __init__(self, layers: int, snapshots: np.ndarray, sketcher: Sketcher, heads: int | None = None) -> None:
        self.layers = layers
        self.heads = heads
        self.snapshots = snapshots
        self.sketcher = sketcher
        self.position = 0
        self._reset()

    def _reset(self) -> None:
        self._boundaries: list[dict[str, Tensor]] = []
        self._snapshots: list[dict[str, Tensor]] = []
        self._norms: list[Tensor] = []

    def scans(self, scans: Sequence[Scan], token_norms: bool) -> list[Scan]:
        """``scans``, one per layer, each recorded."""

        def observer(layer: int) -> Observer:
            return lambda output: self._observe(layer, output)

        return [recorded(scan, observer(layer), token_norms) for layer, scan in enumerate(scans)]

    def _observe(self, layer: int, output: ScanOutput) -> None:
        first = 0 if self.position == 0 else 1  # the state before the first token of a document is a boundary too
        states = grouped(output.boundary_states[0], self.heads)
        if output.telemetry is not None:  # the kernel has read every state: nobody need read them again
            reduced = reduced_by_kernel(output.telemetry, self.heads)
        else:
            assert output.log_decay is not None
            reduced = reduce_states(states)
            log_decay, decay = mean_decay(grouped(output.log_decay[0][:, :, None], self.heads).flatten(2))
            reduced |= {"log_decay": log_decay, "decay": decay}
        for name in ("log_decay", "decay"):  # of the tokens before a boundary: none before the first
            unknown = reduced[name].new_full((1, reduced[name].shape[1]), torch.nan)
            reduced[name] = torch.cat([unknown, reduced[name]])
        self._boundaries.append({name: values[first:].cpu() for name, values in reduced.items()})
        if output.token_norms is not None:
            norms = output.token_norms[0]
            if self.heads not in (None, norms.shape[1]):
                norms = grouped(norms[..., None, None], self.heads).square().sum((-1, -2)).sqrt()
            self._norms.append(norms.cpu())
        seqlen = output.y.shape[1]
        for position in self._here(seqlen):
            state = states[-(-(position - self.position) // CHUNK)].cpu()
            self._snapshots.append(
                {"sketch": self.sketcher(layer, state), "effective_rank": effective_rank(state).float()}
            )

    def _here(self, seqlen: int) -> list[int]:
        low, high = np.searchsorted(self.snapshots, [self.position, self.position + seqlen], side="right")
        return self.snapshots[low:high].tolist()

    def take(self, seqlen: int) -> dict[str, tuple[int, np.ndarray]]:
        """The segment's telemetry: array name -> (first row, values), in the dimensions of the recording."""
        found: dict[str, tuple[int, np.ndarray]] = {}
        row = 0 if self.position == 0 else self.position // CHUNK + 1
        for name in self._boundaries[0]:
            stacked = torch.stack([layer[name] for layer in self._boundaries], dim=1)
            found[name] = (row, stacked.float().numpy())
        if self._norms:
            found["token_norm"] = (self.position, torch.stack(self._norms, dim=1).float().numpy())
        count = len(self._snapshots) // self.layers
        if count:
            row = int(np.searchsorted(self.snapshots, self.position, side="right"))
            for name in self._snapshots[0]:
                stacked = torch.stack([snapshot[name] for snapshot in self._snapshots])
                found[name] = (row, stacked.unflatten(0, (self.layers, count)).transpose(0, 1).numpy())
        self.position += seqlen
        self._reset()
        return found


def grouped(states: Tensor, heads: int | None) -> Tensor:
    """Make ``heads`` of all heads, neighbours together: (n, nheads, headdim, k) -> (n, heads, more headdim, k).

    Where a head is one channel there are thousands of them, and a statistic for each would be larger than the states.
    """
    if heads in (None, states.shape[1]):
        return states
    return states.unflatten(1, (heads, -1)).flatten(2, 3)


def reduce_states(states: Tensor) -> dict[str, Tensor]:
    """Per state and head: (n, nheads, headdim, d_state) -> norm, mean, std, max_abs, each (n, nheads)."""
    elements = states.shape[-1] * states.shape[-2]
    # d_state first and headdim then: the order in which the scan lays them out, five times faster than both at once.
    squared = states.square().sum(-1).sum(-1)
    mean = states.sum(-1).sum(-1) / elements
    largest = torch.maximum(states.amax(-1).amax(-1), -states.amin(-1).amin(-1))
    variance = (squared / elements - mean.square()).clamp_min(0)
    return {"norm": squared.sqrt(), "mean": mean, "std": variance.sqrt(), "max_abs": largest}


def reduced_by_kernel(telemetry: Telemetry, heads: int | None) -> dict[str, Tensor]:
    """What :func:`reduce_states` and :func:`mean_decay` would find, from what the kernel found: each (n, nheads).

    Heads that are recorded together add up: squares and means do, and so do the spreads around a common mean.
    """

    def together(values: Tensor) -> Tensor:
        count = values.shape[1] if heads is None else heads
        return values.unflatten(1, (count, -1))

    norm, mean, std, max_abs, log_decay, decay = (together(values[0]) for values in telemetry)
    middle = mean.mean(-1)
    variance = (std.square() + mean.square()).mean(-1) - middle.square() if mean.shape[-1] > 1 else std[..., 0].square()
    return {
        "norm": norm.square().sum(-1).sqrt(),
        "mean": middle,
        "std": variance.clamp_min(0).sqrt(),
        "max_abs": max_abs.amax(-1),
        "log_decay": log_decay.mean(-1),
        "decay": decay.mean(-1),
    }


def mean_decay(log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """Means over each chunk: (seqlen, nheads, channels) -> mean log decay and mean decay, each (nchunks, nheads)."""
    whole = len(log_decay) // CHUNK * CHUNK
    parts = [log_decay[:whole].unflatten(0, (-1, CHUNK)), log_decay[None, whole:]]
    parts = [part for part in parts if part.numel()]
    return (
        torch.cat([part.mean((1, 3)) for part in parts]),
        torch.cat([part.exp().mean((1, 3)) for part in parts]),
    )


def effective_rank(state: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007): (nheads, P, N) -> (nheads,).

    Between 1 (one direction holds everything) and min(P, N); 0 for an empty state.
    """
    tall = state.transpose(-1, -2) if state.shape[-2] > state.shape[-1] else state
    squared = torch.linalg.eigvalsh(tall @ tall.transpose(-1, -2)).clamp_min(0)
    singular = squared.sqrt()
    share = singular / singular.sum(-1, keepdim=True).clamp_min(1e-30)
    entropy = -(share * share.clamp_min(1e-30).log()).sum(-1)
    return torch.where(singular.sum(-1) > 0, entropy.exp(), torch.zeros_like(entropy))
