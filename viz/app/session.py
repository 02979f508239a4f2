"""Which documents and recordings a session may see, and which of them it shows.

Recordings are in libraries. ``session`` is a folder that is deleted with the session. ``own`` lasts: on one's own
machine it is the data folder, on a shared server the workspace of this browser. ``server`` is the data folder of a
shared server, where its owner puts recordings for everyone, and ``shipped`` came with the program: both are
read-only. A link can show one more: a recording that its owner shares.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import streamlit as st

from model.checkpoints.card import home
from model.checkpoints.catalogue import available
from model.diagnostics.explored import Explored
from model.diagnostics.summary import verdict
from model.disk import writing
from model.documents.document import Document
from model.errors import UserError
from model.reading.reference import reference_of
from model.recording.catalogue import SORTS, Catalogue, Entry, Query
from model.recording.reader import COMPLETE, Recording
from sample_data import SAMPLES, sample_text
from viz.app.browser import shared
from viz.app.choices import describe_reading
from viz.app.language import plain, t
from viz.app.sharing import shared_by_others
from viz.app.workspace import STATE_PREFIX, keeps, workspace

SHIPPED = Path(__file__).parents[2] / "sample_data" / "recordings"
RECENT = 100
"""Recordings of a library that a box offers; the page "Recordings" has all."""
WANTED = STATE_PREFIX + "select"
"""Entry of the session state: the recording that is shown from the next run of the script on."""
FOLLOWED = STATE_PREFIX + "followed"
"""Entry of the session state: the recording that the sidebar was set to last."""
_LINKED = STATE_PREFIX + "linked"

Titled: TypeAlias = Recording | Entry


@dataclass(frozen=True)
class Library:
    """A folder of recordings; ``name`` is "session", "own", "server" or "shipped"."""

    name: str
    folder: Path
    writable: bool

    @property
    def catalogue(self) -> Catalogue:
        """Its catalogue, with what has changed in the folder."""
        found = _catalogue(self.folder, in_memory=self.name != "own" and self.name != "server")
        found.refresh()
        return found


@st.cache_resource(max_entries=256, show_spinner=False)
def _catalogue(folder: Path, in_memory: bool) -> Catalogue:
    return Catalogue(folder, _judge, in_memory=in_memory)


def _judge(summary: Mapping[str, Any]) -> str:
    """The verdict of a summary by its name, without its details: "holds", "costs", "collapses" ..."""
    try:
        case = verdict(dict(summary))[0].removeprefix("verdict.")
    except (KeyError, TypeError):
        return ""
    return next((name for name in VERDICTS if case.startswith(name)), "")


VERDICTS = ("holds", "costs", "collapses", "unclear", "no_control", "too_short", "broken")
"""How the names of verdicts begin."""


def libraries() -> tuple[Library, ...]:
    """Where this session's recordings come from; an experiment found twice is taken from the first."""
    here = workspace()
    found = [Library("session", here.passing_recordings, True)]
    if here.lasting is not None:
        found.append(Library("own", here.recordings, True))
    if shared():
        found.append(Library("server", home() / "recordings", False))
    return (*found, Library("shipped", SHIPPED, False))


def stays() -> str:
    """Where what is uploaded and read now stays: "session", "own" (one's own machine) or "browser" (shared server)."""
    return ("browser" if shared() else "own") if keeps() else "session"


def entries(query: Query) -> list[tuple[Library, Entry]]:
    """The recordings that this session may see, sorted as ``query`` says, each once."""
    found: dict[str, tuple[Library, Entry]] = {}
    for library in libraries():
        for entry in library.catalogue.find(query):
            found.setdefault(entry.key, (library, entry))
    column = query.sort if query.sort in SORTS else "created"

    def rank(pair: tuple[Library, Entry]) -> Any:
        value = getattr(pair[1].row, column)
        return value.casefold() if isinstance(value, str) else value

    known = [pair for pair in found.values() if getattr(pair[1].row, column) not in (None, "")]
    known.sort(key=rank, reverse=query.descending)
    unknown = [pair for pair in found.values() if getattr(pair[1].row, column) in (None, "")]
    ordered = sorted(known + unknown, key=lambda pair: not pair[1].row.pinned)
    return ordered if query.limit < 0 else ordered[: query.limit]


def find(key: str) -> Entry | None:
    """The recording ``key``, if this session may see it and it can be looked at."""
    if not key:
        return None
    query = Query(key=key, finished=True, limit=1)
    found = next((entry for library in libraries() for entry in library.catalogue.find(query)), None)
    return found or _linked().get(key)


def visible_recordings(model: str = "") -> dict[str, Entry]:
    """The recordings that can be looked at, by key: pinned ones first, then the newest of each library.

    All that were pinned, chosen or opened by a link are among them, but of others only the newest.
    """
    query = Query(model=model, finished=True, limit=RECENT)
    found: dict[str, Entry] = {}
    for library in libraries():
        for entry in library.catalogue.find(query):
            found.setdefault(entry.key, entry)
    found = {**found, **{key: entry for key, entry in _linked().items() if key not in found}}
    ordered = sorted(found.values(), key=lambda entry: not entry.row.pinned)
    return {entry.key: entry for entry in ordered if model in ("", entry.row.model)}


def opened(path: Path) -> Recording:
    """The recording at ``path``; opened once for all reruns and again when it has changed."""
    changed = tuple((path / name).stat().st_mtime_ns for name in ("recording.json", "progress.json"))
    return _opened(path, changed)


@st.cache_resource(max_entries=8, show_spinner=False)
def _opened(path: Path, mark: tuple[int, ...]) -> Recording:
    return Recording(path)


def select(key: str, *, follow: bool = True) -> None:
    """Show the recording ``key`` from the next run of the script on, and ``follow`` it in the sidebar.

    A callback may call it.
    """
    st.session_state[WANTED] = key
    if not follow:
        st.session_state[FOLLOWED] = key


def open_link(key: str) -> None:
    """Show the recording ``key`` of someone else in this session, if its owner shares it; the key is from a link."""
    if find(key) is None and shared_by_others(key) is not None:
        st.session_state.setdefault(_LINKED, []).append(key)


def _linked() -> dict[str, Entry]:
    """The recordings that links have opened in this session, as long as their owners share them."""
    paths = {key: shared_by_others(key) for key in st.session_state.get(_LINKED, ())}
    found: dict[str, Entry] = {}
    for key, path in paths.items():
        if path is not None:
            library = _catalogue(path.parent, in_memory=False)
            library.refresh()
            found |= {entry.key: entry for entry in library.find(Query(key=key, finished=True, limit=1))}
    return found


def default_key(found: Mapping[str, Entry]) -> str:
    """What is shown first: a finished recording that came with the program, one of the plain model if possible."""
    shipped = [key for key, entry in found.items() if entry.library == SHIPPED and entry.row.status == COMPLETE]
    plain = [key for key in shipped if found[key].experiment.plain]
    return next(iter([*plain, *shipped, *found]))


def title_of(recording: Titled) -> str:
    """The name that its owner gave it; else, in the session's language, its document and what was set."""
    if recording.title != recording.document_name:
        return recording.title
    document = sample_titles().get(recording.document_name, recording.document_name)
    return f"{document} · {describe_reading(recording.experiment)}"


def short_titles_of(chosen: Sequence[Titled]) -> list[str]:
    """Titles that leave out the document where all of ``chosen`` are of the same one and none has a name of its own."""
    named = any(recording.title != recording.document_name for recording in chosen)
    if named or len({recording.experiment.document for recording in chosen}) > 1:
        return [title_of(recording) for recording in chosen]
    models = len({recording.experiment.model for recording in chosen}) > 1
    return [
        (f"{recording.experiment.model} · " if models else "") + describe_reading(recording.experiment)
        for recording in chosen
    ]


def titles_of(found: Mapping[str, Titled]) -> dict[str, str]:
    """Titles by key, made different where two are the same."""
    titles = {key: title_of(recording) for key, recording in found.items()}
    count = Counter(titles.values())
    return {key: f"{title} ({key[:4]})" if count[title] > 1 else title for key, title in titles.items()}


def current_recording() -> Recording:
    """The recording that the pages show. If there is none, says so and ends the page."""
    entry = find(st.session_state.get("recording", ""))
    if entry is None:
        found = visible_recordings()
        if not found:
            st.info(t("app.no_recording"), icon=":material/menu_book:")
            st.stop()
        entry = found[default_key(found)]
    return opened(entry.path)


def document_keys() -> list[str]:
    """Keys of the documents that can be chosen: uploads, newest first, then samples."""
    return [f"upload:{key}" for key in reversed(workspace().listed())] + [f"sample:{key}" for key in SAMPLES]


def document_of(sha256: str) -> str | None:
    """The key of the upload or sample whose text has that hash; None if there is none."""
    for key, listed in workspace().listed().items():
        if listed.sha256 == sha256:
            return f"upload:{key}"
    return next((f"sample:{name}" for name in SAMPLES if sample_document(name).sha256 == sha256), None)


def text_hash(key: str) -> str | None:
    """The hash of the text of the document ``key``; None if it is gone."""
    kind, _, name = key.partition(":")
    if kind == "sample":
        return sample_document(name).sha256 if name in SAMPLES else None
    listed = workspace().listed().get(name)
    return None if listed is None else listed.sha256


def document_title(key: str) -> str:
    """What the document ``key`` is called in the session's language."""
    kind, _, name = key.partition(":")
    if kind == "sample":
        return t(f"app.samples.{name}")
    listed = workspace().listed().get(name)
    return "?" if listed is None else listed.name


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
    upload = workspace().upload(name)
    if upload is None:
        raise UserError("app.document_gone")
    return upload.document


@st.cache_resource(max_entries=8, show_spinner=False)
def sample_document(name: str) -> Document:
    """The sample ``name`` as a document."""
    if name not in SAMPLES:
        raise UserError("app.document_gone")
    return Document.of(sample_text(name), SAMPLES[name].file)


def text_of(recording: Recording) -> str | None:
    """The text of a recording: stored with it, or that of an upload or sample that is here; else None."""
    if recording.text is not None:
        return recording.text
    key = document_of(recording.experiment.document)
    return None if key is None else document(key).text


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
def _explored(file: Path, mark: int) -> Explored:
    return Explored.load(file)


def changed() -> None:
    """Look at every library again: something was written there a moment ago."""
    for library in libraries():
        library.catalogue.refresh(now=True)


def keep(entry: Entry) -> None:
    """Move a recording of this session to where it outlives it."""
    target = workspace().recordings / entry.row.folder
    if entry.library == workspace().passing_recordings and not target.exists():
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(entry.path, target)
        changed()
