"""A dashboard of its own for the tests in a browser."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
