"""The background work of a page: at most one job of its kind in a session, its progress, its end, its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import streamlit as st

from model.errors import UserError
from viz.app import limits
from viz.app.language import show_error
from viz.app.workspace import STATE_PREFIX, workspace
from viz.jobs import registry as jobs
from viz.jobs.progress import panel
from viz.jobs.registry import PROCESSES, Job, Work

Asked = TypeVar("Asked")


class PageJob(Generic[Asked]):
    """One kind of background work, in any session: a page holds one as a constant.

        TEST: PageJob[PasskeyTask] = PageJob("passkey")
        TEST.start(work, task, title="Passkey test")   # work(context) runs in the background
        TEST.collect()                                 # at the top of the page: what has ended since
        TEST.show_progress()                           # the bar, the live curves and the button that cancels
        TEST.show_failure()                            # the sentence, until another one starts

    ``kind`` names the work in the registry, ``device`` the queue it waits in. All sessions with the same workspace see
    the job: the tab that started it, a second tab, and the same tab after a reload.
    """

    def __init__(self, kind: str, *, device: str = "cpu") -> None:
        self.kind, self.device = kind, device
        self._failure = f"{STATE_PREFIX}{kind}_failure"
        self._watched = f"{STATE_PREFIX}{kind}_watched"

    def start(
        self,
        work: Work,
        asked: Asked,
        *,
        title: str = "",
        private: bool = False,
        receive: Callable[[Any], None] = lambda value: None,
    ) -> Job:
        """Queue ``work(context)`` for what was ``asked``; one that still runs is cancelled.

        A ``private`` job belongs to this session alone and is cancelled when it ends. ``receive`` gets what the work
        sends before it ends. UserError if this person has as many jobs as the server allows.
        """
        owner = workspace().session if private else workspace().id
        if self.device in PROCESSES:
            others = [job for name in {owner, workspace().id} for job in jobs.jobs_of(name) if job.kind != self.kind]
            limits.check_jobs(sum(job.active for job in others))
        st.session_state[self._failure] = None
        if self.job is not None:
            self.job.cancel()
        job = jobs.submit(owner, self.kind, work, title=title, device=self.device, receive=receive)
        job.asked = asked
        st.session_state[self._watched] = job
        return job

    @property
    def job(self) -> Job | None:
        """The newest job, of any status, until :meth:`collect` has taken it."""
        owners = {workspace().session, workspace().id}
        found = [job for owner in owners if (job := jobs.latest(owner, self.kind)) is not None]
        return max(found, key=lambda job: job.id, default=None)

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.job is not None and self.job.active

    @property
    def asked(self) -> Asked:
        """What the current job was started for."""
        job = self.job or st.session_state[self._watched]
        return job.asked

    def cancel(self) -> None:
        """Ask the job to end, if there is one."""
        if self.job is not None:
            self.job.cancel()

    def collect(self) -> Job | None:
        """The job that has ended since this session last asked, with its result; its failure is noted.

        The first session that asks takes it from the registry; others that saw it run get it, too.
        """
        job = self.job or st.session_state.get(self._watched)
        if job is None or job.active:
            st.session_state[self._watched] = job
            return None
        st.session_state[self._watched] = None
        jobs.registry().forget(job)
        st.session_state[self._failure] = job.error
        return job

    @property
    def failure(self) -> UserError | None:
        """Why the last job failed; None once another one starts, or after :meth:`dismiss`."""
        return st.session_state.get(self._failure)

    def fail(self, error: UserError) -> None:
        """Note that what the last job gave could not be used."""
        st.session_state[self._failure] = error

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
