"""The app as people use it: every page in both languages, a reading from Run to result, sessions that stay apart."""

import ast
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model.documents.document import MAX_BYTES
from model.messages import catalogue
from model.recording.reader import recordings
from tests.support.recordings import synthetic_recording
from tests.support.tiny import make_tiny_checkpoint, tiny_text
from viz.app import session, theme
from viz.app.language import plain
from viz.jobs import registry as jobs

ROOT = Path(__file__).parents[3]
PAGES = sorted(file.parent.name for file in (ROOT / "viz" / "pages").glob("*/page.py"))
LANGUAGES = {"en": "en-GB", "ja": "ja-JP"}


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home with a tiny model, and a folder of shipped recordings."""
    home, shipped = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shipped")
    make_tiny_checkpoint(home)
    synthetic_recording(shipped, 12_000, document_name="log.txt", title="log.txt")
    synthetic_recording(
        shipped, 12_000, document_name="log.txt", title="log.txt", mitigations=(("decay", 4.0),), collapse=False
    )
    return home, shipped


@pytest.fixture
def open_app(shelves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens a new browser session."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(shelves[0]))
    monkeypatch.setattr(session, "SHIPPED", shelves[1])

    def start(language: str = "en", theme: str = "light", **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.context = {"locale": LANGUAGES[language], "theme": theme}
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    yield start
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)


def sound(app: AppTest) -> AppTest:
    """The same app, if it shows neither an exception nor an error."""
    assert not app.exception, app.exception[0].value
    assert not app.error, app.error[0].value
    return app


def words(app: AppTest) -> str:
    return " ".join(
        str(element.value) for kind in ("header", "markdown", "caption", "info") for element in app.get(kind)
    )


def until(app: AppTest, holds: Callable[[AppTest], bool], seconds: float = 60) -> AppTest:
    deadline = time.monotonic() + seconds
    while not holds(app.run()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return app


def reading(app: AppTest) -> jobs.Job | None:
    return jobs.latest(app.session_state["_explorer_workspace"].id, "read")


# -- every page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme_name", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(page: str, language: str, theme_name: str, open_app: Callable[..., AppTest]) -> None:
    app = open_app(language, theme_name)
    sound(app.switch_page(f"viz/pages/{page}/page.py").run())


def test_first_screen_is_a_finished_recording_of_the_plain_model(open_app: Callable[..., AppTest]) -> None:
    app = sound(open_app())
    assert "plain model" in words(app)
    assert len(app.metric) == 5
    assert len(app.get("plotly_chart")) == 3


def test_without_any_recording_the_first_screen_says_what_to_do(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session, "SHIPPED", tmp_path / "none")
    app = sound(open_app("ja"))
    assert any("実行" in note.value for note in app.info)
    for page in PAGES:
        sound(app.switch_page(f"viz/pages/{page}/page.py").run())


def test_without_a_model_recordings_can_still_be_viewed(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", tmp_path)
    app = sound(open_app())
    assert len(app.get("plotly_chart")) == 3
    assert not [button for button in app.button if button.key == "run"]


def test_a_link_restores_language_recording_and_controls(open_app: Callable[..., AppTest]) -> None:
    with_decay = [recording.key for recording in recordings(session.SHIPPED) if not recording.experiment.plain]
    app = sound(open_app("en", lang="ja", recording=with_decay[0], decay="true", decay_value="8.0", init="fitted"))
    assert app.session_state["lang"] == "ja"
    assert app.selectbox(key="recording").value == with_decay[0]
    assert app.toggle(key="decay").value
    assert app.number_input(key="decay_value").value == 8.0
    assert app.selectbox(key="init").value == "fitted"
    assert app.selectbox(key="preset").value == "custom"


def test_a_link_to_a_recording_of_someone_else_says_so(open_app: Callable[..., AppTest]) -> None:
    app = sound(open_app(recording="ffffffffffff"))
    assert any("not available" in note.value for note in app.info)
    assert len(app.metric) == 5


def test_a_preset_sets_the_switches_and_the_switches_the_preset(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    sound(app.selectbox(key="preset").set_value("forget_more_write_less").run())
    assert app.toggle(key="insertion").value
    assert app.toggle(key="retention").value
    assert app.number_input(key="retention_value").value == 0.9999
    sound(app.number_input(key="retention_value").set_value(0.99).run())
    assert app.selectbox(key="preset").value == "custom"
    sound(app.selectbox(key="preset").set_value("none").run())
    assert not app.toggle(key="insertion").value


# -- reading ---------------------------------------------------------------------------------------------------------


def upload(app: AppTest, text: str, name: str) -> AppTest:
    app.file_uploader[0].upload(name, text.encode("utf-8"))
    return until(app, lambda app: app.selectbox(key="doc").value.startswith("upload:"))


def test_upload_run_and_see_the_result(open_app: Callable[..., AppTest]) -> None:
    app = upload(open_app(), tiny_text(1500), "mine.txt")
    sound(app.selectbox(key="preset").set_value("decay_times_four").run())
    app.button(key="run").click().run()
    sound(until(app, lambda app: reading(app) is None))
    shown = app.selectbox(key="recording")
    assert "mine.txt" in shown.format_func(shown.value)
    recording = session.opened(app.session_state["_explorer_workspace"].recordings / shown.value)
    assert recording.complete
    assert recording.experiment.strategy.mitigations == (("decay", 4.0),)
    assert recording.text is None
    for page in PAGES:
        sound(app.switch_page(f"viz/pages/{page}/page.py").run())


def test_nothing_runs_without_the_button(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    for toggle in app.toggle:
        if not toggle.disabled:
            sound(toggle.set_value(not toggle.value).run())
    assert not jobs.jobs_of(app.session_state["_explorer_workspace"].id)


def test_cancel_acts_within_a_second_and_shows_what_was_read(open_app: Callable[..., AppTest]) -> None:
    app = upload(open_app(), tiny_text(120_000), "long.txt")
    app.button(key="run").click().run()
    until(app, lambda app: (job := reading(app)) is not None and job.done > 2000)
    sound(app)
    job = reading(app)
    assert job is not None
    assert app.button(key="run").disabled
    began = time.monotonic()
    app.button(key=f"cancel-{job.id}").click().run()
    job.wait(10)
    assert time.monotonic() - began < 3  # on a machine that is busy with other things
    sound(until(app, lambda app: reading(app) is None))
    shown = app.selectbox(key="recording").value
    recording = session.opened(app.session_state["_explorer_workspace"].recordings / shown)
    assert 2000 <= recording.read_tokens < recording.tokens
    assert "Stopped after" in words(app)


def test_sessions_do_not_see_each_other(open_app: Callable[..., AppTest]) -> None:
    first, second = open_app(), open_app()
    upload(first, tiny_text(800), "secret.txt")
    first.button(key="run").click().run()
    until(first, lambda app: reading(app) is None)
    mine = first.selectbox(key="recording").value
    second.run()
    assert mine not in second.selectbox(key="recording").options
    assert not [option for option in second.selectbox(key="doc").options if "secret" in option]
    for page in PAGES:
        app = sound(second.switch_page(f"viz/pages/{page}/page.py").run())
        assert "secret" not in words(app)


def test_what_is_kept_is_seen_by_everyone_and_deleted_on_demand(open_app: Callable[..., AppTest]) -> None:
    first = upload(open_app(), tiny_text(900), "minutes.txt")
    first.toggle(key="keep").set_value(True).run()
    first.button(key="run").click().run()
    until(first, lambda app: reading(app) is None)
    key = first.selectbox(key="recording").value
    second = open_app(recording=key)
    assert second.selectbox(key="recording").value == key
    sound(second.switch_page("viz/pages/documents/page.py").run())
    second.selectbox(key="managed").set_value(key).run()
    sound(second.button(key="delete_now").click().run())
    assert not (session.home() / "recordings" / key).exists()


def test_a_session_leaves_nothing_behind(open_app: Callable[..., AppTest]) -> None:
    app = upload(open_app(), tiny_text(120_000), "long.txt")
    app.button(key="run").click().run()
    until(app, lambda app: (job := reading(app)) is not None and job.done > 0)
    workspace = app.session_state["_explorer_workspace"]
    folder, job = workspace.folder, reading(app)
    assert any(workspace.recordings.iterdir())
    workspace.close()
    assert job is not None
    assert job.wait(20)
    assert job.status == jobs.CANCELLED
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_the_encoding_can_be_chosen_and_an_upload_forgotten(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    app.switch_page("viz/pages/documents/page.py").run()
    app.file_uploader[0].upload("log.txt", ("ポンプの圧力は正常です。\n" * 50).encode("cp932"))
    sound(until(app, lambda app: app.selectbox(key="doc").value.startswith("upload:")))
    assert "cp932" in app.selectbox(key="encoding").options[0]
    sound(app.selectbox(key="encoding").set_value("latin-1").run())
    assert "ポンプ" not in app.code[0].value
    sound(app.selectbox(key="encoding").set_value("auto").run())
    assert "ポンプ" in app.code[0].value
    app.selectbox(key="encoding").set_value("utf-8").run()
    assert len(app.error) == 1
    assert "ポンプ" in app.code[0].value
    sound(app.button(key="forget").click().run())
    assert not app.session_state["_explorer_workspace"].uploads


def test_recordings_are_renamed_kept_and_listed(open_app: Callable[..., AppTest]) -> None:
    app = upload(open_app(), tiny_text(700), "notes.txt")
    app.button(key="run").click().run()
    until(app, lambda app: reading(app) is None)
    key = app.selectbox(key="recording").value
    app.switch_page("viz/pages/documents/page.py").run()
    assert app.selectbox(key="managed").value == key
    app.text_input(key=f"title-{key}").set_value("![x](http://example.com/x.png)").run()
    sound(app.button(key="save_title").click().run())
    assert "![x](http://example.com/x.png)" in list(app.dataframe[0].value["title"])
    assert "![x]" not in words(app)
    sound(app.button(key="keep_recording").click().run())
    assert (session.home() / "recordings" / key).exists()
    sound(app.button(key="delete_now").click().run())
    assert key not in app.selectbox(key="managed").options


def test_a_bad_upload_is_one_sentence(open_app: Callable[..., AppTest]) -> None:
    app = open_app("ja")
    app.file_uploader[0].upload("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100)).run()
    assert not app.exception
    assert len(app.error) == 1
    assert "picture" in app.error[0].value


# -- words -----------------------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    rooms = ("kernels", "model", "viz", "sample_data")
    return [ROOT / "app.py", *(file for room in rooms for file in sorted((ROOT / room).rglob("*.py")))]


def calls() -> Iterator[tuple[str, ast.expr]]:
    """The first argument of every call that asks for a message."""
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in ("t", "message", "UserError", "words"):
                    yield str(file.relative_to(ROOT)), node.args[0]


def _alternatives(node: ast.expr) -> Iterator[re.Pattern[str]]:
    """Patterns of the keys that an argument can be; none for one that is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.compile(re.escape(node.value))
    elif isinstance(node, ast.JoinedStr):
        parts = [re.escape(part.value) if isinstance(part, ast.Constant) else r"[\w.]+" for part in node.values]
        if any(isinstance(part, ast.Constant) and len(part.value) > 3 for part in node.values):
            yield re.compile("".join(parts))
    elif isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _alternatives(value)


def test_every_message_that_is_asked_for_exists() -> None:
    known = set(catalogue())
    missing = [
        f"{file}: {pattern.pattern}"
        for file, argument in calls()
        for pattern in _alternatives(argument)
        if not any(pattern.fullmatch(key) for key in known)
    ]
    assert not missing


def test_every_message_is_used() -> None:
    strings = [
        node
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant | ast.JoinedStr)
    ]
    patterns = [pattern for node in strings for pattern in _alternatives(node)]
    assert not [key for key in catalogue() if not any(pattern.fullmatch(key) for pattern in patterns)]


def test_every_message_is_in_both_languages_with_the_same_values() -> None:
    for key, sentences in catalogue().items():
        assert set(sentences) == set(LANGUAGES), key
        fields = [set(re.findall(r"{(\w+)[^}]*}", sentence)) for sentence in sentences.values()]
        assert fields[0] == fields[1], key
        assert all(sentence.strip() for sentence in sentences.values()), key


def test_tables_have_titles_and_help() -> None:
    from model.interventions.initial_states import INITIAL_STATES
    from model.interventions.mitigations import MITIGATIONS, PRESETS

    known = catalogue()
    for topic, table in (("mitigations", MITIGATIONS), ("initial_states", INITIAL_STATES)):
        for name in table:
            assert f"{topic}.{name}_title" in known
            assert f"{topic}.{name}_help" in known
    assert {f"mitigations.preset_{name}" for name in ["none", *PRESETS]} <= set(known)


# -- the first picture, the settings ---------------------------------------------------------------------------------


VIEWS = sorted(file for file in (ROOT / "viz" / "pages").rglob("[a-z]*.py") if file.name != "page.py")


def test_the_app_starts_without_torch() -> None:
    modules = [
        "viz.app.sidebar",
        "viz.jobs.reading",
        "viz.app.uploads",
        "viz.app.session",
        *(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in VIEWS),
    ]
    script = (
        f"import {', '.join(modules)}, sys\n"
        "print([name for name in ('torch', 'umap', 'numba', 'transformers', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout


def test_the_first_page_takes_little_work() -> None:
    script = (
        "import streamlit.web.server, streamlit.testing.v1 as testing, sys\n"
        "app = testing.AppTest.from_file('app.py', default_timeout=60)\n"
        "app.run()\n"
        "assert not app.exception\n"
        "slow = ('torch', 'umap', 'numba', 'transformers', 'sklearn', 'scipy', 'pypdf', 'docx')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"  # what is slow to import, and not a clock, which a busy machine moves


def test_figures_of_the_overview_stay_small_however_long_the_document() -> None:
    from model.diagnostics.collapse import excess_curve
    from viz.pages.overview import view as overview

    tokens, rng = 1_000_000, np.random.default_rng(0)
    loss, control = rng.random(tokens, np.float32) + 2, rng.random(tokens, np.float32) + 2
    position = np.arange(0, tokens, 64)
    norm = rng.random((len(position), 24, 4), np.float32)
    common = {"train_length": 256, "end": tokens, "dark": False}
    curve = excess_curve(loss, control, 256)
    figures = [
        overview.loss_figure(loss, control, **common),
        overview.norm_figure(position, norm, **common),
        overview.excess_figure(curve, **common),
        overview.novelty_figure(np.arange(1024) * 64, rng.random(1024), **common),
    ]
    assert max(len(figure.to_json()) for figure in figures) < 1_000_000


@pytest.mark.parametrize(
    "title",
    ["![x](http://example.com/x.png)", "[a](http://b)", "**a** _b_ `c`", "<img src=x>", "$x$", ":material/x:", "# a"],
)
def test_plain_leaves_nothing_for_markdown_to_do(title: str) -> None:
    escaped = plain(title)
    assert not re.search(r"(?<!\\)[\[\]()<>*_`$:#!]", escaped)
    assert re.sub(r"\\(.)", r"\1", escaped) == title


def test_settings_are_those_of_a_company() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["maxUploadSize"] == MAX_BYTES // 2**20
    assert "http" not in json.dumps(settings)
    for dark, name in ((False, "light"), (True, "dark")):
        assert settings["theme"][name]["backgroundColor"] == theme.BACKGROUND[dark]
        assert settings["theme"][name]["textColor"] == theme.TEXT[dark]
        assert tuple(settings["theme"][name]["chartCategoricalColors"]) == theme.COLOURS
