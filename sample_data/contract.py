"""A master supply and maintenance agreement in English, with schedules, letters, amendments and work orders."""

from __future__ import annotations

from datetime import date, timedelta

from sample_data.grammar import Pools, Writer, load_pools

SEED = 4471
AMENDMENTS = 7
WORK_ORDERS = 68
MEETINGS = 24
FIRST_ORDER = date(2023, 4, 24)
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
TITLE = """\
MASTER SUPPLY AND MAINTENANCE AGREEMENT

between Orrin & Vale Table Foods plc ("the Customer")
and Halewick Process Systems Ltd ("the Supplier")

This document is fictitious. It was written as a sample, concerns no real company or person, and is not legal advice.
"""


def contract() -> str:
    """The whole agreement, always the same."""
    pools = load_pools("contract_en")
    writer = Writer(pools, SEED)
    return "\n".join(
        [
            TITLE,
            _recitals(pools),
            _clauses(pools),
            _numbered("EXPLANATORY NOTES, agreed by the parties and without legal effect", "N.", pools["note.line"]),
            _numbered("SCHEDULE 1. GOODS AND OLDER MACHINES", "1.", writer.lines("goods.line", 16)),
            _schedules(pools),
            _numbered("SCHEDULE 5. CRITICAL AND WEARING PARTS", "5.", writer.lines("parts.line", 32)),
            _amendments(writer),
            _work_orders(writer),
            _meetings(writer),
            _seasons(pools),
            _letters(pools),
            _signatures(),
        ]
    )


def _recitals(pools: Pools) -> str:
    lines = [f"({letter}) {text}" for letter, text in zip("ABCDE", pools["recital"], strict=True)]
    return "\n".join(["RECITALS\n", *lines, ""])


def _clauses(pools: Pools) -> str:
    """Clause 1 holds the definitions; the others follow in the order of the pools."""
    lines = ["1. DEFINITIONS\n", "In this Agreement the following words have these meanings:", *pools["definition"], ""]
    clauses = [(name.removeprefix("clause."), text) for name, text in pools.items() if name.startswith("clause.")]
    for number, (title, paragraphs) in enumerate(clauses, start=2):
        lines.append(f"{number}. {title.upper()}\n")
        lines += [f"{number}.{paragraph} {text}" for paragraph, text in enumerate(paragraphs, start=1)]
        lines.append("")
    return "\n".join(lines)


def _numbered(title: str, prefix: str, lines: list[str]) -> str:
    return "\n".join([f"{title}\n", *(f"{prefix}{number} {text}" for number, text in enumerate(lines, start=1)), ""])


def _schedules(pools: Pools) -> str:
    """The schedules written once; names and forms are kept apart, as such papers usually are."""
    schedules = [(name.removeprefix("schedule."), text) for name, text in pools.items() if name.startswith("schedule.")]
    lines = [
        _numbered(f"SCHEDULE {number}. {title.upper()}", f"{number}.", paragraphs)
        for number, (title, paragraphs) in zip((2, 3, 4, 8, 10), schedules, strict=True)
    ]
    lines.append("Schedules 6, 7 and 9 hold names, forms and open orders and are kept in a folder apart.\n")
    return "\n".join(lines)


def _amendments(writer: Writer) -> str:
    lines = []
    for number in range(1, AMENDMENTS + 1):
        changes = [writer.line("amend.change", **_machine(writer)) for _ in range(writer.between(3, 5))]
        lines += [
            f"AMENDMENT No. {number}\n",
            f"Whereas: {' '.join(writer.lines('amend.recital', 2))}",
            "It is agreed as follows:",
            *(f"{index}. {text}" for index, text in enumerate(changes, start=1)),
            writer.line("amend.close"),
            "",
        ]
    return "\n".join(lines)


def _work_orders(writer: Writer) -> str:
    lines = ["ANNEX: WORK ORDERS AND REPORTS OF VISITS\n"]
    day = FIRST_ORDER
    for number in range(1, WORK_ORDERS + 1):
        # One order is about one machine and one part of it, whichever lines are drawn.
        about = {**_machine(writer), "word.part": writer.line("word.part")}
        found = writer.lines("work.found", writer.between(1, 2), **about)
        lines += [
            f"Work order WO-{2300 + number} of {_written(day)}, {about['word.site']}",
            f"Reason. {writer.line('work.reason', **about)}",
            f"Work. {' '.join(writer.lines('work.scope', 2, **about))}",
            f"Report by {writer.line('word.technician')}. {' '.join(found)}",
            f"{writer.line('work.done', **about)} {writer.line('work.watch', **about)}",
            "",
        ]
        day = _weekday(day + timedelta(days=writer.between(6, 12)))
    return "\n".join(lines)


def _weekday(day: date) -> date:
    """The day itself, or the Monday after it."""
    return day + timedelta(days=7 - day.weekday() if day.weekday() > 4 else 0)


def _written(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _machine(writer: Writer) -> dict[str, str]:
    """A machine and the site where it stands, as words to remember."""
    site, machine = writer.line("work.machine").split(" | ")
    return {"word.site": site, "word.line": machine}


def _meetings(writer: Writer) -> str:
    lines = ["ANNEX: MINUTES OF THE MONTHLY MEETINGS\n"]
    for number in range(1, MEETINGS + 1):
        month = number + 3
        day = _weekday(date(2023 + (month - 1) // 12, (month - 1) % 12 + 1, writer.between(4, 8)))
        points = [writer.line("meeting.point", **_machine(writer)) for _ in "abc"]
        lines += [
            f"Meeting {number}, {_written(day)}, {writer.line('word.site')}",
            f"Figures. {' '.join(writer.lines('meeting.figure', 2))}",
            *(f"{letter}) {text}" for letter, text in zip("abc", points, strict=True)),
            " ".join(writer.lines("meeting.action", 2)),
            "",
        ]
    return "\n".join(lines)


def _seasons(pools: Pools) -> str:
    reports = [report.split(" | ") for report in pools["season.report"]]
    return "\n".join(["ANNEX: REPORTS ON THE HARVEST SEASONS\n", *(f"{title}\n{text}\n" for title, text in reports)])


def _letters(pools: Pools) -> str:
    lines = ["ANNEX: CORRESPONDENCE\n"]
    letters = sorted(pools["letters.thread"] + pools["letters.more"], key=_sent)
    for number, letter in enumerate(letters, start=1):
        day, sender, subject, text = letter.split(" | ")
        receiver = "Customer" if sender == "Supplier" else "Supplier"
        lines += [f"Letter {number}. {day}, from the {sender} to the {receiver}", f"Subject: {subject}", text, ""]
    return "\n".join(lines)


def _sent(letter: str) -> tuple[int, int, int]:
    day, month, year = letter.split(" | ")[0].split()
    return int(year), MONTHS.index(month), int(day)


def _signatures() -> str:
    return "Signed for the Customer and for the Supplier on 17 March 2023, in two copies, each of them an original.\n"
