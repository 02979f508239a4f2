"""One moment: a real click on a curve, on a word and on a state sets it, and other pages follow; the player plays."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from model.messages import message
from tests.support.browser import CHROMIUM, QUIET, SETTLED
from viz.app.navigation import PAGES

RECORDING = "6127d470dbaf"
"""A shipped one that collapses."""

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        opened = browser.new_page(viewport={"width": 1360, "height": 1400}, locale="en-GB")
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def settle(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_selector(SETTLED)


def turn(page: Page, name: str) -> None:
    """Open another page by the menu, so that the session continues."""
    page.get_by_role("button", name=message(f"app.groups.{PAGES[name].group}", "en"), exact=True).click()
    page.locator(f"a[data-testid='stTopNavDropdownLink'][href$='/{name}']").click()
    page.get_by_role("heading", level=1, name=message(f"{name}.page.title", "en")).wait_for()
    settle(page)


def at(page: Page) -> int:
    expect(page).to_have_url(re.compile(r"[?&]at=\d+"))
    return int(re.search(r"[?&]at=(\d+)", page.url)[1])


def test_a_click_sets_the_moment_everywhere(address: str, page: Page) -> None:
    page.goto(f"{address}/state_norms?recording={RECORDING}")
    chart = page.locator(".st-key-norms_main .js-plotly-plot")
    chart.locator(".nsewdrag").first.wait_for()
    settle(page)
    chart.locator(".nsewdrag").first.hover()
    page.wait_for_timeout(300)  # Plotly looks for what is under the pointer a few times a second
    chart.locator(".nsewdrag").first.click()
    clicked = at(page)
    drawn = "() => document.querySelector('.st-key-norms_main .js-plotly-plot').layout.shapes.at(-1).x0"
    settle(page)
    assert page.evaluate(drawn) == clicked

    turn(page, "text")
    assert at(page) == clicked
    marked = page.locator("span.moment")
    marked.first.wait_for()
    token = int(marked.first.get_attribute("data-span") or "-1")
    page.locator(f"span[data-span='{token + 8}']").first.click()
    expect(page).not_to_have_url(re.compile(rf"[?&]at={clicked}\b"))
    word = at(page)
    assert word > clicked

    turn(page, "state_map")
    assert at(page) == word
    novel = page.locator(".st-key-map_novelty .js-plotly-plot .trace path.point").last
    novel.scroll_into_view_if_needed()
    box = novel.bounding_box()
    assert box is not None
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*place)
    page.wait_for_timeout(300)
    page.mouse.click(*place)
    expect(page).not_to_have_url(re.compile(rf"[?&]at={word}\b"))
    state = at(page)

    turn(page, "state_norms")
    assert at(page) == state
    box_of_moment = page.locator(".st-key-norms_at input")
    expect(box_of_moment).to_have_value(str(state))
    box_of_moment.press("ArrowDown")
    expect(page).to_have_url(re.compile(rf"[?&]at={state - 64}\b"))
    settle(page)
    assert page.evaluate(drawn) == state - 64


def test_the_player_plays_and_reports_where_it_is_paused(address: str, page: Page) -> None:
    page.goto(f"{address}/play?recording={RECORDING}&play_mode=story")
    play = page.locator(".player .main")
    play.wait_for()
    settle(page)
    slider, readout = page.locator(".player input"), page.locator(".player .readout")
    started = readout.inner_text()
    play.click()
    expect(readout).not_to_have_text(started)
    before = page.evaluate("() => performance.now()")
    first = float(slider.input_value())
    page.wait_for_timeout(1500)
    moved = (float(slider.input_value()) - first) / 400 * 60
    passed = (page.evaluate("() => performance.now()") - before) / 1000
    assert 0.5 * passed < moved < 1.5 * passed
    slider.press(" ")
    paused = at(page)
    assert f"{paused:,}" in readout.inner_text()
    page.locator(".player .acts button").nth(1).click()
    page.get_by_text(re.compile("2,049 .*the collapse begins")).wait_for()
    expect(page).to_have_url(re.compile(r"[?&]at=2049\b"))
    slider.press("ArrowRight")
    slider.press("End")
    page.get_by_text(re.compile("The same text with the mitigation")).wait_for()
    expect(page).to_have_url(re.compile(r"[?&]at=61968\b"))
    turn(page, "text")
    assert at(page) == 61968
