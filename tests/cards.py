"""The measured part of each card of the family set; ``python -m tests.cards`` writes it from the stored results.

The rest of a card is written by hand; ``docs/architectures.md`` says how they are measured.
"""

from pathlib import Path

from model.checkpoints.catalogue import SHIPPED
from model.studies.architectures import Architecture
from model.studies.architectures.report import markdown, row
from model.studies.architectures.run import SHIPPED as RESULTS

BEGIN, END = "<!-- measured: python -m tests.cards -->\n", "<!-- end of measured -->"


def cards() -> dict[Path, str]:
    """The cards with a measured table, and what each is to be."""
    found = {}
    for file in sorted(SHIPPED.glob("*/README.md")):
        text = file.read_text("utf-8")
        if BEGIN in text:
            before, rest = text.split(BEGIN)
            result = Architecture.load(RESULTS / f"{file.parent.name}.json")
            found[file] = (
                f"{before}{BEGIN}{markdown([result])}\n{passkeys(result)}\n{speed(result)}{END}{rest.split(END)[1]}"
            )
    return found


def passkeys(result: Architecture) -> str:
    """Right answers by length, as a table."""
    answers = result.passkeys or {}
    rows = [
        ("Passkeys, by length of the text", [f"{length:,}" for length in answers]),
        ("---", ["---"] * len(answers)),
        ("answered right", [f"{right} of {asked}" for right, asked in answers.values()]),
    ]
    return "".join(f"| {' | '.join([name, *cells])} |\n" for name, cells in rows)


def speed(result: Architecture) -> str:
    """Times of reading, in a sentence."""
    assert result.speed is not None
    longest, times = result.speed.points[-1].length, row(result)
    reading = f"Reading {longest:,} tokens takes {times['speed']:.0f} µs a token"
    return f"{reading}, and each token after them {times['step']:.1f} ms ({result.speed.machine}).\n"


if __name__ == "__main__":
    for card, wanted in cards().items():
        card.write_text(wanted, "utf-8")
        print(card.parent.name)
