"""Laws of reading documents: what goes in comes out, and everything else is one sentence in both languages."""

from __future__ import annotations

import codecs
import hashlib
import re
import string
import tomllib
import zipfile
from importlib import resources
from io import BytesIO

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from model.documents.document import ENCODINGS, SUFFIXES, read_document, read_path
from model.documents.readings import MIXED
from model.errors import UserError
from tests.support.documents_by_hand import PAGE, pdf, read, refused

JAPANESE = "ポンプP-101の振動値が基準を超えたため、運転を停止した。\n点検の結果、軸受に摩耗が見つかった。\n"
LEVEL_1 = bytes(b for row in range(0xB0, 0xCF) for cell in range(0xA1, 0xFF) for b in (row, cell)).decode("euc_jp")


# Encodings: what was written is read

words = st.one_of(
    st.text(st.sampled_from([chr(code) for code in range(0x3042, 0x3094)]), min_size=2, max_size=8),
    st.text(st.sampled_from([chr(code) for code in range(0x30A2, 0x30F4)]), min_size=2, max_size=8),
    st.text(st.sampled_from(LEVEL_1), min_size=1, max_size=4),
    st.text(st.sampled_from(string.ascii_letters + string.digits), min_size=1, max_size=8),
    st.sampled_from(["、", "。\n", "。\r\n", " ", ", ", "\u3000", "「", "」", "① ", "髙橋", "ﾎﾟﾝﾌﾟ", "〜", "℃"]),
)
texts = st.lists(words, min_size=25, max_size=80).map("".join)
latin_texts = st.lists(
    st.sampled_from(
        ["the", "pump", "didn’t", "start", "café", "über", "naïve", "résumé", "it’s", "20", "°C", "€", "señor", "“hot”"]
    ),
    min_size=5,
    max_size=60,
).map(" ".join)


def normalised(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@given(text=texts)
@settings(max_examples=25, deadline=None)
def test_unicode_is_read_back(encoding: str, text: str) -> None:
    document = read((text + "\n").encode(encoding))
    assert document.text == normalised(text + "\n")
    assert encoding.startswith(document.encoding or "?")


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "iso2022_jp", "iso2022_jp_ext", "euc_jis_2004"])
@given(text=texts)
@settings(max_examples=40, deadline=None)
def test_japanese_encodings_are_read_back(encoding: str, text: str) -> None:
    # Of what Python calls EUC-JIS-2004, ① is what Windows also writes: other differences are not about reading.
    text = text.replace("髙", "高") if encoding == "euc_jis_2004" else text
    text = text.replace("〜", "～") if encoding == "cp932" else text
    data = text.encode(encoding, "ignore")
    document = read(data)
    assert document.text.replace("～", "〜") == normalised(data.decode(encoding)).replace("～", "〜")


@given(text=latin_texts)
@settings(max_examples=40, deadline=None)
def test_windows_1252_is_not_taken_for_japanese(text: str) -> None:
    assert read(text.encode("cp1252")).text == text


@given(text=texts, encoding=st.sampled_from([name for name in ENCODINGS if name not in MIXED]))
@settings(max_examples=60, deadline=None)
def test_an_override_is_obeyed(text: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    expected = normalised(data.decode(encoding))
    assume(expected.strip())
    assert read(data, encoding=encoding).text == expected
    assert read(data, encoding=encoding).encoding == encoding


@given(data=st.one_of(texts.map(lambda text: text.encode("cp932", "ignore")), latin_texts.map(str.encode)))
@settings(max_examples=40, deadline=None)
def test_what_was_detected_is_an_override_that_reads_the_same(data: bytes) -> None:
    document = read(data)
    assert document.encoding in ENCODINGS
    assert read(data, encoding=document.encoding) == document


SHORT = """
テスト 会議 調査 地図 粘度 停止 A社 Web版 PC用 x値 能 表 ソ エラー ①点検 ㈱日立 山﨑様 ＡＢＣ 警報 第1章
異常なし「はい」 温度25℃ 品番A-100
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp932", "euc_jp", "iso2022_jp"])
def test_short_japanese_is_read_right(encoding: str) -> None:
    for text in SHORT.split():
        data = text.encode(encoding, "ignore")
        if data.decode(encoding) == text:
            assert read(data).text == text


def test_shift_jis_is_read_as_windows_writes_it() -> None:
    assert read("①髙橋～㈱".encode("cp932"), encoding="Shift_JIS").text == "①髙橋～㈱"
    windows_jis = b"\x1b$B" + bytes([0x2D, 0x21, 0x3B, 0x33]) + b"\x1b(B\n"
    assert read(windows_jis).text == "①山\n"


def test_a_log_that_was_cut_or_damaged_is_read() -> None:
    data = (JAPANESE * 40).encode()
    assert read(data[1:-4]).text.strip("\ufffd") == (JAPANESE * 40)[1:-2]
    assert read(data[:300] + b"\xff" + data[300:]).encoding == "utf-8"
    assert read((JAPANESE * 40).encode("cp932")[:-2] + b"\x81").encoding == "cp932"
    assert read(b"12:00 start\n" * 100 + b"\x00" * 50 + b"12:01 start\n").text.count("\x00") == 0


def test_other_languages_are_left_to_statistics() -> None:
    russian = "Насос остановлен для осмотра подшипника, вибрация выше нормы. " * 5
    assert read(russian.encode("cp1251")).text == russian


def test_marks_and_newlines_go_and_everything_else_stays() -> None:
    document = read(codecs.BOM_UTF8 + "a\r\nb\rc\n\td\u2028\u3000é\x0c🙂\u200b".encode(), "dir\\x.TXT")
    assert document.text == "a\nb\nc\n\td\u2028\u3000é\x0c🙂\u200b"
    assert (document.name, document.media, document.size) == ("x.TXT", "text", 28)
    assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()
    assert read(b"ab" * 3000).preview == "ab" * 1000


# Nothing crashes

starts = st.sampled_from([b"", b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b$B", b"<html>"])


@given(start=starts, data=st.binary(max_size=400), suffix=st.sampled_from([*SUFFIXES, "exe", ""]))
@example(start=b"\xff\xfe", data=b"\x00\xd8", suffix="txt")
@example(start=b"", data=b"<![&#99999999999999;<p =" + b"&#" + b"9" * 5000, suffix="html")
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_read_or_refused(start: bytes, data: bytes, suffix: str) -> None:
    for encoding in (None, "cp932", "utf-16"):
        try:
            document = read(start + data, f"a.{suffix}", encoding=encoding)
            assert document.text.encode() and "\r" not in document.text and "\x00" not in document.text
        except UserError as error:
            assert error.key.startswith("document.")


# Where a character stands


def test_places_are_in_order_and_have_words_in_both_languages() -> None:
    document = read(pdf([PAGE, b"0 0 100 100 re f", PAGE]), "a.pdf")
    last = len(document.text) - 1
    assert [document.place(0), document.place(last), document.place(last, "ja")] == ["page 1", "page 3", "3 ページ"]
    assert [omission.values["pages"] for omission in document.omissions] == ["2"]
    assert read(b"a\nb\nc").place(4) == "line 3" and read(b"a\nb\nc").steps(2) == (("line", 2),)
    large = read(b"a,b\n" * 100_000, "a.csv")
    assert [large.place(row * 6) for row in range(0, 90_000, 1_000)] == [
        f"row {n + 1}" for n in range(0, 90_000, 1_000)
    ]


# What is refused


def test_files_that_are_not_documents() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.csv", "a")
    assert refused(b"", "a.txt") == "empty"
    assert refused(b" \n\t\xe3\x80\x80", "a.txt") == "blank"
    assert read(b"\n" * 50, allow_blank=True).text == "\n" * 50
    assert refused(png, "photo.png") == "image"
    assert refused(archive.getvalue(), "a.xlsx") == "broken_file"
    assert refused(png, "a.txt") == "image"
    assert refused(bytes(range(256)) * 20, "a.log") == "binary"
    assert refused(bytes(range(256)) * 20, "a.log", encoding="latin-1") == "wrong_encoding"
    assert refused(b"a" * 1001, "a.txt", max_bytes=1000) == "too_large"
    assert refused(b"a" * 1001, "a.txt", max_characters=1000) == "too_many_characters"
    assert refused(b"a,b\n" * 100, "a.csv", max_characters=500) == "too_many_characters"
    assert refused(JAPANESE.encode("cp932"), "a.txt", encoding="utf-8") == "wrong_encoding"
    assert refused("pump".encode("utf-16"), "a.txt", encoding="latin-1") == "wrong_encoding"
    assert refused(b"a", "a.txt", encoding="rot13") == "unknown_encoding"
    assert refused(b"", "name {with} braces\nand a newline.txt") == "empty"


def test_half_a_gigabyte_is_refused_before_any_work() -> None:
    class Upload(bytes):
        def __len__(self) -> int:
            return 500 * 2**20

        def startswith(self, *_: object) -> bool:  # type: ignore[override]
            raise SystemExit("work was begun")

    with pytest.raises(UserError, match="is 500 MB, which is more than the limit of 64 MB"):
        read(Upload(), "a.txt")


def test_read_path(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "記録.txt"
    file.write_bytes(JAPANESE.encode("cp932"))
    assert read_path(file) == read_document(JAPANESE.encode("cp932"), "記録.txt")
    assert read_path(str(file), max_bytes=1 << 20).text == JAPANESE
    for path, key in ((tmp_path / "no.txt", "missing_file"), ("/dev/zero", "not_a_file")):
        with pytest.raises(UserError) as caught:
            read_path(path)
        assert caught.value.key == f"document.{key}"
    with pytest.raises(UserError, match="limit"):
        read_path(file, max_bytes=10)
    with pytest.raises(UserError):
        read_path("a\x00b.txt")


def test_every_message_has_both_languages_and_the_same_placeholders() -> None:
    messages = tomllib.loads((resources.files("model.messages") / "document.toml").read_text("utf-8"))
    for sentences in messages.values():
        assert set(sentences) == {"en", "ja"}
        english, japanese = (set(re.findall(r"{(\w+)", sentences[language])) for language in ("en", "ja"))
        assert english == japanese
        assert re.search(r"(です|ます|ください)。$", sentences["ja"])
