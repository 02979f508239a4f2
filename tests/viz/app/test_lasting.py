"""What outlives a session: on one's own machine, in the workspace of a browser, and by a link that its owner shares."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from model.messages import message
from model.recording.reader import Recording
from tests.support.app import PAGES, sound, until, words
from tests.support.recordings import synthetic_recording
from tests.support.tiny import tiny_text
from viz.app import browser, session, workspace
from viz.jobs import registry as jobs

DAY = 24 * 3600


@pytest.fixture
def data(shelves: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, with the tiny model."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "checkpoints").symlink_to(shelves[0] / "checkpoints")
    return tmp_path / "home"


@pytest.fixture
def own(open_app: Callable[..., AppTest], data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens tabs of the dashboard on one's own machine."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(data))
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", "0")
    return open_app


@pytest.fixture
def of(open_app: Callable[..., AppTest], data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens tabs of the dashboard on a shared server in the browser with that name."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(data))

    def start(name: str, **query: str) -> AppTest:
        monkeypatch.setattr(workspace, "browser_id", lambda: f"{name:0>32}")
        return open_app(**query)

    return start


def upload(app: AppTest, words: int, name: str) -> AppTest:
    app.file_uploader[0].upload(name, tiny_text(words).encode("utf-8"))
    return until(app, lambda app: app.selectbox(key="doc").value.startswith("upload:"))


def job_of(app: AppTest) -> jobs.Job | None:
    here = app.session_state["_explorer_workspace"]
    return jobs.latest(here.id, "read") or jobs.latest(here.session, "read")


def read(app: AppTest, words: int = 700, name: str = "mine.txt") -> str:
    """Upload and run; the key of the recording."""
    upload(app, words, name).button(key="run").click().run()
    return sound(until(app, lambda app: job_of(app) is None)).selectbox(key="recording").value


def titles(app: AppTest) -> str:
    return " ".join(app.selectbox(key="recording").options)


# -- one's own machine -----------------------------------------------------------------------------------------------


def test_a_reading_and_its_document_are_there_after_a_reload(own: Callable[..., AppTest], data: Path) -> None:
    app = own()
    key, doc = read(app), app.selectbox(key="doc").value
    app.session_state["_explorer_workspace"].close()  # what Streamlit does when a tab is gone
    again = sound(own(recording=key, doc=doc))
    assert again.selectbox(key="recording").value == key and again.selectbox(key="doc").value == doc
    assert (data / "recordings" / key).is_dir() and not again.main.info
    assert Recording(data / "recordings" / key).text is None  # the text is in the documents, not in the recording
    for page in PAGES:
        sound(again.switch_page(f"viz/pages/{page}/page.py").run())
    second = own()
    assert "mine.txt" in titles(second)


def test_what_was_deleted_stays_deleted(own: Callable[..., AppTest], data: Path) -> None:
    app = own()
    key = read(app)
    sound(app.switch_page("viz/pages/recordings/page.py").run())
    app.multiselect(key="managed").set_value([key]).run()
    sound(app.button(key="delete_now").click().run())
    sound(app.switch_page("viz/pages/documents/page.py").run())
    sound(app.button(key="forget").click().run())
    again = own()
    assert "mine.txt" not in titles(again)
    assert not [option for option in again.selectbox(key="doc").options if "mine" in option]
    assert not any((data / "documents").iterdir())


def test_with_the_switch_off_nothing_is_written_to_the_data_folder(own: Callable[..., AppTest], data: Path) -> None:
    app = own()
    app.toggle(key="keep").set_value(False).run()
    assert message("app.sidebar.privacy_session", "en") in words(app)
    key = read(app)
    assert not (data / "recordings" / key).exists() and not (data / "documents").exists()
    folder = app.session_state["_explorer_workspace"].passing
    assert (folder / "recordings" / key).is_dir()
    other = own(recording=key)
    assert "mine.txt" not in titles(other) and any("not available" in note.value for note in other.info)
    app.session_state["_explorer_workspace"].close()
    assert not folder.exists()


def test_a_recording_can_be_kept_afterwards(own: Callable[..., AppTest], data: Path) -> None:
    app = own()
    app.toggle(key="keep").set_value(False).run()
    key = read(app)
    sound(app.switch_page("viz/pages/recordings/page.py").run())
    app.multiselect(key="managed").set_value([key]).run()
    sound(app.button(key="keep_recording").click().run())
    assert (data / "recordings" / key).is_dir() and "mine.txt" in titles(own())


def test_a_running_job_survives_a_reload_and_both_tabs_show_its_end(own: Callable[..., AppTest]) -> None:
    first = upload(own(), 60_000, "long.txt")
    first.button(key="run").click().run()
    until(first, lambda app: (job := job_of(app)) is not None and job.done > 0)
    first.session_state["_explorer_workspace"].close()
    second = sound(own())
    job = job_of(second)
    assert job is not None and job.active and second.button(key="run").disabled
    assert "long.txt" in " ".join(element.value for element in second.markdown)
    second.button(key=f"cancel-{job.id}").click().run()
    assert job.wait(60)
    for app in (second, first):
        sound(app.run())
        assert "long.txt" in app.selectbox(key="recording").format_func(app.selectbox(key="recording").value)
    assert job_of(second) is None


def test_a_cancelled_reading_resumes_to_its_end(own: Callable[..., AppTest]) -> None:
    app = upload(own(), 20_000, "long.txt")
    app.button(key="run").click().run()
    job = job_of(app)
    assert job is not None
    app.button(key=f"cancel-{job.id}").click().run()
    until(app, lambda app: job_of(app) is None)
    sound(app.button(key="run").click().run())
    sound(until(app, lambda app: job_of(app) is None))
    key = app.selectbox(key="recording").value
    assert session.opened(session.home() / "recordings" / key).complete
    assert "Stopped after" not in words(app.run())


def test_folders_of_the_command_line_appear_by_themselves(own: Callable[..., AppTest], data: Path) -> None:
    app = own()
    made = synthetic_recording(data / "recordings", 3000, title="by the command line")
    sound(app.run())
    assert "by the command line" in titles(app)
    sound(own(recording=made.key))


# -- a shared server -------------------------------------------------------------------------------------------------


def test_browsers_see_their_own_until_a_link_is_shared(of: Callable[..., AppTest], data: Path) -> None:
    app = of("a")
    key = read(app, name="secret.txt")
    assert key == of("a", recording=key).selectbox(key="recording").value
    other = sound(of("b", recording=key))
    assert "secret" not in titles(other) and any("not available" in note.value for note in other.info)
    assert not [option for option in other.selectbox(key="doc").options if "secret" in option]

    of("a")  # the requests below are those of a
    sound(app.switch_page("viz/pages/recordings/page.py").run())
    app.multiselect(key="managed").set_value([key]).run()
    sound(app.button(key="share").click().run())
    opened = sound(of("b", recording=key))
    assert opened.selectbox(key="recording").value == key and "secret" in titles(opened)
    for page in PAGES:
        sound(opened.switch_page(f"viz/pages/{page}/page.py").run())
    assert "secret" not in titles(of("b"))  # only the link opens it
    sound(opened.switch_page("viz/pages/recordings/page.py").run())
    assert "secret" not in " ".join(opened.multiselect(key="managed").options)

    sound(app.button(key="unshare").click().run())
    assert "secret" not in titles(of("b", recording=key))
    assert "secret" not in titles(sound(opened.switch_page("viz/pages/overview/page.py").run()))


def test_a_deleted_recording_is_no_longer_shared(of: Callable[..., AppTest], data: Path) -> None:
    app = of("a")
    key = read(app)
    sound(app.switch_page("viz/pages/recordings/page.py").run())
    app.multiselect(key="managed").set_value([key]).run()
    sound(app.button(key="share").click().run())
    sound(app.button(key="delete_now").click().run())
    assert not any((data / "shared").iterdir())


def test_the_servers_own_recordings_are_for_everyone_and_read_only(of: Callable[..., AppTest], data: Path) -> None:
    made = synthetic_recording(data / "recordings", 3000, title="for everyone")
    app = of("a")
    assert "for everyone" in titles(app)
    sound(app.switch_page("viz/pages/recordings/page.py").run())
    app.multiselect(key="managed").set_value([made.key]).run()
    assert message("recordings.read_only_note", "en") in words(app)
    app.button(key="delete_now").click().run()  # a widget's lock is no protection by itself
    assert made.path.is_dir()


def test_a_workspace_without_visits_is_deleted(of: Callable[..., AppTest], data: Path) -> None:
    of("a"), of("b")
    folders = {name: data / "workspaces" / f"{name:0>32}" for name in "abc"}
    assert folders["a"].stat().st_mode & 0o077 == 0
    past = time.time() - (browser.DAYS + 1) * DAY
    os.utime(folders["a"] / "visited", (past, past))
    of("c")
    assert [name for name, folder in folders.items() if folder.exists()] == ["b", "c"]


def test_a_browser_without_the_cookie_has_a_session_and_nothing_more(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    assert "keep" not in [toggle.key for toggle in app.toggle]
    assert message("app.sidebar.privacy_session", "en") in words(app)


# -- the cookie ------------------------------------------------------------------------------------------------------


def answer(cookie: str = "", kind: str = "text/html; charset=utf-8", scheme: str = "http") -> dict[str, str]:
    """The headers of an answer to a request with that cookie."""

    async def app(scope, receive, send):
        headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "scheme": scheme, "headers": [(b"cookie", cookie.encode())] if cookie else []}
    asyncio.run(browser.BrowserCookie(app)(scope, None, send))
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_every_browser_of_a_shared_server_gets_a_cookie_that_no_script_reads() -> None:
    first, second = answer(), answer()
    assert first["set-cookie"] != second["set-cookie"] and first["cache-control"] == "private, no-cache"
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={browser.DAYS * DAY}"):
        assert part in first["set-cookie"].split("; ")
    assert "Secure" in answer(scheme="https")["set-cookie"] and "Secure" not in first["set-cookie"]
    mine = first["set-cookie"].split(";")[0]
    assert answer(f"other=1; {mine}")["set-cookie"].startswith(mine)  # renewed
    assert not answer("memory_explorer=chosen")["set-cookie"].startswith("memory_explorer=chosen")
    assert "set-cookie" not in answer(kind="application/json")


def test_on_ones_own_machine_there_is_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", "0")
    assert "set-cookie" not in answer()


@pytest.mark.parametrize(
    ("said", "address", "many"),
    [
        ("", "localhost", False),
        ("", "127.0.0.1", False),
        ("", "0.0.0.0", True),
        ("", None, True),
        ("1", "localhost", True),
        ("0", "0.0.0.0", False),
    ],
)
def test_one_setting_says_whose_the_server_is(said, address, many, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", said)
    monkeypatch.setattr(st, "get_option", lambda name: address)
    assert browser.shared() == many


def test_the_days_are_a_number_or_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, meant in (("7", 7), ("", browser.DAYS), ("-1", browser.DAYS), ("0", 1), ("x", browser.DAYS)):
        monkeypatch.setenv("MEMORY_EXPLORER_DAYS", said)
        assert browser.days() == meant


def test_the_verdicts_have_names() -> None:
    assert session._judge({}) == "" and session._judge({"tokens": 1, "train_length": 9, "published_ratio": None}) != ""
