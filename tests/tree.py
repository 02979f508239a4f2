"""The tree of the README, one line per file: ``python -m tests.tree`` writes it anew from the files' first lines."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- tree: python -m tests.tree -->\n```\n", "```\n<!-- end of tree -->"
ROOMS = ("kernels", "model", "viz", "sample_data")


def tree() -> str:
    """Every Python file of the program, folders first where they stand, with the sentence that it opens with."""
    lines = [_line("app.py", 0)]
    for room in ROOMS:
        lines += _folder(ROOT / room, 0)
    return "".join(f"{line}\n" for line in lines)


def _folder(folder: Path, depth: int) -> list[str]:
    lines = [f"{'  ' * depth}{folder.name}/"]
    for entry in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if entry.is_dir() and any(entry.glob("*.py")):
            lines += _folder(entry, depth + 1)
        elif entry.suffix == ".py" and entry.name != "__init__.py":
            lines.append(_line(str(entry.relative_to(ROOT)), depth + 1))
    return lines


def _line(file: str, depth: int) -> str:
    """The file's name and its first sentence, without mark-up."""
    told = ast.get_docstring(ast.parse((ROOT / file).read_text("utf-8"))) or ""
    sentence = re.sub(r":\w+:`([^`]+)`|``", r"\1", told.split("\n")[0]).rstrip(".")
    return f"{'  ' * depth}{Path(file).name:{26 - 2 * depth}s}  {sentence}"


def with_tree(readme: str) -> str:
    """The README with its tree as the files have it now."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + tree() + END + rest.split(END)[1]


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(with_tree(file.read_text("utf-8")), "utf-8")
