"""What this machine has left for a model: bytes of memory, on the CPU or on a GPU. No torch for the CPU."""

from __future__ import annotations

from pathlib import Path


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that can still be taken; None where the system does not tell."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    found = [count for count in (_available(), _left_in_group()) if count is not None]
    return min(found) if found else None


def _available() -> int | None:
    """What the kernel thinks a new process could have."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return None


def _left_in_group() -> int | None:
    """What the limit of a container leaves."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
