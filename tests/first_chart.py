"""Seconds until a page shows its first chart, in headless Chromium: ``python -m tests.first_chart``.

A cold load is a new browser context on a server that has answered before; a switch is a click in the navigation. The
clock runs in the browser, from the start of the navigation or the click to the first trace that is drawn.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from model.messages import message
from viz.app.navigation import PAGES as MENU

ROOT = Path(__file__).parents[1]
PAGES = ("state_norms", "state_map", "compare", "passkey")
DRAWN = ".js-plotly-plot .main-svg .trace, .js-plotly-plot .main-svg .plot path, .js-plotly-plot canvas"
REPEATS = 5


def main() -> None:
    """Print the median and the range of the cold load and of a switch to each page."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "app.py",
            f"--server.port={port}",
            "--server.headless=true",
        ]
        environment = {**os.environ, "MEMORY_EXPLORER_HOME": home}
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address = f"http://localhost:{port}"
            wait_for(address)
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
            )
            say("first visit to the server", [cold(browser, address)])
            say("cold load", [cold(browser, address) for _ in range(REPEATS)])
            switches = [switch_all(browser, address) for _ in range(REPEATS)]
            for page in PAGES:
                say(f"switch to {page}", [seconds[page] for seconds in switches])
            browser.close()
        finally:
            server.terminate()
            server.wait(20)


def wait_for(address: str) -> None:
    """Return when the server at ``address`` answers."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
            return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError(address)


def cold(browser: Browser, address: str) -> float:
    """Seconds from an empty browser to the first chart of the opening page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address, wait_until="commit")
    seconds = drawn(page, "0")
    context.close()
    return seconds


def switch_all(browser: Browser, address: str) -> dict[str, float]:
    """Seconds from a click in the navigation to the first chart of each page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address)
    drawn(page, "0")
    page.wait_for_timeout(3000)
    if page.get_by_role("dialog").count():  # the tour of a first visit
        page.keyboard.press("Escape")
        page.wait_for_timeout(2000)
    found = {}
    for name in PAGES:
        link = page.locator(f'a[href$="/{name}"]')
        if not link.count():  # the groups of the menu are folded, and a link is drawn when its group is opened
            page.get_by_test_id("stTopNavSection").filter(has_text=message(f"app.groups.{MENU[name].group}")).click()
            link.wait_for()
        page.evaluate(
            """name => {
                window.before = new Set(document.querySelectorAll('.js-plotly-plot'));
                window.clicked = performance.now();
                document.querySelector(`a[href$="/${name}"]`).click();
            }""",
            name,
        )
        found[name] = drawn(page, "window.clicked")
        page.wait_for_timeout(2500)
    context.close()
    return found


def drawn(page: Page, since: str) -> float:
    """Wait for a chart that was not there before and return the seconds from ``since``, a script's expression."""
    script = f"""() => {{
        for (const chart of document.querySelectorAll('.js-plotly-plot')) {{
            if (window.before && window.before.has(chart)) continue;
            if (chart.querySelector({DRAWN.replace(".js-plotly-plot ", "")!r})) return performance.now() - ({since});
        }}
        return false;
    }}"""
    return float(page.wait_for_function(script, polling=20, timeout=60_000).json_value()) / 1000


def say(what: str, seconds: list[float]) -> None:
    """One line: the median, and the range where there are several."""
    spread = f"  ({min(seconds):.2f} to {max(seconds):.2f} of {len(seconds)})" if len(seconds) > 1 else ""
    print(f"{what:28} {statistics.median(seconds):5.2f} s{spread}", flush=True)


if __name__ == "__main__":
    main()
