"""The browser that is there, and what is waited for."""

from __future__ import annotations

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SETTLED = "[data-testid='stApp'][data-test-script-state='notRunning']"
"""A page whose script has run to its end."""
