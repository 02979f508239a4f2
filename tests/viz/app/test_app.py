"""The app as people use it: the first screen, links, a reading from Run to result, sessions that stay apart."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.recording.reader import recordings
from tests.support.app import PAGES, sound, until, words
from tests.support.containers_by_hand import packed
from tests.support.tiny import tiny_text
from viz.app import session
from viz.jobs import registry as jobs


def reading(app: AppTest) -> jobs.Job | None:
    return jobs.latest(app.session_state["_explorer_workspace"].id, "read")


# -- every page ------------------------------------------------------------------------------------------------------


def test_first_screen_is_a_finished_recording_of_the_plain_model(open_app: Callable[..., AppTest]) -> None:
    app = sound(open_app())
    assert "plain model" in words(app)
    assert len(app.metric) == 3
    assert len(app.get("plotly_chart")) == 1


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
    assert len(app.get("plotly_chart")) == 1
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
    assert len(app.metric) == 3


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
    sound(app.selectbox(key="preset").set_value("faster_decay").run())
    app.button(key="run").click().run()
    sound(until(app, lambda app: reading(app) is None))
    shown = app.selectbox(key="recording")
    assert "mine.txt" in shown.format_func(shown.value)
    recording = session.opened(app.session_state["_explorer_workspace"].recordings / shown.value)
    assert recording.complete
    assert recording.experiment.strategy.mitigations == (("decay", 256.0),)
    assert recording.text is None
    for page in PAGES:
        sound(app.switch_page(f"viz/pages/{page}/page.py").run())


def test_nothing_runs_without_the_button(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    for toggle in app.toggle:
        if not toggle.disabled:
            sound(toggle.set_value(not toggle.value).run())
    assert not jobs.jobs_of(app.session_state["_explorer_workspace"].id)


def test_cancel_ends_a_reading_and_shows_what_was_read(open_app: Callable[..., AppTest]) -> None:
    app = upload(open_app(), tiny_text(120_000), "long.txt")
    app.button(key="run").click().run()
    until(app, lambda app: (job := reading(app)) is not None and job.done > 2000)
    sound(app)
    job = reading(app)
    assert job is not None
    assert app.button(key="run").disabled
    app.button(key=f"cancel-{job.id}").click().run()
    assert job.wait(60) and job.status == jobs.CANCELLED
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


def test_a_doubtful_encoding_and_what_was_left_out_are_shown(open_app: Callable[..., AppTest]) -> None:
    app = open_app("ja")
    app.switch_page("viz/pages/documents/page.py").run()
    app.file_uploader[0].upload("short.txt", "停止".encode("euc_jp"))
    sound(until(app, lambda app: app.selectbox(key="doc").value.startswith("upload:")))
    assert app.code[0].value == "停止" and "euc_jp" in app.warning[0].value
    app.file_uploader[0].upload("logs.zip", packed({"a.txt": "text", "b.png": b"\x89PNG\r\n\x1a\n"}))
    sound(until(app, lambda app: "a.txt" in app.code[0].value))
    assert any("b.png" in caption.value and "OCR" in caption.value for caption in app.caption)
    app.file_uploader[0].upload("two.zip", packed({"a.txt": "first\n", "b.txt": "second\n"}))
    sound(until(app, lambda app: "second" in app.code[0].value))
    parts = app.dataframe[0].value
    assert any("a.txt" in place for place in parts.iloc[:, 0]) and any("second" in words for words in parts.iloc[:, 2])


def test_a_bad_upload_is_one_sentence(open_app: Callable[..., AppTest]) -> None:
    app = open_app("ja")
    app.file_uploader[0].upload("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100)).run()
    assert not app.exception
    assert len(app.error) == 1
    assert "picture" in app.error[0].value
