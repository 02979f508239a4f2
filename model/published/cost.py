"""What attention beside the memories costs a reading, before it starts: keys and values, and about how long it takes.

    operations a token    2 P  +  2 r K min(t, N)

P parameters, K numbers that attention keeps of a token, r heads of queries for one of keys, N the window. All experts
count, so a model with experts is quicker than is said. The products of a machine are timed once, in a tenth of a
second; a reading does about half as many operations a second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from model.checkpoints.card import ModelCard
from model.machine import operations_per_second
from model.published.config import PublishedConfig, sees_everything
from model.published.files import tensors_in
from model.published.room import SEGMENT, gigabytes

SHARE = 0.5
"""Of the speed of large products: what a reading of the 130M shape of Mamba-2 reaches on a CPU."""


def expected_speed(parameters: int) -> float:
    """About how many tokens a second this machine's CPU reads with a model of so many ``parameters``, in float32.

    Its products alone: what attention adds goes with the window, and a small model also waits for other things.
    """
    return SHARE * operations_per_second() / (2 * max(1, parameters))


class Cost(NamedTuple):
    """``kept``: bytes of the keys and values of a reading's end, of which two copies exist while a segment is read.

    ``operations``: of the whole reading, and ``attention`` those among them that go with the window.
    """

    kept: int
    operations: float
    attention: float

    @property
    def seconds(self) -> float:
        """About how long that takes on this machine's CPU."""
        return self.operations / (SHARE * operations_per_second())


def cost_of(config: PublishedConfig, parameters: int, tokens: int, window: int, control: bool) -> Cost:
    """The cost of ``tokens`` tokens whose attention sees ``window`` at most, or with 0 all of them."""
    width = min(tokens, window or tokens)
    seen = width * (width + 1) / 2 + (tokens - width) * (width + SEGMENT)  # the library scores what it masks too
    heads, pairs = (getattr(config.source, f"num_{name}heads", None) or 1 for name in ("attention_", "key_value_"))
    attention = 2 * (heads / min(pairs, heads)) * config.kept_per_token * seen
    again = 2 * parameters * tokens * 2 if control else 0  # windows of the control overlap by half
    return Cost(4 * config.kept_per_token * width, 2 * parameters * tokens + again + attention, attention)


def notes(card: ModelCard, tokens: int, window: int, control: bool, device: str = "cpu") -> list[tuple[str, Any]]:
    """What to say before ``card`` reads ``tokens`` tokens: message keys, and the values to fill them with.

    Empty for a model without full attention, whose memory does not grow. How long a GPU takes is not said.
    """
    config = card.config
    if not isinstance(config, PublishedConfig) or not sees_everything(config):
        return []
    parameters = sum(entry.size for entry in tensors_in(card.path, card.name).values())
    cost = cost_of(config, parameters, tokens, window, control)
    what = ("published.window_set", {"window": window}) if window else ("published.window_full", {})
    said: list[tuple[str, Any]] = [what, ("published.window_memory", {"kept": gigabytes(2 * cost.kept)})]
    if device == "cpu":
        minutes, share = max(1, round(cost.seconds / 60)), cost.attention / cost.operations
        said.append(("published.window_time", {"minutes": minutes, "share": share}))
    return said
