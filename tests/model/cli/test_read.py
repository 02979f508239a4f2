"""Several files in one command: a row each, a sentence for the one that fails, and an exit code that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.cli.inputs import files_of
from model.cli.main import app
from model.errors import UserError
from model.recording.reader import recordings
from tests.support.tiny import make_tiny_checkpoint, tiny_text


@pytest.fixture
def folder(home: Path) -> Path:
    """Two documents, one broken file and a hidden one."""
    make_tiny_checkpoint(home)
    folder = home / "documents"
    (folder / "inner").mkdir(parents=True)
    for number, name in ((10, "b10.txt"), (2, "b2.txt")):
        (folder / name).write_text(tiny_text(120, seed=number), "utf-8")
    (folder / "inner" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (folder / ".hidden.txt").write_text("hidden")
    return folder


def call(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["read", *map(str, arguments), "--model", "tiny", "--no-control"])
    if isinstance(done.exception, UserError):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_broken_file_gives_its_sentence_and_the_rest_go_on(folder: Path) -> None:
    out = folder.parent / "out"
    code, text, errors = call(folder, "--each", "--out", out, "--json")
    rows = json.loads(text)
    assert code == 2 and [Path(row["file"]).name for row in rows] == ["b2.txt", "b10.txt", "broken.pdf"]
    assert "broken.pdf" in rows[2]["error"] and rows[2]["error"] in errors
    assert {Path(row["recording"]).name for row in rows[:2]} == {one.key for one in recordings(out)}
    assert rows[0]["tokens"] > 64 and rows[0]["loss_within"] > 0


def test_files_are_told_apart_in_print_and_one_alone_is_as_before(folder: Path) -> None:
    out = folder.parent / "out"
    code, text, _ = call(folder / "b2.txt", folder / "b10.txt", folder / "b2.txt", "--out", out)
    assert code == 0 and text.count("recording  ") == 2
    assert text.index("b2.txt") < text.index("b10.txt")
    code, text, _ = call(folder / "b2.txt", "--out", out, "--json")
    assert code == 0 and "file" not in json.loads(text)
    with pytest.raises(UserError, match=r"broken\.pdf"):
        call(folder / "inner" / "broken.pdf", "--out", out)


def test_a_folder_is_one_document_or_many(folder: Path) -> None:
    assert files_of([folder]) == [folder]
    names = [file.name for file in files_of([folder, folder / "b2.txt"], each=True)]
    assert names == ["b2.txt", "b10.txt", "broken.pdf"]
    with pytest.raises(UserError, match="Give a document or"):
        call("--out", folder)
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file"):
        files_of([folder / "empty"], each=True)
