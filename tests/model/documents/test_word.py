"""Laws of Word documents: what is printed is read, numbers and notes too, and what is hidden is not."""

from __future__ import annotations

import pytest

from model.documents.numerals import numeral
from model.documents.scripts import lowered, raised
from tests.support.documents_by_hand import read, refused, repacked, word_package


def text_of(body: str, name: str = "a.docx", strict: bool = False, **parts: str | bytes) -> str:
    return read(word_package(body, strict, **parts), name).text


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str, properties: str = "") -> str:
    inside = "".join(part if part.startswith("<") else run(part) for part in runs)
    return f"<w:p><w:pPr>{properties}</w:pPr>{inside}</w:p>"


def listed(text: str, level: int | None = 0, number: int = 1) -> str:
    shown = "" if level is None else f'<w:ilvl w:val="{level}"/>'
    return paragraph(text, properties=f'<w:numPr>{shown}<w:numId w:val="{number}"/></w:numPr>')


def level(index: int, text: str, style: str = "decimal", more: str = "") -> str:
    written = f'<w:start w:val="1"/><w:numFmt w:val="{style}"/>{more}<w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{index}">{written}</w:lvl>'


def numbering(*levels: str, lists: str = '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>') -> str:
    return f'<w:abstractNum w:abstractNumId="0">{"".join(levels)}</w:abstractNum>{lists}'


@pytest.mark.parametrize("name", ["a.docx", "a.docm", "a.dotx", "a.bin"])
@pytest.mark.parametrize("strict", [False, True])
def test_every_kind_of_word_file_opens(name: str, strict: bool) -> None:
    assert text_of(paragraph("Valve") + paragraph("Pump"), name, strict) == "Valve\nPump"


def test_notes_follow_the_text() -> None:
    reference = '<w:r><w:{}Reference w:id="{}"/></w:r>'
    note = '<w:{} w:id="{}">' + paragraph("<w:r><w:footnoteRef/></w:r>", " {}") + "</w:{}>"
    body = paragraph("Load", reference.format("footnote", 7), " and wind", reference.format("endnote", 7), ".")
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('Mass', reference.format('footnote', 2))}</w:tc></w:tr></w:tbl>"
    footnotes = note.format("footnote", 2, "dry", "footnote") + note.format("footnote", 7, "static", "footnote")
    footnotes += note.format("footnote", 9, "never referred to", "footnote")
    endnotes = note.format("endnote", 7, "of 1987", "endnote")
    found = text_of(body + cell, footnotes=footnotes, endnotes=endnotes)
    assert found == "Load[1] and wind[2].\nMass[3]\n[1] static\n[2] of 1987\n[3] dry"


def test_numbers_of_clauses() -> None:
    levels = (
        level(0, "Clause %1", "upperRoman"),
        level(1, "%1.%2", more="<w:isLgl/>"),
        level(2, "(%3)", "lowerLetter"),
    )
    body = listed("A") + listed("b", 1) + listed("c", 2) + listed("d", 2) + listed("e", 1) + listed("f", 2)
    body += listed("G") + listed("h", 1)
    expected = "Clause I A\n1.1 b\n(a) c\n(b) d\n1.2 e\n(a) f\nClause II G\n2.1 h"
    assert text_of(body, numbering=numbering(*levels)) == expected


def test_a_list_may_start_again_or_go_on() -> None:
    again = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    lists = "".join(
        f'<w:num w:numId="{number}"><w:abstractNumId w:val="0"/>{more}</w:num>'
        for number, more in ((1, ""), (2, ""), (3, again))
    )
    body = listed("a") + listed("b") + listed("c", number=2) + listed("d", number=3) + listed("e", number=3)
    found = text_of(body, numbering=numbering(level(0, "%1)"), lists=lists))
    assert found == "1) a\n2) b\n3) c\n5) d\n6) e"


def test_numbers_that_a_style_gives() -> None:
    styles = (
        '<w:style w:type="paragraph" w:styleId="H"><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="H2"><w:basedOn w:val="H"/></w:style>'
    )
    levels = (
        level(0, "第%1章", "japaneseCounting", '<w:pStyle w:val="H"/>'),
        level(1, "%2", more='<w:pStyle w:val="H2"/>'),
    )
    first = paragraph("総則", properties='<w:pStyle w:val="H"/>')
    second = paragraph("目的", properties='<w:pStyle w:val="H2"/>')
    none = paragraph("前文", properties='<w:pStyle w:val="H"/><w:numPr><w:numId w:val="0"/></w:numPr>')
    assert text_of(none + first + second, styles=styles, numbering=numbering(*levels)) == "前文\n第一章 総則\n1 目的"


@pytest.mark.parametrize(
    ("number", "style", "written"),
    [
        (4, "upperRoman", "IV"),
        (28, "lowerLetter", "bb"),
        (3, "ordinal", "3rd"),
        (12, "ordinal", "12th"),
        (7, "decimalZero", "07"),
        (21, "japaneseCounting", "二十一"),
        (110, "japaneseCounting", "百十"),
        (10305, "japaneseCounting", "一万三百五"),
        (15, "japaneseLegal", "壱拾五"),
        (20, "ideographDigital", "二〇"),
        (12, "chineseCounting", "十二"),
        (105, "chineseCounting", "一百〇五"),
        (3, "irohaFullWidth", "ハ"),
        (2, "aiueo", "ｲ"),
        (3, "ideographTraditional", "丙"),
        (20, "decimalEnclosedCircle", "⑳"),
        (21, "decimalEnclosedCircle", "21"),
        (0, "upperLetter", "0"),
        (10**7, "lowerRoman", "10000000"),
        (5, "of another program", "5"),
        (5, "none", ""),
    ],
)
def test_numerals(number: int, style: str, written: str) -> None:
    assert numeral(number, style) == written


def test_hidden_text_is_left_out() -> None:
    styles = '<w:style w:type="character" w:styleId="S"><w:rPr><w:vanish/></w:rPr></w:style>'
    hidden = [run("x", "<w:vanish/>"), run("y", '<w:rStyle w:val="S"/>')]
    shown = [run("a", '<w:vanish w:val="0"/>'), run("b", '<w:rStyle w:val="S"/><w:vanish w:val="false"/>')]
    body = paragraph(*hidden, *shown) + paragraph(*hidden) + paragraph("c")
    assert text_of(body, styles=styles) == "ab\nc"


def test_raised_and_lowered_text() -> None:
    def high(text: str) -> str:
        return run(text, '<w:vertAlign w:val="superscript"/>')

    body = paragraph("10", high("-3"), " m", high("2"), " 5", high("th"), " x", high("k"), " H")
    body = body.replace("</w:p>", run("2", '<w:vertAlign w:val="subscript"/>') + run("O") + "</w:p>")
    assert text_of(body) == "10⁻³ m² 5th x^k H₂O"
    assert (raised("*"), raised("[3]"), raised(" "), lowered("max")) == ("*", "[3]", " ", "max")


def test_text_boxes_follow_their_paragraph() -> None:
    box = f"<w:txbxContent>{paragraph('Danger')}{paragraph('400 V')}</w:txbxContent>"
    choice = f"<mc:AlternateContent><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice><mc:Fallback><w:pict>{box}"
    anchored = f"<w:r>{choice}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    old = f'<w:r><w:pict><v:textbox>{box}</v:textbox><v:textpath string="DRAFT"/></w:pict></w:r>'
    assert text_of(paragraph("The cabi", anchored, "net.") + paragraph("End.")) == "The cabinet.\nDanger\n400 V\nEnd."
    assert text_of(paragraph("The cabi", old, "net.")) == "The cabinet.\nDanger\n400 V\nDRAFT"
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('a', anchored)}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    assert text_of(cell) == "a Danger 400 V | b"


def part(name: str, *texts: str) -> str:
    return f"<m:{name}>{''.join(f'<m:r><m:t>{text}</m:t></m:r>' for text in texts)}</m:{name}>"


@pytest.mark.parametrize(
    ("inside", "written"),
    [
        ("<m:f>" + part("num", "a+b") + part("den", "2") + "</m:f>", "(a+b)/2"),
        ("<m:sSup>" + part("e", "x") + part("sup", "2") + "</m:sSup>", "x²"),
        ("<m:sSup>" + part("e", "e") + part("sup", "kt") + "</m:sSup>", "e^kt"),
        ("<m:sSubSup>" + part("e", "x") + part("sub", "i") + part("sup", "2") + "</m:sSubSup>", "x_i²"),
        ("<m:rad>" + part("deg") + part("e", "x+1") + "</m:rad>", "√(x+1)"),
        (
            '<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr>' + part("sub", "i=1") + part("sup", "n") + part("e", "i"),
            "∑_(i=1)ⁿ i",
        ),
        ('<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr>' + part("e", "a") + "</m:d>", "[a]"),
        ("<m:func>" + part("fName", "sin") + part("e", "x") + "</m:func>", "sin x"),
        ("<m:m><m:mr>" + part("e", "1") + part("e", "0") + "</m:mr></m:m>", "1, 0"),
    ],
)
def test_equations(inside: str, written: str) -> None:
    inside += "</m:nary>" if inside.startswith("<m:nary>") else ""
    assert text_of(paragraph("y=", f"<m:oMath>{inside}</m:oMath>", " holds")) == f"y={written} holds"


def field(instruction: str, result: str | None = None, data: str = "") -> str:
    middle = "" if result is None else f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run(result)}'
    begin = f'<w:r><w:fldChar w:fldCharType="begin">{data}</w:fldChar></w:r>'
    instruction = f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
    return f'{begin}{instruction}{middle}<w:r><w:fldChar w:fldCharType="end"/></w:r>'


@pytest.mark.parametrize(
    ("instruction", "shown"),
    [
        (r'EQ \* jc2 \* "Font:MS Gothic" \* hps10 \o\ad(\s\up 9(たかはし),髙橋)', "髙橋"),
        (r"eq \o\ac(○,3)", "③"),
        (r"EQ \f(1,2)", "1/2"),
        (r"EQ \r(3,x)", "√(x)"),
        (r"EQ m\s\up 6(2)", "m²"),
        (r"EQ \f(", ""),
        (r"SYMBOL 254 \f Wingdings", "☑"),
        ("XE index", ""),
    ],
)
def test_fields_without_a_result(instruction: str, shown: str) -> None:
    assert text_of(paragraph("a", field(instruction), "z")) == f"a{shown}z"


def test_fields_with_a_result_and_boxes_of_forms() -> None:
    checked = "<w:ffData><w:checkBox><w:default w:val='1'/></w:checkBox></w:ffData>"
    entries = "<w:listEntry w:val='N'/><w:listEntry w:val='S'/>"
    choice = f"<w:ffData><w:ddList><w:result w:val='1'/>{entries}</w:ddList></w:ffData>"
    box, menu = field("FORMCHECKBOX", data=checked), field("FORMDROPDOWN", "", choice)
    assert text_of(paragraph(field("REF x", "Clause 2"), " ", box, menu)) == "Clause 2 ☒S"


def test_a_field_without_an_end_hides_nothing() -> None:
    begin = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>'
    assert text_of(paragraph("a", begin, "b") + paragraph("c")) == "ab\nc"


def test_revisions_are_read_as_accepted() -> None:
    deleted = "<w:rPr><w:del/></w:rPr>"
    body = paragraph("one, ", properties=deleted) + paragraph("two") + paragraph("three", properties=deleted)
    assert text_of(body) == "one, two\nthree"
    moved = f"<w:p><w:moveFrom>{run('x')}</w:moveFrom><w:ins>{run('y')}</w:ins><w:moveTo>{run('z')}</w:moveTo></w:p>"
    assert text_of(moved) == "yz"


def test_symbol_fonts() -> None:
    symbols = '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/><w:sym w:font="Symbol" w:char="F061"/></w:r>'
    fonts = '<w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/>'
    assert text_of(paragraph(symbols, run("\uf044b μ", fonts))) == "☑αΔβ μ"


def test_spans_of_tables_keep_the_columns() -> None:
    def cell(text: str, span: int = 1) -> str:
        return f'<w:tc><w:tcPr><w:gridSpan w:val="{span}"/></w:tcPr>{paragraph(text)}</w:tc>'

    rows = [
        f"<w:tr>{cell('Plan', 2)}{cell('Note')}</w:tr>",
        f"<w:tr>{cell('Jan')}{cell('Feb')}{cell('late')}</w:tr>",
        f'<w:tr><w:trPr><w:gridBefore w:val="1"/></w:trPr>{cell("x")}{cell("y")}</w:tr>',
        f"<w:tr><w:trPr><w:del/></w:trPr>{cell('gone')}</w:tr>",
    ]
    assert text_of(f"<w:tbl>{''.join(rows)}</w:tbl>") == "Plan |  | Note\nJan | Feb | late\n | x | y"


def test_drawings_are_read() -> None:
    def point(name: str, text: str, kind: str = "node") -> str:
        return f'<dgm:pt modelId="{name}" type="{kind}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'

    links = "".join(
        f'<dgm:cxn srcId="{a}" destId="{b}" srcOrd="{o}"/>' for a, b, o in (("0", "2", 1), ("0", "1", 0), ("1", "3", 0))
    )
    diagram = point("0", "", "doc") + point("2", "Lock") + point("3", "Wait") + point("1", "Stop")
    diagram += point("4", "layout", "pres")
    smart = '<w:r><w:drawing><dgm:relIds r:dm="diagramData"/></w:drawing></w:r>'
    assert text_of(paragraph("Steps:", smart), diagramData=diagram + links) == "Steps:\nStop\nWait\nLock"
    values = "<c:pt idx='0'><c:v>{}</c:v></c:pt><c:pt idx='1'><c:v>{}</c:v></c:pt>"
    chart = f"<c:ser><c:tx><c:pt idx='0'><c:v>kN</c:v></c:pt></c:tx><c:cat>{values.format('Jan', 'Feb')}</c:cat>"
    chart = f"<c:title><a:p><a:t>Load</a:t></a:p></c:title>{chart}<c:val>{values.format(3, 4)}</c:val></c:ser>"
    assert text_of(paragraph('<w:r><c:chart r:id="chart"/></w:r>', "See:"), chart=chart).split("\n") == [
        "See:",
        "Load",
        " | kN",
        "Jan | 3",
        "Feb | 4",
    ]


def test_documents_inside_the_document() -> None:
    body = paragraph("a") + '<w:altChunk r:id="{}"/>' + paragraph("b")
    for inside in (
        b"<html><p>in</p></html>",
        word_package(paragraph("in")),
        b"MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n<p>in</p>",
        b"in",
    ):
        assert text_of(body.format("chunk"), chunk=inside) == "a\nin\nb"
    assert text_of(body.format("nothing")) == "a\nb"


def test_parts_that_cannot_be_read_cost_only_themselves() -> None:
    body = paragraph("a") + '<w:altChunk r:id="chunk"/>' + paragraph("b", '<w:r><w:dgm/><c:chart r:id="chart"/></w:r>')
    assert text_of(body, chunk=bytes(range(256)), chart=b"<broken", styles=b"<broken") == "a\nb"
    assert text_of(listed("a", number=7), numbering="<w:num w:numId='--5'/><w:abstractNum/>") == "a"


def test_a_document_full_of_documents_ends() -> None:
    inside = word_package(paragraph("end"))
    for _ in range(6):
        inside = word_package(paragraph("x") + '<w:altChunk r:id="chunk"/>' * 4, chunk=inside)
    assert read(inside, "a.docx").text.count("x") <= 64 + 1


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE w [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b "' + b"&a;" * 1000 + b'">]>'
    whole = word_package(paragraph("a", "<w:r><w:t>&amp;</w:t></w:r>"))
    assert read(whole, "a.docx").text == "a&"
    assert refused(repacked(whole, lambda _, part: bomb + part.replace(b"&amp;", b"&b;")), "a.docx") == "broken_word"
    outside = b'<!DOCTYPE w [<!ENTITY b SYSTEM "file:///etc/hostname">]>'
    assert read(repacked(whole, lambda _, part: outside + part.replace(b"&amp;", b"&b;")), "a.docx").text == "a"
