"""What every Triton kernel is held to: the plain loops of :mod:`kernels.reference` in float64, at one shape.

The table CHECKS names the checks; each is a function of a :class:`Shape` that yields what was compared. They run on a
GPU and, under TRITON_INTERPRET=1, on a CPU. Fresh tensors are NaN while they run, so an output that a kernel leaves
unwritten is a mismatch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.reference import reference_boundary_clipped_scan, reference_scan, reference_windowed_scan
from kernels.triton.diagonal import diagonal_scan
from kernels.triton.low_rank.scan import low_rank_scan
from kernels.triton.scalar_decay.scan import scalar_decay_scan
from kernels.triton.scalar_decay.window import scalar_window_scan
from kernels.triton.selective import selective_scan
from kernels.triton.vector_decay.scan import vector_decay_scan
from kernels.types import CHUNK, LowRank, Memory, ScanInputs, ScanOutput

TOLERANCE = {torch.float32: 4e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Of the largest element, by the dtype of the products."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape to check at; ``chunk`` is the distance of the boundaries."""

    batch: int = 1
    seqlen: int = 200
    nheads: int = 4
    headdim: int = 32
    ngroups: int = 1
    d_state: int = 64
    chunk: int = CHUNK
    dtype: torch.dtype = torch.float32
    device: str = "cpu"


class Compared(NamedTuple):
    """A tensor of a kernel against the truth: the largest difference over the largest element, and what is allowed."""

    what: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.error <= self.tolerance


def compare(what: str, ours: Tensor, truth: Tensor, tolerance: float) -> Compared:
    """The error of ``ours``; infinite if the shapes differ."""
    if ours.shape != truth.shape:
        return Compared(f"{what}: shape {tuple(ours.shape)}, not {tuple(truth.shape)}", float("inf"), tolerance)
    if not truth.numel():
        return Compared(what, 0.0, tolerance)
    largest = float(truth.abs().max())
    difference = ours.detach().to(truth.dtype).sub(truth.to(ours.device)).abs().max()
    return Compared(what, float(difference) / max(largest, 1e-30), tolerance)


@contextmanager
def poisoned() -> Iterator[None]:
    """New tensors are NaN inside, as deterministic PyTorch fills them."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert bool(torch.empty(9).isnan().all())
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class Case(NamedTuple):
    """Inputs and a memory to start from."""

    inputs: ScanInputs
    memory: Memory

    def in_float64(self) -> Case:
        """The same numbers in float64 (complex128 if complex)."""

        def wide(tensor: Tensor) -> Tensor:
            return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)

        return Case(self.inputs.map(wide), Memory(wide(self.memory.state)))


def normal(shape: Shape, seed: int = 0) -> Callable[..., Tensor]:
    """Random tensors of (batch, ...), made on the shape's device: a long scan has gigabytes of them."""
    rng = torch.Generator(shape.device).manual_seed(seed)
    return lambda *sizes: torch.randn(shape.batch, *sizes, generator=rng, device=shape.device)


def scalar_case(shape: Shape) -> Case:
    """Heads that forget within a token and heads that hardly do, a token that resets all, a random state."""
    random = normal(shape)
    step = torch.exp(random(shape.seqlen, shape.nheads, 1) - 1)
    log_decay = -step * torch.logspace(-3, 0.5, shape.nheads, device=shape.device)[:, None]
    log_decay[:, shape.seqlen // 3] = -3000.0
    inputs = ScanInputs(
        x=(random(shape.seqlen, shape.nheads, shape.headdim) * step).to(shape.dtype),
        B=random(shape.seqlen, shape.ngroups, shape.d_state).to(shape.dtype),
        C=random(shape.seqlen, shape.ngroups, shape.d_state).to(shape.dtype),
        log_decay=log_decay,
    )
    return Case(inputs, Memory(3 * random(shape.nheads, shape.headdim, shape.d_state)))


def compare_outputs(ours: ScanOutput, truth: ScanOutput, tolerance: float) -> Iterator[Compared]:
    """y, states, norms if asked for, and the telemetry against statistics of the true states."""
    yield compare("y", ours.y, truth.y, tolerance)
    yield compare("boundary_states", ours.boundary_states, truth.boundary_states, tolerance)
    yield compare("memory", ours.memory.state, truth.memory.state, tolerance)
    if ours.token_norms is not None and truth.token_norms is not None:
        yield compare("token_norms", ours.token_norms, truth.token_norms, tolerance)
    if ours.telemetry is not None:
        states = truth.boundary_states.flatten(-2)
        norm = states.abs().square().sum(-1).sqrt()
        yield compare("norm", ours.telemetry.norm, norm, tolerance)
        if not states.is_complex():
            yield compare("mean", ours.telemetry.mean, states.mean(-1), tolerance)
            yield compare("std", ours.telemetry.std, states.std(-1, correction=0), tolerance)
            yield compare("max_abs", ours.telemetry.max_abs, states.abs().amax(-1), tolerance)


def compare_kept(scan: Callable[..., ScanOutput], case: Case, whole: ScanOutput) -> Iterator[Compared]:
    """The same scan with some boundary states only: whatever else comes out of it is the very same, digit by digit."""
    last = whole.boundary_states.shape[1] - 1
    wanted = torch.tensor(sorted({0, last // 2, last}), device=case.memory.state.device)
    ours = scan(case.inputs._replace(boundaries=wanted), case.memory, True)
    assert ours.boundaries is wanted and ours.telemetry is not None and whole.telemetry is not None
    few = whole._replace(boundary_states=whole.boundary_states[:, wanted])
    for one in compare_outputs(ours._replace(telemetry=None), few, 0.0):
        yield one._replace(what=f"{one.what}, few states")
    yield compare("telemetry, few states", torch.stack(ours.telemetry[:4]), torch.stack(whole.telemetry[:4]), 0.0)


def scalar_forward(shape: Shape) -> Iterator[Compared]:
    """The scan with norms at every token, from a memory, in one piece and in two, with all boundary states or a few."""
    case = scalar_case(shape)
    truth = reference_scan(*case.in_float64(), chunk=shape.chunk)
    tolerance = TOLERANCE[shape.dtype]
    ours = scalar_decay_scan(*case, True, chunk=shape.chunk)
    yield from compare_kept(partial(scalar_decay_scan, chunk=shape.chunk), case, ours)
    yield from compare_outputs(ours, truth, tolerance)
    yield from compare_decay(ours, case, shape.chunk)
    yield from compare_pieces(partial(scalar_decay_scan, chunk=shape.chunk), case, truth, tolerance)


def compare_pieces(
    scan: Callable[[ScanInputs, Memory], ScanOutput], case: Case, truth: ScanOutput, tolerance: float
) -> Iterator[Compared]:
    """The same in two pieces, where there are two tokens."""
    seqlen = case.inputs.x.shape[1]
    half = seqlen // 2
    if half:
        first = scan(case.inputs.segment(0, half), case.memory)
        second = scan(case.inputs.segment(half, seqlen), first.memory)
        yield compare("y in two pieces", torch.cat([first.y, second.y], dim=1), truth.y, tolerance)
        yield compare("memory after two pieces", second.memory.state, truth.memory.state, tolerance)


def compare_decay(ours: ScanOutput, case: Case, chunk: int) -> Iterator[Compared]:
    """The mean decay of every chunk, which follows from the inputs alone."""
    assert ours.telemetry is not None
    log_decay = case.inputs.log_decay.real.double() if case.inputs.log_decay.is_complex() else case.inputs.log_decay
    parts = log_decay.double().split(chunk, dim=1)
    mean_log = torch.stack([part.mean((1, 3)) for part in parts], dim=1)
    mean = torch.stack([part.exp().mean((1, 3)) for part in parts], dim=1)
    yield compare("mean log decay", ours.telemetry.log_decay, mean_log, 1e-5)
    yield compare("mean decay", ours.telemetry.decay, mean, 1e-5)


def scalar_mitigated(shape: Shape) -> Iterator[Compared]:
    """Multipliers of decay and insertion, and the bound on what is carried over a boundary."""
    case = scalar_case(shape)
    wide = case.in_float64()
    changed = wide.inputs._replace(x=wide.inputs.x * 0.75, log_decay=wide.inputs.log_decay * 4)
    norms = reference_scan(changed, wide.memory, chunk=shape.chunk).boundary_states.square().sum((-1, -2)).sqrt()
    limit = 0.7 * norms.flatten(0, 1).amax(0)
    truth = reference_boundary_clipped_scan(changed, wide.memory, limit, chunk=shape.chunk)
    bound = limit.float()
    ours = scalar_decay_scan(*case, True, chunk=shape.chunk, decay=4.0, insertion=0.75, boundary_limit=bound)
    yield from compare_outputs(ours, truth, TOLERANCE[shape.dtype])
    assert ours.telemetry is not None
    beyond = (ours.telemetry.norm[:, 1:] / bound - 1).amax() if shape.seqlen else torch.zeros(())
    yield Compared("a bounded norm above its limit", max(0.0, float(beyond)), 1e-6)


def scalar_windowed(shape: Shape) -> Iterator[Compared]:
    """Windows of a chunk and of a few, in one piece and in pieces that end anywhere."""
    case, chunk, seqlen = scalar_case(shape), min(shape.chunk, 32), shape.seqlen
    for window in (chunk, 2 * chunk + 17):
        truth = reference_windowed_scan(*case.in_float64(), window, chunk=1)
        for cuts in ((), (1, 62, 70, 140)) if window > chunk else ((),):
            memory, start = case.memory, 0
            for stop in (*(cut for cut in cuts if cut < seqlen), seqlen):
                ours = scalar_window_scan(case.inputs.segment(start, stop), memory, window, chunk=chunk)
                here = truth.boundary_states[:, [*range(start, stop, chunk), stop]]
                part = truth._replace(y=truth.y[:, start:stop], boundary_states=here, memory=Memory(here[:, -1]))
                yield from compare_outputs(ours, part, TOLERANCE[shape.dtype])
                memory, start = ours.memory, stop


def gradients(scan: Callable[[ScanInputs, Memory], ScanOutput], case: Case) -> list[Tensor]:
    """Gradients of all inputs and the memory, for random weights on y and all boundary states (one is asked for)."""
    leaves = [tensor.clone().requires_grad_() for tensor in (*case.inputs.tensors, case.memory.state)]
    first = torch.zeros(1, dtype=torch.int64, device=case.memory.state.device)
    output = scan(ScanInputs.of(leaves[:-1])._replace(boundaries=first), Memory(leaves[-1]))
    rng = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=torch.float64)
    for tensor in (output.y, output.boundary_states):
        weigh = torch.randn(tensor.shape, generator=rng).to(tensor)
        loss = loss + (tensor * weigh).real.sum().double().cpu()
    return list(torch.autograd.grad(loss, leaves))


def compare_gradients(
    scan: Callable[[ScanInputs, Memory], ScanOutput],
    reference: Callable[[ScanInputs, Memory], ScanOutput],
    case: Case,
    tolerance: float,
) -> Iterator[Compared]:
    """Every gradient of ``scan`` against that of ``reference`` in float64."""
    names = ("x", "B", "C", "log_decay", *(("a", "b") if case.inputs.low_rank else ()), "state")
    for name, ours, truth in zip(names, gradients(scan, case), gradients(reference, case.in_float64()), strict=True):
        yield compare(f"gradient of {name}", ours, truth, tolerance)


def vector_case(shape: Shape) -> Case:
    """Like :func:`scalar_case` with a decay per channel: some channels reset at once, their neighbours keep."""
    case, random = scalar_case(shape), normal(shape, seed=2)
    spread = torch.exp(2 * random(shape.seqlen, shape.nheads, shape.d_state) - 1)
    log_decay = case.inputs.log_decay.clamp_min(-30) * spread
    log_decay[:, shape.seqlen // 2, :, ::3] = -3000.0
    return case._replace(inputs=case.inputs._replace(log_decay=log_decay.contiguous()))


def vector_forward(shape: Shape, kept: bool = False) -> Iterator[Compared]:
    """The scan with norms at every token, from a memory; ``kept``: with a few boundary states too."""
    case, scan = vector_case(shape), partial(vector_decay_scan, chunk=shape.chunk)
    ours = scan(*case, True)
    yield from compare_outputs(ours, reference_scan(*case.in_float64(), chunk=shape.chunk), TOLERANCE[shape.dtype])
    yield from compare_decay(ours, case, shape.chunk)
    if kept:
        yield from compare_kept(scan, case, ours)


def vector_backward(shape: Shape) -> Iterator[Compared]:
    """Gradients, that of every channel's decay among them."""
    scan, reference = partial(vector_decay_scan, chunk=shape.chunk), partial(reference_scan, chunk=shape.chunk)
    yield from compare_gradients(scan, reference, vector_case(shape), 2 * TOLERANCE[shape.dtype])


def scalar_backward(shape: Shape) -> Iterator[Compared]:
    """Gradients of the plain scan, and with the multipliers in place."""
    case, tolerance = scalar_case(shape), 2 * TOLERANCE[shape.dtype]

    def changed(inputs: ScanInputs, memory: Memory) -> ScanOutput:
        inputs = inputs._replace(x=inputs.x * 0.75, log_decay=inputs.log_decay * 4)
        return reference_scan(inputs, memory, chunk=shape.chunk)

    yield from compare_gradients(
        partial(scalar_decay_scan, chunk=shape.chunk), partial(reference_scan, chunk=shape.chunk), case, tolerance
    )
    multiplied = partial(scalar_decay_scan, chunk=shape.chunk, decay=4.0, insertion=0.75)
    yield from compare_gradients(multiplied, changed, case, tolerance)


def low_rank_case(shape: Shape) -> Case:
    """Like :func:`scalar_case` with the pair of a delta rule: unit keys, erased and overshot, written back in part.

    One head does not decay but for the reset; in the second half every other token has the same key.
    """
    case, random = scalar_case(shape), normal(shape, seed=3)
    case.inputs.log_decay[..., 0, :].clamp_(max=-1000).add_(1000)
    key = torch.nn.functional.normalize(random(shape.seqlen, shape.ngroups, shape.d_state), dim=-1)
    key[:, shape.seqlen // 2 :: 2] = key[:, shape.seqlen // 2, None].clone()
    strength = 2 * random(shape.seqlen, shape.nheads, 1).sigmoid()
    erased = -strength * key.repeat_interleave(shape.nheads // shape.ngroups, dim=2)
    back = key * random(shape.seqlen, 1, shape.d_state).sigmoid()
    pair = LowRank(erased.to(shape.dtype), back.to(shape.dtype))
    B = torch.nn.functional.normalize(case.inputs.B.float(), dim=-1).to(shape.dtype)
    return case._replace(inputs=case.inputs._replace(B=B, low_rank=pair))


def low_rank_channel_case(shape: Shape) -> Case:
    """Like :func:`low_rank_case` with the decay of :func:`vector_case`."""
    case, log_decay = low_rank_case(shape), vector_case(shape).inputs.log_decay
    return case._replace(inputs=case.inputs._replace(log_decay=log_decay))


def low_rank_forward(shape: Shape, make: Callable[[Shape], Case] = low_rank_case) -> Iterator[Compared]:
    """The scan with norms at every token, from a memory, in one piece and in two."""
    case, scan = make(shape), partial(low_rank_scan, chunk=shape.chunk)
    truth = reference_scan(*case.in_float64(), chunk=shape.chunk)
    ours = scan(*case, True)
    yield from compare_outputs(ours, truth, TOLERANCE[shape.dtype])
    yield from compare_decay(ours, case, shape.chunk)
    yield from compare_pieces(scan, case, truth, TOLERANCE[shape.dtype])


def low_rank_backward(shape: Shape, make: Callable[[Shape], Case] = low_rank_case) -> Iterator[Compared]:
    """Gradients, those of the pair among them."""
    scan, reference = partial(low_rank_scan, chunk=shape.chunk), partial(reference_scan, chunk=shape.chunk)
    yield from compare_gradients(scan, reference, make(shape), 2 * TOLERANCE[shape.dtype])


def low_rank_channel_extremes(shape: Shape) -> Iterator[Compared]:
    """No decay, a strong one, and a reset by every token; in float32, as gradients so small are zero in float16."""
    case = low_rank_case(dataclasses.replace(shape, dtype=torch.float32))
    scan, reference = partial(low_rank_scan, chunk=shape.chunk), partial(reference_scan, chunk=shape.chunk)
    for log_decay in (0.0, -30.0, -2000.0):
        even = torch.full((*case.inputs.x.shape[:3], shape.d_state), log_decay, device=shape.device)
        same = case._replace(inputs=case.inputs._replace(log_decay=even))
        compared = [
            *compare_outputs(scan(*same), reference(*same.in_float64()), TOLERANCE[torch.float32]),
            *compare_gradients(scan, reference, same, 2 * TOLERANCE[torch.float32]),
        ]
        yield from (one._replace(what=f"{one.what}, log decay {log_decay:g}") for one in compared)


def selective_case(shape: Shape, per_state: bool) -> Case:
    """Channels one wide: a decay per channel and state, or states of one number."""
    channels = shape.nheads * shape.headdim // 4
    narrow = dataclasses.replace(shape, nheads=channels, headdim=1, d_state=shape.d_state if per_state else 1)
    case = vector_case(narrow) if per_state else scalar_case(narrow)
    return case._replace(inputs=case.inputs._replace(log_decay=case.inputs.log_decay.contiguous()))


def selective_forward(shape: Shape) -> Iterator[Compared]:
    """Mamba-1 and RG-LRU, with norms at every token."""
    for per_state in (True, False):
        case = selective_case(shape, per_state)
        ours = selective_scan(*case, True, chunk=shape.chunk)
        truth = reference_scan(*case.in_float64(), chunk=shape.chunk)
        yield from compare_outputs(ours, truth, TOLERANCE[torch.float32])
        yield from compare_decay(ours, case, shape.chunk)


def diagonal_forward(shape: Shape) -> Iterator[Compared]:
    """The LRU: channels that turn by any angle and decay, some at once."""
    channels, random = shape.nheads * shape.headdim, normal(shape)
    groups = shape.ngroups
    log_decay = scalar_case(dataclasses.replace(shape, nheads=channels, headdim=1, d_state=1)).inputs.log_decay

    def numbers(*sizes: int) -> Tensor:
        return torch.complex(random(*sizes), random(*sizes))

    inputs = ScanInputs(
        x=numbers(shape.seqlen, channels, 1),
        B=numbers(shape.seqlen, groups, 1),
        C=numbers(shape.seqlen, groups, 1),
        log_decay=torch.complex(log_decay, 3 * random(shape.seqlen, channels, 1)),
    )
    case = Case(inputs, Memory(numbers(channels, 1, 1)))
    ours = diagonal_scan(*case, True, chunk=shape.chunk)
    truth = reference_scan(*case.in_float64(), chunk=shape.chunk)
    yield from compare_outputs(ours, truth, TOLERANCE[torch.float32])
    yield from compare_decay(ours, case, shape.chunk)


CHECKS: dict[str, Callable[[Shape], Iterator[Compared]]] = {
    "scalar_forward": scalar_forward,
    "scalar_mitigated": scalar_mitigated,
    "scalar_windowed": scalar_windowed,
    "scalar_backward": scalar_backward,
    "vector_forward": vector_forward,
    "vector_kept": partial(vector_forward, kept=True),
    "vector_backward": vector_backward,
    "low_rank_forward": low_rank_forward,
    "low_rank_backward": low_rank_backward,
    "low_rank_channel_forward": partial(low_rank_forward, make=low_rank_channel_case),
    "low_rank_channel_backward": partial(low_rank_backward, make=low_rank_channel_case),
    "low_rank_channel_extremes": low_rank_channel_extremes,
    "selective_forward": selective_forward,
    "diagonal_forward": diagonal_forward,
}


def run_checks(shape: Shape, names: list[str]) -> Iterator[tuple[str, Compared]]:
    """Every check of ``names`` at ``shape``; a kernel that raises counts as a mismatch."""
    for name in names:
        try:
            with poisoned():
                for compared in CHECKS[name](shape):
                    yield name, compared
        except Exception as error:
            yield name, Compared(f"{type(error).__name__}: {error}", float("inf"), 0.0)
