"""The lab under test: a short trial, and waiting for what a page starts."""

import time

from model.training.post_config import PostTrainConfig
from model.training.trial import Trial
from tests.support.training import RECALL
from viz.jobs import registry as jobs


def a_trial(**changes) -> Trial:
    settings = {"base": "tiny", "interventions": (("carried", 0.9),), "length": 64, "rows": 4, "steps": 30}
    config = PostTrainConfig(**{**settings, "recall": RECALL, "warmup": 2, **changes})
    return Trial(config=config, weights="w", train_length=64, document="d", text="t")


def until(page, holds, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not holds(page.run()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return page


def job_of(page) -> jobs.Job | None:
    return jobs.latest(page.session_state["_explorer_workspace"].id, "lab")


def short_run(page, steps: int = 12) -> None:
    page.number_input(key="lab_steps").set_value(steps)
    page.number_input(key="lab_length_tiny").set_value(512).run()  # the tiny tokenizer makes questions long
    page.button(key="lab_run").click().run()


def ended(page):
    return until(page, lambda page: job_of(page) is None)
