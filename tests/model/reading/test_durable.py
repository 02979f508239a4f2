"""What is called committed survives a full disk and a kill, and one process at a time writes to a recording."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr.storage._local as local_store

import model.reading.runner
from model.disk import LOCK
from model.errors import UserError
from model.reading.runner import run
from model.recording.arrays import FOLDER
from model.recording.reader import PROGRESS, Recording
from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TEXT = tiny_text(900, seed=3)
ROOT = Path(__file__).parents[3]
MAIN = [sys.executable, "-c", "from model.cli.main import main; main()"]
HOLD = "import sys; from pathlib import Path; from model.disk import locked\nwith locked(Path(sys.argv[1])):\n"
HOLD += "    print('held', flush=True); sys.stdin.read()"


class KilledError(BaseException):
    """The process ends here: nothing may catch it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """The model ``tiny``, and what a reading with it leaves."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(home))
        patch.setattr("model.reading.stream.CHANNELS", 0)
        patch.setattr(model.reading.runner, "BLOCK", 1024)
        torch.set_num_threads(1)
        make_tiny_checkpoint(home)
        yield run(prepared(TEXT), home / "whole")
    forget_models()


def failing(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> Callable[[], int]:
    """Let the disk take ``count`` writes and flushes, and raise ``error`` from then on; returns how many there were."""
    done = 0

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def write(*arguments: object, **options: object) -> object:
            nonlocal done
            done += 1
            if done > count:
                raise error
            return function(*arguments, **options)

        return write

    monkeypatch.setattr(local_store, "_put", counted(local_store._put))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    return lambda: done


def test_a_reading_takes_more_writes_than_the_tests_below_allow(whole, tmp_path, monkeypatch) -> None:
    written = failing(monkeypatch, 10**6, KilledError())
    run(prepared(TEXT), tmp_path)
    assert written() > 150


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KilledError()])
@pytest.mark.parametrize("count", [0, 10, 35, 60, 75, 90, 105, 120, 140])
def test_after_a_full_disk_or_a_kill_it_opens_and_resumes(whole, tmp_path, monkeypatch, count, error) -> None:
    document = prepared(TEXT)
    path = tmp_path / document.experiment.key
    with monkeypatch.context() as patch:
        failing(patch, count, error)
        with pytest.raises((UserError, KilledError)) as raised:
            run(document, tmp_path)
    if isinstance(error, OSError):
        assert isinstance(raised.value, UserError) and raised.value.key == "disk.full"
    if (path / "recording.json").exists():
        left = Recording(path)
        for name in left.stored.names:
            rows = min(len(left.array(name)), left.progress.get("controlled", 0) if name == "control_loss" else 10**6)
            np.testing.assert_array_equal(left.array(name)[1:rows], whole.array(name)[1:rows], err_msg=name)
        assert not left.read_tokens or left.state()
    again = run(document, tmp_path)
    assert again.complete and all(
        np.array_equal(again.array(name), whole.array(name), equal_nan=True) for name in whole.stored.names
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the names of open files are known on Linux")
def test_a_commit_is_on_the_disk_before_the_old_state_goes(whole, tmp_path, monkeypatch) -> None:
    events: list[tuple[str, str]] = []
    fsync, unlink, replace = os.fsync, Path.unlink, Path.replace

    def flush(handle: int) -> None:
        fsync(handle)
        events.append(("flush", os.readlink(f"/proc/self/fd/{handle}")))

    def unlinked(file: Path, missing_ok: bool = False) -> None:
        events.append(("unlink", str(file)))
        unlink(file, missing_ok)

    def replaced(file: Path, target: Path) -> Path:
        events.append(("replace", str(target)))
        return replace(file, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "unlink", unlinked)
    monkeypatch.setattr(Path, "replace", replaced)
    recording = run(prepared(TEXT), tmp_path)
    path = str(recording.path)
    removed = [index for index, (what, file) in enumerate(events) if what == "unlink" and "/state-" in file]
    assert removed
    commits = [index for index, event in enumerate(events) if event == ("replace", f"{path}/{PROGRESS}")]
    for index in removed:
        commit = max(place for place in commits if place < index)
        assert ("flush", path) in events[commit:index]  # the new name of progress.json
        before = events[max((place for place in commits if place < commit), default=0) : commit]
        flushed = {file for what, file in before if what == "flush"}
        states = [place for place, (what, file) in enumerate(before) if what == "replace" and "/state-" in file]
        assert states and ("flush", path) in before[states[-1] :] and f"{path}/progress.partial" in flushed
        chunks = {file for what, file in before if what == "replace" and f"/{FOLDER}/" in file and "/c/" in file}
        assert chunks and chunks <= flushed and {os.path.dirname(file) for file in chunks} <= flushed


def test_a_second_process_is_refused_until_the_first_has_ended(whole, tmp_path) -> None:
    document = prepared(TEXT)
    path = tmp_path / document.experiment.key
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(UserError) as refused:
            run(document, tmp_path)
        assert refused.value.key == "disk.in_use" and [file.name for file in path.iterdir()] == [LOCK]
        first.kill()
    assert run(document, tmp_path).complete


def test_without_locks_everybody_is_let_in(whole, tmp_path, monkeypatch) -> None:
    def unsupported(handle: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("model.disk._lock", unsupported)
    assert run(prepared(TEXT), tmp_path).complete


def test_a_file_where_a_folder_is_wanted_is_said(whole, tmp_path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError) as refused:
        run(prepared(TEXT), tmp_path / "out")
    assert refused.value.key == "disk.occupied"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_may_not_be_written_is_said(whole, tmp_path, monkeypatch, number) -> None:
    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(number, "no", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError) as refused:
        run(prepared(TEXT), tmp_path / "out")
    assert refused.value.key == "disk.refused" and str(tmp_path) in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="only Unix limits the size of files")
def test_the_command_line_says_it_too(whole, tmp_path) -> None:
    import resource

    (tmp_path / "notes.txt").write_text(TEXT, "utf-8")
    (tmp_path / "file").write_text("")

    def called(out: Path, limit: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
        options = ["read", str(tmp_path / "notes.txt"), "--model", "tiny", "--out", str(out), "--json"]
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        return subprocess.run(
            [*MAIN, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)),
        )

    for out, limit, words in (
        (tmp_path / "file", resource.RLIM_INFINITY, "a file stands"),
        (tmp_path / "a", 4000, "full"),
    ):
        done = called(out, limit)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert called(tmp_path / "a").returncode == 0
