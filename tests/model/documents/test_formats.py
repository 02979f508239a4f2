"""Laws of PDF, Word, HTML and CSV: their text in order, no unfolding without bound, one sentence for the rest."""

from __future__ import annotations

import re
import struct
from io import BytesIO

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.documents import pdf as pdf_reader
from model.documents import word as word_reader
from model.errors import UserError
from tests.support.documents_by_hand import PAGE, encrypted, pdf, read, refused, repacked, word


def test_pdf_pages_are_joined_by_blank_lines_whatever_the_name() -> None:
    for name in ("a.pdf", "a.txt", "a.bin"):
        document = read(pdf([PAGE, PAGE.replace(b"pump", b"motor")]), name)
        assert document.text == "The pump was stopped.\n\nThe motor was stopped."
        assert (document.media, document.encoding) == ("pdf", None)
    assert read(encrypted(""), "only-printing-is-forbidden.pdf").text == "The pump was stopped."


def test_japanese_pdf() -> None:
    content = b"BT /F 12 Tf <" + "振動値が高い".encode("utf-16-be").hex().encode() + b"> Tj ET"
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/UniJIS-UCS2-H/DescendantFonts[<</Type/Font"
        b"/Subtype/CIDFontType0/BaseFont/HeiseiMin-W3/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)>>>>]>>"
    )
    data = pdf([content]).replace(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", font)
    assert read(data, "a.pdf").text == "振動値が高い"


def test_pdfs_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(pdf([b"0 0 100 100 re f"]), "scan.pdf") == "scanned"
    assert refused(encrypted("secret"), "a.pdf") == "encrypted_pdf"
    aes = b"<</Filter/Standard/V 5/R 6/Length 256/CF<</StdCF<</CFM/AESV3/AuthEvent/DocOpen/Length 32>>>>/StmF/StdCF"
    aes += b"/StrF/StdCF/P -4/O<%s>/U<%s>/OE<%s>/UE<%s>/Perms<%s>>>" % (
        b"0" * 96,
        b"0" * 96,
        b"0" * 64,
        b"0" * 64,
        b"0" * 32,
    )
    assert refused(pdf([PAGE]).replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt " + aes), "a.pdf") == "encrypted_pdf"
    assert refused(b"%PDF-1.4\nnothing", "a.pdf") == "broken_pdf"
    assert refused(b"not a PDF at all", "a.pdf") == "broken_pdf"
    assert refused(pdf([]), "a.pdf") == "broken_pdf"
    assert refused(pdf([b"[" * 100_000]), "deep.pdf") == "scanned"
    assert refused(pdf([PAGE]).replace(b"/Kids[5 0 R]", b"/Kids[2 0 R]"), "own-child.pdf") in ("broken_pdf", "pdf_bomb")
    assert refused(pdf([b"q " * 20 * 2**20], compressed=True), "a.pdf") == "pdf_bomb"
    assert refused(pdf([PAGE] * 20), "a.pdf", max_characters=100) == "too_many_characters"
    monkeypatch.setattr(pdf_reader, "MAX_PAGES", 3)
    assert refused(pdf([PAGE] * 4), "a.pdf") == "too_many_pages"
    monkeypatch.setattr(pdf_reader, "MAX_SECONDS", 0.0)
    assert refused(pdf([PAGE]), "a.pdf") == "slow_pdf"


def test_word_keeps_paragraphs_and_tables_in_order() -> None:
    made = docx.Document()
    made.add_paragraph("点検\t記録")
    table = made.add_table(2, 2)
    for row, column, text in ((0, 0, "機器"), (0, 1, "状態"), (1, 0, "P-101"), (1, 1, "異常\nなし")):
        table.cell(row, column).text = text
    table.cell(1, 1).add_table(1, 2).cell(0, 1).text = "内"
    made.add_paragraph("以上")
    out = BytesIO()
    made.save(out)
    for name in ("a.docx", "a.txt", "a.bin"):
        document = read(out.getvalue(), name)
        assert re.sub(" +", " ", document.text) == "点検\t記録\n機器 | 状態\nP-101 | 異常 なし | 内 \n以上"
        assert (document.media, document.encoding) == ("docx", None)


def test_word_shows_what_a_reader_sees() -> None:
    def run(text: bytes) -> bytes:
        return b"<w:r><w:t>" + text + b"</w:t></w:r>"

    inserted = b"<w:p><w:ins>" + run(b"new") + b"</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
    ruby = (
        b"<w:p><w:r><w:ruby><w:rt>"
        + run(b"kana")
        + b"</w:rt><w:rubyBase>"
        + run(b"kanji")
        + b"</w:rubyBase></w:ruby></w:r></w:p>"
    )
    control = b"<w:sdt><w:sdtContent><w:p>" + run(b"form") + b"</w:p></w:sdtContent></w:sdt>"
    assert read(word("a", body=inserted + ruby + control), "a.docx").text == "a\nnew\nkanji\nform"


def test_word_files_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    good = word("text")
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)
    assert refused(ole + "EncryptedPackage".encode("utf-16-le"), "a.docx") == "encrypted_word"
    assert refused(ole + "WordDocument".encode("utf-16-le"), "a.docx") == "old_word"
    assert refused(good[: len(good) // 2], "a.docx") == "broken_word"
    assert refused(b"plain text", "a.docx") == "broken_word"
    assert refused(repacked(good, lambda name, part: part[:200]), "a.docx") == "broken_word"
    nested = b"<w:tbl><w:tr><w:tc>" * 500 + b"<w:p/>" + b"</w:tc></w:tr></w:tbl>" * 500
    assert refused(word(body=nested), "a.docx") == "broken_word"
    assert refused(word(), "a.docx") == "blank"
    assert refused(word("a" * 1000), "a.docx", max_characters=100) == "too_many_characters"
    locked = bytearray(good)
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(header) + offset] |= 1
    assert refused(bytes(locked), "a.docx") == "encrypted_word"

    def not_to_be_called(*_: object) -> None:
        raise SystemExit("a bomb was opened")

    monkeypatch.setattr(word_reader, "Package", not_to_be_called)
    bomb = repacked(good, lambda name, part: part, {"word/media/image1.bmp": bytes(17 * 2**20)})
    assert refused(bomb, "a.docx") == "word_bomb"
    liar = bytearray(bomb)  # both headers of the image declare 10 bytes
    for header, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", liar, liar.rfind(header) + offset, 10)
    assert refused(bytes(liar), "a.docx") == "broken_word"
    monkeypatch.setattr(word_reader, "MAX_XML", 10_000)
    assert refused(good, "a.docx") == "word_bomb"
    monkeypatch.setattr(word_reader, "MAX_INFLATED", 10_000)
    assert refused(good, "a.docx") == "word_bomb"
    monkeypatch.setattr(word_reader, "MAX_MEMBERS", 3)
    assert refused(good, "a.docx") == "word_bomb"


def test_html_is_its_visible_text() -> None:
    page = """<!DOCTYPE html><html><head><title>T</title><style>p{}</style><script>if (a<b) "</p>"</script></head>
    <body><!-- <p>no</p> --><h1>点検</h1><p title="a>b">pump &amp; <b>motor</b>
    stopped<br>1 < 2</p><table><tr><td><p>a</p></td><td>b</td></tr><tr><td>c<p>d<td>e</table>
    <pre>  x\n   y</pre><svg><text>no</text></svg>end"""
    expected = ["点検", "pump & motor stopped", "1 < 2", "a | b", "c", "d | e", "  x", "   y", "end"]
    assert read(page.encode(), "a.html").text.split("\n") == expected
    assert refused(b"<html><script>only()</script></html>", "a.htm") == "blank"


def test_html_may_say_its_encoding_but_must_be_right() -> None:
    russian = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>насос</p>'
    assert read(russian.encode("cp1251"), "a.html").text == "насос"
    mislabelled = '<meta charset="euc-jp"><p>ポンプを停止した。</p>'
    assert read(mislabelled.encode("cp932"), "a.html").text == "ポンプを停止した。"
    assert read(mislabelled.encode("utf-8"), "a.html").encoding == "utf-8"
    assert read(mislabelled.replace("euc-jp", "iso-8859-1").encode("cp932"), "a.html").encoding == "cp932"


@pytest.mark.parametrize("unit", ["<a ", "<a b='", "<!--", "<![", "<svg>", "<script>", "&#1", "<td>", "= <"])
def test_hostile_pages_take_linear_time(unit: str) -> None:
    # The parser of the standard library needs minutes for some of these.
    refused((unit * 100_000).encode(), "a.html", max_characters=10)


@given(cut=st.integers(0, 4000), flips=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_damaged_pdf_and_word_files_are_read_or_refused(cut: int, flips: list[tuple[int, int]]) -> None:
    for name, whole in (("a.pdf", pdf([PAGE])), ("a.docx", word("one"))):
        data = bytearray(whole[: len(whole) - cut % len(whole)])
        for place, value in flips:
            data[place % len(data)] = value
        try:
            read(bytes(data), name)
        except UserError as error:
            assert error.key.startswith("document.")
