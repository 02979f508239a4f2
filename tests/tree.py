"""The tree of ``docs/architecture.md``, one line a folder: ``python -m tests.tree`` writes it anew."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: python -m tests.tree -->\n```\n", "```\n<!-- end of tree -->"
ROOMS = ("kernels", "model", "viz", "sample_data")
SILENT = {"kernels": "The engine room: torch, Triton and numba; its __init__ stays empty for transformers' sake."}


def tree() -> str:
    """Every folder of the program, with the sentence that its package opens with."""
    lines = [f"{'app.py':30s}  {_sentence(ROOT / 'app.py')}"]
    for room in ROOMS:
        lines += _folder(ROOT / room, 0)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _folder(folder: Path, depth: int) -> list[str]:
    said = SILENT.get(folder.name) or _sentence(folder / "__init__.py")
    lines = [f"{'  ' * depth}{folder.name + '/':{30 - 2 * depth}s}  {said}"]
    for entry in sorted(folder.iterdir()):
        if (entry / "__init__.py").exists():
            lines += _folder(entry, depth + 1)
    return lines


def _sentence(file: Path) -> str:
    """The first sentence of a file, without mark-up."""
    said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return re.sub(r":\w+:`([^`]+)`|``", r"\1", said.split("\n")[0]).rstrip(".")


def with_tree(page: str) -> str:
    """``page`` with the tree as the folders have it now."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + tree() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text("utf-8")), "utf-8")
