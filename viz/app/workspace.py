"""What one browser session owns: its uploads, its folder, its jobs. Sessions never see each other's.

Uploaded documents stay in memory and are never written to disk; the folder holds recordings and is deleted with the
session.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from model.documents.document import Document
from viz.jobs import registry as jobs

UPLOADS = 4
"""Uploaded documents that a session holds; one more replaces the oldest."""
STATE_PREFIX = "_explorer_"
"""Prefix of the entries of the session state that belong to no widget."""
_NAME = STATE_PREFIX + "workspace"


@dataclass
class Upload:
    """An uploaded file, read with the encoding that was detected or chosen."""

    data: bytes
    document: Document
    encoding: str | None = None


@dataclass
class Workspace:
    """What one browser session owns; :meth:`close` deletes all of it."""

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
        """The folder of the session's recordings."""
        return self.folder / "recordings"

    def add(self, upload: Upload) -> str:
        """Hold an uploaded document, in place of one with the same name; returns its key."""
        self.forget(upload.document.name)
        while len(self.uploads) >= UPLOADS:
            del self.uploads[next(iter(self.uploads))]
        # A link names an upload by its hash: the name of a file may be confidential.
        key = upload.document.sha256[:8]
        self.uploads[key] = upload
        return f"upload:{key}"

    def forget(self, name: str | None) -> None:
        """Drop the upload whose file had that name, if there is one."""
        self.uploads = {key: upload for key, upload in self.uploads.items() if upload.document.name != name}

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
    """The workspace of this session."""
    if _NAME not in st.session_state:
        workspace = Workspace()
        st.session_state[_NAME] = _tied_to_session(workspace.id, workspace)
    return st.session_state[_NAME]


def session_id() -> str:
    """The name under which this session submits jobs."""
    return workspace().id
