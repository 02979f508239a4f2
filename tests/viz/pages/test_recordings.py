"""The page of recordings: found by what is on the screen, changed one by one and together, quick with thousands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.messages import LANGUAGES, message
from model.recording.notes import Notes
from tests.support.app import APP, sound, words
from tests.support.catalogue import bare_recording
from viz.app import session
from viz.pages.recordings import view


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recordings of one's own machine: twelve, which nothing is shipped beside."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", "0")
    monkeypatch.setattr(session, "SHIPPED", tmp_path / "none")
    for number in range(12):
        bare_recording(tmp_path / "recordings", number)
    return tmp_path / "recordings"


@pytest.fixture
def open_page(folder: Path) -> Callable[..., AppTest]:
    def start(language: str = "en", **query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": language, "theme": "light"}
        for name, value in query.items():
            app.query_params[name] = value
        return sound(app.run().switch_page("viz/pages/recordings/page.py").run())

    return start


def shown(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["title"])


def chosen(app: AppTest, *keys: str) -> AppTest:
    return sound(app.multiselect(key="managed").set_value(list(keys)).run())


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_on_the_screen_is_found(open_page: Callable[..., AppTest], language: str) -> None:
    app = open_page(language)
    assert len(shown(app)) == 12
    title = message("mitigations.decay_title", language)
    for typed, count in ((title, 3), ("REPORT-03", 1), (f"{title} report-05", 1), ("ｇａｔｅｄ", 6), ("nowhere", 0)):
        sound(app.text_input(key="recordings_search").set_value(typed).run())
        assert len(shown(app)) == count if count else message("recordings.not_found", language) in words(app)


def test_it_is_sorted_before_it_is_cut(open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "SHOWN", 3)
    app = open_page(recordings_sort="tokens", recordings_order="ascending")
    assert list(app.dataframe[0].value["tokens"]) == [1000, 1001, 1002]
    assert message("recordings.shown_some", "en", shown=3, count=12) in words(app)
    sound(app.selectbox(key="recordings_order").set_value("descending").run())
    assert list(app.dataframe[0].value["tokens"]) == [1011, 1010, 1009]


def test_one_is_named_tagged_noted_and_pinned(open_page: Callable[..., AppTest], folder: Path) -> None:
    app = open_page()
    key = next(path.name for path in sorted(folder.iterdir()) if path.is_dir())
    chosen(app, key)
    app.text_input(key=f"title-{key}").set_value("![x](http://example.com/x.png)")
    app.text_input(key=f"tags-{key}").set_value("pumps, oil")
    app.text_area(key=f"note-{key}").set_value("Again with a longer text.").run()
    sound(app.button(key="save_notes").click().run())
    assert "![x](http://example.com/x.png)" in shown(app) and "![x]" not in words(app)
    sound(app.button(key="pin").click().run())
    assert shown(app)[0].startswith("![x]")
    assert Notes.read(folder / key) == Notes(tags=("pumps", "oil"), note="Again with a longer text.", pinned=True)
    sound(app.text_input(key="recordings_search").set_value("pumps longer").run())
    assert len(shown(app)) == 1
    sound(app.button(key="pin").click().run())
    assert not Notes.read(folder / key).pinned


def test_many_are_tagged_and_deleted_together(open_page: Callable[..., AppTest], folder: Path) -> None:
    app = open_page()
    keys = sorted(path.name for path in folder.iterdir() if path.is_dir())[:10]
    chosen(app, *keys)
    app.text_input(key="tags_many").set_value("old").run()
    sound(app.button(key="save_tags").click().run())
    assert all(Notes.read(folder / key).tags == ("old",) for key in keys)
    assert "report" in words(app) and message("recordings.and_more", "en", count=2) in words(app)
    sound(app.button(key="delete_now").click().run())
    assert len(shown(app)) == 2 and not [key for key in keys if (folder / key).exists()]


def test_thousands_leave_every_box_short(open_page: Callable[..., AppTest], folder: Path) -> None:
    for number in range(12, 700):
        bare_recording(folder, number)
    app = open_page()
    assert len(app.dataframe[0].value) == view.SHOWN
    boxes = app.run().switch_page("viz/pages/compare/page.py").run().selectbox
    assert max(len(box.options) for box in boxes) <= session.RECENT
