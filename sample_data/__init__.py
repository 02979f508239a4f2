"""Long documents that ship with the dashboard, so that every page has something to read at once.

All of them were written for this project by seeded generators (``sample_data.generate``); no text was taken from
anywhere, and the companies, plants and people in them are invented. In each, a few facts from the first pages are
asked for again near the end, as they are in real files. The titles that a user reads are the messages
``samples.<key>`` of the catalogue.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """A document of this folder: UTF-8, line feeds only."""

    file: str
    language: str | None  # "en" or "ja"; None where there are no words
    kind: str  # "log", "prose" or "degenerate"


SAMPLES = {
    "plant_log_ja": Sample("plant_log_ja.txt", "ja", "log"),
    "equipment_spec_en": Sample("equipment_spec_en.txt", "en", "prose"),
    "contract_en": Sample("contract_en.txt", "en", "prose"),
    "server_log_en": Sample("server_log_en.log", "en", "log"),
    "meeting_minutes_ja": Sample("meeting_minutes_ja.txt", "ja", "prose"),
    "newlines": Sample("newlines.txt", None, "degenerate"),
}


def sample_path(key: str) -> Path:
    """The path of the sample's file; KeyError if there is no such sample."""
    return Path(__file__).parent / SAMPLES[key].file


def sample_text(key: str) -> str:
    """The sample's text, exactly as generated; KeyError if there is no such sample."""
    return sample_path(key).read_bytes().decode("utf-8")
