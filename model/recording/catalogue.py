"""The catalogue of a folder of recordings: an SQLite file beside them that makes thousands quick to search and sort.

The folders are the truth. The catalogue is rebuilt from them if it is lost, damaged or of another version, and
:meth:`Catalogue.refresh` takes in what was written, changed or deleted there by anyone: another process, the command
line, a file manager. It costs two ``stat`` calls a folder; only what has changed is read.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from model.errors import UserError
from model.experiment import Experiment
from model.recording.notes import Notes
from model.recording.reader import RUNNING, Meta, Recording, read_progress

FILE = "catalogue.sqlite"
VERSION = 1
"""Version of the table: a file of another one is built anew."""
SORTS = ("created", "title", "document", "model", "strategy", "verdict", "tokens", "excess", "tags", "note")
"""What a list can be sorted by."""
UNSETTLED = 50_000_000
"""Nanoseconds within which a file may change again without a later time of change: it is read again."""
SHARE = 10
"""Looking for changes takes at most one part in ``SHARE`` of the time."""


class Row(NamedTuple):
    """What the table says of one recording."""

    folder: str
    key: str
    title: str
    document: str
    model: str
    strategy: str
    status: str
    verdict: str
    created: str
    tokens: int
    excess: float | None
    tags: str
    note: str
    pinned: int
    experiment: str


COLUMNS = (*Row._fields, "mark", "searched")


@dataclass(frozen=True)
class Entry:
    """One recording as the catalogue knows it, without opening it."""

    library: Path
    row: Row

    @property
    def path(self) -> Path:
        """The folder of the recording."""
        return self.library / self.row.folder

    @property
    def key(self) -> str:
        """The experiment's key."""
        return self.row.key

    @property
    def title(self) -> str:
        """The name its owner gave it."""
        return self.row.title

    @property
    def document_name(self) -> str:
        """The name of the document's file."""
        return self.row.document

    @property
    def read_tokens(self) -> int:
        """Tokens that were read."""
        return self.row.tokens

    @cached_property
    def experiment(self) -> Experiment:
        """What was run."""
        return Experiment.from_json(json.loads(self.row.experiment))

    @property
    def notes(self) -> Notes:
        """Tags, note and pin."""
        tags = tuple(self.row.tags.split("\n")) if self.row.tags else ()
        return Notes(tags=tags, note=self.row.note, pinned=bool(self.row.pinned))

    @property
    def finished(self) -> bool:
        """Whether it can be looked at: complete, or cancelled with something read."""
        return self.row.status != RUNNING and self.row.tokens > 1


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which recordings, and in which order; pinned ones come first.

    ``words`` are what was searched for, each by its alternatives, one of which must be in the title, document, model,
    strategy, verdict, tags or note. ``finished`` leaves out what cannot be looked at yet.
    """

    words: tuple[tuple[str, ...], ...] = ()
    key: str = ""
    model: str = ""
    finished: bool = False
    sort: str = "created"
    descending: bool = True
    limit: int = -1


class Catalogue:
    """The recordings in ``folder``; ``judge`` gives the verdict of a summary, "" if there is none.

    ``in_memory`` leaves no file, for folders that may not be written to or do not last. Threads may share one.
    """

    def __init__(
        self, folder: Path, judge: Callable[[Mapping[str, Any]], str] = lambda _: "", *, in_memory: bool = False
    ) -> None:
        self.folder = folder
        self._judge, self._in_memory = judge, in_memory
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._rest = 0.0

    def refresh(self, *, now: bool = False) -> None:
        """Take in what has changed in the folder; without ``now`` this rests between looks at a large folder."""
        with self._lock:
            began = time.monotonic()
            if began < self._rest and not now:
                return
            try:
                self._take_in()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:  # it is only written to: the next look takes in more
                    self._build_anew()
                    self._take_in()
            self._rest = time.monotonic() + SHARE * (time.monotonic() - began)

    def find(self, query: Query) -> list[Entry]:
        """The recordings that ``query`` describes, as they were at the last :meth:`refresh`."""
        condition, values = _condition(query)
        sort = query.sort if query.sort in SORTS else "created"
        direction = "DESC" if query.descending else "ASC"
        order = f"pinned DESC, {sort} IS NULL OR {sort} = '', {sort} COLLATE NOCASE {direction}, created DESC, folder"
        select = f"SELECT {', '.join(Row._fields)} FROM recordings WHERE {condition} ORDER BY {order} LIMIT ?"
        return [Entry(self.folder, Row._make(row)) for row in self._rows(select, (*values, query.limit))]

    def count(self, query: Query) -> int:
        """How many recordings ``query`` describes, whatever its limit."""
        condition, values = _condition(query)
        return int(self._rows(f"SELECT count(*) FROM recordings WHERE {condition}", values)[0][0])

    def unreadable(self) -> list[UserError]:
        """Why folders that look like recordings cannot be opened: damaged, or of a later version."""
        found = []
        for (name,) in self._rows("SELECT folder FROM recordings WHERE key = '' ORDER BY folder"):
            try:
                Recording(self.folder / name)
            except UserError as error:
                found.append(error)
        return found

    def rename(self, entry: Entry, title: str) -> None:
        """Give a recording another title."""
        Recording(entry.path).rename(title)
        self.refresh(now=True)

    def annotate(self, entry: Entry, notes: Notes) -> None:
        """Replace the notes of a recording."""
        notes.write(entry.path)
        self.refresh(now=True)

    def _take_in(self) -> None:
        known = dict(self._rows("SELECT folder, mark FROM recordings"))
        found = marks(self.folder)
        changed = [name for name, mark in found.items() if not mark or known.get(name) != mark]
        gone = [(name,) for name in known.keys() - found.keys()]
        if not (changed or gone):
            return
        rows = [self._row(name, found[name]) for name in changed]
        places = ", ".join("?" * len(COLUMNS))
        with self._database as database:
            database.executemany("DELETE FROM recordings WHERE folder = ?", gone)
            database.executemany(f"INSERT OR REPLACE INTO recordings VALUES ({places})", rows)

    def _row(self, name: str, mark: str) -> tuple[Any, ...]:
        """What the table says of the folder ``name``; an empty key if it is no recording that can be read."""
        path = self.folder / name
        values: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"folder": name, "mark": mark, "pinned": 0}
        try:
            meta = Meta.read(path)
            tokens = int(read_progress(path, meta)["tokens"])
            experiment, notes = meta.experiment, Notes.read(path)
            ratio = meta.summary.get("excess_ratio")
            values |= {
                "key": experiment.key,
                "title": meta.title,
                "document": meta.document_name,
                "model": experiment.model,
                "strategy": strategy_words(experiment),
                "status": meta.status,
                "verdict": self._judge(meta.summary) if meta.summary else "",
                "created": meta.created,
                "tokens": tokens,
                "excess": None if ratio is None else float(ratio) - 1,
                "tags": "\n".join(notes.tags),
                "note": notes.note,
                "pinned": int(notes.pinned),
                "experiment": json.dumps(experiment.to_json()),
            }
        except (UserError, KeyError, TypeError, ValueError):
            values["key"] = ""
        searched = ("title", "document", "model", "strategy", "verdict", "tags", "note")
        values["searched"] = fold("\n".join(str(values[column]) for column in searched))
        return tuple(values[column] for column in COLUMNS)

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    @property
    def _file(self) -> Path:
        return self.folder / FILE

    @property
    def _database(self) -> sqlite3.Connection:
        """The open table; opened again if the file was taken away."""
        on_disk = not self._in_memory and os.access(self.folder, os.W_OK)
        if self._connection is None or (on_disk and not self._file.exists()):
            self._close()
            self._connection = self._open(on_disk)
        return self._connection

    def _open(self, on_disk: bool) -> sqlite3.Connection:
        """The file's table; a file that is none is replaced, and one that cannot be written stays out of use."""
        try:
            return _table(self._file if on_disk else None)
        except sqlite3.DatabaseError:
            try:
                self._file.unlink(missing_ok=True)
                return _table(self._file)
            except (OSError, sqlite3.DatabaseError):
                self._in_memory = True
                return _table(None)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _build_anew(self) -> None:
        self._close()
        self._file.unlink(missing_ok=True)


def _table(file: Path | None) -> sqlite3.Connection:
    """A connection to the table in ``file``, None for memory; empty if it was not there, or of another version."""
    database = sqlite3.connect(file or ":memory:", check_same_thread=False)
    database.execute("PRAGMA synchronous = OFF")  # pages must not wait for the disk, and the table can be built anew
    with database:
        if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            database.execute("DROP TABLE IF EXISTS recordings")
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute(f"CREATE TABLE IF NOT EXISTS recordings ({', '.join(COLUMNS)}, PRIMARY KEY (folder))")
    return database


def _condition(query: Query) -> tuple[str, tuple[str, ...]]:
    """The WHERE clause of ``query``, and its values."""
    parts, values = ["key != ''"], []
    for column, wanted in (("key", query.key), ("model", query.model)):
        if wanted:
            parts.append(f"{column} = ?")
            values.append(wanted)
    if query.finished:
        parts.append("status != ? AND tokens > 1")
        values.append(RUNNING)
    for alternatives in query.words:
        parts.append("(" + " OR ".join(["instr(searched, ?)"] * len(alternatives)) + ")")
        values += [fold(word) for word in alternatives]
    return " AND ".join(parts), tuple(values)


def marks(folder: Path) -> dict[str, str]:
    """The subfolders with a ``recording.json``, each with what changes when something in it is written anew.

    Files of a recording are renamed into place, which changes the time of the folder. The mark is empty where that was
    a moment ago: another change could have the same time.
    """
    found, moment = {}, time.time_ns()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                times = _times(entry)
                if times is None:  # a file, another kind of folder, or deleted since
                    continue
                settled = moment - max(times) > UNSETTLED
                found[entry.name] = f"{times[0]} {times[1]}" if settled else ""
    except OSError:
        return {}
    return found


def _times(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """When the metadata and the folder of a recording changed; of one that lost its metadata, its progress."""
    for name in ("recording.json", "progress.json"):
        try:
            return os.stat(f"{entry.path}/{name}").st_mtime_ns, entry.stat().st_mtime_ns
        except OSError:
            continue
    return None


def strategy_words(experiment: Experiment) -> str:
    """Initial state, mitigations and parts that are off, by their names: "noise decay=4 off:attention"."""
    strategy = experiment.strategy
    mitigations = [f"{name}={value:g}" for name, value in strategy.mitigations]
    return " ".join([strategy.initial_state, *mitigations, *(f"off:{part}" for part in experiment.off)])


def fold(text: str) -> str:
    """``text`` so that case and the width of letters do not matter."""
    return unicodedata.normalize("NFKC", text).casefold()
