"""The catalogues: every message exists, is used, and says the same values in both languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from model.messages import catalogue

ROOT = Path(__file__).parents[3]
PAGES = sorted(file.parent.name for file in (ROOT / "viz" / "pages").glob("*/page.py"))
LANGUAGES = {"en": "en-GB", "ja": "ja-JP"}


def sources() -> list[Path]:
    rooms = ("kernels", "model", "viz", "sample_data")
    return [ROOT / "app.py", *(file for room in rooms for file in sorted((ROOT / room).rglob("*.py")))]


def calls() -> Iterator[tuple[str, ast.expr]]:
    """The first argument of every call that asks for a message."""
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in ("t", "message", "UserError", "words"):
                    yield str(file.relative_to(ROOT)), node.args[0]


def _alternatives(node: ast.expr) -> Iterator[re.Pattern[str]]:
    """Patterns of the keys that an argument can be; none for one that is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.compile(re.escape(node.value))
    elif isinstance(node, ast.JoinedStr):
        parts = [re.escape(part.value) if isinstance(part, ast.Constant) else r"[\w.]+" for part in node.values]
        if any(isinstance(part, ast.Constant) and len(part.value) > 3 for part in node.values):
            yield re.compile("".join(parts))
    elif isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _alternatives(value)


def in_templates() -> set[str]:
    """The keys that the templates of reports ask for."""
    files = (ROOT / "viz").rglob("*.html")
    return {key for file in files for key in re.findall(r"\bt\(\"([\w.]+)\"", file.read_text("utf-8"))}


def test_every_message_that_is_asked_for_exists() -> None:
    known = set(catalogue())
    assert in_templates() and in_templates() <= known
    missing = [
        f"{file}: {pattern.pattern}"
        for file, argument in calls()
        for pattern in _alternatives(argument)
        if not any(pattern.fullmatch(key) for key in known)
    ]
    assert not missing


def test_every_message_is_used() -> None:
    strings = [
        node
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant | ast.JoinedStr)
    ]
    patterns = [pattern for node in strings for pattern in _alternatives(node)]
    keys = catalogue().keys() - in_templates()
    assert not [key for key in keys if not any(pattern.fullmatch(key) for pattern in patterns)]


def test_every_message_is_in_both_languages_with_the_same_values() -> None:
    for key, sentences in catalogue().items():
        assert set(sentences) == set(LANGUAGES), key
        fields = [set(re.findall(r"{(\w+)[^}]*}", sentence)) for sentence in sentences.values()]
        assert fields[0] == fields[1], key
        assert all(sentence.strip() for sentence in sentences.values()), key


def test_tables_have_titles_and_help() -> None:
    from model.interventions.initial_states import INITIAL_STATES
    from model.interventions.mitigations import MITIGATIONS, PRESETS

    known = catalogue()
    for topic, table in (("mitigations", MITIGATIONS), ("initial_states", INITIAL_STATES)):
        for name in table:
            assert f"{topic}.{name}_title" in known
            assert f"{topic}.{name}_help" in known
    assert {f"mitigations.preset_{name}" for name in ["none", *PRESETS]} <= set(known)
