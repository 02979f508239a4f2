"""How threads wait: what is set before torch is loaded, when a machine is crowded, and idle teams that come and go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import waiting

ROOT = Path(__file__).parents[2]
OWN_THREADS = "len(os.listdir('/proc/self/task'))"


def run(script: str) -> list[str]:
    """The words that ``script`` prints, in a process where the user has set nothing."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {*waiting.VARIABLES, "OMP_NUM_THREADS"}
    }
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    waiting.wait_by_load()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_the_command_line_says_so_before_it_loads_torch() -> None:
    script = (
        "import os, sys, threading\n"
        "from model.cli import main\n"
        "assert 'torch' not in sys.modules\n"
        "main.app = lambda: print(*map(os.environ.get, ['OMP_WAIT_POLICY', 'GOMP_SPINCOUNT']),\n"
        "    'torch' in sys.modules, [thread.name for thread in threading.enumerate()].count('waiting'))\n"
        "main.wait_by_load()\n"
        "main.main()\n"
    )
    assert run(script) == ["passive", "300000", "False", "1"]


@pytest.mark.parametrize(
    ("others", "threads", "expected"),
    [(0.0, 2, False), (0.2, 2, False), (0.5, 2, True), (0.5, 1, False), (3.0, 1, True)],
)
def test_a_machine_is_crowded_where_threads_cannot_all_run(
    others: float, threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "cores", lambda: 2)
    assert waiting.crowded(others, threads) is expected


def test_what_others_take_leaves_out_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(10.0, 100.0, 5.0), (12.0, 103.0, 6.0)])
    monkeypatch.setattr(waiting, "_taken", lambda: next(looks))
    assert waiting.Watch().others() == 1.0  # 3 s of all less 1 s of its own, in 2 s


def test_looks_grow_with_the_work_of_this_process() -> None:
    before = waiting._taken()
    while (now := waiting._taken())[2] - before[2] < 0.1:
        pass
    assert now[0] > before[0]
    assert now[1] > before[1]


@pytest.mark.skipif(sys.platform != "linux" or waiting.cores() < 2, reason="counts the threads of two cores or more")
def test_idle_teams_have_more_threads_than_cores_and_end() -> None:
    script = (
        "import os, time, torch\n"
        "from model.machine import cores\n"
        "from model.waiting import IdleTeams\n"
        "torch.set_num_threads(2)\n"
        "torch.ones(1 << 20).add_(1)\n"
        f"before = {OWN_THREADS}\n"
        "idle = IdleTeams(torch.get_num_threads())\n"
        "until = time.monotonic() + 20\n"
        f"while {OWN_THREADS} - len(idle._masters) < cores() + 1 and time.monotonic() < until: time.sleep(0.01)\n"
        f"held = {OWN_THREADS}\n"
        "idle.end()\n"
        f"while {OWN_THREADS} > before and time.monotonic() < until: time.sleep(0.01)\n"
        f"print(held - len(idle._masters) > cores(), {OWN_THREADS} == before, len(IdleTeams(1)._masters))\n"
    )
    assert run(script) == ["True", "True", "0"]
