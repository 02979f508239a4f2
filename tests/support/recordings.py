"""Recordings made up in a moment, with every array that a real one has: views are tested without running a model."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from model.experiment import Experiment, Strategy
from model.recording.reader import CANCELLED, COMPLETE, Meta, Recording, write_text
from model.recording.schema import CHUNK, SKETCH
from model.recording.writer import BLOCK, RecordingWriter

SENTENCE = "Pump {n} was checked at {n} hours; 圧力は {n} kPa で正常です。\n"
CHARACTERS_PER_TOKEN = 3


def synthetic_recording(
    folder: Path,
    tokens: int = 20_000,
    *,
    train_length: int = 256,
    layers: int = 2,
    nheads: int = 8,
    control: bool = True,
    collapse: bool = True,
    token_norms: bool = False,
    keep_text: bool = False,
    initial_state: str = "zeros",
    source: str = "",
    mitigations: tuple[tuple[str, float], ...] = (),
    model: str = "mamba2-base",
    title: str = "Synthetic recording",
    document_name: str = "synthetic.txt",
    read_tokens: int | None = None,
    seed: int = 0,
    delta: bool = False,
) -> Recording:
    """A recording at ``folder/<key>`` in which norms drift and, if ``collapse``, the loss leaves the control.

    ``delta``: the last layer has a delta rule, and no norm grows, whatever the loss does.
    ``read_tokens`` below ``tokens`` makes a cancelled one (cut at a block, as a real one is).
    """
    rng = np.random.default_rng(seed)
    characters = tokens * CHARACTERS_PER_TOKEN
    text = "".join(SENTENCE.format(n=n) for n in range(characters // 30 + 1))[:characters]
    experiment = Experiment(
        document=hashlib.sha256(text.encode()).hexdigest(),
        tokens=tokens,
        model=model,
        weights="0123456789ab",
        train_length=train_length,
        strategy=Strategy(initial_state=initial_state, source=source, mitigations=mitigations, seed=seed),
        control=control,
        token_norms=token_norms,
    )
    meta = Meta(
        title=title,
        experiment=experiment,
        document_name=document_name,
        characters=characters,
        layers=("mamba2",) * (layers - delta) + ("gated_deltanet",) * delta,
        nheads=nheads,
        headdim=32,
        d_state=64,
    )
    snapshot_position = _snapshots(tokens)
    writer = RecordingWriter(folder / experiment.key, meta, snapshot_position)

    token = np.arange(tokens)
    difficulty = 2.6 + 0.25 * np.sin(token / 900) + rng.gamma(1.2, 0.5, tokens) - 0.6
    control_loss = np.maximum(0.02, difficulty + 0.8 * np.exp(-token / 60))
    distance = token / train_length
    excess = 1.9 * np.clip((distance - 3) / 12, 0, 1) ** 1.3 if collapse else -0.03 * np.clip(distance - 1, 0, 1)
    loss = np.maximum(0.02, control_loss + excess + rng.normal(0, 0.25, tokens))
    loss[0] = control_loss[0] = math.nan  # nothing precedes the first token
    writer.put("loss", 0, loss.astype(np.float32))
    if control:
        writer.put("control_loss", 0, control_loss.astype(np.float32))

    boundaries = -(-tokens // CHUNK) + 1
    position = np.minimum(np.arange(boundaries) * CHUNK, tokens)
    base = rng.uniform(2, 12, (layers, nheads))
    lifetime = np.exp(rng.uniform(np.log(4), np.log(8_000 if collapse else 500), (layers, nheads)))
    growth = rng.uniform(0.2, 1.4, (layers, nheads)) if collapse else rng.uniform(0, 0.05, (layers, nheads))
    if delta:
        growth = 0 * growth
    norm = base * _saturating(position, lifetime, growth, train_length)
    norm *= 1 + 0.03 * rng.standard_normal(norm.shape)
    decay = np.exp(-1 / lifetime) * np.ones_like(norm)
    columns = {
        "norm": norm,
        "mean": norm * 1e-4 * rng.standard_normal(norm.shape),
        "std": norm / math.sqrt(32 * 64),
        "max_abs": norm / math.sqrt(32 * 64) * 9,
        "decay": decay,
        "log_decay": np.log(decay),
    }
    for name, values in columns.items():
        writer.put(name, 0, values.astype(np.float32))
    if delta:
        filled = 1 - np.exp(-position / (4 * train_length))[:, None, None]
        for name, most in (("overwritten", 0.08), ("alignment", 0.12)):
            shares = np.full(norm.shape, np.nan, np.float32)
            shares[2:, -1:] = (most * filled * rng.uniform(0.8, 1, (1, 1, nheads)))[2:]
            writer.put(name, 0, shares)
    writer.put("position", 0, position.astype(np.int32))
    writer.put("character", 0, np.minimum(position * CHARACTERS_PER_TOKEN, characters).astype(np.int32))
    if token_norms:
        exact = base * _saturating(token + 1, lifetime, growth, train_length)
        writer.put("token_norm", 0, exact.astype(np.float32))

    drift = np.clip((snapshot_position / train_length - 3) / 20, 0, None) if collapse else 0 * snapshot_position
    walk = np.cumsum(rng.normal(0, 0.12, (len(snapshot_position), layers, SKETCH)), axis=0)
    walk -= 0.9 * np.linspace(0, 1, len(walk))[:, None, None] * walk[-1]
    direction = rng.standard_normal((layers, SKETCH)) / 4
    sketch = rng.normal(0, 0.5, walk.shape) + 0.2 * walk + drift[:, None, None] * direction
    writer.put("sketch", 0, sketch.astype(np.float32))
    rank = 20 + 12 * np.tanh(snapshot_position / train_length)[:, None, None] * rng.uniform(0.5, 1, (layers, nheads))
    writer.put("effective_rank", 0, rank.astype(np.float32))

    if keep_text:
        write_text(writer.path, text)
    read = tokens if read_tokens is None else min(tokens, read_tokens // BLOCK * BLOCK or read_tokens)
    state = {f"{index}.memory": np.zeros((1, nheads, 32, 64), np.float32) for index in range(layers)}
    writer.commit({"tokens": read, "controlled": read * control, "seconds": read / 12_000}, state)
    status = COMPLETE if read == tokens else CANCELLED
    return writer.finish(
        status, _summary(loss[:read], control_loss[:read], norm, position, read, train_length, control)
    )


def _snapshots(tokens: int) -> np.ndarray:
    """Chunk ends, dense at the start and evenly spread over the whole document."""
    last = max(1, tokens // CHUNK)
    count = min(512, last)
    early = np.geomspace(1, last, count // 2).astype(int)
    even = np.linspace(1, last, count - count // 2).astype(int)
    return (np.unique(np.concatenate([early, even])) * CHUNK).clip(max=tokens).astype(np.int32)


def _saturating(position: np.ndarray, lifetime: np.ndarray, growth: np.ndarray, train_length: int) -> np.ndarray:
    position = position[:, None, None]
    filled = 1 - np.exp(-position / np.minimum(lifetime, train_length))
    return filled + growth * np.log2(1 + np.clip(position / train_length - 1, 0, None)) * (lifetime > 60)


def _summary(
    loss: np.ndarray,
    control_loss: np.ndarray,
    norm: np.ndarray,
    position: np.ndarray,
    tokens: int,
    train_length: int,
    control: bool,
) -> dict[str, object]:
    far = slice(8 * train_length, None)
    beyond = float(np.mean(loss[far])) if tokens > 8 * train_length else None
    control_beyond = float(np.mean(control_loss[far])) if control and beyond is not None else None
    excess = beyond - control_beyond if beyond is not None and control_beyond is not None else None
    within = float(np.nanmean(loss[:train_length]))
    at = int(np.searchsorted(position, min(train_length, tokens)))
    collapsed = excess is not None and excess > 0.3
    return {
        "tokens": tokens,
        "tokens_per_second": 12_000.0,
        "peak_rss_mb": 610.0,
        "train_length": train_length,
        "loss_within": within,
        "loss_beyond": beyond,
        "control_loss_beyond": control_beyond,
        "excess_loss": excess,
        "excess_low": None if excess is None else excess - 0.04,
        "excess_high": None if excess is None else excess + 0.04,
        "collapse_onset": 4 * train_length if collapsed else None,
        "unexplored_fraction": 0.72 if collapsed else 0.02,
        "excess_ratio": None if control_beyond is None or beyond is None else beyond / control_beyond,
        "published_ratio": None if beyond is None else beyond / within,
        "published_onset": 6 * train_length if collapsed else None,
        "published_collapsed": collapsed,
        "norm_growth": float(norm[-1].mean() / norm[at].mean()),
        "longest_half_life": 5_500.0,
    }
