"""Every sentence that a user may read, in English and Japanese, side by side.

Each TOML file here is one topic; each table in it is one message with the keys ``en`` and ``ja``.
``document.toml`` with a table ``[encrypted]`` gives the key ``"document.encrypted"``. Placeholders are those
of ``str.format``. A message that is missing in a language is a bug that a test finds, so nothing falls back.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

LANGUAGES = ("en", "ja")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """All messages: ``{"topic.name": {"en": ..., "ja": ...}}``."""
    messages: dict[str, dict[str, str]] = {}
    for file in sorted(resources.files(__package__).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            topic = file.name.removesuffix(".toml")
            for name, sentences in tomllib.loads(file.read_text("utf-8")).items():
                messages[f"{topic}.{name}"] = sentences
    return messages


def message(key: str, language: str = "en", **values: object) -> str:
    """The message ``key`` in ``language`` with its placeholders filled in; KeyError if there is none."""
    sentence = catalogue()[key][language]
    return sentence.format(**values) if values else sentence
