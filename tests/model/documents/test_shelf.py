"""Uploads on disk come back as they were, one a name, and nothing else can be reached by a key."""

from __future__ import annotations

import pytest

from model.documents.document import read_document
from model.documents.shelf import Listed, Shelf, Upload
from model.errors import UserError


def upload(text: str, name: str, encoding: str | None = None) -> Upload:
    data = text.encode(encoding or "utf-8")
    return Upload(data, read_document(data, name, encoding), encoding)


def test_uploads_come_back_as_they_were(tmp_path):
    shelf = Shelf(tmp_path / "documents")
    assert shelf.listed() == {}
    for one in (upload("ポンプの圧力\r\n値\n", "log.txt", "cp932"), upload("plain", "a.md")):
        shelf.put(one)
        assert Shelf(tmp_path / "documents").get(one.key) == one
        assert shelf.listed()[one.key] == Listed(one.document.name, one.document.sha256)


def test_one_name_and_one_text_are_stored_once(tmp_path):
    shelf = Shelf(tmp_path)
    first, second, third = upload("one", "a.txt"), upload("two", "a.txt"), upload("two", "b.txt")
    for one in (first, second, third):
        shelf.put(one)
    assert shelf.listed() == {third.key: Listed("b.txt", third.document.sha256)}
    shelf.remove("b.txt")
    assert shelf.listed() == {} and not any(tmp_path.iterdir())


def test_one_more_replaces_the_oldest(tmp_path):
    shelf = Shelf(tmp_path, most=2)
    for number in range(4):
        shelf.put(upload(f"text {number}", f"{number}.txt"))
    assert [listed.name for listed in shelf.listed().values()] == ["2.txt", "3.txt"]


def test_a_key_from_a_link_reaches_nothing_else(tmp_path):
    outside = Shelf(tmp_path)
    outside.put(upload("secret", "s.txt"))
    key = next(iter(outside.listed()))
    assert Shelf(tmp_path / "mine").get(f"../{key}") is None
    assert Shelf(tmp_path / "mine").get(key) is None
    (tmp_path / key / "document.json").write_text("{}", "utf-8")
    assert outside.get(key) is None and outside.listed() == {}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        Shelf(tmp_path / "file").put(upload("x", "x.txt"))
    assert error.value.key == "document.cannot_store"
