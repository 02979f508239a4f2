"""Files of token ids: every layout of them, a reading of them, and what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import model as library
from model.checkpoints.catalogue import tokens_of
from model.cli.main import app
from model.documents.token_ids import read_token_ids, token_ids_of
from model.errors import UserError
from tests.support.tiny import make_tiny_checkpoint, tiny_text


@pytest.mark.parametrize("content", ["3 14 159 0", "3,14,\n159,0\n", "[3, 14, 159, 0]", "\ufeff3\t14\r\n159 0"])
def test_layouts(content: str, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(content, "utf-8")
    document = read_token_ids(file)
    ids, characters = token_ids_of(document)
    assert ids.tolist() == [3, 14, 159, 0] and ids.dtype == np.int32
    assert [document.text[start:].split(" ")[0] for start in characters] == ["3", "14", "159", "0"]


def test_arrays_of_numpy(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.array([[3, 14], [159, 0]], np.uint16))
    assert token_ids_of(read_token_ids(tmp_path / "ids.npy"))[0].tolist() == [3, 14, 159, 0]
    np.save(tmp_path / "halves.npy", np.array([0.5]))
    with pytest.raises(UserError, match="no file of token ids"):
        read_token_ids(tmp_path / "halves.npy")


@pytest.mark.parametrize("content", ["", "three", "1.5", "-1", "1 " + "9" * 30, "\x93NUMPY"])
def test_what_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="no file of token ids"):
        read_token_ids(tmp_path / "ids.txt")
    with pytest.raises(UserError, match="No such file"):
        read_token_ids(tmp_path / "gone.txt")


def test_a_reading_of_ids_is_that_of_the_text(home: Path, tmp_path: Path) -> None:
    name = make_tiny_checkpoint(home)
    text = tiny_text(700, seed=3)
    ids, _ = tokens_of(name, text)
    (tmp_path / "ids.txt").write_text(" ".join(map(str, ids)))
    (tmp_path / "text.txt").write_text(text, "utf-8")
    by_ids = library.read(tmp_path / "ids.txt", name, tmp_path / "out", token_ids=True)
    by_text = library.read(tmp_path / "text.txt", name, tmp_path / "out")
    assert by_ids.key != by_text.key
    np.testing.assert_array_equal(by_ids.array("loss"), by_text.array("loss"))


def test_the_command(home: Path, tmp_path: Path) -> None:
    name = make_tiny_checkpoint(home)
    ids = tmp_path / "ids.txt"
    ids.write_text(" ".join(str(n % 300) for n in range(400)))
    out = ["--model", name, "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, ["read", "--tokens", str(ids), *out]).exit_code == 0
    for wrong in ([], [str(ids), "--tokens", str(ids)]):
        assert "one of the two" in str(CliRunner().invoke(app, ["read", *wrong, *out]).exception)
    ids.write_text("1 2 999999")
    said = str(CliRunner().invoke(app, ["read", "--tokens", str(ids), *out]).exception)
    assert "token id 999999" in said and "0 to 319" in said
