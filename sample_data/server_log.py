"""Five days in the log of a packing hall: machines, servers and the people between them, line by line."""

from __future__ import annotations

from datetime import datetime, timedelta

from sample_data.grammar import Writer, load_pools

SEED = 55120
START = datetime(2024, 10, 7, 5, 0, 0)  # a Monday
END = START + timedelta(days=4, hours=12)
# Numbers that only grow; the sign stands for the next one.
COUNTERS = {"#batch": 48213, "#sample": 64779, "#ticket": 1187, "#pallet": 20418}
HEADER = "# Sample log of an invented packing hall; no real company, person or machine is meant. Times are local."


def server_log() -> str:
    """The whole log, always the same."""
    writer = Writer(load_pools("server_log_en"), SEED)
    entries = _stories(writer)
    moment = START
    while moment < END:
        # The product of two even draws: most gaps are short and a few are long; nights are quiet.
        seconds = writer.between(2, 31) * writer.between(1, 30)
        moment += timedelta(seconds=seconds * (1 if 5 <= moment.hour < 22 else 3))
        entries.append((moment, writer.between(0, 999), writer.line("message")))
    counters = dict(COUNTERS)
    lines = [_written(moment, ms, _counted(text, counters)) for moment, ms, text in sorted(entries)]
    return "\n".join([HEADER, *lines, ""])


def _stories(writer: Writer) -> list[tuple[datetime, int, str]]:
    """What happens once, as (second, millisecond, "level | component | message")."""
    entries = []
    for name, lines in writer.pools.items():
        if name.startswith("story."):
            for line in lines:
                day, clock, text = line.split(" ", 2)
                hour, minute, second = (int(part) for part in clock.split(":"))
                moment = datetime(START.year, START.month, START.day + int(day) - 1, hour, minute, second)
                entries.append((moment, writer.between(0, 999), text))
    return entries


def _counted(text: str, counters: dict[str, int]) -> str:
    for sign in counters:
        if sign in text:
            counters[sign] += 1
            text = text.replace(sign, ("L-" if sign == "#ticket" else "") + str(counters[sign]))
    return text


def _written(moment: datetime, millisecond: int, text: str) -> str:
    level, component, message = text.split(" | ", 2)
    return f"{moment.isoformat(sep=' ')}.{millisecond:03d} {level:<5} {component}: {message}"
