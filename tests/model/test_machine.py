"""How threads wait is set before torch is loaded, by the command line and by what the app imports first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.machine import wait_passively

ROOT = Path(__file__).parents[2]


def test_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_the_command_line_says_so_before_it_loads_torch() -> None:
    script = (
        "import os, sys\n"
        "from model.cli import main\n"
        "assert 'torch' not in sys.modules\n"
        "main.app = lambda: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\n"
        "main.main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["passive", "False"], done.stderr
