"""The states that post-training visits: the run continues for some steps in which nothing is learnt.

    (tokens, h_{-1}) of step s = course.draw(s)        s = steps, steps + 1, ... of the finished run
    states                     = those of the finished model on these tokens from h_{-1}

The course is taken up from the save of the last training step, with the memories that this step left. So texts, facts,
lots and initial states are those of a training that would not stop, and chains of sequences that continue one
another are as old as the run made them: in mixtures that start empty now and then, a few dozen sequences at most; in
one that never does, as many as the run has steps. Everything follows from the save, so one save gives one sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from kernels.dispatch import scan
from kernels.types import ScanOutput
from model.arch.lm import LanguageModel
from model.reading.explore import Visit, Visits
from model.reading.telemetry import recorded
from model.state import State
from model.training.data import Groups
from model.training.loop import Course, course_tensors
from model.training.post_config import PostTrainConfig
from model.training.post_training import course_of, enough


def visits_of(config: PostTrainConfig, groups: Groups, save: Path, model: LanguageModel) -> Visits | None:
    """The steps that would follow the run of ``config`` that is saved at ``save`` and has given ``model``.

    None where every sequence starts empty: what ``explore`` reads by itself is then like it. No more
    steps are visited than the run had, for a young run has made no old chains.
    """
    if not config.from_memories:
        return None

    def visits(steps: int) -> Iterator[Visit]:
        course = course_of(config, enough(config, groups, model), model)
        course.load(course_tensors(load_file(save)))
        return visited(course, model, config.steps, min(steps, config.steps))

    return visits


def visited(course: Course, model: LanguageModel, first: int, steps: int) -> Iterator[Visit]:
    """What ``steps`` steps of ``course`` from ``first`` on do to the memory of ``model``, which learns nothing."""
    chains: dict[bytes, tuple[int, int]] = {}
    numbers = 0
    for step in range(first, first + steps):
        tokens, _, state = course.draw(step)
        assert state is not None
        found = [chains.get(name) for name in names(state)]
        chain = np.array([numbers + row if known is None else known[0] for row, known in enumerate(found)])
        before = np.array([0 if known is None else known[1] for known in found])
        numbers += len(found)
        outputs: list[ScanOutput] = []
        with torch.no_grad():
            read = tokens[:, :-1]
            _, after = model.hidden(read, state, [recorded(scan, outputs.append)] * len(model.config.layers))
        course.keep(step, after)
        ages = (before + read.shape[1]).tolist()
        chains = dict(zip(names(after), zip(chain.tolist(), ages, strict=True), strict=True))
        yield Visit(outputs, chain, before)


def names(state: State) -> list[bytes]:
    """What tells the rows of ``state`` apart: the bytes of the first layer's memory, which is carried unchanged."""
    return [row.numpy().tobytes() for row in state[0].memory.state.detach()]
