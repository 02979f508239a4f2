"""Run both models on random tokens and time them: reading from the start, and one token more at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from kernels.dispatch import scan
from model.checkpoints.catalogue import load_model, model_card
from model.errors import UserError
from model.machine import free_memory
from model.mixers import MIXERS
from model.published.config import PublishedConfig
from model.published.room import gigabytes
from model.reading.prepare import attention_window
from model.reading.stream import PAIRS, read, segment_of
from model.reading.telemetry import Recorder, Sketcher, snapshot_positions
from model.state import State, flatten_state
from model.studies.cost.plan import LEAST, LONGEST
from model.studies.cost.result import PLAIN, RECORDED, TRANSFORMER, CostTask, Point, Sizes
from model.studies.cost.transformer import Transformer, kept_per_token, llama_config

if TYPE_CHECKING:
    from kernels.types import Scan
    from model.arch.lm import LanguageModel

STEPS, REPEATS, SNAPSHOTS = 16, 9, 1024


class Subject(Protocol):
    """What is timed: it reads from the start, and token by token from what it remembers."""

    def read(self, ids: np.ndarray) -> Iterator[Any]:
        """What is remembered after every segment of ``ids`` (n_tokens,)."""
        ...

    def step(self, token: int, memory: Any) -> Any:
        """What is remembered after one ``token`` more."""
        ...

    def held(self, memory: Any) -> int:
        """Bytes of what is remembered."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """The model of this program, through the loop that readings use; ``recorded`` adds their telemetry."""

    model: LanguageModel
    state: State
    segment: int
    recorded: bool = False

    def read(self, ids: np.ndarray) -> Iterator[State]:
        """The state after every segment."""
        config = self.model.config
        recorder: Recorder | None = None
        scans: list[Scan] = [scan] * len(config.layers)
        if self.recorded:
            spread = torch.ones(len(config.layers), config.recorded_heads)
            sketcher = Sketcher(config.d_inner * config.d_state, spread)
            positions = snapshot_positions(len(ids), SNAPSHOTS)
            recorder = Recorder(config.layers, positions, sketcher, config.recorded_heads)
            scans = recorder.scans(scans, token_norms=False)
        for part in read(self.model, ids, self.state, scans, recorder=recorder, size=self.segment):
            yield part.state

    def step(self, token: int, state: State) -> State:
        """The state after one token more, whose next is predicted."""
        with torch.inference_mode():
            tokens = torch.tensor([[token]], device=self.model.head.device)
            hidden, state = self.model.hidden(tokens, state)
            self.model.logits(hidden).argmax(-1).item()
        return state

    def held(self, state: State) -> int:
        """Bytes of the state."""
        return sum(tensor.nbytes for tensor in flatten_state(state).values())


class Subjects:
    """The subjects of a task by reader, and what they are; UserError if this machine has no room for them."""

    def __init__(self, task: CostTask) -> None:
        card = model_card(task.model)
        window = attention_window(card.config, None, card.train_length)
        model = load_model(task.model, "float32", task.device)
        model = model.seeing(window) if window else model
        state, config = model.zero_state(), model.config
        parameters = sum(weight.numel() for weight in model.parameters())
        free = free_memory(task.device)
        if 4 * parameters > free:
            raise UserError("cost.no_room", needed=gigabytes(4 * parameters), free=gigabytes(free))
        segment = min(PAIRS, segment_of(config, model.head.device))
        layers = len(config.layers) + getattr(config, "attention_layers", 0)
        theirs = llama_config(config.d_model, layers, config.vocab_size, config.tied, parameters)
        transformer = Transformer(theirs, task.device, segment)
        plain = Recurrent(model=model, state=state, segment=segment)
        self._of: dict[str, Subject] = {
            PLAIN: plain,
            RECORDED: replace(plain, recorded=True),
            TRANSFORMER: transformer,
        }
        self.device = task.device
        self.sizes = Sizes(
            parameters=parameters,
            transformer=transformer.parameters,
            state=plain.held(state),
            kept_per_token=kept_per_token(theirs),
            layers=layers,
            d_model=config.d_model,
            vocab_size=config.vocab_size,
            threads=torch.get_num_threads(),
            segment=segment,
            attention=4 * config.kept_per_token if isinstance(config, PublishedConfig) else cached(model, state),
            window=kept_window(config, window) if isinstance(config, PublishedConfig) else cache_window(model),
        )
        self._warm: set[str] = set()

    def measure(
        self,
        name: str,
        length: int,
        stop: Callable[[], bool] = lambda: False,
        passed: Callable[[str, int, int], None] = lambda reader, length, read: None,
    ) -> Point | None:
        """The point of ``name`` at ``length`` tokens; None once ``stop()`` is true between two segments.

        ``passed(reader, length, tokens)`` is called after every segment. The first reading of a subject comes after one
        for nothing, in which libraries compile and threads start. The quickest of a few readings counts: whatever else
        the machine does only makes one longer.
        """
        subject, ids = self._of[name], random_tokens(length + STEPS, self.sizes.vocab_size)
        began = time.perf_counter()
        if name not in self._warm:
            for warm in subject.read(ids[: self.sizes.segment + 1]):
                subject.step(int(ids[0]), warm)
            self._warm.add(name)
        times: list[float] = []
        memory: Any = None
        while not times or (sum(times) < LEAST and len(times) < REPEATS):
            start = self._now()
            for part, after in enumerate(subject.read(ids[:length]), 1):
                memory = after
                passed(name, length, min(length, part * self.sizes.segment))
                if stop():
                    return None
            times.append(self._now() - start)
        held = subject.held(memory)
        step = None if name == RECORDED else self._step(subject, ids[length:], memory)
        return Point(
            reader=name,
            length=length,
            seconds=min(times),
            step=step,
            held=held,
            repeats=len(times),
            spent=time.perf_counter() - began,
        )

    def _step(self, subject: Subject, ids: np.ndarray, memory: Any) -> float:
        """Seconds of one token more, the quickest of a few."""
        times = []
        for token in ids:
            start = self._now()
            memory = subject.step(int(token), memory)
            times.append(self._now() - start)
        return min(times)

    def _now(self) -> float:
        if self.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()


def cached(model: LanguageModel, empty: State) -> int:
    """Bytes that the caches of ``model``, which are ``empty``, keep of a token."""
    layers = zip(model.config.layers, empty, strict=True)
    parts = [part for name, layer in layers if MIXERS[name].cache for part in layer.memory.past]
    return sum(part.element_size() * part.shape[2:].numel() for part in parts)


def cache_window(model: LanguageModel) -> int | None:
    """Tokens of which the caches of ``model`` keep something: the widest window; None for all, 0 without a cache."""
    mixers: list[Any] = [block.mixer for block in model.blocks]
    windows = [mixer.window for name, mixer in zip(model.config.layers, mixers, strict=True) if MIXERS[name].cache]
    return None if None in windows else max(windows, default=0)


def kept_window(config: PublishedConfig, window: int) -> int:
    """Tokens of which attention beside the memories keeps something: all of its window but the one that is read."""
    return max(0, (window or config.kept_tokens or 0) - 1)


def random_tokens(count: int, vocab_size: int) -> np.ndarray:
    """The same random tokens for every reader, (count,) int64: no time depends on which they are."""
    assert count <= LONGEST + STEPS
    return np.random.default_rng(0).integers(vocab_size, size=count)
