"""What the documents list, from the program itself: ``python -m tests.reference`` writes it anew.

``docs/reference.md`` is generated whole; the table of arrays goes between two marks of ``docs/recordings.md``.
"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from model.cli.main import app
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS
from model.messages import message
from model.mixers import MIXERS
from model.published import FAMILIES
from model.recording.schema import ARRAYS
from model.studies.passkey.questions import QUESTIONS
from viz.app.navigation import PAGES
from viz.ui.terms import without_terms

ROOT = Path(__file__).parent.parent
REFERENCE, RECORDINGS = ROOT / "docs" / "reference.md", ROOT / "docs" / "recordings.md"
BEGIN, END = "<!-- arrays: python -m tests.reference -->\n", "<!-- end of arrays -->"
VARIABLES = {
    "MEMORY_EXPLORER_HOME": "The data folder: checkpoints, kept recordings and results of this user.",
    "MEMORY_EXPLORER_SHARED": "`1`: many people use this server, each browser in its own workspace; `0`: one person "
    "does. Unset, it is 0 if the server listens on this machine alone (`--server.address localhost`).",
    "MEMORY_EXPLORER_DAYS": "Days without a visit after which the workspace of a browser is deleted: 30.",
    "MEMORY_EXPLORER_KERNEL": "`triton` or `chunked` forces the kernel of the scan.",
    "MEMORY_EXPLORER_TOKENS": "Most tokens of one reading in the app; unset: no limit.",
    "MEMORY_EXPLORER_QUEUE": "Most jobs of one person that wait or run in the app; unset: no limit.",
    "MEMORY_EXPLORER_MEGABYTES": "Most megabytes that the app keeps for one person; unset: no limit.",
    "MEMORY_EXPLORER_DEVICE": "What `--device auto` means: `cpu`, `cuda`, or the GPU where there is one.",
    "MEMORY_EXPLORER_JOBS": "`threads` lets the dashboard compute in its own process, without a worker process.",
}


def commands() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    parts = []
    found = dict(group.commands)  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found |= {f"{name} {part}": each for part, each in inner.items()}
    for name, command in sorted(found.items()):
        summary = (command.help or "").split("\n\n")[0].replace("\n", " ").strip()
        rows = [
            f"### `memory-explorer {name}`\n\n{summary}\n",
            "| argument or option | default | meaning |",
            "|---|---|---|",
        ]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            label = ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.name.upper()
            default = "" if parameter.default in (None, False, ()) or parameter.required else str(parameter.default)
            rows.append(f"| `{label}` | {default} | {' '.join((parameter.help or '').split())} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def reference() -> str:
    """The text of ``docs/reference.md``."""
    titled = [("mitigations", MITIGATIONS), ("initial_states", INITIAL_STATES)]
    sections = [
        "# Reference\n\nWritten by `python -m tests.reference` from the program itself.",
        f"## Commands\n\n{commands()}",
        "## Environment variables\n\n"
        + table(("variable", "meaning"), [(f"`{name}`", text) for name, text in VARIABLES.items()]),
        "## Pages\n\n"
        + table(
            ("page", "shows"),
            [(message(f"{name}.page.title"), without_terms(message(f"{name}.page.help"))) for name in PAGES],
        ),
    ]
    for topic, rows in titled:
        heading = topic.replace("_", " ").capitalize()
        cells = [(f"`{name}`", message(f"{topic}.{name}_title"), message(f"{topic}.{name}_help")) for name in rows]
        sections.append(f"## {heading}\n\n{table(('name', 'title', 'what it does'), cells)}")
    sections += [
        "## Mixers\n\n"
        + table(
            ("name", "class", "decay"),
            [(f"`{k}`", f"`{v.path}`", "per head" if v.decay_per_head else "per channel") for k, v in MIXERS.items()],
        ),
        "## Published families\n\n"
        + table(("model type", "family"), [(f"`{name}`", row.title) for name, row in FAMILIES.items()]),
        "## Questions of the passkey test\n\n" + table(("name",), [(f"`{name}`",) for name in QUESTIONS]),
    ]
    return "\n\n".join(sections) + "\n"


def with_arrays(text: str) -> str:
    """``docs/recordings.md`` with the table of arrays as the schema has it now."""
    rows = [
        (
            f"`{name}`",
            ", ".join(row.dimensions),
            row.dtype,
            row.unit or "1",
            row.meaning + (f" ({row.optional})" if row.optional else ""),
        )
        for name, row in ARRAYS.items()
    ]
    arrays = table(("array", "dimensions", "dtype", "unit", "meaning"), rows)
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: f"{BEGIN}{arrays}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    REFERENCE.write_text(reference(), "utf-8")
    RECORDINGS.write_text(with_arrays(RECORDINGS.read_text("utf-8")), "utf-8")
