"""Laws of spreadsheets, presentations, OpenDocument, books and rich text: what a reader sees, in order, with places."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pptx.util import Inches

from model.documents import sheets
from tests.support.containers_by_hand import book, opendocument, packed, presentation, workbook
from tests.support.documents_by_hand import read, refused

LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
)


def filled(made: Any) -> None:
    sheet = made.active
    sheet.title = "点検"
    for row in (["機器", "値", "日付"], ["P-101", 12.50, datetime.date(2026, 3, 4)], ["P-102", 0.1 + 0.2]):
        sheet.append(row)
    sheet["B8"], sheet["C8"], sheet["B9"] = True, "two\nlines", datetime.datetime(2026, 3, 4, 5, 6)
    made.create_sheet("Empty")
    hidden = made.create_sheet("Secret")
    hidden["A1"], hidden.sheet_state = "not shown", "hidden"
    made.create_sheet("Last")["A1"] = 1e6


def test_sheets_are_rows_with_their_numbers() -> None:
    for name in ("a.xlsx", "a.xlsm", "a.bin"):
        document = read(workbook(filled), name)
        rows = ["点検", "機器 | 値 | 日付", "P-101 | 12.5 | 2026-03-04", "P-102 | 0.3 | ", ""]
        rows += [" | TRUE | two lines", " | 2026-03-04 05:06 | ", "", "Last", "1000000", ""]
        assert document.text.split("\n") == rows and document.media == "sheet"
    places = [document.place(document.text.index(word)) for word in ("点検", "P-102", "two", "1000000")]
    assert places == ["sheet 点検", "sheet 点検, row 3", "sheet 点検, row 8", "sheet Last, row 1"]
    assert document.place(document.text.index("P-102"), "ja") == "シート「点検」・3 行目"
    (omission,) = document.omissions
    assert omission.sentence("en").startswith("sheet Secret: ") and "not shown" not in document.text


def test_sheets_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def corners(made: Any) -> None:
        made.active["A1"], made.active["XFD1048576"] = 1, 2

    good = workbook(filled)
    assert refused(workbook(corners), "far.xlsx") == "sheet_too_far"
    assert refused(good[:-200], "a.xlsx") == "broken_file"
    assert refused(b"plain", "a.xlsx") == "broken_file"
    assert refused(good, "a.xlsx", max_characters=20) == "too_many_characters"
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
    assert refused(ole + "EncryptedPackage".encode("utf-16-le"), "a.xlsx") == "encrypted_file"
    assert refused(ole + "Workbook".encode("utf-16-le") + bytes(600), "a.xls") == "broken_file"
    monkeypatch.setattr(sheets, "MAX_SECONDS", 0.0)
    assert refused(good, "a.xlsx") == "slow_file"


def slides(made: Any) -> None:
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Startup"
    first.placeholders[1].text = "Open the valve\nStart the pump"
    table = first.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
    for index, word in enumerate(("Step", "Time", "1", "5 min")):
        table.cell(index // 2, index % 2).text = word
    first.notes_slide.notes_text_frame.text = "Mind the pressure"
    hidden = made.slides.add_slide(made.slide_layouts[5])
    hidden.shapes.title.text = "Backup"
    hidden._element.set("show", "0")
    made.slides.add_slide(made.slide_layouts[5]).shapes.title.text = "End"


def test_slides_and_notes_in_order() -> None:
    document = read(presentation(slides), "a.pptx")
    lines = [
        "Startup",
        "Open the valve",
        "Start the pump",
        "Step | Time",
        "1 | 5 min",
        "Mind the pressure",
        "",
        "End",
        "",
    ]
    assert document.text.split("\n") == lines
    assert document.place(document.text.index("1 |")) == "slide 1"
    assert document.place(document.text.index("Mind"), "ja") == "スライド 1 のノート"
    assert document.place(document.text.index("End")) == "slide 3"
    assert [omission.key for omission in document.omissions] == ["omitted.hidden_slide"]
    assert refused(presentation(slides)[:-99], "a.pptx") == "broken_file"


def test_opendocument() -> None:
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>by hand</text:p></text:note-body>"
    )
    body = f"<text:h>Plan</text:h><text:p>closed{note}</text:note>\n  at<text:s text:c='2'/>9<text:tab/>h</text:p>"
    body += "<text:tracked-changes><text:p>old</text:p></text:tracked-changes>"
    body += "<table:table><table:table-row><table:table-cell>"
    body += (
        "<text:p>a</text:p><text:p>b</text:p></table:table-cell><table:covered-table-cell/><table:table-cell><text:p>c"
    )
    body += "</text:p></table:table-cell></table:table-row></table:table><text:p>end<draw:text-box><text:p>box</text:p>"
    assert read(opendocument(body + "</draw:text-box>.</text:p>"), "a.odt").text.split("\n") == [
        *("Plan", "closed[1] at  9\th", "a b |  | c", "end.", "box", "[1] by hand", "")
    ]
    page = "<draw:page><text:p>one</text:p><presentation:notes><text:p>say</text:p></presentation:notes></draw:page>"
    shown = read(opendocument(page + "<draw:page><text:p>two</text:p></draw:page>", "presentation"), "a.bin")
    assert shown.text == "one\nsay\n\ntwo\n" and shown.place(4) == "notes of slide 1" and shown.place(10) == "slide 2"


def test_opendocument_sheets() -> None:
    cell = "<table:table-cell office:value-type='string'><text:p>a</text:p></table:table-cell>"
    rows = f"<table:table-row>{cell}{cell}</table:table-row>"
    rows += f"<table:table-row table:number-rows-repeated='2'>{cell}</table:table-row>"
    document = read(opendocument(f"<table:table table:name='S'>{rows}</table:table>", "spreadsheet"), "a.ods")
    assert document.text == "S\na | a\na | \na | \n" and document.place(len(document.text) - 1) == "sheet S, row 3"


def test_hostile_opendocument() -> None:
    assert refused(opendocument("<text:p>&j;</text:p>", doctype=LAUGHS + "]>"), "a.odt") == "broken_file"
    outside = "<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/hostname'>]>"
    assert read(opendocument("<text:p>a&f;</text:p>", doctype=outside), "a.odt").text == "a&f;\n"
    assert refused(opendocument("<text:span>" * 9000 + "</text:span>" * 9000), "a.odt") == "broken_file"
    wide = "<table:table-cell table:number-columns-repeated='99999999'><text:p>x</text:p></table:table-cell>" * 50
    assert len(read(opendocument(f"<table:table-row>{wide}</table:table-row>"), "a.odt").text) < 10_000
    locked = packed(
        {"META-INF/manifest.xml": "<encryption-data/>", "content.xml": "?"}, "application/vnd.oasis.opendocument.text"
    )
    assert refused(locked, "a.odt") == "encrypted_file"


def test_books_follow_the_spine() -> None:
    chapters = {"b": "<h1>Guide</h1><p>First.</p>", "a": "<p>Second.</p>"}
    document = read(book(chapters, ["b", "missing", "a"]), "a.epub")
    assert document.text == "Guide\nFirst.\n\nSecond.\n"
    assert document.place(document.text.index("Second")) == "chapter file 3"
    assert [omission.key for omission in document.omissions] == ["omitted.missing_chapter"]
    lock = '<encryption><EncryptedData><EncryptionMethod Algorithm="aes"/></EncryptedData></encryption>'
    assert refused(book(chapters, ["a"], {"META-INF/encryption.xml": lock}), "a.epub") == "encrypted_file"
    assert refused(packed({"x": "y"}, "application/epub+zip"), "a.epub") == "broken_file"


def test_rich_text() -> None:
    written = "温度".encode("cp932")
    escaped = b"".join(b"\\'%02x" % byte for byte in written)
    head = b"{\\rtf1\\ansi\\ansicpg932{\\fonttbl{\\f0\\fcharset128 Gothic;}}\\f0 "
    for content in (escaped, written):
        table = b"\\par \\trowd a\\cell b\\cell\\row }"
        assert read(head + content + table, "a.rtf").text.split("\n") == ["温度", "a | b", ""]
    link = b'{\\field{\\*\\fldinst{HYPERLINK "http://x"}}{\\fldrslt{here}}}'
    assert read(head + link + b"\\par}", "a.doc").text == "here\n"
    assert refused(head + b"\\u99999999999 x}", "a.rtf") == "broken_file"


@pytest.mark.parametrize(
    "unit", ["{\\field{\\*\\fldinst{", "{\\fonttbl\\f0\\fcharset", "\\f1\\fcharset2 ", "{", "\\pict\\bin9 "]
)
def test_hostile_rich_text_takes_linear_time(unit: str) -> None:
    refused(("{\\rtf1 {\\fonttbl{" + unit * 60_000).encode(), "a.rtf")
