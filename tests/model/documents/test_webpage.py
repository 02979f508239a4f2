"""Laws of HTML: what a reader of the page sees is read, in its lines and columns, and hostile pages end."""

from __future__ import annotations

import time

import pytest

from model.documents import webpage as webpage_reader
from model.documents.web_parts import main_text
from model.documents.webpage import read_webpage
from model.errors import UserError
from tests.support.documents_by_hand import read, refused


def text_of(page: str) -> str:
    return read_webpage(page, "a.html", 10**6)


@pytest.mark.parametrize(
    "page",
    [
        "<p>a<p hidden>x<p>b",
        "<p>a</p><div style='color: red; DISPLAY : none'>x<div>y</div>z</div><p>b</p>",
        "<p>a</p><span style='visibility:hidden'>x</span><p>b</p>",
        "<style>p{} /* .b{display:none} */ .draft, #old { display: none }</style><p>a</p><p class='c draft'>x</p>"
        "<p id=old>y</p><p class=b>b</p>",
        "<style>@media print { p { display: none } }</style><p>a</p><p>b</p>",
        "<style media=print>p { display: none }</style><p>a</p><p>b</p>",
        "<p>a</p><noscript><p>Switch it on</p></noscript><template>x</template><dialog>x</dialog><p>b</p>",
        "<p>a</p><input hidden><img hidden><ul><li hidden>x<li>b</ul>",
        "<p>a</p><div hidden><div>x</div><br><p>y</div><p>b</p>",
        "<p>a</p><table><tr><td hidden>x<td>b</table>",
        "<p>a</p><dialog open>b</dialog>",
    ],
)
def test_hidden_elements_are_left_out(page: str) -> None:
    assert text_of(page) == "a\nb"


def test_readings_of_ruby_are_left_out() -> None:
    page = "<p><ruby>東<rp>（</rp><rt>ひがし</rt><rp>）</rp>口<rt>ぐち</ruby>と<ruby><rb>西</rb><rt>にし</rt></ruby>口"
    assert text_of(page) == "東口と西口"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<ol><li>a<li value=7>b<li>c</ol>d", "1. a\n7. b\n8. c\nd"),
        ("<ol type=i start=3><li>a</li><li><p>b</p><p>c</p></li></ol>", "iii. a\niv. b\nc"),
        ("<ol><li>a<ol type=A><li>b<li>c</ol><li>d</ol>", "1. a\nA. b\nB. c\n2. d"),
        ("<ol><li><ol><li>a</ol></ol>", "1. 1. a"),
        ("<ol><li><li>b</ol>", "2. b"),
        ("<ol><li>x</ol><ol reversed><li>a<ol><li>b</ol><li>c</ol>", "1. x\n2. a\n1. b\n1. c"),
        ("<ol reversed start=3><li>a<li>b</ol>", "3. a\n2. b"),
        ("<ol style='list-style: cjk-ideographic inside'><li>a</ol>", "一、a"),
        ("<ol style='list-style-type:none'><li>a</ol><ul><li>b</ul><li>c", "a\nb\nc"),
        ("<ol type=a start=26><li>a<li>b</ol>", "z. a\naa. b"),
        ("<ol start=x><li>a</ol>", "1. a"),
        ("<ol start=99999999999999><li>a</ol>", "1. a"),
    ],
)
def test_items_of_ordered_lists_are_numbered(page: str, expected: str) -> None:
    assert text_of(page) == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("<tr><td>a<br>b<td>c", "a b | c"),
        ("<tr><td><p>a</p><p>b</p><td>c", "a b | c"),
        ("<tr><td colspan=2>a<td>b<tr><td>1<td>2<td>3", "a |  | b\n1 | 2 | 3"),
        ("<tr><td rowspan=2>a<td>b<tr><td>c<tr><td>d<td>e", "a | b\n | c\nd | e"),
        ("<tr><td>a<td rowspan=3>b<tr><td>c<tr><td>d<tr><td>e<td>f", "a | b\nc | \nd | \ne | f"),
        ("<tr><td rowspan=2 colspan=2>a<td>b<tr><td>c", "a |  | b\n |  | c"),
        ("<tr><td colspan=0>a<td rowspan=x>b", "a | b"),
        ("<tr><td>a<br>b<tr><td>c", "a\nb\nc"),
        ("<tr><td>a<table><tr><td>b<td>c</table>d<td>e", "a\nb | c\nd | e"),
        ("<tr><td>" + "long " * 80 + "<br>b<td>c", ("long " * 80).strip() + "\nb\nc"),
        ("<tr><td><td><tr><td>a<td>b", "a | b"),
        ("<caption>t</caption><thead><tr><th>a<tbody><tr><td>b", "t\na\nb"),
    ],
)
def test_tables_keep_rows_and_columns(table: str, expected: str) -> None:
    assert text_of(f"<table>{table}</table>") == expected


def test_raised_and_lowered_text() -> None:
    page = "<p>10<sup>-3</sup> m<sup>2</sup>, 5<sup>th</sup> H<sub>2</sub>O<sup>[4]</sup> x<sup>k</sup>"
    assert text_of(page + "<p>2<sup>1<p>3") == "10⁻³ m², 5th H₂O[4] x^k\n2¹\n3"


ARTICLE = "The pump in hall three was stopped on Monday because its bearing ran hot after the repair. " * 3
PAGE = f"""<html><head><title>News</title></head><body><nav><ul><li><a href="/">Home</a><li><a href="/s">Shop</a></ul>
</nav><main><article><h1>Pump stopped</h1><p>{ARTICLE}</p><p>{ARTICLE.replace("Monday", "Friday")}</p></article></main>
<footer><p>Copyright, terms of use, cookies</p></footer></body></html>"""


def test_the_main_text_alone() -> None:
    whole = text_of(PAGE)
    main = read_webpage(PAGE, "a.html", 10**6, main_text_only=True)
    assert "Home" in whole and "cookies" in whole
    assert "Home" not in main and "cookies" not in main
    assert ARTICLE.strip() in main and "Friday" in main


def test_the_main_text_of_a_page_without_one_is_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_webpage("<p>a</p>", "a.html", 100, main_text_only=True) == "a"
    monkeypatch.setattr(main_text, "MAX_CHARACTERS", 100)
    with pytest.raises(UserError) as caught:
        read_webpage(PAGE, "a.html", 10**6, main_text_only=True)
    assert caught.value.key == "document.long_page" and webpage_reader


@pytest.mark.parametrize(
    "unit",
    [
        *("<p hidden>", "<div hidden>", "<b hidden><i>", "</div>", "<ol><li>", "<table><td>", "</table>", "<td><br>"),
        *("<td rowspan=9999 colspan=999>", "<tr><td rowspan=9999 colspan=999>", "<sup>", "<li>", "<ruby><rt>"),
        *("<style>", "<style>/*", "<style>{</style>", "<style>.a{display:none}</style>", "<a b=", "<a b = ", "<pre>\n"),
    ],
)
def test_hostile_pages_end_in_time(unit: str) -> None:
    start = time.process_time()
    refused((unit * 50_000 + "x" * 20 + "<p>" + "x" * 20).encode(), "a.html", max_characters=10)
    read_webpage(unit * 50_000, "a.html", 10**9)
    assert time.process_time() - start < 20


def test_a_page_keeps_ideographic_spaces_and_encodings() -> None:
    assert read("<p>　点検の記録。</p><ol><li>　一</ol>".encode(), "a.html").text == "　点検の記録。\n1. 　一"
