"""A page of this machine printed or photographed by a browser without a window: Chromium, Chrome or Edge.

The browser gets a profile of its own, which is deleted, no network, and a limit of time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from model.errors import UserError

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "chrome",
    "msedge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
SECONDS = 90
"""After so long a browser is ended."""
SETTLED = 10_000
"""Milliseconds of the page's own clock, which runs ahead of ours, that its charts get to be drawn."""
OPTIONS = [
    *("--headless=new", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--disable-extensions"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    "--disable-dev-shm-usage",
]


def browser() -> str | None:
    """The program of a browser that can print; None if there is none."""
    on_path = next((found for name in NAMES if (found := shutil.which(name))), None)
    return on_path or next((place for place in PLACES if Path(place).exists()), None)


def print_pdf(page: Path, target: Path) -> None:
    """Print the HTML file ``page`` as the PDF file ``target``; UserError without a browser, or if it fails."""
    _run(page, target, ["--no-pdf-header-footer", f"--print-to-pdf={target.resolve()}"])


def photograph(page: Path, target: Path, width: int, height: int, scale: int = 2) -> None:
    """A PNG of the HTML file ``page``, ``scale`` pixels for each of its own; UserError as :func:`print_pdf`."""
    options = [f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"]
    _run(page, target, [*options, f"--screenshot={target.resolve()}"])


def _run(page: Path, target: Path, options: list[str]) -> None:
    program = browser()
    if program is None:
        raise UserError("report.no_browser")
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="explorer-", ignore_cleanup_errors=True) as profile:
        command = [program, *OPTIONS, f"--user-data-dir={profile}", f"--virtual-time-budget={SETTLED}"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND"]
        if _without_sandbox():
            command.append("--no-sandbox")
        try:
            command += [*options, page.resolve().as_uri()]
            subprocess.run(command, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError("report.browser_failed", program=program) from error
    if not target.exists():
        raise UserError("report.browser_failed", program=program)


def _without_sandbox() -> bool:
    """Whether Chromium's sandbox cannot work: it refuses root, and a container forbids what it is made of."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return root or any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
