"""State maps: PCA at once, UMAP as a job whose result is stored in its recording.

``state_map-<layer>.npz`` holds arrays only and is read without pickle. The map of a recording that may not be written
to (a shipped one) stays in the memory of the process.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import streamlit as st

from model.diagnostics.explored import Explored, novelty, threshold, unexplored_fraction
from model.diagnostics.state_map import PCA, UMAP, StateMap, coverage, project
from model.recording.reader import Recording
from viz.app.session import libraries
from viz.jobs.job import JobContext
from viz.jobs.page_job import PageJob

ARRAYS = ("explored_xy", "document_xy")


class Scores(NamedTuple):
    """``novelty`` (snapshot,), above 1 is unexplored; the share of the document that is; the share of explored states
    that the document came near."""

    novelty: np.ndarray
    unexplored: float | None
    coverage: float | None


class States(NamedTuple):
    """What a map is made of: the states of a recording, those explored in training, and the layer (None: all)."""

    recording: Recording
    explored: Explored
    layer: int | None

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """Names these states in caches: the arrays themselves are too large to hash at every rerun."""
        layer = -1 if self.layer is None else self.layer
        return (
            str(self.recording.path),
            self.recording.read_tokens,
            layer,
            zlib.crc32(np.ascontiguousarray(self.explored.sketch).data),
        )

    def sketches(self) -> tuple[np.ndarray, np.ndarray]:
        """Explored and document states, (n, ...) and (m, ...)."""
        both = self.explored.sketch, self.recording.array("sketch")
        return both if self.layer is None else (both[0][:, self.layer], both[1][:, self.layer])


def scores(states: States) -> Scores:
    """Novelty, unexplored share and coverage of ``states``."""
    return _scores(states.identity, states)


@st.cache_data(max_entries=64, show_spinner=False)
def _scores(identity: tuple[object, ...], _states: States) -> Scores:
    recording, known, layer = _states
    found = novelty(known, recording.array("sketch"), layer=layer)
    share = unexplored_fraction(found, recording.array("snapshot_position"), recording.read_tokens)
    return Scores(found, share, coverage(*_states.sketches(), threshold(known, layer=layer)))


def pca_map(states: States) -> StateMap:
    """The PCA of ``states``; a fraction of a second."""
    return _pca_map(states.identity, states)


@st.cache_data(max_entries=32, show_spinner=False)
def _pca_map(identity: tuple[object, ...], _states: States) -> StateMap:
    found = project(*_states.sketches(), PCA)
    assert found is not None  # without ``stop`` it always ends
    return found


@st.cache_resource(max_entries=32, show_spinner=False)
def _in_memory(identity: tuple[object, ...]) -> dict[str, StateMap]:
    """UMAPs of recordings that may not be written to, until the process ends."""
    return {}


def umap_map(states: States) -> StateMap | None:
    """The UMAP of ``states`` if it was made before, here or in another session; else None."""
    return _load(states) or _in_memory(states.identity).get(UMAP)


def umap_job(states: States) -> PageJob[None]:
    """The job that makes the UMAP of ``states``; its own queue keeps it from waiting for a long document."""
    return PageJob(f"map-{states.recording.key}-{states.layer}", device="map")


def start_umap(states: States) -> None:
    """Queue the UMAP of ``states``; of a recording that may not be written to, it is sent and stays in memory."""
    unwritten, file = _in_memory(states.identity), _file(states)
    writable = any(place.writable and place.folder == states.recording.path.parent for place in libraries())
    work = partial(fit, sketches=states.sketches(), file=file if writable else None, identity=states.identity)
    umap_job(states).start(work, None, title="UMAP", receive=partial(unwritten.__setitem__, UMAP))


def fit(
    job: JobContext,
    sketches: tuple[np.ndarray, np.ndarray],
    file: Path | None,
    identity: tuple[str, int, int, int],
) -> None:
    """Make the UMAP of ``sketches``, explored and of the document; write it to ``file``, or send it if that is None."""
    found = project(*sketches, UMAP, progress=lambda share: job.progress(share, 1), stop=job.stopped)
    if found is None:
        return
    if file is not None and not found.reason and file.parent.is_dir():
        _store(file, found, identity)
    else:
        job.send(found)


def _file(states: States) -> Path:
    layer = "all" if states.layer is None else str(states.layer)
    return states.recording.path / f"state_map-{layer}.npz"


def _store(file: Path, found: StateMap, identity: tuple[str, int, int, int]) -> None:
    """Write ``found`` whole or not at all, with what it was made from."""
    partial = file.with_suffix(".partial")
    arrays = {name: getattr(found, name) for name in ARRAYS}
    with partial.open("wb") as handle:
        np.savez_compressed(
            handle,
            **arrays,
            made_of=np.array(identity[1:]),
            kept=np.array(found.kept),
            repaired=np.array(found.repaired),
        )
    partial.replace(file)


def _load(states: States) -> StateMap | None:
    """What :func:`_store` wrote, if it was made from the same states; None for anything else."""
    sizes = len(states.explored.sketch), len(states.recording.array("snapshot_position"))
    try:
        with np.load(_file(states), allow_pickle=False) as stored:
            if tuple(stored["made_of"]) != states.identity[1:]:
                return None
            arrays = {name: np.asarray(stored[name], np.float32) for name in ARRAYS}
            kept, repaired = float(stored["kept"]), int(stored["repaired"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if any(arrays[name].shape != (size, 2) for name, size in zip(ARRAYS, sizes, strict=True)):
        return None
    return StateMap(**arrays, method=UMAP, reason="", explained=None, kept=kept, repaired=repaired)
