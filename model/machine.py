"""What this machine has for a model: its devices, and the bytes of memory that are left. No torch for the CPU."""

from __future__ import annotations

from pathlib import Path

import psutil

from model.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def chosen_device(choice: str) -> str:
    """ "cpu" or "cuda" for one of DEVICES: "auto" takes the GPU where there is one.

    UserError for another word, or for a GPU that is not there.
    """
    import torch

    if choice not in DEVICES:
        raise UserError("machine.unknown_device", name=choice, known=", ".join(DEVICES))
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("machine.no_gpu")
    return "cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu"


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
