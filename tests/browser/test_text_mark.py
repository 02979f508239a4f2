"""Marking a passage in the text component, by mouse and by keys: the component alone, on a page of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.support.browser import CHROMIUM
from viz.ui.text_view import FOLDER, Painted, pack

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
WORDS = ("search", "text", "map", "found", "token", "rank", "measure", "unit", "mark_other")
SHOW = """async ([script, encoded]) => {
    const module = await import(`data:text/javascript;base64,${script}`)
    const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0))
    window.said = []
    const setTriggerValue = (name, value) => window.said.push([name, value])
    module.default({ data: bytes, parentElement: document.getElementById("here"), setTriggerValue })
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    """Eleven words of two tokens each, five a line."""
    text = "".join(f"word{number:02d}{' ' if number % 5 else chr(10)}" for number in range(1, 12))
    starts = np.arange(0, len(text), 7)
    painted = Painted(
        text=text,
        starts=starts,
        tokens=2 * np.arange(len(starts)),
        values=np.zeros(len(starts), np.float32),
        base=0.0,
        low=-1.0,
        high=1.0,
        digits=1,
        end=22,
    )
    words = {name: name for name in WORDS}
    data = pack(painted, moment=None, mark=(4, 6), places=[], words=words, dark=False)
    script = base64.b64encode((FOLDER / "text_view.js").read_bytes()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 900, "height": 700})
        shown.set_content(f"<style>{(FOLDER / 'text_view.css').read_text()}</style><div id=here></div>")
        shown.evaluate(SHOW, [script, base64.b64encode(data).decode()])
        shown.wait_for_selector("[data-span='10']", state="attached")
        yield shown
        browser.close()


def marked(page: Page) -> list[int]:
    return page.evaluate("[...document.querySelectorAll('.mark')].map(piece => Number(piece.dataset.span))")


def said(page: Page) -> list[list[object]]:
    return page.evaluate("window.said.splice(0)")


def test_a_passage_is_marked_by_mouse(page: Page) -> None:
    assert marked(page) == [2]
    one, other = (page.locator(f"[data-span='{span}']").bounding_box() for span in (8, 3))
    assert one is not None and other is not None
    page.mouse.move(one["x"] + 9, one["y"] + 9)
    page.mouse.down()
    page.mouse.move(other["x"] + 9, other["y"] + 9, steps=5)
    page.mouse.up()
    assert said(page) == [["mark", [6, 18]]] and marked(page) == [3, 4, 5, 6, 7, 8]
    assert "word05" in page.evaluate("getSelection().toString()")  # it can still be copied
    page.evaluate("getSelection().removeAllRanges()")
    page.locator("[data-span='1']").click()
    assert said(page) == [["moment", 2]] and marked(page) == [3, 4, 5, 6, 7, 8]
    page.locator("[data-span='10']").click(modifiers=["Shift"])
    assert said(page) == [["mark", [2, 22]]]  # to the end of the document


def test_a_passage_is_marked_by_keys(page: Page) -> None:
    page.locator("[data-span='4']").click()
    assert said(page) == [["moment", 8]]
    text = page.locator(".scroller")
    text.press("m")
    assert page.locator(".status").inner_text() == "mark_other" and said(page) == []
    text.press("ArrowLeft")
    text.press("ArrowLeft")
    text.press("m")
    assert said(page) == [["mark", [4, 10]]] and marked(page) == [2, 3, 4]
    text.press("Escape")
    assert said(page) == [["mark", []]] and marked(page) == []
    text.press("Escape")
    assert said(page) == []
