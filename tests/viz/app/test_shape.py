"""The shape of the app: groups, agreement of page and sidebar, the tour, slides, undo, links."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.errors import UserError
from model.messages import message
from model.recording.reader import recordings
from tests.support.app import ROOT, sound, words
from viz.app import session
from viz.app.bin import DOCUMENT, RECORDING, Bin
from viz.app.navigation import GROUPS, PAGES, SLIDES

WIDGETS = {"selectbox", "multiselect", "toggle", "slider", "select_slider", "number_input", "text_input", "text_area"}
UNBOUND = {
    "'ar_measure'",  # what is still unmeasured, which another visit may find measured
    "'lab_share_zeros'",  # shows a value that cannot be changed
    "key",  # names, titles, tags and notes are written once and stored
    "f'title-{entry.key}'",
    "f'tags-{entry.key}'",
    "f'note-{entry.key}'",
    "'tags_many'",
    "'add_written'",
    "f'length-{card.name}'",
    "'encoding'",  # how an upload is read is stored with it
    "'main_text'",
    "MOMENT",  # is the moment of the page, ``at``
    "SELECTED",  # written into the link by the page itself
}


def test_every_page_has_a_group_and_every_slide_a_script() -> None:
    assert {page.group for page in PAGES.values()} == set(GROUPS)
    assert all((ROOT / "viz" / "pages" / name / "slide.py").exists() for name in SLIDES)


def test_every_control_of_a_page_is_in_the_link() -> None:
    unbound = []
    for file in sorted((ROOT / "viz" / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WIDGETS:
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if "bind" not in given and given.get("key") not in UNBOUND:
                    unbound.append((str(file.relative_to(ROOT)), given.get("key")))
    assert not unbound


def test_the_sidebar_follows_a_chosen_recording_and_says_when_it_does_not(open_app: Callable[..., AppTest]) -> None:
    decayed = next(found.key for found in recordings(session.SHIPPED) if not found.experiment.plain)
    app = sound(open_app())
    sound(app.selectbox(key="recording").set_value(decayed).run())
    assert app.toggle(key="decay").value and app.number_input(key="decay_value").value == 4.0
    sound(app.toggle(key="decay").set_value(False).run())
    assert app.button(key="run_other")


def test_pages_without_the_settings_do_not_show_them(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    for name in ("compare", "documents"):
        sound(app.switch_page(f"viz/pages/{name}/page.py").run())
        assert not [box for box in app.sidebar.selectbox if box.key in ("doc", "model")]


def test_the_tour_is_shown_once(
    open_app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", "0")
    app = sound(open_app())
    assert app.button(key="tour_next")
    sound(app.button(key="tour_skip").click().run())
    assert not [button for button in sound(open_app()).button if button.key == "tour_next"]


def test_slides_have_a_link_and_no_controls(open_app: Callable[..., AppTest]) -> None:
    app = sound(open_app(present="1"))
    assert not app.selectbox and not app.file_uploader and "×" in app.title[0].value
    sound(app.button(key="slide_next").click().run())
    assert app.title[0].value == message("play.slide", "en") and not app.get("plotly_chart")
    sound(app.button(key="slide_next").click().run())
    assert len(app.get("plotly_chart")) == 1
    assert not app.selectbox


def test_the_bin_gives_back_every_byte_and_forgets_after_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "one"
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(bytes(range(256)))
    found = Bin(tmp_path)
    name = found.take(folder, RECORDING, "One")
    assert not folder.exists() and [one.title for one in found.listed()] == ["One"]
    assert found.restore(name) == folder and (folder / "data").read_bytes() == bytes(range(256))
    assert not found.listed()
    with pytest.raises(UserError):
        found.restore(name)
    name = found.take(folder, RECORDING, "One")
    folder.mkdir()
    with pytest.raises(UserError, match="One"):
        found.restore(name)
    found.empty(older_than=60)
    found.empty(kind=DOCUMENT)
    assert found.listed()
    found.empty()
    assert not found.listed()


def test_a_deleted_upload_comes_back(open_app: Callable[..., AppTest]) -> None:
    app = open_app()
    sound(app.switch_page("viz/pages/documents/page.py").run())
    app.file_uploader[0].upload("mine.txt", b"a pump and a valve\n" * 50)
    sound(app.run())
    assert "mine.txt" in app.selectbox(key="doc").options
    sound(app.button(key="forget").click().run())
    assert "mine.txt" not in app.selectbox(key="doc").options
    assert message("app.bin.deleted", "en", title="mine.txt") in words(app)
    sound(app.button(key="undo_delete").click().run())
    assert "mine.txt" in app.selectbox(key="doc").options
