"""What the Triton scan costs on a GPU: against the roof of the device, and against other libraries' scans.

The roof is measured, not looked up: a copy for the bandwidth, a square product for the matrix units. The least that a
scan must do is to read its inputs once, write y and what a recorder takes of the boundary states once, and multiply:

    bytes per token and head    2 (headdim + 2 d_state / heads of a group) + 4 (headdim + 1)
                                + 4 headdim d_state / (chunk RECORDED)
    operations                  2 chunk (d_state + headdim) + 4 headdim d_state

Contestants take turns, and the median of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from kernels.bench.checks import Case, Compared, Shape, compare, scalar_case
from kernels.cpu.chunked import chunked_scan
from kernels.triton.scalar_decay.scan import scalar_decay_scan
from kernels.types import Memory, ScanInputs, boundary_count

MODELS = {"130M": 24, "370M": 32, "780M": 48, "1.3B": 64, "2.7B": 80}
"""Heads of the published Mamba-2 models; all have headdim 64, d_state 128 and one group."""

RECORDED = 16
"""One of so many boundary states is recorded."""

PIECE = 4096
"""Tokens that the chunked scan reads at once in float64 while it checks a long one."""


class Row(NamedTuple):
    """One line of the table; ``roof`` is the share of the roof, for our own kernels only."""

    model: str
    tokens: int
    what: str
    seconds: float
    roof: float | None = None


def model_shape(model: str, tokens: int, device: str) -> Shape:
    """The scan of one layer of ``model``."""
    return Shape(
        seqlen=tokens, nheads=MODELS[model], headdim=64, ngroups=1, d_state=128, dtype=torch.bfloat16, device=device
    )


def median_seconds(contestants: dict[str, Callable[[], Any]], rounds: int = 10) -> dict[str, float]:
    """Seconds of every contestant; the first round, in which kernels are compiled, does not count."""
    cuda = torch.cuda.is_available()
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, contestant in contestants.items():
            if cuda:
                torch.cuda.synchronize()
            started = time.perf_counter()
            contestant()
            if cuda:
                torch.cuda.synchronize()
            found[name].append(time.perf_counter() - started)
    return {name: sorted(seconds[1:])[rounds // 2] for name, seconds in found.items()}


def roofs(device: str, size: int = 8192) -> tuple[float, float]:
    """Bytes and bfloat16 operations per second that the device reaches."""
    source = torch.ones(size * size * 4, device=device)
    target, square = torch.empty_like(source), torch.ones(size, size, device=device, dtype=torch.bfloat16)
    seconds = median_seconds({"copy": lambda: target.copy_(source), "product": lambda: square @ square})
    return 2 * source.nbytes / seconds["copy"], 2 * size**3 / seconds["product"]


def least_seconds(shape: Shape, bandwidth: float, rate: float) -> float:
    """The time of one scan at the roof: its bytes or its operations, whichever takes longer."""
    heads = shape.seqlen * shape.nheads
    keys = 2 * shape.d_state * shape.ngroups / shape.nheads
    elements = shape.headdim * shape.d_state
    traffic = heads * (2 * (shape.headdim + keys) + 4 * (shape.headdim + 1) + 4 * elements / (shape.chunk * RECORDED))
    operations = heads * (2 * shape.chunk * (shape.d_state + shape.headdim) + 4 * elements)
    return max(traffic / bandwidth, operations / rate)


def check_long(shape: Shape) -> Iterator[Compared]:
    """A scan of the whole length in one call against the chunked one in float64, piece by piece."""
    case = scalar_case(shape)
    with torch.no_grad():
        ours = scalar_decay_scan(as_recorded(case.inputs), case.memory, chunk=shape.chunk)
        memory = Memory(case.memory.state.double())
        for start in range(0, shape.seqlen, PIECE):
            piece = case.inputs.segment(start, start + PIECE)
            truth = chunked_scan(piece.map(torch.Tensor.double), memory, chunk=shape.chunk)
            memory = truth.memory
            y = compare("", ours.y[:, start : start + PIECE], truth.y, 2e-2)
            if not y.passed:
                yield y._replace(what=f"y from token {start} on")
                return
        yield compare(f"state after {shape.seqlen} tokens", ours.memory.state, memory.state, 2e-2)


def as_recorded(inputs: ScanInputs) -> ScanInputs:
    """``inputs`` with the boundary states that a recorder looks at: one in RECORDED, and the last."""
    last = boundary_count(inputs.x.shape[1]) - 1
    return inputs._replace(boundaries=torch.tensor([*range(RECORDED, last, RECORDED), last], device=inputs.x.device))


def contestants(case: Case) -> dict[str, Callable[[], Any]]:
    """Our scan with telemetry, with norms too, and those of mamba_ssm and flash-linear-attention if they import."""
    x, B, C, log_decay = case.inputs[:4]
    few = as_recorded(case.inputs)
    found: dict[str, Callable[[], Any]] = {
        "ours, chunk telemetry": lambda: scalar_decay_scan(few, case.memory),
        "ours, norms at every token": lambda: scalar_decay_scan(few, case.memory, True),
        "ours, all boundary states": lambda: scalar_decay_scan(*case),
    }
    heads = x.shape[2] // B.shape[2]
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

        # Their x is ours before the step; with A = -1 the step is the decay, which is all that matters to the clock.
        step, A = -log_decay[..., 0], -torch.ones(x.shape[2], device=x.device)
        found["mamba_ssm, without"] = lambda: mamba_chunk_scan_combined(
            x, step, A, B, C, 256, initial_states=case.memory.state, return_final_states=True
        )
    except ImportError:
        pass
    try:
        from fla.ops.simple_gla import chunk_simple_gla

        q, k = (tensor.repeat_interleave(heads, dim=2) for tensor in (C, B))
        start = case.memory.state.transpose(-1, -2).contiguous()
        found["flash-linear-attention, without"] = lambda: chunk_simple_gla(
            q, k, x, log_decay[..., 0], scale=1.0, initial_state=start, output_final_state=True
        )
    except ImportError:
        pass
    return found


def time_models(device: str, tokens: tuple[int, ...]) -> Iterator[Row]:
    """Every model at every length; a length that does not fit into the memory is left out."""
    bandwidth, rate = roofs(device)
    for model in MODELS:
        for length in tokens:
            shape = model_shape(model, length, device)
            try:
                with torch.no_grad():
                    seconds = median_seconds(contestants(scalar_case(shape)))
            except torch.OutOfMemoryError:
                continue
            for name, taken in seconds.items():
                share = least_seconds(shape, bandwidth, rate) / taken if name.startswith("ours") else None
                yield Row(model, length, name, taken, share)
