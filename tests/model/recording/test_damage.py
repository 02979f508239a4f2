"""A damaged recording gives the right numbers or a sentence, whichever of its files is damaged, and however."""

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import UserError
from model.json_file import SEAL
from model.recording.arrays import FOLDER
from model.recording.catalogue import Catalogue
from model.recording.reader import META, PROGRESS, TEXT, Recording, read_state, recordings
from model.recording.schema import ARRAYS, CHUNK
from model.recording.writer import BLOCK, RecordingWriter
from tests.support.recordings import synthetic_recording

TOKENS = 40_000
"""Of a recording whose long arrays have two chunks."""


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(share: float, bit: int) -> Callable[[Path], None]:
    """Change one bit of one byte, that at ``share`` of the file."""

    def flipped(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[int(share * (len(data) - 1))] ^= 1 << bit
        file.write_bytes(bytes(data))

    return flipped


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut short": cut,
    "emptied": empty,
    "deleted": Path.unlink,
    **{f"bit {bit} at {share}": flip(share, bit) for share, bit in ((0.02, 0), (0.31, 1), (0.64, 2), (1, 0))},
}


@contextmanager
def damaged(file: Path, damage: Callable[[Path], None]) -> Iterator[None]:
    data = file.read_bytes()
    damage(file)
    try:
        yield
    finally:
        file.write_bytes(data)


def files_of(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def attempt(look: Callable[[], Any]) -> Any:
    """What ``look`` sees, or the sentence, which must be whole in both languages."""
    try:
        return look()
    except UserError as error:
        sentences = [error.sentence("en"), error.sentence("ja")]
        assert error.key.startswith("recordings.damaged") and not [text for text in sentences if "{" in text]
        return error


def seen(path: Path, names: list[str]) -> dict[str, Any]:
    """Whatever can be read from a recording, by a word for it: arrays, the state, the text, all as xarray."""
    recording = attempt(lambda: Recording(path))
    if isinstance(recording, UserError):
        return {"recording": recording}
    looks: dict[str, Callable[[], Any]] = {name: lambda name=name: recording.array(name) for name in names}
    looks["rows"] = lambda: recording.rows("token_norm", BLOCK - 50, BLOCK + 50)
    looks["text"] = lambda: recording.text
    looks["meta"] = lambda: recording.meta
    looks["xarray"] = lambda: {name: values.values for name, values in recording.to_xarray().variables.items()}
    looks |= {f"state {name}": lambda name=name: read_state(path)[name] for name in ("0.memory", "1.memory")}
    return {name: attempt(look) for name, look in looks.items()}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    recording = synthetic_recording(folder, TOKENS, nheads=2, token_norms=True, keep_text=True, delta=True)
    return recording.path


def test_a_recording_has_a_checksum_for_every_file(whole: Path) -> None:
    chunks = [file for file in files_of(whole) if "/c/" in file]
    assert len(chunks) >= 2 * 12 + 3
    for name in Recording(whole).stored.names:
        codecs = json.loads((whole / FOLDER / name / "zarr.json").read_text())["codecs"]
        assert codecs[-1]["name"] == "crc32c"
    assert all(SEAL in json.loads((whole / file).read_text()) for file in (META, PROGRESS))


def test_every_kind_of_damage_to_every_file_gives_the_right_numbers_or_a_sentence(whole: Path) -> None:
    names, files = list(Recording(whole).stored.names), files_of(whole)
    expected = seen(whole, names)
    assert not [value for value in expected.values() if isinstance(value, UserError)]
    cases = list(product(files, DAMAGE))
    assert len(cases) > 250
    told = 0
    for file, damage in cases:
        with damaged(whole / file, DAMAGE[damage]):
            found = seen(whole, names)
        errors = {name for name, value in found.items() if isinstance(value, UserError)}
        told += bool(errors)
        for name, value in found.items():
            fits = name in errors or same(value, expected[name])
            assert fits or (file, damage, name) == (TEXT, "deleted", "text"), (file, damage, name)
        array = re.match(rf"{FOLDER}/(\w+)/", file)
        if array is not None:  # the others are as whole as they were
            needed = {array[1], "xarray", *(["rows"] if array[1] == "token_norm" else [])}
            snapshots = {name for name in names if ARRAYS[name].dimensions[0] == "snapshot"}
            assert errors <= (needed | snapshots if array[1] == "snapshot_position" else needed), (file, damage)
            if "/c/" in file:
                assert {array[1], "xarray"} <= errors, (file, damage)
                assert array[1] in str(found[array[1]])
    assert told > 250


def test_a_recording_that_cannot_be_shown_is_left_out_of_the_list(whole: Path) -> None:
    assert len(list(recordings(whole.parent))) == 1
    for file, damage in product((META, PROGRESS), (cut, Path.unlink)):
        with damaged(whole / file, damage):
            assert not list(recordings(whole.parent))
            assert [error.key for error in unreadable(whole.parent)] == ["recordings.damaged_file"]
    assert not unreadable(whole.parent)


def test_a_chunk_of_nothing_but_nan_is_there(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path, 130, nheads=2, delta=True, train_length=16)
    assert np.isnan(recording.array("overwritten")[:2]).all()
    assert (recording.path / FOLDER / "overwritten" / "c").exists()


def interrupted(folder: Path, read: int) -> tuple[Recording, dict[str, np.ndarray]]:
    """A recording that was cancelled after ``read`` tokens, and the arrays that it should have in the end."""
    whole = synthetic_recording(folder / "whole", 6000, nheads=2)
    cancelled = synthetic_recording(folder / "cancelled", 6000, nheads=2, read_tokens=read)
    return cancelled, {name: whole.array(name) for name in whole.stored.names}


def resume(recording: Recording, arrays: dict[str, np.ndarray]) -> Recording:
    """Write what a cancelled recording lacks, as a reading does that resumes."""
    writer = RecordingWriter(recording.path, recording.meta, arrays["snapshot_position"])
    read = writer.progress["tokens"]
    for name, values in arrays.items():
        first = {"token": read, "boundary": -(-read // CHUNK) + 1}.get(ARRAYS[name].dimensions[0], 0)
        writer.put(name, first, values[first:])
    writer.commit({"tokens": 6000, "controlled": 6000}, {"x": np.zeros(3, np.float32)})
    return writer.finish("complete", {})


def test_resuming_a_damaged_recording_gives_the_right_numbers_or_a_sentence(tmp_path: Path) -> None:
    cancelled, arrays = interrupted(tmp_path, 3000)
    copy = tmp_path / "copy"
    told = []
    for file, damage in product(files_of(cancelled.path), ("cut short", "deleted", "bit 1 at 0.31")):
        shutil.copytree(cancelled.path, copy)
        DAMAGE[damage](copy / file)
        try:
            resumed = resume(Recording(copy), arrays)
            for name, values in arrays.items():
                assert same(resumed.array(name), values), (file, damage, name)
        except UserError as error:
            told.append((file, damage, error.key))
        shutil.rmtree(copy)
    assert len({file for file, _, key in told if key == "recordings.damaged_array"}) >= 2 * 13 - 1


def without_checksums(path: Path) -> None:
    """Make a recording of format 1, as programs before the checksums did."""
    for file in (META, PROGRESS):
        values = json.loads((path / file).read_text())
        for name in (SEAL, "state_sha256", "arrays"):
            values.pop(name, None)
        if "format" in values:
            values["format"] = 1
        (path / file).write_text(json.dumps(values))


def test_a_recording_without_checksums_opens_and_says_which_chunk_is_gone(whole: Path, tmp_path: Path) -> None:
    import zarr

    path = tmp_path / whole.name
    shutil.copytree(whole, path)
    without_checksums(path)
    expected = {name: Recording(whole).array(name) for name in Recording(whole).stored.names}
    for name in expected:  # written again without the checksum
        array = zarr.open_array(str(path / FOLDER / name), mode="r")
        values, row = array[:], ARRAYS[name]
        shutil.rmtree(path / FOLDER / name)
        zarr.create_array(
            str(path / FOLDER), name=name, shape=values.shape, chunks=array.chunks, dtype=row.dtype,
            fill_value=row.fill, dimension_names=row.dimensions,
        )[:] = values  # fmt: skip
    old = Recording(path)
    assert old.meta.format == 1 and old.stored.names == tuple(expected)
    assert all(same(old.array(name), values) for name, values in expected.items())
    told = 0
    for file, damage in product(files_of(path), ("cut short", "emptied", "deleted")):
        with damaged(path / file, DAMAGE[damage]):
            found = seen(path, list(expected))
        told += any(isinstance(value, UserError) for value in found.values())
        if "/c/" in file:
            name = file.split("/")[1]
            assert isinstance(found[name], UserError) or ARRAYS[name].optional == "with a delta rule", (file, damage)
    assert told > 100


def test_the_last_rows_of_a_control_that_lags_behind_are_nan(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path, TOKENS, nheads=2, read_tokens=BLOCK)
    writer = RecordingWriter(recording.path, recording.meta, recording.array("snapshot_position"))
    writer.commit({"tokens": TOKENS, "controlled": BLOCK}, {"x": np.zeros(3, np.float32)})
    (recording.path / FOLDER / "control_loss" / "c" / "1").unlink()
    control = Recording(recording.path).array("control_loss")
    assert len(control) == TOKENS and np.isnan(control[BLOCK:]).all() and not math.isnan(control[BLOCK - 1])


def unreadable(folder: Path) -> list[UserError]:
    """Why recordings in ``folder`` cannot be opened, as their catalogue says it."""
    catalogue = Catalogue(folder, in_memory=True)
    catalogue.refresh()
    return catalogue.unreadable()
