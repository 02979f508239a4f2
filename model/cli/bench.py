"""Speed, measured as ratios within one run: contestants take turns, the median of each counts.

Machines are shared and clocks vary, so a number of tokens per second means little on its own. Every row sets two
contestants that alternate round by round against each other and reports both medians, their ratio and the bar it is
held to. ``memory-explorer bench`` prints the table; nothing here runs in the tests.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from kernels.cpu.heap import keep_freed_memory
from model.checkpoints.catalogue import DEFAULT, load_model, model_card, tokens_of
from model.cli.bench_busy import processes, speeds
from model.cli.options import set_threads
from model.config import PRESETS
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS, mitigated
from sample_data import sample_text

Contestant = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison. ``ratio`` is what ``bar`` speaks of: a speed-up (at least) or a cost (at most)."""

    name: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    bar: str
    met: bool


def run_bench(what: str, seconds: float, echo: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run the comparisons called ``what`` ("all" or a name of SUITES), ``seconds`` each; returns the rows."""
    if what != "all" and what not in SUITES:
        raise UserError("bench.unknown", name=what, known=", ".join(["all", *SUITES]))
    echo(f"{'comparison':58s} {'ours':>10s} {'against':>10s} {'':7s} {'ratio':>6s}  bar")
    rows = []
    for name, suite in SUITES.items():
        if what == name or (what == "all" and name not in ASKED):
            for row in suite(seconds):
                rows.append(asdict(row))
                mark = "met" if row.met else "MISSED"
                echo(
                    f"{row.name:58s} {row.ours:10.1f} {row.theirs:10.1f} {row.unit:7s} {row.ratio:6.2f}  "
                    f"{row.bar} {mark}"
                )
    return rows


def take_turns(contestants: list[Contestant], seconds: float) -> list[float]:
    """Median seconds of each contestant, alternating for ``seconds`` after one round of warming up."""
    for contestant in contestants:
        contestant()
    times: list[list[float]] = [[] for _ in contestants]
    started = time.perf_counter()
    while len(times[0]) < 3 or time.perf_counter() - started < seconds:
        for place, contestant in enumerate(contestants):
            begin = time.perf_counter()
            contestant()
            times[place].append(time.perf_counter() - begin)
    return [median(found) for found in times]


def bench_read(seconds: float) -> list[Row]:
    """Reading with full chunk telemetry against transformers' forward pass: same weights, same tokens."""
    rows = []
    for name, precision, tokens, bar in (
        ("mamba2-base", "float32", 8192, 4.0),
        ("mamba2-base", "bfloat16", 8192, 4.0),
        ("random:mamba2-130m", "float32", 4096, 2.5),
        ("random:mamba2-130m", "bfloat16", 4096, 5.0),
    ):
        import torch

        from model.cli.bench_loop import read_all
        from model.cli.bench_peers import to_transformers

        model = load_model(name, precision)
        ids = np.random.default_rng(0).integers(0, model.config.vocab_size, tokens).astype(np.int32)
        theirs = to_transformers(load_model(name))
        batch = torch.from_numpy(ids.astype(np.int64))[None]

        def forward(theirs: Any = theirs, batch: Any = batch) -> object:
            with torch.inference_mode():
                return theirs(batch, use_cache=False).logits

        ours, peer = take_turns([partial(read_all, model, ids, chunk_telemetry=True), forward], seconds)
        rows.append(speed(f"{name} {precision}: read with telemetry vs transformers fp32", tokens, ours, peer, bar))
    return rows


def bench_peers(seconds: float) -> list[Row]:
    """Reading with full chunk telemetry against llama.cpp, both with the scores of every token, on the same weights."""
    import torch

    from model.cli.bench_loop import read_all
    from model.cli.bench_peers import same_weights

    rows = []
    for name, precision, tokens, bar in (
        ("mamba2-base", "float32", 16384, 1.5),
        ("mamba2-base", "bfloat16", 16384, 1.5),
        ("random:mamba2-130m", "float32", 2048, 1.5),
        ("random:mamba2-130m", "bfloat16", 2048, 1.5),
    ):
        model = load_model(name, precision)
        ids = np.random.default_rng(0).integers(0, model.config.vocab_size, tokens).astype(np.int32)
        with same_weights(load_model(name), ids, precision, torch.get_num_threads()) as evaluate:
            ours, peer = take_turns([partial(read_all, model, ids, chunk_telemetry=True), evaluate], seconds)
        rows.append(speed(f"{name} {precision}: read with telemetry vs llama.cpp", tokens, ours, peer, bar))
    return rows


def bench_telemetry(seconds: float) -> list[Row]:
    """What telemetry costs: chunk statistics, and exact norms at every token, against the same read without."""
    from model.cli.bench_loop import read_all

    rows = []
    for name, tokens in (("mamba2-base", 65536), ("random:mamba2-130m", 4096)):
        model = load_model(name)
        ids = np.random.default_rng(0).integers(0, model.config.vocab_size, tokens).astype(np.int32)
        plain, chunk, exact = take_turns(
            [
                partial(read_all, model, ids),
                partial(read_all, model, ids, chunk_telemetry=True),
                partial(read_all, model, ids, chunk_telemetry=True, token_norms=True),
            ],
            seconds,
        )
        label = name.removeprefix("random:")
        rows.append(cost(f"{label}: read with chunk telemetry vs without", tokens, chunk, plain, 1.10))
        rows.append(cost(f"{label}: read with norms at every token vs without", tokens, exact, plain, 1.40))
    return rows


def bench_mitigations(seconds: float) -> list[Row]:
    """Each mitigation against the plain scan, one layer, the segments of a reading of that shape, in steady state."""
    import torch

    from kernels.cpu.chunked import chunked_scan
    from kernels.types import Memory, Scan, ScanInputs
    from model.reading.stream import segment_of

    keep_freed_memory()  # as a reading does
    rows = []
    for label, config in (("base shape", model_card("mamba2-base").config), ("130M shape", PRESETS["mamba2-130m"])):
        seqlen = segment_of(config)
        nheads, headdim, d_state = config.nheads, config.headdim, config.d_state
        torch.manual_seed(0)
        inputs = ScanInputs(
            torch.randn(1, seqlen, nheads, headdim),
            torch.randn(1, seqlen, 1, d_state) / d_state**0.5,
            torch.randn(1, seqlen, 1, d_state) / d_state**0.5,
            -torch.rand(1, seqlen, nheads, 1) * torch.logspace(-4, -1, nheads)[:, None],
        )
        empty = Memory(torch.zeros(1, nheads, headdim, d_state))
        settled = empty
        for _ in range(8):
            settled = chunked_scan(inputs, settled).memory
        norms = settled.state.square().sum((-1, -2)).sqrt()[0]

        def steady(scan: Scan, inputs: ScanInputs = inputs, memory: Memory = empty) -> Contestant:
            for _ in range(24):  # past the window's length, so that every part of it is at work
                memory = scan(inputs, memory).memory

            def four() -> None:
                for _ in range(4):
                    scan(inputs, memory)

            return four

        with torch.inference_mode():
            plain = steady(chunked_scan)
            for name, row in MITIGATIONS.items():
                if row.cells:
                    continue
                for value in (256.0, 1000.0, 8192.0) if name == "window" else (row.suggested,):
                    scan = steady(mitigated(chunked_scan, {name: value}, norms * 0.8))
                    treated, base = take_turns([scan, plain], seconds / 8)
                    rows.append(cost(f"{label}: {name}={value:g} vs the plain scan", 4 * seqlen, treated, base, 2.5))
    return rows


def bench_map(_: float) -> list[Row]:
    """The state map of 5,000 states in a new process: PCA, then UMAP the first time and again."""
    script = (
        "import json, time, numpy as np\n"
        "from model.diagnostics.state_map import project\n"
        "random = np.random.default_rng(0)\n"
        "walk = random.normal(size=(5000, 2, 128)).cumsum(0).astype('float32')\n"
        "seconds = []\n"
        "for method in ('pca', 'umap', 'umap'):\n"
        "    begin = time.perf_counter()\n"
        "    project(walk[:2500], walk[2500:], method=method)\n"
        "    seconds.append(time.perf_counter() - begin)\n"
        "print(json.dumps(seconds))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Row(name=f"state map of 5,000: {label}", ours=spent, theirs=bar, unit="s", ratio=spent / bar,
            bar=f"<= {bar:g} s", met=spent <= bar)
        for label, spent, bar in zip(("PCA", "UMAP, first", "UMAP, again"), found, (1.0, 10.0, 3.0), strict=True)
    ]  # fmt: skip


def bench_memory(_: float) -> list[Row]:
    """A document of a million tokens against one of twenty thousand: speed and peak memory of whole processes."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for tokens in (20_000, 1_000_000):
            file = Path(folder) / f"{tokens}.txt"
            file.write_text(long_text(tokens), "utf-8")
            command = [
                "from model.cli.main import main; main()",
                "read",
                str(file),
                "--out",
                folder,
                "--no-control",
                "--json",
            ]
            done = subprocess.run([sys.executable, "-c", *command], capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    short, long = found
    speed = long["tokens_per_second"] / short["tokens_per_second"]
    more = long["peak_rss_mb"] - short["peak_rss_mb"]
    return [
        Row(name=f"speed at {long['tokens']:,} tokens vs {short['tokens']:,}", ours=long["tokens_per_second"],
            theirs=short["tokens_per_second"], unit="tok/s", ratio=speed, bar=">= 0.9", met=speed >= 0.9),
        Row(name="peak memory of the same", ours=long["peak_rss_mb"], theirs=short["peak_rss_mb"], unit="MB",
            ratio=long["peak_rss_mb"] / short["peak_rss_mb"], bar="<= 200 MB more", met=more <= 200),
    ]  # fmt: skip


def bench_passkey(_: float) -> list[Row]:
    """The grid of the passkey test with forked states against the protocol cell by cell."""
    from model.cli.bench_passkey import Grid, compare

    found = compare(Grid())
    return [
        Row(name="passkey, 8 lengths x 10 depths x 20 trials: forked vs by cell", ours=found.forked_seconds,
            theirs=found.cell_by_cell_seconds, unit="s", ratio=found.speedup, bar=">= 10",
            met=found.speedup >= 10 and found.identical),
    ]  # fmt: skip


def bench_cells(seconds: float, by_torch_compile: bool = False) -> list[Row]:
    """Cells against the plain loop over time, one layer: what runs them here, or what torch.compile makes of them."""
    from model.cli.bench_cells import tasks, torch_compile_tasks

    rows = []
    for task in torch_compile_tasks() if by_torch_compile else tasks():
        ours, plain = take_turns([task.ours, task.plain], seconds / 4)
        rows.append(speed(task.name, task.tokens, ours, plain, 1.0))
    return rows


def bench_busy(seconds: float) -> list[Row]:
    """A reading beside busy processes, its threads waiting as app and command line choose, asleep, or spinning."""
    alone, beside_others = speeds(seconds)
    beside = f"beside {processes()} busy processes"
    return [
        _share("waiting by load vs spinning", alone.by_load, alone.spinning, 0.97),
        _share(f"waiting by load, {beside} vs without", beside_others.by_load, alone.by_load, 0.35),
        _share("asleep vs spinning", alone.asleep, alone.spinning, 0.0),
        _share(f"asleep, {beside} vs without", beside_others.asleep, alone.asleep, 0.0),
        _share(f"spinning, {beside} vs without", beside_others.spinning, alone.spinning, 0.0),
    ]


def _share(name: str, ours: float, theirs: float, bar: float) -> Row:
    """A row about what is left of a speed: at least ``bar`` of it."""
    ratio = ours / theirs
    return Row(name=name, ours=ours, theirs=theirs, unit="tok/s", ratio=ratio, bar=f">= {bar:g}", met=ratio >= bar)


SUITES: dict[str, Callable[[float], list[Row]]] = {
    "read": bench_read,
    "telemetry": bench_telemetry,
    "mitigations": bench_mitigations,
    "map": bench_map,
    "memory": bench_memory,
    "passkey": bench_passkey,
    "peers": bench_peers,
    "busy": bench_busy,
    "cells": bench_cells,
    "torch_compile": partial(bench_cells, by_torch_compile=True),
}
ASKED = ("peers", "torch_compile")
"""Suites that need more than is installed, or minutes of a compiler, and run only when they are asked for."""


def speed(name: str, tokens: int, ours: float, theirs: float, bar: float) -> Row:
    """A row about what is quicker: the inverse ratio of the times, at least ``bar``."""
    return Row(
        name=name.removeprefix("random:"),
        ours=tokens / ours,
        theirs=tokens / theirs,
        unit="tok/s",
        ratio=theirs / ours,
        bar=f">= {bar:g}",
        met=theirs / ours >= bar,
    )


def cost(name: str, tokens: int, ours: float, theirs: float, bar: float) -> Row:
    """A row about what something costs: the ratio of the times, at most ``bar``."""
    return Row(
        name=name,
        ours=tokens / ours,
        theirs=tokens / theirs,
        unit="tok/s",
        ratio=ours / theirs,
        bar=f"<= {bar:g}",
        met=ours / theirs <= bar,
    )


def long_text(tokens: int) -> str:
    """Varied text that gives about ``tokens`` tokens of the shipped tokenizer: the samples' sentences, shuffled."""
    lines = [line for key in ("equipment_spec_en", "plant_log_ja") for line in sample_text(key).splitlines() if line]
    per_line = len(tokens_of(DEFAULT, "\n".join(lines))[0]) / len(lines)
    return "\n".join(random.Random(0).choices(lines, k=round(tokens / per_line)))


def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="all, read, telemetry, mitigations, map, memory, passkey, busy, cells, peers or torch_compile."
        ),
    ] = "all",
    seconds: Annotated[float, typer.Option(help="Time given to each comparison.")] = 20.0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Measure speed as ratios within one run, interleaved."""
    set_threads(threads)
    if what == "passkey" and as_json:
        from model.cli.bench_passkey import Grid, compare

        typer.echo(json.dumps(asdict(compare(Grid()))))
        return
    rows = run_bench(what, seconds, echo=(lambda line: None) if as_json else typer.echo)
    if as_json:
        typer.echo(json.dumps(rows))
