"""Shares of a state by token, as numbers on a disk: opened with numpy alone."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.disk import write_whole
from model.mixers import nonlinear, recurrent
from model.recording.schema import CHUNK


def no_shares(layers: tuple[str, ...]) -> str | None:
    """Why the states of ``layers``, names of mixers, are no sums of what tokens wrote: "cells", "cache", or None."""
    if nonlinear(layers):
        return "cells"
    return None if recurrent(layers) == layers else "cache"


@dataclass(frozen=True, kw_only=True, eq=False)
class Shares:
    """The shares of the state after ``moment`` tokens; each head's add up to 1, and a layer's do.

    ``by_token`` (layers, moment): of the layer's state, all heads as one vector. ``by_chunk`` (layers, heads, nchunks):
    of each head's, summed over CHUNK tokens. ``initial`` (layers,) and ``initial_by_head`` (layers, heads): what the
    initial state still holds. ``norm`` (layers, heads): Frobenius norm of the state there. A layer or head whose state
    is zero has shares of zero.
    """

    moment: int
    by_token: np.ndarray
    by_chunk: np.ndarray
    initial: np.ndarray
    initial_by_head: np.ndarray
    norm: np.ndarray

    def token_shares(self, layer: int | None = None) -> np.ndarray:
        """(moment,) of one layer, or their mean over all."""
        return self.by_token.mean(axis=0) if layer is None else self.by_token[layer]

    def save(self, folder: Path) -> Path:
        """Store the shares in ``folder``, which is of one recording."""
        file = shares_file(folder, self.moment)
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.savez_compressed(stream, **{field.name: getattr(self, field.name) for field in fields(self)})
        write_whole(file, stream.getvalue())
        return file

    @staticmethod
    def load(folder: Path, moment: int) -> Shares | None:
        """What was stored for ``moment``; None if nothing was, or if it cannot be read."""
        try:
            with np.load(shares_file(folder, moment), allow_pickle=False) as stored:
                found = {field.name: stored[field.name] for field in fields(Shares)}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
            return None
        shares = Shares(**found | {"moment": int(found["moment"])})
        layers, heads = shares.norm.shape if shares.norm.ndim == 2 else (0, 0)
        fits = (
            shares.moment == moment
            and shares.by_token.shape == (layers, moment)
            and shares.by_chunk.shape == (layers, heads, -(-moment // CHUNK))
            and all(np.isfinite(getattr(shares, field.name)).all() for field in fields(shares))
        )
        return shares if fits else None


def shares_file(folder: Path, moment: int) -> Path:
    """Where the shares of the state after ``moment`` tokens are stored."""
    return folder / f"{moment}.npz"


def stored_moments(folder: Path) -> list[int]:
    """The moments whose shares are stored in ``folder``, in order."""
    found = folder.glob("*.npz")
    return sorted(int(file.stem) for file in found if file.stem.isascii() and file.stem.isdecimal())
