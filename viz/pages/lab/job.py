"""The lab page's work: the run that the controls describe, a job that trains it, and results in the session."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from model.checkpoints.catalogue import model_card
from model.documents.document import Document
from model.errors import UserError
from model.training.keep import FILES, free_name, keep_checkpoint
from model.training.post_config import LIMITS, PostTrainConfig
from model.training.trial import Pick, Trial, TrialResult
from viz.app import session
from viz.app.choices import Choices
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX, workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob
from viz.jobs.progress import duration
from viz.pages.lab.texts import TrainingText, streams_of, watched_part

TRAINING: PageJob[Trial] = PageJob("lab")
_KEPT = STATE_PREFIX + "lab_kept"


class Numbers(NamedTuple):
    """The numbers of a run that can be chosen, as in :class:`PostTrainConfig`.

    ``length`` and ``truncation`` are in tokens, 0 of the latter is never.
    """

    steps: int
    learning_rate: float
    length: int
    empty_rows: float
    decay_rates: float
    clipping: str = "norm"
    clip: float = 1.0
    truncation: int = 0


def trial_of(
    chosen: Choices, name: str, share: float, text: TrainingText, numbers: Numbers, picks: tuple[Pick, ...] = ()
) -> Trial:
    """The run that the controls describe, watched on the chosen document and closely at ``picks`` in it.

    A step reads sixteen training lengths of text however long its sequences are, so a step always takes about as long.
    """
    card = model_card(chosen.model)
    if card.published:
        raise UserError("published.no_training", name=card.name)
    config = PostTrainConfig(
        base=chosen.model,
        interventions=((name, share),),
        length=numbers.length,
        rows=max(1, min(int(LIMITS["rows"][1]), round(16 * card.train_length / numbers.length))),
        steps=numbers.steps,
        learning_rate=numbers.learning_rate,
        clipping=numbers.clipping,
        clip=numbers.clip,
        truncation=numbers.truncation,
        empty_rows=numbers.empty_rows,
        decay_rates=numbers.decay_rates,
    )
    return Trial(
        config=config,
        weights=card.weights,
        train_length=card.train_length,
        document=session.document(chosen.document).sha256,
        text=text.hash,
        picks=picks,
    )


def train_length(model: str) -> int:
    """The training length of ``model``."""
    return model_card(model).train_length


def has_states(model: str) -> bool:
    """Whether ``model`` has explored states, which fitted noise needs."""
    return model_card(model).explored is not None


def longest(train_length: int) -> int:
    """The longest sequence that can be chosen: a batch of longer ones may not fit in memory."""
    return int(min(LIMITS["length"][1], max(32 * train_length, LIMITS["length"][0])))


def folder_of(trial: Trial) -> Path:
    """The folder of the run of ``trial``; it lasts as long as the program."""
    return workspace().scratch / "lab" / trial.key


def results() -> dict[str, TrialResult]:
    """Everything that was run in this workspace, by the trials' keys, in the order in which it was begun."""
    return _results(workspace().id)


@st.cache_resource(max_entries=64, show_spinner=False)
def _results(owner: str) -> dict[str, TrialResult]:
    """The runs of a workspace: they outlive a session, not the program."""
    return {}


def result_of(trial: Trial) -> TrialResult:
    """What is known of ``trial``; an empty result if it was never run."""
    return results().get(trial.key) or TrialResult(trial=trial)


def trial_to_show(trial: Trial | None, chosen: Choices) -> Trial | None:
    """``trial`` if anything of it is known, else the newest of the same document and base; None if there is none."""
    if trial is not None and result_of(trial).before is not None:
        return trial
    weights, document = model_card(chosen.model).weights, session.document(chosen.document).sha256
    same = [
        result.trial
        for result in list(results().values())
        if result.before is not None and (result.trial.weights, result.trial.document) == (weights, document)
    ]
    return same[-1] if same else None


def alike(trial: Trial) -> list[TrialResult]:
    """The finished trials of this session on the same tokens from the same base, ``trial`` perhaps among them."""
    tokens = result_of(trial).tokens
    return [
        result
        for result in list(results().values())
        if result.complete
        and (result.trial.document, result.trial.weights, result.tokens) == (trial.document, trial.weights, tokens)
    ]


def plain_one(trial: Trial) -> TrialResult | None:
    """The newest finished plain fine-tuning with the same picked spans as ``trial``; None if there is none."""
    found = [result for result in alike(trial) if result.trial.picks == trial.picks]
    plain = [result for result in found if result.trial.config.interventions[0][0] == "zeros"]
    return plain[-1] if plain else None


def start(trial: Trial, text: TrainingText, document: Document, *, only_time: bool = False) -> Job:
    """Queue ``trial``, or what it lacks; what is seen goes to :func:`results` as it is seen."""
    known, begun = results(), result_of(trial)
    known.setdefault(trial.key, begun)
    work = partial(train, begun=begun, text=text, document=document, folder=folder_of(trial), only_time=only_time)
    return TRAINING.start(work, trial, title=t("lab.running"), receive=partial(known.__setitem__, trial.key))


def train(
    job: JobContext, begun: TrialResult, text: TrainingText, document: Document, folder: Path, only_time: bool
) -> None:
    """Train what ``begun`` lacks, in ``folder``; sends every result so far."""
    from model.training.watch import run_trial

    trial, config = begun.trial, begun.trial.config
    tokens, after = watched_part(config.base, document, trial.train_length, trial.picks)
    streams = streams_of(text, config.base, document.text[after:], job.stopped)
    if streams is None:
        return
    if not any(streams.values()):
        raise UserError("lab.all_watched", tokens=len(tokens))

    def report(result: TrialResult, phase: str, done: int, total: int, left: float | None) -> None:
        job.send(result)
        job.progress(done, total, f"lab.phase_{phase}", seconds_left=left)

    parts = ", ".join(f"{name}={share:g}" for name, share in config.interventions)
    command = f"the page Lab: {parts}, trained on {text.words}"
    job.send(
        run_trial(begun, streams, tokens, folder, command=command, report=report, stop=job.stopped, only_time=only_time)
    )


def suggested_name(result: TrialResult) -> str:
    """A free name for the model of ``result``."""
    config = result.trial.config
    return free_name(Path(config.base).name, config.interventions[0][0])


def keep(result: TrialResult, name: str) -> None:
    """Make the model of ``result`` one that every page can choose; UserError if the name is not valid."""
    keep_checkpoint(folder_of(result.trial), name)
    st.session_state.setdefault(_KEPT, {})[result.trial.key] = name


def kept_as(result: TrialResult) -> str | None:
    """The name under which the model of ``result`` was kept, if it was."""
    name: str | None = st.session_state.get(_KEPT, {}).get(result.trial.key)
    return name


def can_be_kept(result: TrialResult) -> bool:
    """Whether the checkpoint of ``result`` is there."""
    return result.complete and all((folder_of(result.trial) / file).exists() for file in FILES)


def estimate(trial: Trial) -> str:
    """How long ``trial`` takes, from steps that were timed in this session, or that this is not known yet."""
    result = result_of(trial)
    if result.complete:
        return t("lab.estimate_done")
    if result.seconds_left is not None:
        return t("lab.estimate_here", time=duration(result.seconds_left), step=result.step_seconds)
    same = [found for found in results().values() if found.step_seconds and _costs(found.trial) == _costs(trial)]
    if not same:
        return t("lab.estimate_unknown")
    timed = replace(same[-1], trial=trial, done=result.done)
    return t("lab.estimate_like", time=duration(timed.seconds_left or 0.0), step=timed.step_seconds)


def _costs(trial: Trial) -> tuple[object, ...]:
    """What determines the time of a step."""
    config = trial.config
    return trial.weights, trial.train_length, config.rows, config.length, config.longest, config.consecutive
