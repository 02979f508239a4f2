"""The background work of a page: at most one job of its kind in a session, its progress, its end, its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import streamlit as st

from model.errors import UserError
from viz.app.language import show_error
from viz.app.workspace import STATE_PREFIX, session_id
from viz.jobs import registry as jobs
from viz.jobs.progress import panel
from viz.jobs.registry import Job, Work

Asked = TypeVar("Asked")


class PageJob(Generic[Asked]):
    """One kind of background work, in any session: a page holds one as a constant.

        TEST: PageJob[PasskeyTask] = PageJob("passkey")
        TEST.start(work, task, title="Passkey test")   # work(context) runs in the background
        TEST.collect()                                 # at the top of the page: what has ended since
        TEST.show_progress()                           # the bar, the live curves and the button that cancels
        TEST.show_failure()                            # the sentence, until another one starts

    ``kind`` names the work in the registry, ``device`` the queue it waits in.
    """

    def __init__(self, kind: str, *, device: str = "cpu") -> None:
        self.kind, self.device = kind, device
        self._failure = f"{STATE_PREFIX}{kind}_failure"
        self._asked = f"{STATE_PREFIX}{kind}_asked"

    def start(
        self,
        work: Work,
        asked: Asked,
        *,
        title: str = "",
        keep: bool = False,
        receive: Callable[[Any], None] = lambda value: None,
    ) -> Job:
        """Queue ``work(context)`` for what was ``asked``; one that still runs is cancelled.

        With ``keep`` it continues when the session ends. ``receive`` gets what the work sends before it ends.
        """
        st.session_state[self._failure], st.session_state[self._asked] = None, asked
        return jobs.submit(session_id(), self.kind, work, title=title, keep=keep, device=self.device, receive=receive)

    @property
    def job(self) -> Job | None:
        """The newest job of this session, of any status, until :meth:`collect` has taken it."""
        return jobs.latest(session_id(), self.kind)

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.job is not None and self.job.active

    @property
    def asked(self) -> Asked:
        """What the last job was started for."""
        return st.session_state[self._asked]

    def cancel(self) -> None:
        """Ask the job to end, if there is one."""
        if self.job is not None:
            self.job.cancel()

    def collect(self) -> Job | None:
        """The job that has ended since this was last asked, with its result; its failure is noted."""
        ended = jobs.take(session_id(), self.kind)
        if ended is not None:
            st.session_state[self._failure] = ended.error
        return ended

    @property
    def failure(self) -> UserError | None:
        """Why the last job failed; None once another one starts, or after :meth:`dismiss`."""
        return st.session_state.get(self._failure)

    def dismiss(self) -> None:
        """Forget the last failure."""
        st.session_state[self._failure] = None

    def show_progress(self, title: str = "") -> None:
        """Draw the progress under ``title`` (Markdown; that of the job if empty) while the job waits or runs."""
        job = self.job
        if job is not None and job.active:
            panel(job, title or job.title)

    def show_failure(self) -> None:
        """Say why the last job failed, if it did."""
        if self.failure is not None:
            show_error(self.failure)
