"""What this machine has left for a model: bytes of memory, on the CPU or on a GPU. No torch for the CPU."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory(device: str = "cpu") -> int:
    """Bytes that can still be taken."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    available, left = psutil.virtual_memory().available, _left_in_group()
    return available if left is None else min(available, left)


def _left_in_group() -> int | None:
    """What the limit of a container leaves; psutil knows only the whole machine."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
