"""Laws of archives and folders: one text in order with a heading for each file, limits, and the command for it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.cli.main import app
from model.documents import archive, zips
from model.documents.archive import in_order
from model.documents.document import read_path
from model.errors import UserError
from tests.support.containers_by_hand import packed
from tests.support.documents_by_hand import read, refused

FILES = {"b/10.txt": "ten", "b/9.txt": "点検".encode("cp932") * 9, "a.csv": "x,y\n", ".git/x": "no", "__MACOSX/y": "no"}


def tar(files: dict[str, str | bytes], mode: str = "w") -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [packed(FILES), tar(FILES), tar(FILES, "w:gz"), tar(FILES, "w:xz"), packed({"in.zip": packed(FILES)})]
)
def test_files_in_order_with_a_heading_for_each(data: bytes) -> None:
    document = read(data, "logs.bin")
    assert document.text == f"=== a.csv ===\nx | y\n\n=== b/9.txt ===\n{'点検' * 9}\n\n=== b/10.txt ===\nten\n"
    assert (document.media, document.encoding) == ("archive", None)
    assert document.place(document.text.index("ten")).endswith("file b/10.txt, line 1")


def test_one_compressed_file_is_that_file() -> None:
    for data, name in (
        (gzip.compress(b"a,b\n"), "a.csv.gz"),
        (bz2.compress(b"a,b\n"), "a.csv.bz2"),
        (lzma.compress(b"a,b\n"), "a.csv.xz"),
    ):
        document = read(data, name)
        assert (document.text, document.media, document.name) == ("a | b", "csv", name)


def test_rotated_logs_go_from_old_to_new() -> None:
    old_to_new = [
        "app.log.10",
        "app.log.2",
        "app.log.1",
        "app.log",
        "web.log.2026-02-01",
        "web.log.2026-02-02",
        "web.log",
    ]
    assert in_order(sorted(old_to_new)) == old_to_new
    assert in_order(["part.2", "part.10", "part.1"]) == ["part.1", "part.2", "part.10"]


def test_what_is_left_out_is_named() -> None:
    document = read(packed({"a.txt": "text", "b.png": b"\x89PNG\r\n\x1a\n", "c.pdf": "no pdf", "d.txt": ""}), "a.zip")
    assert {omission.steps: omission.key for omission in document.omissions} == {
        (("file", "b.png"),): "document.image",
        (("file", "c.pdf"),): "document.broken_pdf",
        (("file", "d.txt"),): "document.empty",
    }
    assert document.omissions[0].sentence("en").startswith("file b.png: “b.png” is a picture")
    assert refused(packed({"b.png": b"\x89PNG\r\n\x1a\n"}), "a.zip") == "nothing_inside"
    assert refused(packed({}), "a.zip") == "nothing_inside"


def test_archives_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(packed({"a.txt": bytes(20 * 2**20)}), "a.zip") == "archive_bomb"
    assert refused(gzip.compress(bytes(20 * 2**20)), "a.gz") == "archive_bomb"
    assert refused(lzma.compress(bytes(20 * 2**20)), "a.xz") == "archive_bomb"
    assert refused(packed({"a.txt": "a" * 50, "b.txt": "b" * 50}), "a.zip", max_characters=80) == "too_many_characters"
    assert refused(gzip.compress(b"text" * 99)[:-9], "a.gz") == "broken_archive"
    deep = b"text"
    for _ in range(6):
        deep = gzip.compress(deep)
    assert refused(deep, "a.gz") == "nested_archive"
    locked = bytearray(packed({"a.txt": "a"}))
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(header) + offset] |= 1
    assert refused(bytes(locked), "a.zip") == "encrypted_archive"
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    assert refused(packed({f"{n}.txt": "a" for n in range(5)}), "a.zip") == "too_many_files"
    monkeypatch.setattr(zips, "MAX_INFLATED", 10_000)
    assert refused(packed({"a.txt": "abc" * 9_000}), "a.zip") == "archive_bomb"
    nested = packed({f"{n}.zip": packed({"a.txt": str(n) * 6_000}) for n in range(3)})
    monkeypatch.setattr(archive.Budget, "__init__", lambda budget: budget.__dict__.update(depth=3, left=10_000))
    assert refused(nested, "a.zip") == "archive_bomb"


def test_folders_are_read_like_archives(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b.md").write_text("# B\n")
    (folder / "a.txt").write_text("A\n")
    (folder / "link.txt").symlink_to(folder / "a.txt")
    document = read_path(folder)
    assert document.text == "=== a.txt ===\nA\n\n=== sub/b.md ===\n# B\n"
    assert (document.name, document.media, document.size) == ("logs", "folder", 6)
    with pytest.raises(UserError, match="limit"):
        read_path(folder, max_bytes=3)


def test_the_command_prints_the_text_with_its_places(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(
        packed({"t.csv": "x,y\n1,2\n", "p.png": b"\x89PNG\r\n\x1a\n", "u.txt": "prześwit łożyska".encode("cp1250")})
    )
    said = CliRunner().invoke(app, ["text", str(file)])
    assert said.exit_code == 0
    assert "file t.csv, row 2\t1 | 2\n" in said.stdout
    assert "file p.png: “p.png” is a picture" in said.stderr
    values = json.loads(CliRunner().invoke(app, ["text", str(file), "--json"]).stdout)
    assert values["text"] == read_path(file).text and values["media"] == "archive"
    assert values["omissions"][0]["place"] == "file p.png"
    assert {"start": 0, "place": "file t.csv", "steps": [["file", "t.csv"]]} in values["places"]
