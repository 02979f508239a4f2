"""A recording as tables: what is written is what was recorded, with units, and empty where nothing was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from model.cli.main import app
from model.reading.runner import run
from model.recording.reader import Recording
from model.recording.schema import ARRAYS
from tests.support.recordings import synthetic_recording
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recordings")
    return synthetic_recording(folder, 1500, token_norms=True, keep_text=True, delta=True)


def export(recording: Recording, *options: str) -> list[Path]:
    done = CliRunner().invoke(app, ["export", str(recording.path), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [Path(line) for line in done.stdout.splitlines()]


def test_parquet_gives_back_the_numbers_and_says_what_they_are(recording: Recording, tmp_path: Path) -> None:
    tokens, chunks = export(recording, "--format", "parquet", "--out", str(tmp_path / "out.parquet"))
    table = pyarrow.parquet.read_table(tokens)
    read = table.to_pandas()
    loss, control = recording.array("loss"), recording.array("control_loss")
    np.testing.assert_array_equal(read["loss"], loss)
    np.testing.assert_allclose(read["excess"], loss - control)
    np.testing.assert_allclose(read["norm_layer_1"], recording.array("token_norm")[:, 1].mean(axis=1), rtol=1e-6)
    assert table["loss"].null_count == 1 and list(read["token"]) == list(range(1500))
    about = {field.name: field.metadata for field in table.schema}
    assert about["loss"][b"unit"] == b"nats" and about["loss"][b"meaning"] == ARRAYS["loss"].meaning.encode()
    assert json.loads(table.schema.metadata[b"experiment"])["document"] == recording.experiment.document
    states = pd.read_parquet(chunks)
    assert len(states) == recording.array("norm").size
    row = states[(states["layer"] == 1) & (states["head"] == 3)]
    np.testing.assert_array_equal(row["norm"], recording.array("norm")[:, 1, 3])
    np.testing.assert_array_equal(row["position"], recording.array("position"))
    np.testing.assert_array_equal(row["overwritten"], recording.array("overwritten")[:, 1, 3])
    ranks = row.set_index("position")["effective_rank"]
    np.testing.assert_array_equal(
        ranks[recording.array("snapshot_position")], recording.array("effective_rank")[:, 1, 3]
    )
    assert "".join(row["text"]) == recording.text


def test_csv_gives_back_the_same(recording: Recording, tmp_path: Path) -> None:
    tokens, chunks = export(recording, "--format", "csv", "--out", str(tmp_path / "out.csv"))
    read = pd.read_csv(tokens)
    np.testing.assert_allclose(read["loss [nats]"], recording.array("loss"), rtol=1e-6)
    assert tokens.read_bytes().startswith(b"\xef\xbb\xbf") and np.isnan(read["loss [nats]"][0])
    states = pd.read_csv(chunks)
    np.testing.assert_allclose(states["norm"], recording.array("norm").ravel(), rtol=1e-6)
    assert {"position [tokens]", "character [characters]", "log_decay [nats]", "text"} <= set(states.columns)


def test_a_stored_text_is_given_token_by_token_where_its_tokenizer_is_here(home: Path, tmp_path: Path) -> None:
    make_tiny_checkpoint(home)
    text = tiny_text(150, seed=3)
    recording = run(prepared(text, "tiny", control=False), home / "recordings", keep_text=True)
    tokens, _ = export(recording, "--out", str(tmp_path / "out.parquet"))
    read = pd.read_parquet(tokens)
    assert "".join(read["text"]) == text and len(set(read["text"])) > 20
    starts = read["character"].to_numpy()
    assert all(text[start:].startswith(piece) for start, piece in zip(starts, read["text"], strict=True))
    assert "excess" not in read.columns


def test_xarray_has_coordinates_with_units(recording: Recording) -> None:
    arrays = recording.to_xarray()
    assert {"token", "layer", "head", "position", "character", "snapshot_position"} <= set(arrays.coords)
    assert arrays["position"].attrs["units"] == "tokens" and arrays["head"].attrs["units"] == "1"
    assert arrays["norm"].sel(layer=1, head=7).dims == ("boundary",)
    np.testing.assert_array_equal(arrays["loss"].sel(token=slice(100, 200)), recording.array("loss")[100:201])


def test_figures_are_one_page_or_pictures(recording: Recording, tmp_path: Path) -> None:
    (page,) = export(recording, "--format", "html", "--out", str(tmp_path / "out.html"), "--language", "ja")
    text = page.read_text("utf-8")
    assert text.count('class="chart"') == 4 and "位置ごとの超過損失" in text  # its model has no explored states here
