"""The one table of what a recording holds: the writer, the check of an archive and the documentation come from it.

``python -m tests.reference`` writes the table into ``docs/recordings.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 2
"""Version of the layout: a recording that names a later one is refused in a sentence. From 2 on with checksums."""
CHUNK = 64
"""Tokens between two boundaries; the same as :data:`kernels.types.CHUNK`, which a test checks."""
SKETCH = 128
"""Features of a sketched layer state."""


ON_REQUEST, DELTA_RULE = "on request", "with a delta rule"
"""When an array is recorded; others always are."""


@dataclass(frozen=True, kw_only=True)
class Array:
    """One array: its ``dimensions`` in order, ``unit`` and ``meaning``; ``optional`` says when it is recorded."""

    dimensions: tuple[str, ...]
    unit: str
    meaning: str
    dtype: str = "float32"
    optional: str = ""

    @property
    def fill(self) -> float:
        """What is there before it is written: NaN, or 0 for whole numbers."""
        return 0 if self.dtype == "int32" else float("nan")


LOSS, CONTROL_LOSS, TOKEN_NORM = "loss", "control_loss", "token_norm"
"""The arrays with a row for every token."""
POSITION, CHARACTER = "position", "character"
"""Where a boundary is, in tokens and in the text."""
STATISTICS = NORM, MEAN, STD, MAX_ABS = "norm", "mean", "std", "max_abs"
"""Over all elements of a head's state: Frobenius norm, mean, standard deviation and largest absolute value."""
DECAYS = LOG_DECAY, DECAY = "log_decay", "decay"
"""Over the tokens of a chunk, and the channels of a head: the mean of the log decay, and of the decay."""
OVERWRITING = OVERWRITTEN, ALIGNMENT = "overwritten", "alignment"
"""Of a delta rule, over the tokens of a chunk: see :mod:`model.reading.overwriting`."""
SNAPSHOT_POSITION, SKETCHED, EFFECTIVE_RANK = "snapshot_position", "sketch", "effective_rank"
"""The arrays with a row for every snapshot."""

_HEADS = ("boundary", "layer", "head")

ARRAYS: dict[str, Array] = {
    LOSS: Array(
        dimensions=("token",), unit="nats", meaning="of predicting this token from those before it; the first has none"
    ),
    CONTROL_LOSS: Array(
        dimensions=("token",),
        unit="nats",
        meaning="the same from a fresh state: the matched control",
        optional=ON_REQUEST,
    ),
    TOKEN_NORM: Array(
        dimensions=("token", "layer", "head"),
        unit="",
        meaning="Frobenius norm of the state after this token",
        optional=ON_REQUEST,
    ),
    POSITION: Array(dimensions=("boundary",), unit="tokens", meaning="tokens read at the boundary", dtype="int32"),
    CHARACTER: Array(dimensions=("boundary",), unit="characters", meaning="where that is in the text", dtype="int32"),
    NORM: Array(dimensions=_HEADS, unit="", meaning="Frobenius norm of the state at the boundary"),
    MEAN: Array(dimensions=_HEADS, unit="", meaning="mean of the state's elements"),
    STD: Array(dimensions=_HEADS, unit="", meaning="standard deviation of the state's elements"),
    MAX_ABS: Array(dimensions=_HEADS, unit="", meaning="largest magnitude of the state's elements"),
    DECAY: Array(dimensions=_HEADS, unit="", meaning="mean decay a_t over the chunk that ends here"),
    LOG_DECAY: Array(dimensions=_HEADS, unit="nats", meaning="mean of log a_t over the chunk that ends here"),
    OVERWRITTEN: Array(
        dimensions=_HEADS,
        unit="",
        meaning="share of the state at the chunk's start that a token of the chunk overwrites, mean over its tokens",
        optional=DELTA_RULE,
    ),
    ALIGNMENT: Array(
        dimensions=_HEADS,
        unit="",
        meaning="share of that state that lies at a token's key, mean over the tokens of the chunk that ends here",
        optional=DELTA_RULE,
    ),
    SNAPSHOT_POSITION: Array(
        dimensions=("snapshot",), unit="tokens", meaning="tokens read at the snapshot", dtype="int32"
    ),
    SKETCHED: Array(
        dimensions=("snapshot", "layer", "feature"),
        unit="spread of explored states",
        meaning="count sketch of the layer's state, each head in units of its explored spread; zero for a cache",
    ),
    EFFECTIVE_RANK: Array(
        dimensions=("snapshot", "layer", "head"),
        unit="",
        meaning="exp of the entropy of the singular values, NaN for a cell, a cache and a single vector",
    ),
}


def sizes(*, tokens: int, layers: int, heads: int, snapshots: int) -> dict[str, int]:
    """The length of every dimension of a recording."""
    boundaries = -(-tokens // CHUNK) + 1
    return {
        "token": tokens,
        "boundary": boundaries,
        "layer": layers,
        "head": heads,
        "feature": SKETCH,
        "snapshot": snapshots,
    }
