"""The whole way in a real browser: upload, run, cancel, run again, look at every page; nothing leaves the machine."""

import re
from pathlib import Path

import pytest

from model.messages import LANGUAGES, message
from sample_data import sample_text
from tests.support.browser import CHROMIUM, QUIET, SETTLED
from viz.app.navigation import PAGES

SEEN = {
    "diagnose": "diagnose.more",
    "overview": "overview.what_title",
    "play": "play.mode",
    "text": "text.colour_by",
    "state_norms": "state_norms.heads_fold",
    "state_map": "state_map.caution",
    "ask": "ask.moment",
    "passkey": "passkey.map_title",
    "effective_context": "effective_context.which_length",
    "lab": "lab.nothing_yet",
    "evidence": "evidence.remaining_title",
    "architectures": "architectures.settings",
    "cost": "cost.nothing_yet",
    "capacity": "capacity.recall_title",
    "mitigations": "mitigations.intro",
    "compare": "compare.figures_title",
    "documents": "documents.document",
    "recordings": "recordings.select_first",
    "models": "models.here",
}
"""A message without placeholders that each page shows."""

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


def test_a_newcomer_reads_a_document_of_their_own(address: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    document = tmp_path / "報告書.txt"
    document.write_bytes((sample_text("meeting_minutes_ja") * 3)[:150_000].encode("cp932", errors="replace"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page(viewport={"width": 1360, "height": 1000}, locale="en-GB")
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(request.url))
        page.set_default_timeout(90_000)
        page.goto(address)
        page.wait_for_selector(".js-plotly-plot")

        page.wait_for_selector(SETTLED)
        page.get_by_role("button", name=message("app.tour.skip", "en")).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.wait_for_timeout(1000)  # the run that closes the tour
        page.wait_for_selector(SETTLED)
        page.locator("section[data-testid='stSidebar'] input[type='file']").set_input_files(str(document))
        # The upload box shows the file at once, the choice of documents only when it was read: what Run would read.
        expect(page.locator(".st-key-doc input")).to_have_value("報告書.txt", timeout=90_000)
        page.wait_for_selector(SETTLED)

        run = page.locator(".st-key-run_other button")
        run.click()
        cancel = page.get_by_role("button", name="Cancel")
        cancel.click()
        expect(cancel).to_have_count(0, timeout=90_000)
        run.click()
        result = re.compile(r"報告書\.txt: [\d,]+ tokens, read by mamba2-base")
        page.get_by_text(result).first.wait_for(timeout=240_000)
        page.reload()
        page.get_by_text(result).first.wait_for()
        second = browser.new_page(locale="en-GB")
        second.goto(page.url)
        second.get_by_text(result).first.wait_for(timeout=90_000)
        second.close()

        assert SEEN.keys() == PAGES.keys()
        for language in LANGUAGES:
            for name, key in SEEN.items():
                page.goto(f"{address}/{'' if name == 'overview' else name}?lang={language}")
                page.wait_for_selector(SETTLED)
                page.get_by_test_id("stMain").get_by_text(message(key, language)).first.wait_for()
                assert page.locator("[data-testid='stException']").count() == 0, name
        browser.close()
    outside = {url for url in asked if not url.startswith((address, f"ws://{address[7:]}", "data:", "blob:"))}
    assert not outside
