"""What several commands of the command line share."""

from __future__ import annotations


def set_threads(threads: int | None) -> None:
    """Use ``threads`` CPU threads from now on."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
