"""Laws of PDF: what a reader sees on the page is read, in the order in which it is read, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from model.documents import pdf as pdf_reader
from model.documents.pdf import in_words
from model.documents.pdf_pages.characters import plain
from model.documents.pdf_pages.columns import Fragment, in_reading_order
from model.documents.pdf_pages.lines import Line, dehyphenated
from model.documents.pdf_pages.running import without_running_lines
from model.documents.pieces import Omission
from tests.support.documents_by_hand import PAGE, pdf, pdf_of_objects, read, refused

HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def shown(x: float, y: float, text: str) -> bytes:
    return f"BT /F 11 Tf {x} {y} Td ({text}) Tj ET\n".encode("latin-1")


def annotated(annotation: bytes, appearance: bytes) -> bytes:
    """A page with one annotation, whose appearance is drawn by ``appearance``."""
    content = shown(72, 700, "Pump house")
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 250 20]/Resources<</Font<</F 3 0 R>>>>"
    return pdf_of_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>",
            b"<</Type/Pages/Count 1/Kids[5 0 R]>>",
            HELVETICA,
            b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Contents 4 0 R"
            b"/Annots[6 0 R]>>",
            b"<</Type/Annot/Rect[150 650 400 670]/AP<</N 7 0 R>>" + annotation + b">>",
            b"<<" + form + b"/Length %d>>stream\n%s\nendstream" % (len(appearance), appearance),
        ]
    )


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (b"/Subtype/Widget/FT/Tx/T(site)/V(Hall 3)/F 4", "Pump house\nHall 3"),
        (b"/Subtype/FreeText/Contents(Hall 3)/F 4", "Pump house\nHall 3"),
        (b"/Subtype/Stamp/F 4", "Pump house\nHall 3"),
        (b"/Subtype/Stamp/F 2", "Pump house"),  # hidden
    ],
)
def test_annotations_are_read_as_they_are_drawn(annotation: bytes, expected: str) -> None:
    assert read(annotated(annotation, shown(2, 5, "Hall 3")), "a.pdf").text == expected


def layered(state: bytes, inside: bytes, form: bool = False) -> bytes:
    """A page with text before and after ``inside``, which is in a layer; ``state`` configures the layer, object 6."""
    content = shown(72, 700, "Before.") + (b"/Fm Do\n" if form else b"/OC /L BDC\n" + inside + b"EMC\n")
    content += shown(72, 600, "After.")
    return pdf_of_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R/OCProperties<</OCGs[6 0 R]/D<<" + state + b">>>>>>",
            b"<</Type/Pages/Count 1/Kids[5 0 R]>>",
            HELVETICA,
            b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>/Properties<</L 6 0 R>>"
            b"/XObject<</Fm 7 0 R>>>>/Contents 4 0 R>>",
            b"<</Type/OCG/Name(notes)>>",
            b"<</Type/XObject/Subtype/Form/OC 6 0 R/BBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Length %d>>"
            b"stream\n%s\nendstream" % (len(inside), inside),
        ]
    )


@pytest.mark.parametrize("form", [False, True])
def test_layers_that_are_off_are_left_out(form: bool) -> None:
    inside = shown(72, 650, "In a layer.")
    assert read(layered(b"/OFF[6 0 R]", inside, form), "a.pdf").text == "Before.\nAfter."
    assert read(layered(b"/BaseState/OFF", inside, form), "a.pdf").text == "Before.\nAfter."
    assert read(layered(b"/OFF[]", inside, form), "a.pdf").text == "Before.\nIn a layer.\nAfter."


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_text_outside_the_page_is_left_out(rotation: int) -> None:
    page = shown(72, 700, "Inside.") + shown(620, 650, "Right of it.") + shown(72, -30, "Below it.")
    data = pdf([page]).replace(b"/MediaBox[0 0 600 800]", b"/MediaBox[0 0 600 800]/Rotate %d" % rotation)
    assert read(data, "a.pdf").text == "Inside."
    cropped = pdf([page]).replace(b"/MediaBox[0 0 600 800]", b"/MediaBox[-9 -99 999 999]/CropBox[0 0 600 800]")
    assert read(cropped, "a.pdf").text == "Inside."


LEFT = ["The crane lifts the roof", "of the boiler house and", "sets it on the ground."]
RIGHT = ["The crew cleans the tubes", "before the roof is put", "back and bolted down."]


def test_columns_are_read_one_after_another() -> None:
    rows = [
        shown(72, 700 - 14 * row, a) + shown(330, 700 - 14 * row, b)
        for row, (a, b) in enumerate(zip(LEFT, RIGHT, strict=True))
    ]
    page = shown(72, 730, "A heading that stands across both of the columns of this page") + b"".join(rows)
    page += shown(72, 640, "A closing line that stands across both of the columns as well")
    lines = read(pdf([page]), "a.pdf").text.split("\n")
    assert lines[1:-1] == LEFT + RIGHT
    assert lines[0].startswith("A heading") and lines[-1].startswith("A closing")
    third = [page + shown(470, 700 - 14 * row, "and so the story goes") for row, page in enumerate(rows)]
    third = [line.replace(b"330", b"270") for line in third]
    assert read(pdf([b"".join(third)]), "a.pdf").text.split("\n")[:6] == LEFT + RIGHT


def test_a_table_stays_in_rows() -> None:
    cells = [("Pump", "12 kN", "Hall 3"), ("Fan", "4 kN", "Hall 1"), ("Boiler", "90 kN", "Hall 2"), ("Mill", "7", "-")]
    page = b"".join(shown(72 + 150 * x, 700 - 14 * y, c) for y, row in enumerate(cells) for x, c in enumerate(row))
    assert [line.split() for line in read(pdf([page]), "a.pdf").text.split("\n")] == [
        " ".join(r).split() for r in cells
    ]


def test_japanese_columns() -> None:
    def column(left: float, texts: list[str]) -> list[Fragment]:
        return [
            Fragment(
                text=text, joint="\n", left=left, top=20.0 * row, right=left + 12 * len(text), bottom=20 * row + 12
            )
            for row, text in enumerate(texts)
        ]

    one = column(0, ["ポンプの振動が基準を超え", "たため運転を停止し、軸受", "を交換した。"])
    two = column(200, ["交換の後に試運転をして、", "振動が基準を下回ることを", "確かめた。"])
    across = [fragment for pair in zip(one, two, strict=True) for fragment in pair]
    assert [fragment.text for fragment, _ in in_reading_order(across)] == [f.text for f in one + two]


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ("the foun-", "dation is wet", ["the foundation is wet"]),
        ("the foun\x02", "dation is wet", ["the foundation is wet"]),
        ("pump P-", "101 stops", ["pump P-101 stops"]),
        ("a well-known well-", "known fact", ["a well-known well-known fact"]),
        ("from -", "to", ["from -", "to"]),
        ("ends with\x02", "", ["ends with-", ""]),
    ],
)
def test_words_broken_by_a_hyphen_are_joined(above: str, below: str, expected: list[str]) -> None:
    assert [line.text for line in dehyphenated([Line(above, 0.1), Line(below, 0.2)])] == expected


def test_radicals_and_ligatures_become_letters() -> None:
    assert plain("⽇⽴の⻑⻘ ﬁﬂ ﬀ ㈱ ①") == "日立の長青 fifl ff ㈱ ①"
    assert plain("\uf0b7 a \x03") == "• a \ufffd"


def test_running_lines_are_left_out() -> None:
    def page(number: int, body: str) -> list[Line]:
        return [Line("Manual of 2026", 0.04), Line(body, 0.5), Line(f"- {number} of 9 -", 0.95)]

    pages = [page(number, f"Body {number * number}") for number in range(3, 8)]
    assert without_running_lines(pages) == [[page[1]] for page in pages]
    assert without_running_lines(pages[:2]) == pages[:2]  # two pages are no series
    values = [[Line(f"{value} kN", 0.05), Line("body", 0.5)] for value in (4, 90, 17, 3)]
    assert without_running_lines(values) == values  # numbers that do not count with the pages
    alone = [[Line("The same", 0.05)]] * 4
    assert without_running_lines(alone) == alone  # nothing else is on the page


def test_pages_that_are_not_read_are_named() -> None:
    picture = b"0 0 100 100 re f"
    found = read(pdf([PAGE, picture, PAGE.replace(b"pump", b"fan"), b"", picture, picture]), "a.pdf")
    assert found.text == "The pump was stopped.\n\nThe fan was stopped."  # an empty page is not worth a word
    assert found.omissions == (Omission((), "document.pdf_pictures", {"pages": "2, 5-6"}),)
    assert found.place(found.text.index("fan")) == "page 3"
    assert all("2, 5-6" in found.omissions[0].sentence(language) for language in ("en", "ja"))
    damaged = pdf([PAGE, PAGE]).replace(b"7 0 obj\n<</Type/Page/", b"7 0 obj\n[</Type/Page/")
    assert read(damaged, "a.pdf").omissions == (Omission((), "document.pdf_damaged", {"pages": "2"}),)
    many = in_words(range(1, 99, 2))
    assert many.startswith("1, 3, 5") and many.endswith("…")


def test_a_file_whose_end_is_missing_is_read() -> None:
    whole = pdf([PAGE, PAGE.replace(b"pump", b"fan")])
    for damaged in (whole.split(b"xref")[0], whole.split(b"trailer")[0], whole[: whole.index(b"7 0 obj")]):
        assert read(damaged, "a.pdf").text.startswith("The pump was stopped.")


def test_noise_is_refused() -> None:
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/ABCDEF+X/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype"
        b"/CIDFontType2/BaseFont/ABCDEF+X/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>]>>"
    )
    content = b"BT /F 12 Tf 72 720 Td <00240025002600270044> Tj ET"
    assert refused(pdf([content]).replace(HELVETICA, font), "a.pdf") == "noise_pdf"


def test_a_page_that_crashes_the_child_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"q " * 20 * 2**20
    found = read(pdf([PAGE, bomb, PAGE.replace(b"pump", b"fan")], compressed=True), "a.pdf")
    assert found.text == "The pump was stopped.\n\nThe fan was stopped."
    assert found.omissions == (Omission((), "document.pdf_damaged", {"pages": "2"}),)
    monkeypatch.setattr(pdf_reader, "_BYTES", 0)
    monkeypatch.setattr(pdf_reader, "_SLACK", 0)
    assert refused(pdf([PAGE] * 3), "a.pdf") == "too_many_characters"
    monkeypatch.undo()
    monkeypatch.setattr(pdf_reader, "MAX_RESTARTS", 0)
    assert refused(pdf([PAGE, bomb, PAGE], compressed=True), "a.pdf") == "pdf_bomb"


def test_the_child_starts_without_torch() -> None:
    script = (
        "import sys, model.documents.pdf_pages.__main__; assert not {'torch', 'numpy', 'lxml'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_value_stands_beside_its_label() -> None:
    labels = shown(72, 655, "Site:") + shown(72, 600, "End.")
    page = annotated(b"/Subtype/Widget/FT/Tx/T(site)/V(Hall 3)/F 4", shown(2, 5, "Hall 3"))
    old = shown(72, 700, "Pump house")
    with_labels = page.replace(b"<</Length %d>>stream\n%s" % (len(old), old), b"<</Length 999>>stream\n" + labels)
    assert read(with_labels, "a.pdf").text == "Site: Hall 3\nEnd."
    without_appearance = with_labels.replace(b"/AP<</N 7 0 R>>", b"")
    assert read(without_appearance, "a.pdf").text == "Site: Hall 3\nEnd."
    password = without_appearance.replace(b"/FT/Tx", b"/FT/Tx/Ff 8192")
    assert read(password, "a.pdf").text == "Site:\nEnd."


def test_vertical_japanese_is_read_from_the_right() -> None:
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/UniJIS-UCS2-V/DescendantFonts[<</Type/Font/Subtype"
        b"/CIDFontType0/BaseFont/HeiseiMin-W3/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>>>]>>"
    )
    columns = ["保守の手順を定め、", "毎月の点検を行う。", "記録は五年残す。"]
    content = b"".join(
        b"BT /F 12 Tf %d 700 Td <%s> Tj ET\n" % (500 - 20 * number, text.encode("utf-16-be").hex().encode())
        for number, text in enumerate(columns)
    )
    assert read(pdf([content]).replace(HELVETICA, font), "a.pdf").text == "\n".join(columns)


def test_a_header_with_a_page_number_may_change() -> None:
    titles = ["Pumps", "Pumps", "Fans", "Mills"]
    pages = [[Line(f"{title} {number}", 0.05), Line(f"body of {title}", 0.4)] for number, title in enumerate(titles, 9)]
    assert without_running_lines(pages) == [[page[1]] for page in pages]
