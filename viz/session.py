"""What a browser session has: its documents, its recordings, its jobs. Sessions never see each other's.

Recordings lie in three libraries. ``shipped`` comes with the program and is read-only. ``kept`` outlives the program
and is shared by everyone who uses this server. ``session`` is a folder of the session's own that is deleted with it.
Uploaded documents stay in memory and are never written anywhere.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.checkpoint import available, home
from model.document import Document
from model.errors import UserError
from model.recording import RUNNING, Recording, recordings
from viz import jobs
from viz.language import t
from viz.links import publish, restore

if TYPE_CHECKING:
    from model.diagnostics.explored import Explored

SHIPPED = Path(__file__).parent.parent / "sample_data" / "recordings"
UPLOADS = 4
"""Uploaded documents that a session holds; the oldest goes when there is one more."""
STATE_PREFIX = "_explorer_"


@dataclass
class Upload:
    """An uploaded file, read with the encoding that was detected or chosen."""

    data: bytes
    document: Document
    encoding: str | None = None


@dataclass
class Workspace:
    """What one browser session owns; :meth:`close` leaves nothing of it behind."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    uploads: dict[str, Upload] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="memory-explorer-", ignore_cleanup_errors=True)
    )

    @property
    def folder(self) -> Path:
        """The session's own folder."""
        return Path(self._folder.name)

    @property
    def recordings(self) -> Path:
        """Where the session's recordings lie."""
        return self.folder / "recordings"

    def add(self, upload: Upload) -> str:
        """Hold an uploaded document, in place of one with the same name; returns its key."""
        for key, other in list(self.uploads.items()):
            if other.document.name == upload.document.name:
                del self.uploads[key]
        while len(self.uploads) >= UPLOADS:
            del self.uploads[next(iter(self.uploads))]
        # A link names an upload by its hash: the name of a file may be confidential.
        key = upload.document.sha256[:8]
        self.uploads[key] = upload
        return f"upload:{key}"

    def close(self) -> None:
        """Cancel the session's jobs and delete its folder as soon as they have stopped writing there."""
        self.uploads.clear()
        working = [job for job in jobs.jobs_of(self.id) if job.active and not job.keep]
        jobs.end_session(self.id)

        def clean() -> None:
            for job in working:
                job.wait(60)
            self._folder.cleanup()

        threading.Thread(target=clean, daemon=True).start() if working else clean()


@st.cache_resource(scope="session", on_release=Workspace.close, show_spinner=False)
def _tied_to_session(identity: str, _workspace: Workspace) -> Workspace:
    """Streamlit calls ``close`` when the session is over."""
    return _workspace


def workspace() -> Workspace:
    """The workspace of the session that asks."""
    name = STATE_PREFIX + "workspace"
    if name not in st.session_state:
        workspace = Workspace()
        st.session_state[name] = _tied_to_session(workspace.id, workspace)
    return st.session_state[name]


def session_id() -> str:
    """What jobs of this session are submitted under."""
    return workspace().id


@dataclass(frozen=True)
class Library:
    """A folder of recordings; ``name`` is "session", "kept" or "shipped"."""

    name: str
    folder: Path
    writable: bool


def libraries() -> tuple[Library, ...]:
    """Where this session's recordings come from; an experiment found twice is taken from the first."""
    return (
        Library("session", workspace().recordings, True),
        Library("kept", home() / "recordings", True),
        Library("shipped", SHIPPED, False),
    )


def catalogue() -> Iterator[tuple[Library, Recording]]:
    """Every recording that this session may see, newest first within each library, unfinished ones included."""
    seen: set[str] = set()
    for library in libraries():
        for recording in recordings(library.folder):
            if recording.key not in seen:
                seen.add(recording.key)
                yield library, recording


def visible_recordings() -> dict[str, Recording]:
    """The recordings that can be looked at, by key: complete, or cancelled with something read."""
    return {
        recording.key: opened(recording.path)
        for _, recording in catalogue()
        if recording.meta.status != RUNNING and recording.read_tokens > 1
    }


def opened(path: Path) -> Recording:
    """The recording at ``path``; opened once for all reruns, so that arrays are read once."""
    changed = tuple((path / name).stat().st_mtime_ns for name in ("recording.json", "progress.json"))
    return _opened(path, changed)


@st.cache_resource(max_entries=8, show_spinner=False)
def _opened(path: Path, _changed: tuple[int, ...]) -> Recording:
    return Recording(path)


def select(key: str) -> None:
    """Show the recording ``key`` from the next run of the script on; a callback may call it."""
    st.session_state[STATE_PREFIX + "select"] = key


def choose_recording() -> None:
    """The selectbox that says which recording every page shows; the link carries it."""
    found = visible_recordings()
    if not found:
        return
    keys = list(found)
    asked = None if "recording" in st.session_state else st.query_params.get("recording")
    restore("recording", keys, default_key(found))
    wanted = st.session_state.pop(STATE_PREFIX + "select", None)
    if wanted in found:
        st.session_state["recording"] = wanted
    titles = _distinct_titles(found)
    shown = st.selectbox(
        t("app.recording"),
        keys,
        format_func=lambda key: titles.get(key, key),
        key="recording",
        persist_state="session",
        help=t("app.recording_help"),
    )
    publish("recording", shown)
    if asked and asked not in found:
        st.info(t("app.recording_not_here"), icon=":material/link_off:")


def default_key(found: dict[str, Recording]) -> str:
    """What is shown first: a finished recording that came with the program, if there is one."""
    shipped = [key for key, recording in found.items() if recording.path.parent == SHIPPED and recording.complete]
    return next(iter(shipped), next(iter(found)))


def _distinct_titles(found: dict[str, Recording]) -> dict[str, str]:
    titles = {key: recording.title or recording.meta.document_name for key, recording in found.items()}
    many = {title for title in titles.values() if list(titles.values()).count(title) > 1}
    return {key: f"{title} ({key[:4]})" if title in many else title for key, title in titles.items()}


def current_recording() -> Recording:
    """The recording that the pages show. If there is none, says so in a friendly way and ends the page here."""
    found = visible_recordings()
    if not found:
        st.info(t("app.no_recording"), icon=":material/menu_book:")
        st.stop()
    key = st.session_state.get("recording")
    return found.get(key) or found[default_key(found)]


def document_keys() -> list[str]:
    """Keys of the documents that can be chosen: uploads, newest first, then samples."""
    from sample_data import SAMPLES

    return [f"upload:{key}" for key in reversed(workspace().uploads)] + [f"sample:{key}" for key in SAMPLES]


def document_title(key: str) -> str:
    """What the document ``key`` is called in the session's language."""
    kind, _, name = key.partition(":")
    if kind == "sample":
        return t(f"samples.{name}")
    return workspace().uploads[name].document.name if name in workspace().uploads else "?"


def current_document() -> Document:
    """The document that the sidebar has chosen; UserError if it is gone."""
    return document(st.session_state.get("doc") or next(iter(document_keys()), ""))


def document(key: str) -> Document:
    """The upload or sample ``key`` ("upload:HASH" or "sample:KEY"); UserError if there is none."""
    kind, _, name = key.partition(":")
    if kind == "sample":
        return sample_document(name)
    if name not in workspace().uploads:
        raise UserError("app.document_gone")
    return workspace().uploads[name].document


@st.cache_resource(max_entries=8, show_spinner=False)
def sample_document(name: str) -> Document:
    """The sample ``name`` as a document."""
    import hashlib

    from sample_data import SAMPLES, sample_text

    if name not in SAMPLES:
        raise UserError("app.document_gone")
    text = sample_text(name)
    data = text.encode("utf-8")
    return Document(
        name=SAMPLES[name].file,
        text=text,
        sha256=hashlib.sha256(data).hexdigest(),
        encoding="utf-8",
        media="text",
        size=len(data),
    )


def text_of(recording: Recording) -> str | None:
    """The text of a recording: stored with it, or still at hand in this session or among the samples; else None."""
    if recording.text is not None:
        return recording.text
    wanted = recording.experiment.document
    for upload in workspace().uploads.values():
        if upload.document.sha256 == wanted:
            return upload.document.text
    from sample_data import SAMPLES

    for name in SAMPLES:
        if SAMPLES[name].file == recording.meta.document_name and sample_document(name).sha256 == wanted:
            return sample_document(name).text
    return None


def explored(model_name: str) -> Explored | None:
    """The reference of explored states of the model ``name``; None if it has none or is not installed here."""
    card = available().get(model_name)
    file = card.explored if card else None
    return _explored(file, file.stat().st_mtime_ns) if file else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _explored(file: Path, _changed: int) -> Explored:
    from model.diagnostics.explored import Explored

    return Explored.load(file)


def delete(recording: Recording) -> None:
    """Delete a recording of a writable library."""
    if any(library.writable and recording.path.parent == library.folder for library in libraries()):
        shutil.rmtree(recording.path, ignore_errors=True)


def keep(recording: Recording) -> None:
    """Move a recording of this session to where it outlives it."""
    target = home() / "recordings" / recording.path.name
    if recording.path.parent == workspace().recordings and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(recording.path, target)
