"""The catalogue says what the folders say, whatever program wrote them, and is built anew from them."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.recording.archive import unpack
from model.recording.catalogue import COLUMNS, FILE, SORTS, Catalogue, Query, fold
from model.recording.export import pack_all
from model.recording.notes import Notes, tags_of
from model.recording.reader import RUNNING, Recording
from tests.support.catalogue import bare_recording
from tests.support.recordings import synthetic_recording


def judge(summary):
    return summary["case"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for number in range(12):
        bare_recording(tmp_path, number)
    yield tmp_path


def listed(catalogue: Catalogue, **query) -> list:
    catalogue.refresh(now=True)
    return catalogue.find(Query(**query))


def test_it_lists_what_the_folders_hold(folder):
    catalogue = Catalogue(folder, judge)
    found = listed(catalogue)
    assert len(found) == 12 and (folder / FILE).exists()
    for entry in found:
        recording = Recording(entry.path)
        assert (entry.key, entry.title, entry.document_name) == (
            recording.key,
            recording.title,
            recording.meta.document_name,
        )
        assert entry.experiment == recording.experiment and entry.read_tokens == recording.read_tokens
        assert entry.row.excess == pytest.approx(recording.summary["excess_ratio"] - 1)
    assert [entry.row.created for entry in found] == sorted((entry.row.created for entry in found), reverse=True)


def test_what_others_write_change_or_delete_appears_by_itself(folder):
    catalogue = Catalogue(folder, judge)
    before = {entry.key for entry in listed(catalogue)}
    by_hand = bare_recording(folder, 99, title="by hand")
    by_hand.rename(folder / "any name")
    assert {entry.key for entry in listed(catalogue)} == before | {by_hand.name}
    Recording(folder / "any name").rename("renamed")
    assert [entry.title for entry in listed(catalogue, key=by_hand.name)] == ["renamed"]
    shutil.rmtree(folder / "any name")
    assert {entry.key for entry in listed(catalogue)} == before
    (folder / "not a recording").mkdir()
    broken = bare_recording(folder, 100)
    (broken / "recording.json").write_text("{", "utf-8")
    assert {entry.key for entry in listed(catalogue)} == before


def test_two_changes_at_one_time_are_both_seen(folder):
    catalogue = Catalogue(folder, judge)
    entry = listed(catalogue)[0]
    catalogue.rename(entry, "first")
    moment = os.stat(entry.path).st_mtime_ns
    Recording(entry.path).rename("second")
    for changed in (entry.path / "recording.json", entry.path):
        os.utime(changed, ns=(moment, moment))
    assert listed(catalogue, key=entry.key)[0].title == "second"


@pytest.mark.parametrize("harm", ["lost", "damaged", "of another version"])
def test_a_catalogue_that_is_lost_is_built_anew(folder, harm):
    catalogue = Catalogue(folder, judge)
    entry = listed(catalogue)[3]
    catalogue.annotate(entry, Notes(tags=("pumps",), note="again", pinned=True))
    before = listed(catalogue)
    if harm == "lost":
        (folder / FILE).unlink()
    elif harm == "damaged":
        (folder / FILE).write_bytes(b"not a database" * 1000)
        catalogue = Catalogue(folder, judge)
    else:
        catalogue._database.execute("PRAGMA user_version = 99")
        catalogue._database.commit()
        catalogue = Catalogue(folder, judge)
    assert listed(catalogue) == before
    assert before[0].key == entry.key and before[0].notes.tags == ("pumps",)  # what is pinned comes first


def test_one_that_another_process_writes_to_is_not_replaced(folder):
    catalogue = Catalogue(folder)
    catalogue.refresh(now=True)
    known = [entry.key for entry in catalogue.find(Query())]
    catalogue._database.execute("PRAGMA busy_timeout = 20")
    identity = (folder / FILE).stat().st_ino
    with closing(sqlite3.connect(folder / FILE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        catalogue.refresh(now=True)
        other.rollback()
    assert (folder / FILE).stat().st_ino == identity
    assert [entry.key for entry in catalogue.find(Query())] == known


def test_search_looks_everywhere_and_ignores_case_and_width(folder):
    catalogue = Catalogue(folder, judge)
    entry = listed(catalogue)[0]
    catalogue.rename(entry, "Ｐｕｍｐ 点検")
    catalogue.annotate(entry, Notes(tags=("線形",), note="Second try"))
    for words in ("pump", "点検", "線形", "SECOND", entry.document_name, entry.row.model, entry.row.verdict):
        assert entry in listed(catalogue, words=((words,),)) or entry.key in {
            found.key for found in listed(catalogue, words=((words,),))
        }
    assert not listed(catalogue, words=(("pump",), ("nowhere",)))
    assert len(listed(catalogue, words=(("nowhere", "pump"),))) == 1
    assert {found.row.strategy for found in listed(catalogue, words=(("decay",),))} == {"zeros decay=4"}
    assert not listed(catalogue, words=(("%",),)) and not listed(catalogue, words=(("' OR 1",),))


@pytest.mark.parametrize("column", SORTS)
def test_it_sorts_by_every_column_with_what_is_unknown_last(folder, column):
    catalogue = Catalogue(folder, judge)
    for number, entry in enumerate(listed(catalogue)[:3]):
        catalogue.annotate(entry, Notes(tags=(f"t{number}",), note=f"n{number}"))
    for descending in (False, True):
        found = listed(catalogue, sort=column, descending=descending)
        values = [getattr(entry.row, column) for entry in found]
        known = [value for value in values if value not in (None, "")]
        assert known == sorted(known, reverse=descending) and values[: len(known)] == known


def test_limits_counts_and_what_can_be_looked_at(folder):
    running = bare_recording(folder, 50, status=RUNNING)
    catalogue = Catalogue(folder, judge)
    assert len(listed(catalogue, limit=5)) == 5 and catalogue.count(Query(limit=5)) == 13
    assert running.name not in {entry.key for entry in listed(catalogue, finished=True)}
    assert {entry.row.model for entry in listed(catalogue, model="mamba2-base")} == {"mamba2-base"}


def test_a_folder_that_cannot_be_written_needs_no_file(folder):
    catalogue = Catalogue(folder, judge, in_memory=True)
    assert len(listed(catalogue)) == 12 and not (folder / FILE).exists()
    assert not listed(Catalogue(folder / "none"))


def test_ten_thousand_rows_are_searched_and_sorted(tmp_path):
    bare_recording(tmp_path, 0, title="original")
    catalogue = Catalogue(tmp_path, judge)
    (entry,) = listed(catalogue)
    row = dict(zip(COLUMNS, catalogue._rows("SELECT * FROM recordings")[0], strict=True))
    rows = [
        tuple((row | {"folder": f"{n}", "key": f"{n:012x}", "title": f"run {n}", "searched": f"run {n}"}).values())
        for n in range(10_000)
    ]
    with catalogue._database as database:
        database.executemany(f"INSERT INTO recordings VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    assert catalogue.count(Query()) == 10_001
    assert [found.title for found in catalogue.find(Query(sort="title", limit=2))] == ["run 9999", "run 9998"]
    assert {found.title for found in catalogue.find(Query(words=(("run 77",), ("9",))))} == {
        f"run {n}" for n in range(10_000) if f"{n}".startswith("77") and "9" in f"{n}"
    }
    assert listed(catalogue) == [entry]  # rows without a folder are gone


def test_threads_may_share_one(folder):
    catalogue = Catalogue(folder, judge)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(listed(catalogue)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [12] * 8


def test_notes_outlive_nonsense_and_leave_no_empty_file(tmp_path):
    Notes(tags=("a", "b"), note="n").write(tmp_path)
    assert Notes.read(tmp_path) == Notes(tags=("a", "b"), note="n")
    for nonsense in ("{", "[]", '{"tags": 3}'):
        (tmp_path / "notes.json").write_text(nonsense, "utf-8")
        assert Notes.read(tmp_path) == Notes()
    Notes().write(tmp_path)
    assert not (tmp_path / "notes.json").exists()
    assert tags_of(" pumps, oil、pumps,, 圧力 ") == ("pumps", "oil", "圧力")
    assert fold("ＡｂＣ") == "abc"


def test_export_of_one_and_of_many_can_be_loaded_again(tmp_path):
    made = [synthetic_recording(tmp_path / "a", 600, seed=seed) for seed in range(2)]
    for recordings in (made[:1], made):
        target = io.BytesIO()
        pack_all(recordings, target)
        files = [target]
        if len(recordings) > 1:
            with zipfile.ZipFile(target) as archive:
                files = [io.BytesIO(archive.read(name)) for name in archive.namelist()]
        loaded = [unpack(file, "x.zip", tmp_path / f"b{len(recordings)}") for file in files]
        assert [recording.key for recording in loaded] == [recording.key for recording in recordings]
