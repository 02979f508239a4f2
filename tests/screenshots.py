"""The pictures of the README: ``python -m tests.screenshots`` opens the dashboard in Chromium and takes them."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.reference import ROOT
from tests.support.browser import CHROMIUM, QUIET, SETTLED

SHOTS = {  # file: (page, language, colour scheme)
    "overview.png": ("", "en", "light"),
    "state-map.png": ("state_map", "ja", "dark"),
    "state-norms.png": ("state_norms", "en", "light"),
    "compare.png": ("compare", "ja", "light"),
}


def main(folder: Path = ROOT / "docs", port: int = 8596) -> None:
    """Write every picture of SHOTS to ``folder``."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    home = tempfile.TemporaryDirectory()  # what lasts on this machine is not in a picture
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "MEMORY_EXPLORER_HOME": home.name})
    try:
        time.sleep(5)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
            for name, (page_name, language, scheme) in SHOTS.items():
                page = browser.new_page(viewport={"width": 1360, "height": 940}, color_scheme=scheme)
                page.goto(f"http://localhost:{port}/{page_name}?lang={language}")
                page.wait_for_selector(".js-plotly-plot", timeout=60_000)
                page.wait_for_selector(SETTLED)
                page.wait_for_timeout(2_000)
                if page.get_by_role("dialog").count():  # the tour of a first visit
                    page.keyboard.press("Escape")
                    page.wait_for_timeout(2_000)
                page.screenshot(path=folder / name)
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()
        home.cleanup()


if __name__ == "__main__":
    main()
