"""Every sentence that a user may read, in English and Japanese, side by side.

Each TOML file here is one topic; each table in it is one message with the keys ``en`` and ``ja``. ``document.toml``
with a table ``[encrypted]`` gives the key ``"document.encrypted"``; a table of tables is a group, so ``[cell.look]`` in
the topic ``passkey`` gives ``"passkey.cell.look"``. Placeholders are those of ``str.format``. What only the dashboard
says stands beside it, in a ``messages.toml`` whose topic is the name of its folder: :func:`add_folders` takes those
in. A message that is missing in a language is a bug that a test finds, so nothing falls back.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "ja")
FILE = "messages.toml"

_files: dict[Path, str] = {file: file.stem for file in sorted(Path(__file__).parent.glob("*.toml"))}

_missing: dict[str, dict[str, str]] = {}


def add_folders(folders: Iterable[Path]) -> None:
    """Take in the messages of ``folders``, those that have any; the topic is the name of the folder."""
    _files.update({folder / FILE: folder.name for folder in folders if (folder / FILE).exists()})
    catalogue.cache_clear()


def add_file(file: Path, topic: str) -> None:
    """Take in the messages of ``file`` as some of ``topic``."""
    _files[file] = topic
    catalogue.cache_clear()


def add_missing(key: str, sentence: str) -> None:
    """Say ``sentence`` in every language where no file has the message ``key``."""
    if key not in catalogue():
        _missing[key] = dict.fromkeys(LANGUAGES, sentence)
        catalogue.cache_clear()


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """All messages: ``{"topic.name": {"en": ..., "ja": ...}}``; ValueError if two files say the same one."""
    messages = dict(_missing)
    for file, topic in _files.items():
        for key, sentences in _messages(tomllib.loads(file.read_text("utf-8")), topic):
            if key in messages:
                raise ValueError(f"{key} stands in {file} and elsewhere")
            messages[key] = sentences
    return messages


def _messages(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, entry in table.items():
        if all(isinstance(value, str) for value in entry.values()):
            yield f"{prefix}.{name}", entry
        else:
            yield from _messages(entry, f"{prefix}.{name}")


def message(key: str, language: str = "en", **values: object) -> str:
    """The message ``key`` in ``language`` with its placeholders filled in; KeyError if there is none."""
    sentence = catalogue()[key][language]
    return sentence.format(**values) if values else sentence
