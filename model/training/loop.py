"""The one loop of every training run: AdamW, a schedule, a clipped gradient, reports, and saves to resume from.

What a step reads and which memory it starts from is a :class:`Course`: training from scratch starts each sequence
empty, post-training starts it where its interventions say. A course that depends on (seed, step) and on the tensors
it saves, and on nothing else, gives a run that ends with the same weights however often it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import scan
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.disk import write_whole, writing
from model.state import State, map_state
from model.training.clipping import clip_gradients
from model.training.schedule import Schedule

TRAINING_CHUNK = 32
"""A shorter chunk than in reading: training sequences are short and the backward pass likes small tiles."""

COURSE = "course."
"""What the names of a course's own tensors begin with in a save."""


DECAY_RATES = "A_log"
"""How the names of parameters end that hold logarithms of decay rates."""


class Batch(NamedTuple):
    """What a step reads: ``tokens`` (rows, seqlen + 1) int64, ``weights`` (rows, seqlen) of their predictions.

    ``state`` is the memory that the rows start from; None is an empty one.
    """

    tokens: Tensor
    weights: Tensor
    state: State | None = None


class Course(Protocol):
    """What a run reads, step by step, and what it must keep to resume after a kill."""

    def draw(self, step: int) -> Batch:
        """The batch of ``step``; called once for each step, in order."""
        ...

    def keep(self, step: int, after: State) -> None:
        """Take the memory ``after`` the last token of the batch of ``step``; it still hangs on the step's graph."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything the next draw depends on besides the step."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a training step showed: loss of prose in nats per token, accuracy on the digits of answers.

    ``gradient`` is the norm of its gradient before clipping. ``seconds`` are those since this process took up the run,
    ``seconds_left`` what the rest takes at that pace.
    """

    step: int
    seqlen: int
    loss: float
    recall: float
    gradient: float
    seconds: float
    seconds_left: float


def run_steps(
    model: LanguageModel,
    schedule: Schedule,
    course: Course,
    save: Path,
    report: Callable[[StepReport], None],
    stop: Callable[[], bool],
    *,
    report_every: int = 50,
    save_every: int = 500,
    about: Mapping[str, str] | None = None,
) -> int:
    """Train ``model`` in place, or resume from ``save`` if that file is there; returns the steps that are done.

    ``stop()`` is asked before every step: when it turns true, the run saves itself and returns. ``about`` is written
    into every save (see :func:`read_about`).
    """
    device = model.embedding.weight.device
    optimizer = torch.optim.AdamW(parameter_groups(model, schedule), schedule.learning_rate, betas=(0.9, 0.95))
    step = first = restore(save, model, optimizer, course) if save.exists() else 0
    scans = [partial(scan, chunk=TRAINING_CHUNK)] * len(model.config.layers)
    started = time.monotonic()
    while step < schedule.steps and not stop():
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step) * group["multiple"]
        tokens, weights, state = course.draw(step)
        tokens, weights = tokens.to(device), weights.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits, after = read_truncated(model, tokens[:, :-1], state, scans, schedule.truncation)
        losses = token_losses(logits, tokens[:, 1:])
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        gradient = clip_gradients(model.parameters(), schedule.clipping, schedule.clip)
        optimizer.step()
        course.keep(step, after)
        step += 1
        if step % report_every == 0 or step == schedule.steps:
            answers = weights > 1
            right = (logits.argmax(-1) == tokens[:, 1:])[answers].float().mean().item()
            seconds = time.monotonic() - started
            report(
                StepReport(
                    step=step,
                    seqlen=weights.shape[1],
                    loss=losses[~answers].mean().item(),
                    recall=right,
                    gradient=gradient.item(),
                    seconds=seconds,
                    seconds_left=seconds / (step - first) * (schedule.steps - step),
                )
            )
        if step % save_every == 0:
            store(save, model, optimizer, step, course, about)
    store(save, model, optimizer, step, course, about)
    return step


def read_truncated(
    model: LanguageModel, tokens: Tensor, state: State | None, scans: Sequence[Scan], truncation: int
) -> tuple[Tensor, State]:
    """Read ``tokens`` (rows, seqlen) in pieces of ``truncation`` tokens; no gradient passes between two pieces.

    The numbers are those of one reading. With 0 the gradient reaches back to the first token. Returns the
    logits (rows, seqlen, vocab_size) and the state after the last token.
    """
    if not 0 < truncation < tokens.shape[1]:
        return model(tokens, state, scans)
    logits = []
    for piece in tokens.split(truncation, dim=1):
        before = None if state is None else map_state(state, Tensor.detach)
        part, state = model(piece, before, scans)
        logits.append(part)
    assert state is not None
    return torch.cat(logits, dim=1), state


def parameter_groups(model: LanguageModel, schedule: Schedule) -> list[dict[str, Any]]:
    """Matrices, which decay, and the rest (decay rates, step biases, norms), which do not, as in Mamba-2's training.

    ``multiple`` is that of the learning rate: ``schedule.decay_rates`` for logarithms of decay rates, 1 for all else.
    """
    rates = [parameter for name, parameter in model.named_parameters() if name.endswith(DECAY_RATES)]
    known = {id(parameter) for parameter in rates}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    matrices = [parameter for parameter in others if parameter.ndim > 1]
    rest = [parameter for parameter in others if parameter.ndim == 1]
    return [
        {"params": matrices, "weight_decay": schedule.weight_decay, "multiple": 1.0},
        {"params": rest, "weight_decay": 0.0, "multiple": 1.0},
        *([{"params": rates, "weight_decay": 0.0, "multiple": schedule.decay_rates}] if rates else []),
    ]


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every prediction in nats: (batch, seqlen, vocab), (batch, seqlen) -> (batch, seqlen)."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def store(
    path: Path,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    step: int,
    course: Course,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write weights, optimizer, course and step to one safetensors file, whole or not at all."""
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in parameters(model).items()}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, moments in optimizer.state.items():
        tensors |= {f"{moment}.{names[parameter]}": value for moment, value in moments.items()}
    tensors |= {COURSE + name: tensor for name, tensor in course.tensors().items()}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, save(tensors, metadata={**(about or {}), "step": str(step)}))


def restore(path: Path, model: LanguageModel, optimizer: torch.optim.Optimizer, course: Course) -> int:
    """Load what :func:`store` wrote; returns the step to resume from."""
    tensors = load_file(path)
    steps = 0
    for name, parameter in model.named_parameters():
        parameter.data.copy_(tensors[f"model.{name}"])
        moments = {moment: tensors.get(f"{moment}.{name}") for moment in ("step", "exp_avg", "exp_avg_sq")}
        if moments["step"] is not None:
            # The optimizer counts its steps on the CPU, whatever holds the weights.
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in moments.items()
                if value is not None
            }
            steps = int(moments["step"].item())
    course.load(course_tensors(tensors))
    return steps


def course_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The course's own among the ``tensors`` of a save, by the names that it gave them."""
    return {name.removeprefix(COURSE): value for name, value in tensors.items() if name.startswith(COURSE)}


def read_about(path: Path) -> dict[str, str]:
    """What :func:`store` wrote about the run whose save is at ``path``."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def parameters(model: LanguageModel) -> dict[str, Tensor]:
    """The weights by name, tied ones once."""
    return {name: parameter.data for name, parameter in model.named_parameters()}
