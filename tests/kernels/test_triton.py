"""The Triton kernels without a GPU: interpreted against the plain loops, compiled for three architectures, chosen."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from kernels import dispatch
from kernels.cpu.chunked import chunked_scan
from tests.kernels.test_scans import Case, case

pytest.importorskip("triton")
CHECKS = {
    *("scalar_forward", "scalar_mitigated", "scalar_windowed", "scalar_backward"),
    *("vector_forward", "vector_backward"),
    *("low_rank_forward", "low_rank_backward"),
    *("selective_forward", "diagonal_forward"),
}
CHANNEL_CHECKS = {"low_rank_channel_forward", "low_rank_channel_backward", "low_rank_channel_extremes"}
ARCHITECTURES = {80: ("bf16", 32), 90: ("", 85), 100: ("bf16", 32)}
"""Which kernels are compiled, by a part of their names, and how many that are: all of them would take minutes more."""
ODD = ["--headdim", "80", "--d-state", "256", "--kernel", "^(?!low_rank).* bf16|carry bf16"]
"""Heads that are cut into tiles, for one architecture; ``kernels.bench.ahead`` compiles the rest in the same way."""
ROOT = Path(__file__).parents[2]
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


class Running(NamedTuple):
    """A process whose lines of JSON are waited for."""

    process: subprocess.Popen[bytes]
    lines: Path
    errors: Path

    def result(self) -> tuple[int, list[dict], str]:  # type: ignore[type-arg]
        code = self.process.wait()
        return code, [json.loads(line) for line in self.lines.read_text().splitlines()], self.errors.read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[object, Running]]:
    """The interpreter's checks and the compilers, side by side: each is a minute of one core."""
    folder = tmp_path_factory.mktemp("triton")
    quiet = ONE_THREAD | {"TRITON_CACHE_DIR": str(folder / "cache"), "TRITON_DEFAULT_FP_FUSION": "1"}
    commands: dict[object, list[str]] = {"interpreted": ["tests.support.interpreted"]}
    for architecture, (kernels, _) in ARCHITECTURES.items():
        commands[architecture] = ["kernels.bench.ahead", "--arch", str(architecture), "--kernel", kernels]
    commands["odd"] = ["kernels.bench.ahead", "--arch", "90", *ODD]
    started = {}
    for name, command in commands.items():
        lines, errors = folder / f"{name}.jsonl", folder / f"{name}.err"
        with lines.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=quiet, stdout=out, stderr=err)
        started[name] = Running(process, lines, errors)
    yield started
    for each in started.values():
        each.process.kill()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles_within_its_limits(architecture: int, running: dict[object, Running]) -> None:
    code, lines, errors = running[architecture].result()
    assert code == 0, [line for line in lines if not line["fits"]] or errors
    assert len(lines) == ARCHITECTURES[architecture][1] and all(line["fits"] for line in lines)


def test_kernels_compile_at_heads_that_are_cut_into_tiles(running: dict[object, Running]) -> None:
    code, lines, errors = running["odd"].result()
    assert code == 0, [line for line in lines if not line["fits"]] or errors
    assert len(lines) == 16 and all(line["stack"] <= 512 for line in lines)


def test_every_kernel_is_the_reference_at_awkward_shapes(running: dict[object, Running]) -> None:
    code, lines, errors = running["interpreted"].result()
    assert code == 0, errors
    assert not [line for line in lines if not line["passed"]]
    ran = {(line["shape"], line["check"]) for line in lines}
    odd = {(shape, check) for shape, check in ran if {"48", "80", "96", "256"} & set(shape.split()[2:5])}
    assert len({shape for shape, _ in odd}) == 5 and len(odd) == 13
    ran -= odd
    channels = {(shape, check) for shape, check in ran if check.startswith("low_rank_channel")}
    assert {check for _, check in channels} == CHANNEL_CHECKS and len(channels) == 9
    ran -= channels
    shapes = {shape for shape, _ in ran}
    long = {shape for shape in shapes if int(shape.split()[0]) > 100}  # whose delta rule takes minutes to interpret
    left_out = {(shape, check) for shape in long for check in CHECKS if check.startswith("low_rank")}
    assert ran == {(shape, check) for shape in shapes for check in CHECKS} - left_out
    assert len(shapes) == 7 and len(long) == 2


def test_the_check_of_one_shape_says_whether_it_passed() -> None:
    command = [sys.executable, "-m", "kernels.bench", "--check", "--only", "scalar_forward", "--seqlen", "5"]
    sizes = ["--nheads", "2", "--headdim", "16", "--d-state", "16"]
    passed = subprocess.run([*command, *sizes], cwd=ROOT, env=ONE_THREAD | {"TRITON_INTERPRET": "1"})
    assert passed.returncode == 0
    refused = [*command, *sizes, "--chunk", "7"]
    assert subprocess.run(refused, cwd=ROOT, env=ONE_THREAD | {"TRITON_INTERPRET": "1"}).returncode == 1


def test_a_benchmark_without_a_gpu_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kernels.bench"], cwd=ROOT, env=ONE_THREAD | {"CUDA_VISIBLE_DEVICES": ""}, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2 and "no GPU here" in done.stderr


def test_what_the_benchmark_does_runs_under_the_interpreter() -> None:
    script = (
        "import torch\n"
        "from kernels.bench import timing\n"
        "shape = timing.model_shape('130M', 70, 'cpu')\n"
        "import dataclasses\n"
        "shape = dataclasses.replace(shape, nheads=2, headdim=16, d_state=16)\n"
        "assert all(compared.passed for compared in timing.check_long(shape))\n"
        "seconds = timing.median_seconds(timing.contestants(timing.scalar_case(shape)), 1)\n"
        "assert set(seconds) >= {'ours, chunk telemetry', 'ours, norms at every token'}\n"
        "bandwidth, rate = timing.roofs('cpu', 64)\n"
        "assert 0 < timing.least_seconds(shape, bandwidth, rate) < 1\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD | {"TRITON_INTERPRET": "1"}, check=True)


# Dispatch.


def test_on_a_cpu_the_chunked_scan_runs_and_triton_is_not_imported() -> None:
    script = (
        "import sys, torch\n"
        "from kernels.dispatch import scan\n"
        "from kernels.cpu.chunked import chunked_scan\n"
        "from tests.kernels.test_scans import case\n"
        "inputs, memory = case(70)\n"
        "assert torch.equal(scan(inputs, memory).y, chunked_scan(inputs, memory).y)\n"
        "assert 'triton' not in sys.modules and 'kernels.triton.scalar_decay.forward' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD, check=True)


def test_an_unknown_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "cuda")
    with pytest.raises(ValueError, match="'cuda' is none of"):
        dispatch.scan(*case(3))
    dispatch.scan(*case(3), kernel="chunked")


def test_triton_that_is_forced_fails_loudly() -> None:
    with pytest.raises(ValueError, match="no Triton kernel"):
        dispatch.scan(*case(3), kernel="triton")  # float64


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "on_gpu", lambda inputs: True)
    monkeypatch.setattr(dispatch, "broken", set())
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)


@pytest.mark.parametrize("error", [ImportError("no module named triton"), RuntimeError("ptxas failed")])
def test_broken_triton_falls_back_with_one_line(
    error: Exception, as_on_gpu: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_family(name: str):  # type: ignore[no-untyped-def]
        if isinstance(error, ImportError) or name == "scalar_decay":
            raise error
        return Refusing

    class Refusing:
        supports = staticmethod(lambda inputs: False)

    monkeypatch.setattr(dispatch, "family", broken_family)
    given: Case = case(70, dtype=torch.float32)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert torch.equal(dispatch.scan(*given).y, chunked_scan(*given).y)
    assert len(caplog.records) == 1


def test_a_shape_that_no_kernel_takes_is_named(
    as_on_gpu: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatch, "_said", set())
    given, names = case(3, dtype=torch.float32), set[str]()
    with dispatch.kernels_noted(names), caplog.at_level(logging.WARNING):
        for _ in range(2):
            dispatch.scan(*given)
            dispatch.windowed(*given, 5)
    assert names == {"pytorch"}
    plain, windowed = (record.getMessage() for record in caplog.records)
    assert "heads 4 x 3, d_state 5" in plain and "window" not in plain
    assert "heads 4 x 3, d_state 5" in windowed and windowed.endswith("in a window of 5")


def test_out_of_memory_is_not_a_broken_kernel(as_on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError

    monkeypatch.setattr(dispatch, "family", full)
    with pytest.raises(torch.OutOfMemoryError):
        dispatch.scan(*case(3))
    assert not dispatch.broken


def test_a_window_runs_on_triton_and_falls_back_to_the_same() -> None:
    script = (
        "import torch\n"
        "from kernels import dispatch\n"
        "from kernels.bench.checks import Shape, scalar_case\n"
        "from kernels.cpu.windowed import windowed_scan\n"
        "case = scalar_case(Shape(seqlen=150, headdim=16, d_state=16))\n"
        "for window, norms, used in ((80, False, True), (80, True, False), (20, False, False)):\n"
        "    truth = windowed_scan(*case, window, norms)\n"
        "    ours = dispatch.windowed(*case, window, norms, kernel='triton')\n"
        "    assert (ours.telemetry is not None) == used\n"
        "    torch.testing.assert_close(ours.y, truth.y, rtol=1e-4, atol=1e-4)\n"
        "    again = dispatch.windowed(case.inputs, truth.memory, window, norms, kernel='triton')\n"
        "    assert again.telemetry is None and again.y.isfinite().all()\n"  # a memory stays with who made it
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD | {"TRITON_INTERPRET": "1"}, check=True)


def test_a_delta_rule_runs_on_triton() -> None:
    script = (
        "import torch\n"
        "from kernels import dispatch\n"
        "from kernels.bench.checks import Shape, low_rank_case, low_rank_channel_case\n"
        "from kernels.cpu.chunked import chunked_scan\n"
        "for make, nheads, seqlen in ((low_rank_case, 4, 150), (low_rank_channel_case, 2, 40)):\n"
        "    case = make(Shape(seqlen=seqlen, nheads=nheads, headdim=16, d_state=16, ngroups=2))\n"
        "    truth, ours = chunked_scan(*case, True), dispatch.scan(*case, True, kernel='triton')\n"
        "    assert truth.telemetry is None and ours.telemetry is not None\n"
        "    for name in ('y', 'boundary_states', 'token_norms'):\n"
        "        torch.testing.assert_close(getattr(ours, name), getattr(truth, name), rtol=1e-4, atol=1e-4)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD | {"TRITON_INTERPRET": "1"}, check=True)


# Telemetry.


@pytest.mark.parametrize("heads", ["None", "2"])
def test_a_recorder_takes_from_the_kernel_what_it_would_find_itself(heads: str) -> None:
    script = (
        "import numpy, torch\n"
        "from kernels.cpu.chunked import chunked_scan\n"
        "from kernels.bench.checks import Shape, scalar_case\n"
        "from kernels.dispatch import scan\n"
        "from model.reading.telemetry import Recorder, Sketcher\n"
        "case = scalar_case(Shape(seqlen=200, headdim=16, d_state=16))\n"
        "def record(kernel):\n"
        f"    heads = {heads}\n"
        "    sketcher = Sketcher(4 * 16 * 16, torch.ones(1, heads or 4))\n"
        "    recorder = Recorder(['mamba2'], numpy.array([64, 192, 200], numpy.int32), sketcher, heads)\n"
        "    def spied(inputs, memory, token_norms):\n"
        "        output = kernel(inputs, memory, token_norms)\n"
        "        assert (output.boundaries is not None) == (kernel is scan)\n"  # which has only what is recorded
        "        return output\n"
        "    [recorded] = recorder.scans([spied], True)\n"
        "    memory = recorded(case.inputs.segment(0, 128), case.memory).memory\n"
        "    first = recorder.take(128)\n"
        "    recorded(case.inputs.segment(128, 200), memory)\n"
        "    return [first, recorder.take(72)]\n"
        "for ours, truth in zip(record(scan), record(chunked_scan)):\n"
        "    assert ours.keys() == truth.keys()\n"
        "    for name in ours:\n"
        "        assert ours[name][0] == truth[name][0]\n"
        "        close = 1e-3 if name == 'effective_rank' else 2e-5\n"  # which takes roots of what may be nearly zero
        "        expected = truth[name][1]\n"
        "        scale = numpy.nanmax(numpy.abs(expected))\n"
        "        numpy.testing.assert_allclose(ours[name][1], expected, close, close * scale)\n"
    )
    forced = {"TRITON_INTERPRET": "1", dispatch.VARIABLE: "triton"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD | forced, check=True)
