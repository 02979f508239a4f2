"""From recordings or a diagnosis to a report: one HTML file that needs no network, or the same pages as PDF."""

from __future__ import annotations

import datetime
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from model.diagnostics.collapse import MATERIAL
from model.disk import write_whole, writing
from model.errors import UserError
from model.messages import message
from model.recording.reader import META, Recording
from model.studies.diagnose import Diagnosis, load
from viz.report import appendix
from viz.report.answers import answers, conclusion, name_of
from viz.report.charts import appendix_charts, charts
from viz.report.chromium import print_pdf
from viz.report.embed import page_of
from viz.report.facts import Facts, of_diagnosis, of_recordings
from viz.report.plan import monitors, recommendation, risks, stages

SUFFIXES = (".html", ".pdf")
MOST_NOTES = 20_000
"""Characters of the notes."""
ROWS = 5
"""Strategies in the table of the second page; the appendix has all."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person adds to a report; ``logo`` is a data URI of :mod:`viz.report.logo`."""

    language: str = "en"
    company: str = ""
    logo: str = ""
    notes: str = ""


def facts_of(sources: Sequence[Path], folders: Sequence[Path] = ()) -> Facts:
    """The facts of folders of recordings, or of the one file of a diagnosis.

    Its recordings are looked for in the folders above it and in ``folders``. UserError for anything else, and for
    readings that are not finished.
    """
    files = [source for source in sources if not source.is_dir()]
    if files and len(sources) > 1:
        raise UserError("report.mixed")
    if files:
        diagnosis = load(files[0])
        above = [files[0].parent, *list(files[0].resolve().parents)[1:3]]
        return of_diagnosis(diagnosis, found_in([*above, *folders], diagnosis))
    recordings = [Recording(source) for source in sources]
    for recording in recordings:
        if not recording.summary:
            raise UserError("report.unfinished", name=recording.title)
    return of_recordings(recordings)


def found_in(folders: Sequence[Path], diagnosis: Diagnosis) -> dict[str, Recording]:
    """The recordings of ``diagnosis`` by key, as far as they are in ``folders`` and can be opened."""
    found = {}
    for key in (result.recording for result in diagnosis.strategies if result.failure is None):
        for folder in folders:
            if not re.fullmatch(r"[0-9a-f]{12}", key) or not (folder / key / META).exists():
                continue
            with suppress(UserError):
                recording = Recording(folder / key)
                if recording.experiment.document == diagnosis.document:
                    found[key] = recording
            break
    return found


def html_of(facts: Facts, wishes: Wishes, date: datetime.date) -> str:
    """The report as one HTML page."""
    if len(wishes.notes) > MOST_NOTES:
        raise UserError("report.notes_long", limit=MOST_NOTES)
    language = wishes.language
    table = appendix.effects(facts, language, ROWS)
    return page_of(
        "report.html",
        language,
        title=message("report.title", language, document=facts.document_name),
        facts=facts,
        wishes=wishes,
        date=written(date, language),
        model=(facts.plain or facts.readings[0]).model,
        conclusion=conclusion(facts, language),
        answers=answers(facts, language),
        charts=charts(facts, language),
        missing=sum(reading.recording is None for reading in facts.readings),
        effects=table,
        left_out=len(facts.readings) - len(table),
        all_effects=appendix.effects(facts, language),
        recommendation=recommendation(facts, language),
        risks=risks(facts, language),
        stages=stages(facts, language),
        monitors=monitors(facts, language),
        used="" if facts.used is None else name_of(facts.used, language),
        numbers=appendix.numbers(facts, language),
        settings=appendix.settings(facts, language),
        commands=appendix.commands(facts),
        more=appendix_charts(facts, language),
        material=MATERIAL,
        paragraphs=[part for part in re.split(r"\n\s*\n", wishes.notes.strip()) if part.strip()],
    )


def make(
    facts: Facts,
    target: Path,
    wishes: Wishes,
    *,
    date: datetime.date | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the report to ``target``, .html or .pdf; UserError if it is neither, or no browser can print."""
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError("report.unknown_format", name=target.name)
    steps = 2 if suffix == ".html" else 3
    progress(0, steps)
    page = html_of(facts, wishes, date or datetime.date.today())
    progress(1, steps)
    with writing(target), tempfile.TemporaryDirectory(prefix="explorer-") as folder:
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".html":
            write_whole(target, page.encode())
        else:
            file = Path(folder) / "report.html"
            file.write_text(page, "utf-8")
            progress(2, steps)
            print_pdf(file, target)
    progress(steps, steps)


def file_name(facts: Facts, suffix: str, date: datetime.date | None = None) -> str:
    """A name that says document and date: ``report-specification-2026-11-28.pdf``."""
    stem = re.sub(r"[^\w.-]+", "-", Path(facts.document_name).stem).strip("-.")[:60] or "document"
    return f"report-{stem}-{(date or datetime.date.today()).isoformat()}{suffix}"


def written(date: datetime.date, language: str) -> str:
    """``date`` as it is written in a document."""
    if language == "ja":
        return f"{date.year}年{date.month}月{date.day}日"
    return f"{date.day} {date:%B} {date.year}"
