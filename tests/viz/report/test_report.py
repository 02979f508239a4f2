"""The report: its numbers are those of the recordings, it fetches nothing, and nothing in it runs that came in."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import html
from PIL import Image
from pypdf import PdfReader
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from model.cli.main import app as cli
from model.errors import UserError
from model.experiment import Strategy
from model.messages import LANGUAGES, message
from model.recording.reader import Recording
from model.studies.diagnose import Confidence, Diagnosis, Recall, Sentence, StrategyResult
from model.studies.evidence.result import Estimate
from tests.support.app import APP, sound, until
from tests.support.recordings import synthetic_recording
from viz.app import session
from viz.report.chromium import browser
from viz.report.make import Wishes, facts_of, file_name, html_of, make

DATE = datetime.date(2026, 11, 28)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)><a href='https://example.com'>here</a>"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """A plain reading that collapses, and one with a window that does not."""
    folder = tmp_path_factory.mktemp("recordings")
    plain = synthetic_recording(folder, 12_000, document_name="仕様書 specification.txt")
    window = (("window", 256.0),)
    return [
        plain,
        synthetic_recording(folder, 12_000, collapse=False, mitigations=window, document_name=plain.meta.document_name),
    ]


def page_of(recordings: list[Recording], language: str = "en", **wishes: str) -> str:
    facts = facts_of([recording.path for recording in recordings])
    return html_of(facts, Wishes(language=language, **wishes), DATE)


def text_of(page: str) -> str:
    """What a reader sees."""
    tree = html.fromstring(page)
    for element in tree.xpath("//script | //style"):
        element.drop_tree()
    return re.sub(r"\s+", " ", tree.text_content())


def numbers_of(pair: list[Recording]) -> list[str]:
    """The numbers that the executives' pages and the appendix must have."""
    plain, window = (recording.summary for recording in pair)
    removed = 1 - window["excess_loss"] / plain["excess_loss"]
    return [
        f"{plain['collapse_onset'] + 1:,}",
        f"{removed:.1%}",
        f"{plain['excess_loss']:+.3f}",
        f"{plain['excess_high']:+.3f}",
        f"{window['loss_within']:.3f}",
        f"{100 * (window['loss_within'] / plain['loss_within'] - 1):+z.1f}%",
        f"{1.05 * window['control_loss_beyond']:.3f}",
        pair[0].key,
        pair[1].key,
        "12,000",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_the_numbers_of_the_recordings(language: str, pair: list[Recording]) -> None:
    text = text_of(page_of(pair, language, company="株式会社 例", notes="First.\n\nSecond."))
    assert not [number for number in numbers_of(pair) if number not in text]
    for key in ("question_gain", "question_collapse", "question_remedy", "plan_title", "risks_title", "appendix_title"):
        assert message(f"report.{key}", language) in text
    assert "株式会社 例" in text and "Second." in text
    assert "memory-explorer read FILE --model mamba2-base --mitigate window=256.0" in text
    assert message("report.gain_no_recall", language) in text  # what was not measured is said


@pytest.mark.skipif(browser() is None, reason="needs Chromium, Chrome or Edge")
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_read_back_has_the_numbers(language: str, pair: list[Recording], tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    facts = facts_of([recording.path for recording in pair])
    make(facts, target, Wishes(language=language), date=DATE)
    pages = [page.extract_text() for page in PdfReader(target).pages]
    text = re.sub(r"\s+", "", "".join(pages))
    assert not [number for number in numbers_of(pair) if re.sub(r"\s+", "", number) not in text]
    found = [index for index, page in enumerate(pages) if message("report.appendix_title", language) in page]
    assert found == [2]  # two pages for executives, and then the appendix
    width, height = PdfReader(target).pages[0].mediabox[2:]
    assert (round(width), round(height)) == (595, 842)


def test_nothing_is_fetched_and_nothing_from_outside_runs(pair: list[Recording]) -> None:
    tree = html.fromstring(page_of(pair))
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert "default-src 'none'" in policy and "http" not in policy
    assert not tree.xpath("//link | //iframe | //object | //embed | //base | //form")
    assert not [value for value in tree.xpath("//@src | //@href | //@srcset") if not value.startswith(("data:", "#"))]
    styles = "".join(tree.xpath("//style/text() | //@style"))
    assert "url(" not in styles and "@import" not in styles
    running = [script for script in tree.xpath("//script") if script.get("type") != "application/json"]
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce and len(running) == 2 and all(script.get("nonce") == nonce[1] for script in running)
    assert '"showSendToCloud": false' in tree.xpath("//script[@id='config']/text()")[0]


def test_what_comes_in_with_names_and_notes_stays_text(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path, 3000, document_name=EVIL, title=EVIL, model=EVIL)
    page = page_of([recording], company=EVIL, notes=EVIL)
    tree = html.fromstring(page)
    assert not tree.xpath("//img | //a | //@onerror") and len(tree.xpath("//script[@nonce]")) == 2
    assert all("<" not in data for data in tree.xpath("//script[@type='application/json']/text()"))
    assert text_of(page).count("alert(1)") >= 4
    assert re.fullmatch(r"report-[\w.-]+-2026-11-28\.html", file_name(facts_of([recording.path]), ".html", DATE))


def test_one_reading_alone_says_what_is_not_known(tmp_path: Path) -> None:
    plain = synthetic_recording(tmp_path / "a", 12_000)
    assert message("report.remedy_unknown", "en") in text_of(page_of([plain]))
    short = synthetic_recording(tmp_path / "b", 1000, control=False)
    text = text_of(page_of([short]))
    assert message("report.not_measured", "en") in text and message("report.monitor_none", "en") in text
    tiny = [synthetic_recording(tmp_path / "d", 150, mitigations=some) for some in ((), (("decay", 4.0),))]
    assert message("report.do_longer", "en", needed=2304) in text_of(page_of(tiny))
    mitigated = synthetic_recording(tmp_path / "c", 12_000, mitigations=(("decay", 4.0),))
    assert message("report.collapse_unknown", "ja") in text_of(page_of([mitigated], "ja"))


def test_a_report_is_about_one_document(pair: list[Recording], tmp_path: Path) -> None:
    other = synthetic_recording(tmp_path, 3000)
    with pytest.raises(UserError, match="about one document"):
        facts_of([pair[0].path, other.path])
    with pytest.raises(UserError, match="nothing to report"):
        facts_of([])
    with pytest.raises(UserError, match=r"\.html or a \.pdf"):
        make(facts_of([other.path]), tmp_path / "report.docx", Wishes())
    with pytest.raises(UserError, match="longer than 20,000"):
        page_of([other], notes="x" * 20_001)


def diagnosis_of(pair: list[Recording]) -> Diagnosis:
    plain, window = pair
    results = tuple(
        StrategyResult(
            recording=recording.key,
            model="mamba2-base",
            weights=recording.experiment.weights,
            strategy=recording.experiment.strategy,
            loss_within=2.5,
            loss_beyond=3.25,
            excess=Estimate(mean, mean - 0.011, mean + 0.011, 9),
            removed=removed,
            cost=None if removed is None else Estimate(0.0123, 0.01, 0.02, 9),
            gain=removed,
            recall=Recall(result="0" * 12, length=4096, correct=7, trials=9),
            tokens_per_second=1234.0,
        )
        for recording, mean, removed in ((window, -0.125, Estimate(0.875, 0.85, 0.9, 9)), (plain, 0.25, None))
    )
    lost = replace(results[0], recording="f" * 12, strategy=Strategy.of(mitigations={"decay": 4.0}), tie=True)
    return Diagnosis(
        key="0" * 12,
        document=plain.experiment.document,
        document_name=plain.meta.document_name,
        characters=plain.meta.characters,
        tokens=plain.tokens,
        pages=30,
        model="mamba2-base",
        weights=plain.experiment.weights,
        train_length=plain.train_length,
        planned=3,
        verdict=Sentence("verdict.collapses", {"onset": 1024, "percent": 61.0, "ratio": 2.4}),
        strategies=(*results, lost),
        recommended=window.key,
        steps=(Sentence("diagnose.step_mitigate", {}),),
        split=777,
        confidence=Confidence(level="medium", reasons=()),
        complete=True,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_diagnosis_gives_its_own_numbers_and_advice(language: str, pair: list[Recording]) -> None:
    file = pair[0].path.parent / "diagnoses" / "one.json"
    diagnosis_of(pair).save(file)
    facts = facts_of([file])
    assert [reading.recording is not None for reading in facts.readings] == [True, True, False]
    text = text_of(html_of(facts, Wishes(language=language), DATE))
    name = message("mitigations.window_title", language) + " 256"
    assert message("diagnose.step_mitigate", language, strategy=name) in text
    for number in (
        "61%",
        "-0.125",
        "87.5%",
        "90.0%",
        "+1.2%",
        "1,234",
        "7 / 9",
        "777",
        "4,096",
        "memory-explorer diagnose FILE",
    ):
        assert number in text, number
    assert message("report.confidence_medium", language) in text
    with pytest.raises(UserError, match="not both"):
        facts_of([file, pair[0].path])


def test_the_app_makes_a_report_with_one_click(
    pair: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setattr(session, "SHIPPED", pair[0].path.parent)
    monkeypatch.setattr("viz.jobs.report.browser", lambda: None)  # a page is quicker than its print
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["report_open"] = True
    sound(app.run())
    app.text_input(key="report_company").set_value("Example Ltd")
    sound(app.button(key="report_make").click().run())
    until(app, lambda app: made(app) is not None)
    file = made(app)
    assert file is not None and any(file.name in button.label for button in app.get("download_button"))
    text = text_of(file.read_text("utf-8"))
    assert "Example Ltd" in text and not [number for number in numbers_of(pair) if number not in text]


def made(app: AppTest) -> Path | None:
    return app.session_state["_explorer_report"] if "_explorer_report" in app.session_state else None  # noqa: SIM401


@pytest.mark.skipif(browser() is None, reason="needs Chromium, Chrome or Edge")
def test_a_figure_becomes_a_picture(pair: list[Recording], tmp_path: Path) -> None:
    target = tmp_path / "picture.png"
    arguments = ["export", str(pair[0].path), "--format", "png", "--figure", "excess", "--out", str(target)]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout.strip() == str(target)
    picture = Image.open(target).convert("RGB")
    assert picture.size == (1800, 600)
    colours = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert (213, 94, 0) in colours and (255, 255, 255) in colours
    corner = picture.crop((1500, 20, 1800, 60)).getcolors()
    assert corner == [(300 * 40, (255, 255, 255))]  # no tools of a screen


def test_without_a_browser_a_sentence_says_what_to_do(
    pair: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viz.report.chromium.browser", lambda: None)
    with pytest.raises(UserError, match="write HTML instead, open it in any browser"):
        make(facts_of([pair[0].path]), tmp_path / "report.pdf", Wishes())
    monkeypatch.setattr("viz.report.chromium.browser", lambda: "/bin/false")
    with pytest.raises(UserError, match="did not finish"):
        make(facts_of([pair[0].path]), tmp_path / "report.pdf", Wishes())
    assert not list(tmp_path.iterdir())
