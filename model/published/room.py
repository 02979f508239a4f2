"""How much memory a published model takes, before anything is loaded, and whether this machine has it."""

from __future__ import annotations

from typing import NamedTuple

from model.config import ModelConfig
from model.errors import UserError
from model.machine import free_memory
from model.published.config import PublishedConfig

SEGMENT, TILE, BUDGET = 512, 2048, 600_000_000
"""Those of :mod:`model.reading.stream` and :mod:`kernels.cpu.products`, whose import would load torch.

A test holds them equal."""
MEGABYTE = 1_000_000
WORKING = 200 * MEGABYTE
"""What a process that reads holds besides the model: libraries, telemetry, the document."""


class Room(NamedTuple):
    """Bytes: of the weights as they are loaded, of the recurrent state, and while a segment is read."""

    weights: int
    state: int
    reading: int
    kept_per_token: int

    @property
    def needed(self) -> int:
        """All of it, without what attention keeps of a document."""
        return self.weights + self.state + self.reading


def room_of(config: ModelConfig, parameters: int, precision: str) -> Room:
    """What a model of ``parameters`` numbers takes, loaded in ``precision``; states are float32 in any case.

    While a segment is read a layer holds its widened input many times over, its states at the boundaries, and, where
    heads are one channel wide, some numbers for every token, channel and state; and float32 weights are kept a second
    time, up to a budget, in the order of the processor's products. How many was measured on the 130M
    shapes of Mamba-2 and Mamba on a CPU, what the C library holds back included; the estimates are within a tenth.
    """
    weights = parameters * (2 if precision == "bfloat16" else 4)
    per_layer = config.d_inner * config.d_state
    boundaries = (SEGMENT // 64 + 1) * per_layer
    elementwise = 6 * SEGMENT * per_layer if config.headdim == 1 else 0
    wide = 112 * SEGMENT * config.d_inner + SEGMENT * (TILE + 4 * config.d_model)
    state = 4 * config.state_size
    kept, tokens = (config.kept_per_token, config.kept_tokens) if isinstance(config, PublishedConfig) else (0, 0)
    window = 4 * kept * (tokens or 0)
    twice = 0 if precision == "bfloat16" else min(weights, BUDGET)
    reading = 4 * (boundaries + elementwise + wide) + 2 * state + window + WORKING + twice
    return Room(weights, state, reading, 4 * kept if tokens is None else 0)


def check_room(room: Room, name: str, device: str = "cpu") -> None:
    """UserError if ``device`` has not the memory for ``room``."""
    free = free_memory(device)
    if room.needed > free:
        raise UserError("published.no_room", name=name, needed=gigabytes(room.needed), free=gigabytes(free))


def gigabytes(count: int) -> str:
    """Bytes as people read them."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / MEGABYTE:,.0f} MB" if count >= 10 * MEGABYTE else f"{count / 1000:,.0f} kB"
