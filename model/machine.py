"""What this machine has for a model: devices, free memory, speed. No torch for the CPU."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from model.errors import UserError

DEVICES = ("auto", "cpu", "cuda")
DEVICE = "MEMORY_EXPLORER_DEVICE"
"""The variable that says what "auto" means."""


def chosen_device(choice: str) -> str:
    """ "cpu" or "cuda" for one of DEVICES: "auto" is what DEVICE says, else the GPU where there is one.

    UserError for another word, or for a GPU that is not there.
    """
    import torch

    choice = said_of(choice)
    if choice not in DEVICES:
        raise UserError("machine.unknown_device", name=choice, known=", ".join(DEVICES))
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("machine.no_gpu")
    return "cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu"


def said_of(choice: str) -> str:
    """``choice`` itself; for "auto" what DEVICE says, if it is set."""
    return os.environ.get(DEVICE) or choice if choice == "auto" else choice


def expected_device(choice: str = "auto") -> str:
    """What :func:`chosen_device` will give, without asking torch: the driver's own tool is there, or it is not."""
    choice = said_of(choice)
    return "cuda" if choice != "cpu" and shutil.which("nvidia-smi") else "cpu"


def name_of(device: str) -> str:
    """What a recording says of its device: the GPU by its name, or the CPU with its threads."""
    import torch

    if device == "cpu":
        return f"CPU, {torch.get_num_threads()} threads"
    return str(torch.cuda.get_device_name())


@cache
def processor_name(device: str = "cpu") -> str:
    """What is computed with: the processor and the cores that this process may use, or the GPU. Without torch."""
    if device != "cpu":
        ask = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        try:
            return subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()[0]
        except (OSError, subprocess.SubprocessError, IndexError):
            return "GPU"
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def cores() -> int:
    """Processor cores that this process may use."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known is not None else os.cpu_count() or 1


def free_memory(device: str = "cpu") -> int:
    """Bytes that can still be taken."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    available, left = psutil.virtual_memory().available, _left_in_group()
    return available if left is None else min(available, left)


@cache
def operations_per_second() -> float:
    """Operations of a large float32 product on the CPU, the best of a few: measured once, in a tenth of a second."""
    size = 768
    matrix = np.ones((size, size), np.float32)
    matrix @ matrix  # threads start
    times: list[float] = []
    while sum(times) < 0.1:
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def _left_in_group() -> int | None:
    """What the limit of a container leaves; psutil knows only the whole machine."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
