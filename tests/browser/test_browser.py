"""The whole way in a real browser: upload, run, cancel, run again, look at every page; nothing leaves the machine."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.messages import LANGUAGES, message
from sample_data import sample_text
from viz.app.navigation import PAGES

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SEEN = {
    "overview": "overview.what_title",
    "state_norms": "state_norms.half_life_title",
    "state_map": "state_map.caution",
    "passkey": "passkey.map_title",
    "effective_context": "effective_context.which_length",
    "lab": "lab.nothing_yet",
    "evidence": "evidence.column_verdict",
    "compare": "compare.figures_title",
    "documents": "documents.document",
    "recordings": "recordings.select_first",
    "models": "models.here",
}
"""A message without placeholders that each page shows."""
SETTLED = "[data-testid='stApp'][data-test-script-state='notRunning']"

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of its own, with a home of its own."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    with open(home / "server.log", "w") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", "MEMORY_EXPLORER_HOME": str(home)}
        )
    url = f"http://localhost:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(20)
    log_text = (home / "server.log").read_text()
    assert "Traceback" not in log_text, log_text
    assert "will be removed" not in log_text, log_text


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
        page.locator("section[data-testid='stSidebar'] input[type='file']").set_input_files(str(document))
        # The upload box shows the file at once, the choice of documents only when it was read: what Run would read.
        expect(page.locator(".st-key-doc input")).to_have_value("報告書.txt", timeout=90_000)
        page.wait_for_selector(SETTLED)

        run = page.locator(".st-key-run button")
        run.click()
        cancel = page.get_by_role("button", name="Cancel")
        cancel.click()
        expect(cancel).to_have_count(0)
        run.click()
        result = "報告書.txt, read by mamba2-base"
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
