"""What several benchmarks time: the reading loop of a run, without a disk."""

from __future__ import annotations

import numpy as np
import torch

from kernels.dispatch import scan
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.stream import read
from model.reading.telemetry import Recorder, Sketcher, snapshot_positions


def read_all(
    model: LanguageModel, tokens: np.ndarray, chunk_telemetry: bool = False, token_norms: bool = False
) -> None:
    """Read ``tokens`` (tokens,) from an empty memory."""
    config = model.config
    scans: list[Scan] = [scan] * len(config.layers)
    recorder = None
    if chunk_telemetry:
        sketcher = Sketcher(config.nheads * config.headdim * config.d_state, torch.ones(len(scans), config.nheads))
        recorder = Recorder(config.layers, snapshot_positions(len(tokens), 1024), sketcher)
        scans = recorder.scans(scans, token_norms)
    for _ in read(model, tokens, model.zero_state(), scans, recorder=recorder):
        pass
