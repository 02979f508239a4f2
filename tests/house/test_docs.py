"""The documents say what the program has: commands, options, variables, pages, table rows, arrays, links."""

import json
import re
import shutil
from pathlib import Path

import pytest
import xarray

from model.errors import UserError
from model.recording.reader import Recording, recordings
from model.recording.schema import ARRAYS, VERSION
from tests.reference import RECORDINGS, REFERENCE, ROOT, VARIABLES, reference, with_arrays


def test_the_reference_is_that_of_the_program() -> None:
    assert REFERENCE.read_text("utf-8") == reference(), "run: python -m tests.reference"


def test_the_arrays_of_a_recording_are_those_of_the_schema() -> None:
    text = RECORDINGS.read_text("utf-8")
    assert with_arrays(text) == text and all(f"`{name}`" in text for name in ARRAYS)


def test_every_environment_variable_is_documented() -> None:
    files = [file for room in ("kernels", "model", "viz") for file in (ROOT / room).rglob("*.py")]
    used = {name for file in files for name in re.findall(r"MEMORY_EXPLORER_[A-Z]+", file.read_text("utf-8"))}
    assert used == VARIABLES.keys()


def test_links_of_the_documents_lead_somewhere() -> None:
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text("utf-8")):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) < 10_240


def test_stored_recordings_have_the_arrays_of_the_schema() -> None:
    """Recordings of version 1, as they are shipped, open by the schema and as xarray."""
    found = list(recordings(ROOT / "sample_data" / "recordings"))
    assert len(found) == 6
    for recording in found:
        assert isinstance(recording, Recording) and recording.meta.format == 1 <= VERSION
        stored = xarray.open_zarr(recording.path / "data.zarr", consolidated=False)
        assert {name for name, row in ARRAYS.items() if not row.optional} <= set(stored.variables) <= set(ARRAYS)
        for name, array in stored.variables.items():
            assert array.dims == ARRAYS[str(name)].dimensions
            assert array.dtype == ARRAYS[str(name)].dtype
        read = recording.to_xarray()
        assert (
            read["norm"].attrs["long_name"]
            and list(read["layer"]) == [0, 1]
            and read["loss"].sizes["token"] == recording.read_tokens
        )


def test_a_recording_without_a_version_is_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(next(iter(recordings(ROOT / "sample_data" / "recordings"))).path, folder)
    values = json.loads((folder / "recording.json").read_text("utf-8"))
    del values["format"]
    (folder / "recording.json").write_text(json.dumps(values), "utf-8")
    assert Recording(folder).meta.format == 1
    (folder / "recording.json").write_text(json.dumps(values | {"format": VERSION + 1}), "utf-8")
    with pytest.raises(UserError, match="newer"):
        Recording(folder)


def test_packages_of_the_tree_say_what_they_are() -> None:
    folders = {file.parent for room in ("model", "viz") for file in (ROOT / room).rglob("*.py")}
    silent = [str(folder) for folder in folders if not (folder / "__init__.py").read_text("utf-8").startswith('"""')]
    assert not silent and Path(ROOT / "kernels" / "__init__.py").read_text("utf-8") == ""
