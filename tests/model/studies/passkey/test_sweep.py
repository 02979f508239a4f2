"""Sweeps: one file to many tasks, the same numbers from processes of this machine and from a cluster."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from types import ModuleType

import pytest

from model.errors import UserError
from model.messages import LANGUAGES
from model.studies.passkey.executors import open_executor
from model.studies.passkey.result import PasskeyResult
from model.studies.passkey.sweep import read_sweep, run_piece, run_sweep

SWEEP = """
models = ["tiny"]
longest = 4
depths = 3
trials = 2

[[strategy]]
[[strategy]]
mitigate = { decay = 4 }

[[question]]
[[question]]
question = "pairs"
count = 3
filler = "newlines"
"""


@pytest.fixture(autouse=True)
def no_page_as_main(monkeypatch):
    """A page that another test ran stays behind as ``__main__``, and a new process would begin by running it again."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


@pytest.fixture
def home(home, monkeypatch):
    from tests.support.tiny import make_tiny_checkpoint

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_tiny_checkpoint(home)
    return home


def pieces_of(home, text: str = SWEEP, folder: str = "results"):
    (home / "sweep.toml").write_text(text, "utf-8")
    return read_sweep(home / "sweep.toml", home / folder)


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as running:
        yield running


def test_a_sweep_is_every_strategy_with_every_question(home):
    pieces = pieces_of(home)
    assert [(piece.task.question, piece.reader.strategy.mitigations) for piece in pieces] == [
        ("passkey", ()),
        ("passkey", (("decay", 4.0),)),
        ("pairs", ()),
        ("pairs", (("decay", 4.0),)),
    ]
    assert len({piece.file for piece in pieces}) == 4


def test_processes_and_a_cluster_give_the_same_numbers(home, cluster):
    here, there = pieces_of(home, folder="here"), pieces_of(home, folder="there")
    seen: list[str] = []
    ours = run_sweep(here, partial(open_executor, "", 2), lambda result: seen.append(result.key))
    theirs = run_sweep(there, partial(open_executor, cluster.scheduler_address, 1))
    assert len(ours) == 4 and sorted(seen) == sorted(piece.file.stem for piece in here)
    for one, other, mine, yours in zip(here, there, ours, theirs, strict=True):
        assert mine.complete and mine.cells == yours.cells and mine.reader == one.reader == other.reader
        assert PasskeyResult.load(one.file).cells == PasskeyResult.load(other.file).cells == mine.cells
    alone = run_piece(pieces_of(home, folder="alone")[0])
    assert alone.cells == ours[0].cells


LONG = 'models = ["tiny"]\nlengths = [128, 256, 512, 8192]\ndepths = 6\ntrials = 40\n'


@pytest.mark.parametrize("where", ["processes", "cluster"])
def test_a_killed_worker_loses_no_cell_and_repeats_none(home, where, request):
    (piece,) = pieces_of(home, LONG)
    if where == "cluster":
        running = request.getfixturevalue("cluster")
        opener = partial(open_executor, running.scheduler_address, 1)
    else:
        opener = partial(open_executor, "", 1)
    counts: list[int] = []
    finished, killed = threading.Event(), []

    def watch():
        """Kill the process that writes the result once it holds some cells, and see that it never holds fewer again."""
        while not finished.is_set():
            if piece.file.exists():
                counts.append(len(PasskeyResult.load(piece.file).cells))
                if not killed and 0 < counts[-1] < len(piece.task.cells):
                    killed.append(counts[-1])
                    os.kill(int(worker.read_text()), signal.SIGKILL)
            time.sleep(0.01)

    worker = piece.folder / "worker"
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        (result,) = run_sweep([piece], lambda: Telling(opener(), worker))
    finally:
        finished.set()
        watcher.join()
    assert killed and result.complete
    assert counts == sorted(counts)
    whole = run_piece(pieces_of(home, LONG, "whole")[0])
    for place, cell in whole.cells.items():
        assert result.cells[place] == pytest.approx(cell, rel=1e-4)


class Telling:
    """An executor whose tasks first write down in which process they run."""

    def __init__(self, opened, file):
        self.opened, self.file = opened, file

    def __enter__(self):
        self.executor = self.opened.__enter__()
        return self

    def __exit__(self, *error):
        return self.opened.__exit__(*error)

    def submit(self, function, piece):
        return self.executor.submit(with_fault, function, piece, self.file)


def with_fault(function, piece, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(os.getpid()))
    return function(piece)


def test_finished_tasks_are_not_run_again(home, monkeypatch):
    (first, *_) = pieces_of(home)
    done = run_piece(first)
    done.save(first.file)
    monkeypatch.setattr("model.studies.passkey.sweep.measure", lambda *_, **__: pytest.fail())
    assert run_piece(first) == done


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("models = [", "sweep.unreadable"),
        ("depths = 'x'", "sweep.unreadable"),
        ("colour = 1", "sweep.unknown"),
        ("[[strategy]]\nspeed = 1", "sweep.unknown"),
        ("[[question]]\nfiller = 'poem.txt'", "sweep.filler"),
        ("[[question]]\nquestion = 'poem'", "recall.unknown"),
        ("[[strategy]]\ninitial_state = 'carried'", "initial_states.needs_source"),
        ("[[strategy]]\nmitigate = { speed = 1 }", "mitigations.unknown"),
        ("lengths = [30]", "passkey.too_short"),
        ("depths = [0.5, 1.5]", "passkey.depth"),
    ],
)
def test_what_a_sweep_cannot_say_is_one_sentence(home, text, key):
    with pytest.raises(UserError) as caught:
        pieces_of(home, 'models = ["tiny"]\n' + text)
    assert caught.value.key == key
    for language in LANGUAGES:
        assert "\n" not in caught.value.sentence(language)


def test_nobody_at_the_address_is_one_sentence(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("model.studies.passkey.executors.TIMEOUT", 0.5)
    with pytest.raises(UserError, match="cluster answers"), open_executor("tcp://127.0.0.1:9", 1):
        pass


def test_an_error_comes_back_from_another_process_as_it_was():
    import pickle

    error = pickle.loads(pickle.dumps(UserError("passkey.depth", value=2)))
    assert (error.key, error.values, str(error)) == (
        "passkey.depth",
        {"value": 2},
        str(UserError("passkey.depth", value=2)),
    )


def test_the_command_runs_a_sweep_and_prints_prompts(home):
    from typer.testing import CliRunner

    from model.cli.main import app

    (home / "sweep.toml").write_text(SWEEP, "utf-8")
    out = ["--out", str(home / "command"), "--json", "--workers", "2"]
    done = CliRunner().invoke(app, ["passkey", "--sweep", str(home / "sweep.toml"), *out])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 4
    for entry in found:
        assert len(entry["cells"]) == len(entry["task"]["lengths"]) * len(entry["task"]["depths"]) > 0
    asked = ["passkey", "--model", "tiny", "--filler", "newlines", "--prompt", "200,0.5,1"]
    said = CliRunner().invoke(app, asked).stdout
    assert "What is the pass key?" in said and said.startswith("\n\n\n")
