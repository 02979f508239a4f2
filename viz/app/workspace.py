"""What a browser session works in: a folder that lasts, where there is one, and one that is deleted with the session.

On one's own machine the lasting folder is the data folder itself. On a shared server every browser has one, named by
the hash of its cookie, which is deleted after some weeks without a visit; a browser without the cookie has none.
Sessions with the same lasting folder share its recordings, documents, results and jobs: tabs, and a tab after a reload.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from model.checkpoints.card import home
from model.documents.shelf import Listed, Shelf, Upload
from viz.app import sign_in
from viz.app.bin import DAY, DAYS, DOCUMENT, Bin
from viz.app.browser import browser_id, days, shared
from viz.jobs import registry as jobs

UPLOADS = 4
"""Uploaded documents that a session holds in memory; one more replaces the oldest."""
STORED = 20
"""Uploaded documents that are stored for a browser of a shared server; on one's own machine they have no limit."""
STATE_PREFIX = "_explorer_"
"""Prefix of the entries of the session state that belong to no widget."""
HOUR = 3600
DOCUMENTS = "documents"
"""The folder of a workspace with its stored documents."""
VISITED = "visited"
"""File of a lasting folder on a shared server; its time is that of the last visit."""
_NAME = STATE_PREFIX + "workspace"


@dataclass
class Workspace:
    """The folders, uploads and jobs of one browser session.

    ``lasting`` outlives it; None if there is no such folder. ``owner`` names the jobs and results of all sessions with
    the same lasting folder, ``session`` those of this session alone. ``forgotten`` are uploads of this session's memory
    that were deleted and can be brought back.
    """

    lasting: Path | None = None
    owner: str = ""
    most: int | None = None
    session: str = field(default_factory=lambda: secrets.token_hex(8))
    uploads: dict[str, Upload] = field(default_factory=dict)
    visited: float = 0.0
    forgotten: dict[str, Upload] = field(default_factory=dict)
    _passing: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="memory-explorer-", ignore_cleanup_errors=True)
    )

    @property
    def id(self) -> str:
        """The name of the jobs that go on when the session ends, if what they make is kept."""
        return self.owner or self.session

    @property
    def passing(self) -> Path:
        """The folder that is deleted with the session."""
        return Path(self._passing.name)

    @property
    def passing_recordings(self) -> Path:
        """The folder of the recordings that are deleted with the session."""
        return self.passing / "recordings"

    @property
    def folder(self) -> Path:
        """The lasting folder if there is one, else the other."""
        return self.lasting or self.passing

    @property
    def recordings(self) -> Path:
        """The folder of recordings that are kept as long as possible."""
        return self.folder / "recordings"

    @property
    def scratch(self) -> Path:
        """A folder for what lasts as long as the program, and is seen by all sessions with this owner."""
        return Path(_scratch(self.owner).name) if self.owner else self.passing

    @property
    def shelf(self) -> Shelf | None:
        """The documents that outlive the session."""
        return None if self.lasting is None else Shelf(self.lasting / DOCUMENTS, self.most)

    @property
    def bin(self) -> Bin:
        """What was deleted from the folder that lasts, or from the other if there is none."""
        return Bin(self.folder)

    def listed(self) -> dict[str, Listed]:
        """The uploaded documents by their keys, newest last."""
        stored = self.shelf.listed() if self.shelf is not None else {}
        held = {key: Listed(upload.document.name, upload.document.sha256) for key, upload in self.uploads.items()}
        return stored | held

    def upload(self, key: str) -> Upload | None:
        """The uploaded document ``key``; None if there is none."""
        if key in self.uploads or self.shelf is None:
            return self.uploads.get(key)
        file = self.shelf.folder / key / "document.json"
        return _stored(self.shelf.folder, key, file.stat().st_mtime_ns) if file.exists() else None

    def add(self, upload: Upload, *, keep: bool = False) -> str:
        """Take in an uploaded document, in place of one with the same name; returns its key.

        With ``keep`` it is stored in the lasting folder, else it stays in this session's memory.
        """
        self.forget(upload.document.name)
        if keep and self.shelf is not None:
            self.shelf.put(upload)
        else:
            while len(self.uploads) >= UPLOADS:
                del self.uploads[next(iter(self.uploads))]
            self.uploads[upload.key] = upload
        return f"upload:{upload.key}"

    def forget(self, name: str | None) -> None:
        """Delete the uploaded document whose file had that name, if there is one."""
        self.uploads = {key: upload for key, upload in self.uploads.items() if upload.document.name != name}
        if self.shelf is not None:
            self.shelf.remove(name)

    def discard(self, name: str | None) -> list[str]:
        """Move the uploaded document whose file had that name to where it can be brought back from; its names there."""
        held = {key: upload for key, upload in self.uploads.items() if upload.document.name == name}
        self.uploads = {key: upload for key, upload in self.uploads.items() if key not in held}
        self.forgotten = dict([*self.forgotten.items(), *held.items()][-UPLOADS:])
        stored = {} if self.shelf is None else self.shelf.listed()
        paths = [self.folder / DOCUMENTS / key for key, listed in stored.items() if listed.name == name]
        return [*held, *(self.bin.take(path, DOCUMENT, name or "") for path in paths)]

    def close(self) -> None:
        """Cancel the jobs of this session alone and delete its folder as soon as they have stopped writing there."""
        self.uploads.clear()
        self.forgotten.clear()
        working = [job for job in jobs.jobs_of(self.session) if job.active]
        jobs.end_session(self.session)

        def clean() -> None:
            for job in working:
                job.wait(60)
            self._passing.cleanup()

        threading.Thread(target=clean, daemon=True).start() if working else clean()


@st.cache_resource(max_entries=64, on_release=tempfile.TemporaryDirectory.cleanup, show_spinner=False)
def _scratch(owner: str) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="memory-explorer-", ignore_cleanup_errors=True)


@st.cache_resource(max_entries=4, show_spinner=False)
def _stored(folder: Path, key: str, mark: int) -> Upload | None:
    return Shelf(folder).get(key)


@st.cache_resource(scope="session", on_release=Workspace.close, show_spinner=False)
def _tied_to_session(identity: str, _workspace: Workspace) -> Workspace:
    """Streamlit calls ``close`` when the session is over."""
    return _workspace


def workspace() -> Workspace:
    """The workspace of this session."""
    if _NAME not in st.session_state:
        opened = _open()
        opened.bin.empty(older_than=DAYS * DAY)
        st.session_state[_NAME] = _tied_to_session(opened.session, opened)
    found: Workspace = st.session_state[_NAME]
    if found.most is not None and found.lasting is not None and time.time() - found.visited > HOUR:
        found.visited = time.time()
        visit(found.lasting)
    return found


def _open() -> Workspace:
    if not shared():
        return Workspace(lasting=home(), owner=f"own {home()}")
    identity = sign_in.identity() or browser_id()
    if identity is None:
        return Workspace()
    return Workspace(lasting=workspaces() / identity, owner=identity, most=STORED)


def workspaces() -> Path:
    """Where the lasting folders of the browsers of a shared server are."""
    return home() / "workspaces"


def visit(folder: Path) -> None:
    """Note a visit to the lasting ``folder`` of a browser; delete those without a visit for too long."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / VISITED).touch()
    os.utime(folder / VISITED)
    oldest = time.time() - days() * 24 * HOUR
    for other in workspaces().glob("*/" + VISITED):
        with suppress(FileNotFoundError):  # deleted by another session at the same time
            if other.stat().st_mtime < oldest and not any(job.active for job in jobs.jobs_of(other.parent.name)):
                shutil.rmtree(other.parent, ignore_errors=True)


def keeps() -> bool:
    """Whether what is uploaded and read now outlives the session: the switch of the sidebar, if it can be."""
    return workspace().lasting is not None and bool(st.session_state.get("keep", True))
