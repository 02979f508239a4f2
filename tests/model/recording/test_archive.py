"""A recording comes out of its zip file as it went in; whatever else is in one is refused and leaves nothing behind."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from safetensors.numpy import save_file

from model.errors import UserError
from model.json_file import SEAL, digest
from model.recording.archive import pack, unpack, unpacked_size
from model.recording.arrays import metadata_digest
from model.recording.reader import Recording
from tests.support.recordings import synthetic_recording


def zipped(recording: Recording, **options: bool) -> io.BytesIO:
    target = io.BytesIO()
    pack(recording, target, **options)
    target.seek(0)
    return target


def zip_of(folder: Path, prefix: str = "x/") -> io.BytesIO:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    target.seek(0)
    return target


@pytest.mark.parametrize(
    "options", [{}, {"read_tokens": 4000}, {"token_norms": True}, {"control": False}, {"layers": 3}]
)
def test_a_round_trip_changes_nothing(options: dict[str, object], tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 6000, **options)
    copy = unpack(zipped(recording), "x.zip", tmp_path / "b")
    assert copy.path.name == recording.key
    assert copy.meta == recording.meta
    for name in ("loss", "norm", "sketch", "position", "effective_rank"):
        np.testing.assert_array_equal(copy.array(name), recording.array(name))
    assert sorted(entry.name for entry in (tmp_path / "b").iterdir()) == [recording.key]


def test_the_text_travels_only_if_it_was_stored_and_is_wanted(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000, keep_text=True)
    assert unpack(zipped(recording), "x.zip", tmp_path / "b").text == recording.text
    assert unpack(zipped(recording, with_text=False), "x.zip", tmp_path / "c").text is None


def test_a_recording_that_is_there_already_stays(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000)
    archive = zipped(recording)
    recording.rename("Mine")
    assert unpack(archive, "x.zip", tmp_path / "a").title == "Mine"


def test_files_that_do_not_belong_are_left_out(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000)
    archive = zipped(recording)
    with zipfile.ZipFile(archive, "a") as more:
        for name in (
            "../evil.txt",
            "/etc/evil",
            f"{recording.key}/../../evil.txt",
            f"{recording.key}/evil.py",
            "C:\\evil",
        ):
            more.writestr(name, "evil")
    unpack(archive, "x.zip", tmp_path / "b" / "c")
    assert not list(tmp_path.rglob("*evil*"))


def edit_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change a file and make every digest fit: what comes in may have been forged with care."""

    def edit(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        change(values)
        (folder / name).write_text(json.dumps(values))
        for sealed in ("progress.json", "recording.json"):
            values = json.loads((folder / sealed).read_text())
            if "arrays" in values:
                values["arrays"] = {array: metadata_digest(folder, array) for array in values["arrays"]}
            del values[SEAL]
            (folder / sealed).write_text(json.dumps(values | {SEAL: digest(values)}))

    return edit


def edit_array(name: str, change: Callable[[np.ndarray], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        array = zarr.open_group(str(folder / "data.zarr"), mode="r+")[name]
        values = array[:]
        change(values)
        array[:] = values

    return edit


def bomb(folder: Path) -> None:
    """A chunk that says to unpack to four gigabytes."""
    chunk = next(file for file in (folder / "data.zarr" / "loss" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(b"\x28\xb5\x2f\xfd\xe0" + (1 << 32).to_bytes(8, "little") + bytes(20))


def infinite_state(folder: Path) -> None:
    file = next(folder.glob("state-*.safetensors"))
    save_file({"0.memory": np.full((1, 2, 2, 2), np.inf, np.float32)}, file)
    state = hashlib.sha256(file.read_bytes()).hexdigest()
    edit_json("progress.json", lambda progress: progress.update(state_sha256=state))(folder)


LOSS = "data.zarr/loss/zarr.json"
TAMPERED = {
    "no recording.json": lambda folder: (folder / "recording.json").unlink(),
    "not JSON": lambda folder: (folder / "recording.json").write_text("{"),
    "a list": lambda folder: (folder / "recording.json").write_text("[]"),
    "no arrays": lambda folder: [file.unlink() for file in (folder / "data.zarr").rglob("*") if file.is_file()],
    "a missing array": lambda folder: (folder / LOSS).unlink(),
    "still running": edit_json("recording.json", lambda meta: meta.update(status="running")),
    "a title that is no text": edit_json("recording.json", lambda meta: meta.update(title=["x"])),
    "a title with line breaks": edit_json("recording.json", lambda meta: meta.update(title="a\nb")),
    "an endless title": edit_json("recording.json", lambda meta: meta.update(title="a" * 10_000)),
    "no tokens": edit_json("recording.json", lambda meta: meta["experiment"].update(tokens=0)),
    "more tokens than arrays": edit_json("recording.json", lambda meta: meta["experiment"].update(tokens=10**7)),
    "tokens that are true": edit_json("recording.json", lambda meta: meta["experiment"].update(tokens=True)),
    "a path as hash": edit_json("recording.json", lambda meta: meta["experiment"].update(document="../../x")),
    "an unknown mitigation": edit_json(
        "recording.json", lambda meta: meta["experiment"].update(mitigations=[["x", 1]])
    ),
    "an unknown state": edit_json("recording.json", lambda meta: meta["experiment"].update(initial_state="x")),
    "an infinite figure": edit_json("recording.json", lambda meta: meta["summary"].update(excess_loss=float("inf"))),
    "a figure that is text": edit_json("recording.json", lambda meta: meta["summary"].update(excess_loss="<b>")),
    "a state elsewhere": edit_json("progress.json", lambda progress: progress.update(state="../../secret")),
    "a state that is not there": edit_json(
        "progress.json", lambda progress: progress.update(state="state-1.safetensors")
    ),
    "progress past the end": edit_json("progress.json", lambda progress: progress.update(tokens=10**6)),
    "another shape": edit_json(LOSS, lambda array: array.update(shape=[10**12])),
    "another type": edit_json(LOSS, lambda array: array.update(data_type="float64")),
    "another codec": edit_json(LOSS, lambda array: array.update(codecs=[{"name": "numcodecs.pickle"}])),
    "a chunk larger than the array": edit_json(
        LOSS, lambda array: array["chunk_grid"]["configuration"].update(chunk_shape=[10**9])
    ),
    "a chunk that is a bomb": bomb,
    "a chunk that is noise": lambda folder: (folder / "data.zarr/loss/c/0").write_bytes(b"noise"),
    "an infinite loss": edit_array("loss", lambda values: values.fill(np.inf)),
    "positions that go back": edit_array("position", lambda values: values.sort(kind="stable") or values[::-1].sort()),
    "positions past the end": edit_array("snapshot_position", lambda values: values.fill(10**6)),
    "an infinite state": infinite_state,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_not_a_recording_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 3000)
    TAMPERED[what](recording.path)
    with pytest.raises(UserError) as refused:
        unpack(zip_of(recording.path), "x.zip", tmp_path / "b")
    assert refused.value.key == "archive.not_a_recording"
    assert not list((tmp_path / "b").iterdir())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip file at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_not_a_zip_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        unpack(io.BytesIO(data), "x.zip", tmp_path)


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000)
    monkeypatch.setattr("model.recording.archive.MAX_BYTES", 10_000)
    with pytest.raises(UserError):
        unpack(zipped(recording), "x.zip", tmp_path / "b")


def test_a_newer_recording_says_that_it_is_newer(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000)
    edit_json("recording.json", lambda meta: meta.update(format=99))(recording.path)
    with pytest.raises(UserError) as refused:
        unpack(zip_of(recording.path), "x.zip", tmp_path / "b")
    assert refused.value.key == "recordings.newer"


def test_recordings_without_a_folder_in_the_zip_file_are_read_too(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path / "a", 2000)
    assert unpack(zip_of(recording.path, prefix=""), "x.zip", tmp_path / "b").key == recording.key


@pytest.mark.parametrize("count", [1, 100, 255, 256, 257, 65_791, 65_792, 100_000, 1 << 20])
def test_unpacked_size_is_what_the_frame_unpacks_to(count: int) -> None:
    from numcodecs import Zstd

    packed = Zstd(level=0).encode(np.random.default_rng(0).integers(0, 9, count).astype(np.uint8).tobytes())
    assert unpacked_size(bytes(packed[:18])) == count
