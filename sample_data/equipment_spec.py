"""An equipment specification in English: numbered clauses, then annexes of data sheets, tests, alarms and answers."""

from __future__ import annotations

from sample_data.grammar import Pools, Writer, load_pools

SEED = 6093
KINDS = ("pump", "valve", "exchanger", "vessel", "drive", "system")
TITLE = """\
MARROWBY SOLVENT RECOVERY UNIT
Equipment specification ES-2207, revision D
Asset number MRW-6093-K

This document is fictitious. It was written as a sample and describes no real plant, company or person.

Revision A was issued for enquiry, B after the bidders' questions, C with the order, and D after the kick-off meeting.
In revision D the passages changed are those on seals, on the controller and on the factory test.
"""
CLOSING = """\
ANNEX H. RECORD OF HAND-OVER

This page is filled in on the day of site acceptance, with a pen, at the table in the field instrument room.
H.1 The asset number on the main nameplate reads MRW-6093-K and agrees with the title page of this specification.
H.2 The vault phrase of section 14, "lantern under the elder tree", has been used for the last time in the presence of
both parties. The new phrase was chosen by the Purchaser and is not recorded here.
H.3 The coast-down times, the reference vibration files and the program archive have been opened and read on the
Purchaser's own computer.
H.4 The open points fit on one page, and each of them has a name and a date.
"""


def equipment_spec() -> str:
    """The whole specification, always the same."""
    pools = load_pools("equipment_spec_en")
    writer = Writer(pools, SEED)
    annexes = [_data_sheets, _tests, _sequences, _alarms, _documents, _answers, _lessons]
    return "\n".join([TITLE, _main(pools), *(annex(writer) for annex in annexes), CLOSING])


def _main(pools: Pools) -> str:
    """The clauses, numbered; they are in the pools in their order and none is drawn by chance."""
    sections = [(name.removeprefix("main."), lines) for name, lines in pools.items() if name.startswith("main.")]
    lines = []
    for section, (title, clauses) in enumerate(sections, start=1):
        lines.append(f"{section}. {title.upper()}\n")
        lines += [f"{section}.{number} {clause}" for number, clause in enumerate(clauses, start=1)]
        lines.append("")
    return "\n".join(lines)


def _data_sheets(writer: Writer) -> str:
    lines = ["ANNEX A. DATA SHEETS\n"]
    items = [(kind, item) for kind in KINDS for item in writer.pools[f"{kind}.item"]]
    for number, (kind, item) in enumerate(items, start=1):
        rows = [row.split(" | ") for row in (writer.write(row) for row in writer.pools[f"{kind}.table"])]
        lines += [
            f"A-{number:02d} {item}",
            f"{writer.line(f'{kind}.duty')} {writer.line('sheet.context')}",
            *(f"    {name:.<44} {value}" for name, value in rows),
            *(f"({letter}) {text}" for letter, text in zip("abcd", writer.lines(f"{kind}.require", 4), strict=True)),
            writer.line("sheet.inspect"),
        ]
        lines += [writer.line("sheet.note"), ""]
    return "\n".join(lines)


def _tests(writer: Writer) -> str:
    lines = ["ANNEX B. TEST PROCEDURES\n"]
    for number, test in enumerate(writer.pools["test.title"], start=1):
        family, title = test.split(" | ")
        steps = _in_order(writer, f"test.step.{family}", writer.between(5, 7))
        lines += [
            f"B-{number:02d} {title}",
            writer.line("test.purpose"),
            f"Preparation. {' '.join(writer.lines('test.prepare', 2))}",
            *(f"Step {step}. {text}" for step, text in enumerate(steps, start=1)),
            writer.line(f"test.accept.{family}"),
        ]
        if writer.chance(0.6):
            lines.append(writer.line("test.remark"))
        lines.append("")
    return "\n".join(lines)


def _sequences(writer: Writer) -> str:
    lines = ["ANNEX C. SEQUENCES IN WORDS\n"]
    for number, sequence in enumerate(writer.pools["sequence.title"], start=1):
        family, title = sequence.split(" | ")
        steps = _in_order(writer, f"sequence.step.{family}", writer.between(5, 7))
        lines += [
            f"C-{number:02d} {title}",
            writer.line("sequence.start"),
            *(f"{step * 10}. {text}" for step, text in enumerate(steps, start=1)),
            writer.line("sequence.end"),
            "",
        ]
    return "\n".join(lines)


def _in_order(writer: Writer, pool: str, count: int) -> list[str]:
    """Different lines of the pool in the order in which they stand there, which is that of the work."""
    chosen = writer.shuffled(writer.pools[pool])[:count]
    return [writer.write(line) for line in writer.pools[pool] if line in chosen]


def _alarms(writer: Writer) -> str:
    lines = ["ANNEX D. ALARMS, THEIR MEANING AND THE RESPONSE\n"]
    for number, text in enumerate(writer.lines("alarm.line", 2 * len(writer.pools["alarm.line"])), start=1):
        condition, meaning, response = text.split(" | ")
        lines.append(f"D-{number:03d} {condition}\n  Meaning: {meaning}\n  Response: {response}")
    return "\n".join(lines) + "\n"


def _documents(writer: Writer) -> str:
    lines = ["ANNEX E. DOCUMENTS TO BE DELIVERED\n"]
    for number, title in enumerate(writer.pools["document.title"], start=1):
        lines.append(f"{number:2d}  {title}, {writer.line('document.review')}")
    return "\n".join(lines) + "\n"


def _answers(writer: Writer) -> str:
    lines = ["ANNEX F. QUESTIONS AND ANSWERS DURING ENQUIRY AND ENGINEERING\n"]
    for number, text in enumerate(writer.lines("answer.line", 2 * len(writer.pools["answer.line"])), start=1):
        question, answer = text.split(" | ")
        lines.append(f"F-{number:02d} Question: {question}\n     Answer: {answer}")
    return "\n".join(lines) + "\n"


def _lessons(writer: Writer) -> str:
    lines = ["ANNEX G. LESSONS FROM THE FORMER UNIT\n"]
    lines += [f"G-{number:02d} {text}\n" for number, text in enumerate(writer.pools["lesson.line"], start=1)]
    return "\n".join(lines)
