"""Laws of guessing an encoding: other languages, bank files, mixed logs, and what files carry besides text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.documents.detectors import is_half_width_katakana
from model.documents.encodings import ENCODINGS
from model.documents.readings import is_mixed
from tests.support.documents_by_hand import read, refused

LANGUAGES = {
    "gb18030": "水泵轴承温度过高，已停机检查，更换密封件后恢复运行。",
    "big5": "水泵軸承溫度過高，已停機檢查，更換密封件後恢復運轉。",
    "euc_kr": "펌프 베어링 온도가 높아 운전을 멈추고 점검하였다.",
    "cp1250": "Silnik pompy został zatrzymany, ponieważ łożysko było zużyte; część wymieniono.",
    "cp1251": "Подшипник насоса изношен, агрегат остановлен для ремонта.",
    "koi8-r": "Подшипник насоса изношен, агрегат остановлен для ремонта.",
    "cp1253": "Η αντλία σταμάτησε επειδή το ρουλεμάν είχε φθαρεί από τη χρήση.",
    "cp1255": "המשאבה נעצרה כי המסב נשחק, והחלק הוחלף באותו היום",
    "cp1252": "Die Pumpe wurde wegen erhöhter Schwingungen abgeschaltet und geprüft; Rückmeldung folgt später.",
}
LETTERS = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝ"
names = st.lists(
    st.one_of(st.sampled_from(LETTERS), st.sampled_from(["ｶﾞ", "ﾀﾞ", "ﾎﾟ", "ｷﾞ"])), min_size=4, max_size=9
).map("".join)


@pytest.mark.parametrize("encoding", LANGUAGES)
def test_other_languages_are_read(encoding: str) -> None:
    text = LANGUAGES[encoding] * 4
    document = read(text.encode(encoding))
    assert document.text == text
    assert document.encoding in ENCODINGS


@given(lines=st.lists(st.tuples(names, names), min_size=12, max_size=40))
@settings(max_examples=40, deadline=None)
def test_half_width_katakana_of_bank_files_are_read(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(f"2{number:04d}{a:15s}{b:15s}0001000" for number, (a, b) in enumerate(lines))
    assert read(text.encode("cp932")).text == text


def test_capitals_of_other_languages_are_no_katakana() -> None:
    for text, encoding in (
        ("НАСОС ОСТАНОВЛЕН", "cp1251"),
        ("CAFÉ CRÈME BRÛLÉE", "cp1252"),
        ("насос остановлен", "koi8-r"),
    ):
        assert not is_half_width_katakana(text.encode(encoding))
    assert is_half_width_katakana("ｶ)ﾆﾎﾝｾｲｻｸｼﾞﾖ 001".encode("cp932"))


@pytest.mark.parametrize(("utf8", "second"), [(1, 30), (30, 1), (15, 15)])
@pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
def test_a_log_in_two_encodings_is_read_line_by_line(utf8: int, second: int, encoding: str) -> None:
    text = ["09:00 INFO service ready"] * 5 + ["09:01 INFO 受付を開始しました。"] * utf8
    driver = ["09:02 DRV 搬送装置の原点復帰が完了した"] * second
    document = read("\n".join(text).encode() + b"\n" + "\n".join(driver).encode(encoding))
    assert document.text.split("\n") == text + driver
    assert document.encoding == f"utf-8+{encoding}"
    assert not is_mixed("\n".join(driver).encode(encoding), f"utf-8+{encoding}")


def test_what_is_not_text_goes() -> None:
    line = "2026-02-03 04:05:06 valve opened\n"
    assert read((line * 3).encode() + bytes(4096) + line.encode() + bytes(100_000), "a.log").text == line * 4
    assert read(("弁を開いた\n" * 9).encode("cp932") + bytes(999), "a.log").text == "弁を開いた\n" * 9
    assert read(b"\x1b[1;31mERROR\x1b[0m disk\x1b[K full \x1b]0;title\x07end").text == "ERROR disk full end"
    assert read("\ufeffone\n\ufefftwo\n".encode()).text == "one\ntwo\n"


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text", ["펌프를 멈추고 점검하였다. 이상 없음.", "Насос остановлен для осмотра", "ตรวจสอบ ปั๊ม น้ำ"]
)
def test_utf16_without_a_mark_in_any_script(text: str, order: str) -> None:
    assert read(text.encode(order)).text == text


def test_a_doubtful_guess_says_so_and_offers_others() -> None:
    document = read("prześwit łożyska".encode("cp1250"))
    assert document.guess is not None and document.guess.alternatives
    assert document.encoding not in document.guess.alternatives
    assert all(read("prześwit łożyska".encode("cp1250"), encoding=name) for name in document.guess.alternatives)
    assert read(b"plain").guess is None and read("通常".encode()).guess is None
    short = read("停止".encode("euc_jp"))
    assert short.text == "停止" and short.guess is not None and short.guess.doubtful
    assert refused(b"\x00\x01\x02\x03" * 500, "a.log") == "binary"
