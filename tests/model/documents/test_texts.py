"""Laws of CSV, mail, notebooks, feeds, and of plain text under any name."""

from __future__ import annotations

import json
from email.message import EmailMessage

import pytest

from model.documents.formats import FORMATS
from tests.support.documents_by_hand import read, refused


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_keeps_one_line_for_each_record(delimiter: str) -> None:
    records = [["日付", "機器", "備考"], ["1/2", "P-101", '"停止\r\n再開, 正常; ""良"""'], ["1/3", "", "なし"]]
    text = "\r\n".join(delimiter.join(record) for record in records)
    assert read(text.encode("cp932"), "a.csv").text.split("\n") == [
        "日付 | 機器 | 備考",
        '1/2 | P-101 | 停止 再開, 正常; "良"',
        "1/3 |  | なし",
    ]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ('id,part\n1,"Valve" large\n2,"Pump 3"" pipe"\n', 'id | part\n1 | Valve large\n2 | Pump 3" pipe'),
        ('id,part\n1,"open\n2,shut\n3,idle\n', 'id | part\n1 | "open\n2 | shut\n3 | idle'),
        ('id,part\n1,"open\n2,"shut"\n3,idle\n', 'id | part\n1 | "open\n2 | shut\n3 | idle'),
        ("sep=|\na|b\n1,5|x\n", "a | b\n1,5 | x"),
        ('a, "b, c", d\ne, "f", g\n', "a | b, c | d\ne | f | g"),
        ('code,n\n="007",1\n"=""008""",2\n', "code | n\n007 | 1\n008 | 2"),
        ('"two\nlines",b\n\nc,d\n', "two lines | b\n\nc | d"),
    ],
)
def test_csv_as_spreadsheets_read_it(written: str, wanted: str) -> None:
    assert read(written.encode(), "a.csv").text == wanted


@pytest.mark.parametrize("unit", ['a,"b\n', '"\n', '"a",\n', ',"'])
def test_hostile_tables_take_linear_time(unit: str) -> None:
    assert read((unit * 100_000).encode(), "a.csv", allow_blank=True).text


def test_rows_have_their_numbers() -> None:
    document = read(b"sep=;\na;b\nc;d\n", "a.csv")
    assert [document.place(index) for index in (0, document.text.index("d"))] == ["row 2", "row 3"]


def test_plain_text_under_any_name() -> None:
    text = "# 設定\nlimit = 3  # [x]\n<b>&amp;</b>\n"
    names = [
        "app.log.1",
        "syslog",
        "a",
        "a.yaml",
        "a.ini",
        "a.py",
        "a.php",
        "a.srt",
        "a.vtt",
        "a.xml",
        "a.jsonl",
        "a.2026-03-04",
    ]
    for name in names:
        document = read(text.encode(), name)
        assert (document.text, document.media) == (text, "text")
        assert document.place(text.index("<b>")) == "line 3"
    assert read(b"a\tb, c\n", "a.tsv").text == "a | b, c"
    declared = '<?xml version="1.0" encoding="Shift_JIS"?><a>ｱ</a>'
    assert read(declared.encode("cp932"), "a.xml").text == declared
    assert read(b"<html><?php echo 1 ?>", "a.php").text == "<html><?php echo 1 ?>"


def test_the_content_decides_and_not_the_name() -> None:
    page = "<!DOCTYPE html><p>点検</p>"
    for name in ("a.doc", "a.txt", "a.xls", "a.docx"):
        assert (read(page.encode("cp932"), name).text, read(page.encode(), name).media) == ("点検", "html")
    assert read(b"<table><tr><td>a<td>b</table>", "a.xls").text == "a | b"
    assert read(b"a\tb\n", "a.xls").text == "a | b"
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
    for word, key in (
        *(("WordDocument", "old_word"), ("PowerPoint Document", "old_slides"), ("__substg1.0_", "outlook_message")),
        ("Contents", "binary"),
    ):
        assert refused(ole + word.encode("utf-16-le") + bytes(99), "a.bin") == key
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\x00", b"RIFF\0\0\0\0WEBP"):
        assert refused(start + bytes(range(256)), "a.pdf") == "image"
    assert refused(b"Rar!\x1a\x07\x00", "a.zip") == "other_archive"
    assert all(row.suffixes for row in FORMATS.values())


def mail(subject: str, body: str, subtype: str = "plain") -> EmailMessage:
    made = EmailMessage()
    made["Received"], made["From"], made["To"], made["Subject"] = "x", "保全 <m@example.com>", "a@example.com", subject
    made.set_content(body, subtype=subtype, charset="iso-2022-jp")
    return made


def test_mail_is_what_its_reader_sees() -> None:
    made = mail("軸受の交換", "明日交換します。\n")
    made.add_alternative("<p>no</p>", subtype="html")
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="図面.pdf")
    head = "From: 保全 <m@example.com>\nTo: a@example.com\nSubject: "
    for name in ("a.eml", "a.txt"):
        document = read(made.as_bytes(), name)
        assert document.text == f"{head}軸受の交換\n\n明日交換します。\nAttachment: 図面.pdf\n"
    (omission,) = document.omissions
    assert "図面.pdf" in omission.sentence("ja") and omission.steps == (("message", 1),)
    web = mail("web", "<p>only <b>this</b></p>", "html")
    box = b"".join(b"From x Mon Mar  2 10:00:00 2026\n" + one.as_bytes() + b"\n" for one in (made, web))
    document = read(box, "inbox")
    assert document.text.endswith(f"\n\n{head}web\n\nonly this\n")
    assert document.place(document.text.index("only")) == "message 2"
    assert read(b"From: me\nTo: you\n\nA letter.", "a.txt").media == "text"


@pytest.mark.parametrize(
    "header", ["Subject: " + "=?utf-8?q?a?= " * 90_000, "From: " + "a@b," * 90_000, "To: " + "(" * 90_000]
)
def test_hostile_mail(header: str) -> None:
    kind = b"Content-Type: multipart/mixed; boundary=x\n\n"
    assert refused(b"MIME-Version: 1.0\nSubject: s\n" + kind + (b"--x\n" + kind) * 3_000, "a.eml") == "broken_file"
    read(header.encode() + b"\nMIME-Version: 1.0\n\nbody", "a.eml") if "(" not in header else refused(
        header.encode() + b"\nMIME-Version: 1.0\n\nbody", "a.eml"
    )


def test_notebooks_are_cells_and_what_they_printed() -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR", "text/plain": "<Figure>"}}
    cells = [
        {"cell_type": "markdown", "source": ["# 解析\n", "手順"]},
        {
            "cell_type": "code",
            "source": "1 + 1",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": ["2"]}}, picture],
        },
    ]
    document = read(json.dumps({"nbformat": 4, "cells": cells}).encode(), "a.ipynb")
    assert document.text == "# 解析\n手順\n\n1 + 1\n2\n" and document.place(document.text.index("1")) == "cell 2"
    assert [omission.key for omission in document.omissions] == ["omitted.pictures"]
    odd = json.dumps({"nbformat": 4, "cells": [{"source": 5}]})
    assert read(odd.encode(), "a.ipynb").text == odd


def test_feeds_are_their_entries() -> None:
    rss = '<?xml version="1.0"?><rss><channel><title>News</title><item><title>A</title><pubDate>Mon</pubDate>'
    rss += "<description>&lt;p&gt;b &amp;amp; c&lt;/p&gt;</description></item></channel></rss>"
    document = read(rss.encode(), "feed")
    assert document.text == "News\n\nA\nMon\nb & c\n" and document.place(7) == "entry 1"
    atom = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>T</title><summary>s</summary></entry></feed>'
    assert read(atom.encode(), "a.xml").text == "T\ns\n"
    assert read(b"<rss><channel>", "a.xml").text == "<rss><channel>"
