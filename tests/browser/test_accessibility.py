"""Every page, both themes and languages, held against the rules of axe-core: no serious violation, one main heading."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from model.messages import LANGUAGES, message
from tests.support.browser import CHROMIUM, QUIET, SETTLED
from viz.app.navigation import PAGES

GRAVE = ("serious", "critical")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_violation(theme: str, address: str) -> None:
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page(viewport={"width": 1360, "height": 1000}, color_scheme=theme)
        page.set_default_timeout(90_000)
        for language in LANGUAGES:
            for name in PAGES:
                page.goto(f"{address}/{'' if name == 'overview' else name}?lang={language}")
                page.wait_for_selector(SETTLED)
                page.get_by_role("heading", level=1, name=message(f"{name}.page.title", language)).wait_for()
                assert page.locator("h1").count() == 1, name
                for violation in Axe().run(page).response["violations"]:
                    if violation["impact"] in GRAVE:
                        found += [(name, language, violation["id"], node["html"]) for node in violation["nodes"]]
        browser.close()
    assert not found
