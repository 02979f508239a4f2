"""Jobs of the pages go to another process: here, where they stay, they and their results are pickled all the same."""

import pickle

import pytest

from viz.jobs.page_job import PageJob
from viz.jobs.registry import PROCESSES


@pytest.fixture(autouse=True)
def pickled_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    start = PageJob.start

    def start_pickled(self, work, *asked, **how):
        if self.device in PROCESSES:
            there = pickle.loads(pickle.dumps(work))
            work = lambda job: pickle.loads(pickle.dumps(there(job)))  # noqa: E731
        return start(self, work, *asked, **how)

    monkeypatch.setattr(PageJob, "start", start_pickled)
