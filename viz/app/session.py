"""Which documents and recordings a session may see, and which of them it shows.

Recordings are in three libraries. ``shipped`` comes with the program and is read-only. ``kept`` outlives the program
and is shared by everyone who uses this server. ``session`` is a folder of the session's own that is deleted with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.checkpoints.card import home
from model.checkpoints.catalogue import available
from model.diagnostics.explored import Explored
from model.disk import writing
from model.documents.document import Document
from model.errors import UserError
from model.reading.reference import reference_of
from model.recording.reader import RUNNING, Recording, recordings
from sample_data import SAMPLES, sample_text
from viz.app.choices import describe_reading
from viz.app.language import plain, t
from viz.app.links import publish, restore
from viz.app.workspace import STATE_PREFIX, workspace
from viz.app.workspace import session_id as session_id

if TYPE_CHECKING:
    from model.diagnostics.explored import Explored

SHIPPED = Path(__file__).parents[2] / "sample_data" / "recordings"
_WANTED = STATE_PREFIX + "select"


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
    st.session_state[_WANTED] = key


def choose_recording() -> None:
    """The selectbox that says which recording every page shows; the link holds it."""
    found = visible_recordings()
    if not found:
        return
    keys = list(found)
    asked = None if "recording" in st.session_state else st.query_params.get("recording")
    restore("recording", keys, default_key(found))
    wanted = st.session_state.pop(_WANTED, None)
    if wanted in found:
        st.session_state["recording"] = wanted
    titles = titles_of(found)
    shown = st.selectbox(
        t("app.recording"),
        keys,
        format_func=titles.__getitem__,
        key="recording",
        persist_state="session",
        help=t("app.recording_help"),
    )
    publish("recording", shown)
    if asked and asked not in found:
        st.info(t("app.recording_not_here"), icon=":material/link_off:")


def default_key(found: dict[str, Recording]) -> str:
    """What is shown first: a finished recording that came with the program, one of the plain model if possible."""
    shipped = [key for key, recording in found.items() if recording.path.parent == SHIPPED and recording.complete]
    plain = [key for key in shipped if found[key].experiment.plain]
    return next(iter([*plain, *shipped, *found]))


def title_of(recording: Recording) -> str:
    """The name that its owner gave it; else, in the session's language, its document and what was set."""
    if recording.title != recording.meta.document_name:
        return recording.title
    experiment = recording.experiment
    document = sample_titles().get(recording.meta.document_name, recording.meta.document_name)
    return f"{document} · {describe_reading(experiment)}"


def short_titles_of(chosen: Sequence[Recording]) -> list[str]:
    """Titles that leave out the document where all of ``chosen`` are of the same one and none has a name of its own."""
    named = any(recording.title != recording.meta.document_name for recording in chosen)
    if named or len({recording.experiment.document for recording in chosen}) > 1:
        return [title_of(recording) for recording in chosen]
    models = len({recording.experiment.model for recording in chosen}) > 1
    return [
        (f"{recording.experiment.model} · " if models else "") + describe_reading(recording.experiment)
        for recording in chosen
    ]


def titles_of(found: dict[str, Recording]) -> dict[str, str]:
    """Titles by key, made different where two are the same."""
    titles = {key: title_of(recording) for key, recording in found.items()}
    many = {title for title in titles.values() if list(titles.values()).count(title) > 1}
    return {key: f"{title} ({key[:4]})" if title in many else title for key, title in titles.items()}


def current_recording() -> Recording:
    """The recording that the pages show. If there is none, says so and ends the page."""
    found = visible_recordings()
    if not found:
        st.info(t("app.no_recording"), icon=":material/menu_book:")
        st.stop()
    key = st.session_state.get("recording", "")
    return found.get(key) or found[default_key(found)]


def document_keys() -> list[str]:
    """Keys of the documents that can be chosen: uploads, newest first, then samples."""
    return [f"upload:{key}" for key in reversed(workspace().uploads)] + [f"sample:{key}" for key in SAMPLES]


def document_title(key: str) -> str:
    """What the document ``key`` is called in the session's language."""
    kind, _, name = key.partition(":")
    if kind == "sample":
        return t(f"app.samples.{name}")
    return workspace().uploads[name].document.name if name in workspace().uploads else "?"


def sample_titles() -> dict[str, str]:
    """Titles of the samples by the names of their files."""
    return {sample.file: t(f"app.samples.{key}") for key, sample in SAMPLES.items()}


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
    if name not in SAMPLES:
        raise UserError("app.document_gone")
    return Document.of(sample_text(name), SAMPLES[name].file)


def text_of(recording: Recording) -> str | None:
    """The text of a recording: stored with it, or that of an upload or sample of this session; else None."""
    if recording.text is not None:
        return recording.text
    wanted = recording.experiment.document
    for upload in workspace().uploads.values():
        if upload.document.sha256 == wanted:
            return upload.document.text
    for name in SAMPLES:
        if SAMPLES[name].file == recording.meta.document_name and sample_document(name).sha256 == wanted:
            return sample_document(name).text
    return None


def explored(model_name: str) -> Explored | None:
    """The reference of explored states of the model ``name``; None if it has none or is not installed here."""
    card = available().get(model_name)
    file = card.explored if card else None
    return _explored(file, file.stat().st_mtime_ns) if file else None


def explored_origin(model_name: str) -> str | None:
    """Which text the explored states of a published model come from, in a sentence; None for a model of our own."""
    card = available().get(model_name)
    known = reference_of(card) if card else None
    if known is None:
        return None
    return t("models.explored_from", windows=known.windows, names=", ".join(map(plain, known.names)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _explored(file: Path, _changed: int) -> Explored:
    return Explored.load(file)


def delete(recording: Recording) -> None:
    """Delete a recording of a writable library."""
    if any(library.writable and recording.path.parent == library.folder for library in libraries()):
        shutil.rmtree(recording.path, ignore_errors=True)


def keep(recording: Recording) -> None:
    """Move a recording of this session to where it outlives it."""
    target = home() / "recordings" / recording.path.name
    if recording.path.parent == workspace().recordings and not target.exists():
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(recording.path, target)
