"""A small grammar that writes long documents: pools of lines, nested choices, numbers, names remembered.

    [a|b|c]    one of the alternatives, which may hold anything again; [a|] is optional text
    [#a|b]     as above, but all choices of a line that open with # go together: [#rain|sun] ... [#wet|dry]
    {pool}     a line of that pool, itself expanded; {^pool} begins with a capital letter
    {x=pool}   the same, and remembered as x until the end of the line; {x} then repeats it word for word
    {3-17}     a whole number; {0.8-2.4} has the decimals of its bounds, {00-59} their digits

A pool is dealt like a deck of cards: no line returns before every other line was used, which is what keeps a
long document varied. A pool is a key of a TOML file with one line of text per alternative.
"""

from __future__ import annotations

import random
import re
import tomllib
from importlib import resources

Pools = dict[str, list[str]]

_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
_CLOSING = {"[": "]", "{": "}"}


def load_pools(name: str) -> Pools:
    """The pools of ``sample_data/pools/<name>.toml``: ``{"pool": ["line", ...]}``; a table gives ``"table.pool"``."""
    text = (resources.files(__package__) / "pools" / f"{name}.toml").read_text("utf-8")
    pools: Pools = {}

    def collect(prefix: str, table: dict) -> None:
        for key, value in table.items():
            if isinstance(value, dict):
                collect(f"{prefix}{key}.", value)
            else:
                pools[prefix + key] = [line for line in value.splitlines() if line.strip()]

    collect("", tomllib.loads(text))
    return pools


class Writer:
    """Expands lines of the grammar, the same way for the same seed."""

    def __init__(self, pools: Pools, seed: int) -> None:
        """A fresh writer: every deck is full."""
        self.pools = pools
        self._random = random.Random(seed)
        self._decks: Pools = {}
        self._used: Pools = {}

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        # Only random() is promised to give the same numbers in every Python version.
        return int(self._random.random() * n)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random.random() < probability

    def choose(self, options: list[str]) -> str:
        """One of the options."""
        return options[self.below(len(options))]

    def shuffled(self, items: list[str]) -> list[str]:
        """The items in a new order."""
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
        return items

    def draw(self, pool: str) -> str:
        """The next unexpanded line from the pool's deck; KeyError if there is no such pool."""
        if pool not in self._decks:
            self._decks[pool] = self.shuffled(self.pools[pool])
            self._used[pool] = []
        deck, used = self._decks[pool], self._used[pool]
        if not deck:
            # What was seen long ago comes first, so a line cannot follow itself from one deck to the next.
            half = (len(used) + 1) // 2
            deck += self.shuffled(used[half:]) + self.shuffled(used[:half])
            used.clear()
        used.append(deck.pop())
        return used[-1]

    def line(self, pool: str, **names: str) -> str:
        """A line of the pool, expanded."""
        return self.write(self.draw(pool), **names)

    def lines(self, pool: str, count: int, **names: str) -> list[str]:
        """So many lines of the pool, expanded."""
        return [self.line(pool, **names) for _ in range(count)]

    def write(self, text: str, **names: str) -> str:
        """The text with its choices made; ``names`` are remembered words, as after ``{x=pool}``."""
        return self._expand(text, dict(names))

    def _expand(self, text: str, names: dict[str, str]) -> str:
        written = []
        while opening := re.search(r"[\[{]", text):
            written.append(text[: opening.start()])
            inner, text = _cut(text[opening.start() :])
            if opening[0] == "[":
                written.append(self._expand(self._alternative(inner, names), names))
            else:
                written.append(self._slot(inner, names))
        return "".join([*written, text])

    def _alternative(self, inner: str, names: dict[str, str]) -> str:
        options = _alternatives(inner.removeprefix("#"))
        if not inner.startswith("#"):
            return self.choose(options)
        if "#" not in names:
            names["#"] = str(self.below(len(options)))
        return options[int(names["#"])]

    def _slot(self, slot: str, names: dict[str, str]) -> str:
        if bounds := _RANGE.fullmatch(slot):
            return self._number(bounds[1], bounds[2])
        capital, slot = slot.startswith("^"), slot.removeprefix("^")
        name, _, pool = slot.rpartition("=")
        if not name and pool in names:
            words = names[pool]
        else:
            words = self._expand(self.draw(pool), {key: word for key, word in names.items() if key != "#"})
        if name:
            names[name] = words
        return words[:1].upper() + words[1:] if capital else words

    def _number(self, low: str, high: str) -> str:
        decimals = len(low.partition(".")[2])
        scale = 10**decimals
        value = self.between(round(float(low) * scale), round(float(high) * scale))
        if decimals:
            return f"{value / scale:.{decimals}f}"
        return f"{value:0{len(low)}d}" if low.startswith("0") else str(value)


def _cut(text: str) -> tuple[str, str]:
    """What stands between the bracket that opens the text and its partner, and what follows."""
    opening, closing, depth = text[0], _CLOSING[text[0]], 0
    for position, letter in enumerate(text):
        depth += (letter == opening) - (letter == closing)
        if not depth:
            return text[1:position], text[position + 1 :]
    raise ValueError(f"bracket is not closed: {text[:60]}")


def _alternatives(inner: str) -> list[str]:
    """Split at the bars that stand in no inner bracket."""
    parts, depth = [""], 0
    for letter in inner:
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
