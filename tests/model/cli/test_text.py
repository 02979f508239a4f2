"""``memory-explorer text`` and ``passage``: a document as ever, a recording as a table of its tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import model
from model.cli.main import app
from model.cli.passage import lines, passage_of
from model.errors import UserError
from model.reading.runner import run
from model.studies.passage.result import Forgetting, Passage
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TEXT = tiny_text(120)


@pytest.fixture
def recording(home: Path):
    make_tiny_checkpoint(home)
    (home / "notes.txt").write_text(TEXT, "utf-8")
    return run(prepared(TEXT), home / "recordings", keep_text=True)


def said(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_document_is_printed_as_ever_and_by_tokens_if_a_model_is_named(recording, home):
    file = home / "notes.txt"
    first = TEXT.split("\n")[0]
    assert said("text", file).splitlines()[0] == f"line 1\t{first}"
    whole = json.loads(said("text", file, "--json"))
    assert whole["text"] == TEXT and whole["encoding"] == "utf-8" and "tokens" not in whole
    tokens = json.loads(said("text", file, "--json", "--model", "tiny"))["tokens"]
    assert "".join(row["text"] for row in tokens) == TEXT and tokens[-1]["token"] == recording.tokens - 1
    assert said("text", file, "--model", "tiny").splitlines()[0].split("\t") == list(tokens[0])
    with pytest.raises(UserError, match="--model"):
        said("text", file, "--out", home / "out.csv")


def test_a_recording_is_a_row_a_token(recording, home):
    found = json.loads(said("text", recording.path, "--json", "--document", home / "notes.txt"))
    rows = pd.DataFrame(found["tokens"])
    loss, control = recording.array("loss"), recording.array("control_loss")
    np.testing.assert_allclose(rows["loss"].astype(float), loss, atol=1e-6)
    np.testing.assert_allclose(rows["excess"].astype(float), loss - control, atol=1e-6)
    assert found["tokens"][0]["loss"] is None  # NaN is no JSON
    assert "".join(rows["text"]) == TEXT and rows["place"].iloc[0] == "line 1"
    assert [TEXT.count("\n", 0, at) + 1 for at in rows["character"]] == [
        int(place.split()[-1]) for place in rows["place"]
    ]
    norm = recording.array("norm").mean(axis=2)
    boundary = -(-np.arange(1, len(rows) + 1) // 64)
    np.testing.assert_allclose(rows["norm_layer_1"], norm[boundary, 1], rtol=1e-5)
    assert rows["decay"].between(0, 1).all() and (rows["novelty"] > 0).all()
    assert {column["name"]: column["unit"] for column in found["columns"]}["loss"] == "nats"
    assert said("text", recording.path).splitlines()[0].split("\t")[:3] == ["token", "character", "text"]


def test_the_table_goes_to_files_and_to_pandas(recording, home):
    for ending, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        said("text", recording.path, "--out", home / f"table{ending}")
        table = read(home / f"table{ending}")
        name = "loss [nats]" if ending == ".csv" else "loss"
        np.testing.assert_allclose(table[name], recording.array("loss"), atol=1e-6)
    frame = model.token_table(recording, home / "notes.txt")
    assert len(frame) == recording.read_tokens and {"place", "text", "novelty"} <= set(frame.columns)
    (home / "other.txt").write_text("another text", "utf-8")
    with pytest.raises(UserError, match=r"notes\.txt"):
        model.token_table(recording, home / "other.txt")
    with pytest.raises(UserError, match=r"\.parquet"):
        said("text", recording.path, "--out", home / "table.xls")


def test_a_passage_is_followed_from_the_command_line(recording, home):
    words = ["passage", recording.path, "--mark", "101-120", "--out", home / "passages"]
    found = json.loads(said(*words, "--json"))
    stored = Forgetting.load(home / "passages" / recording.key, Passage(start=100, stop=120))
    assert stored.complete and found["half_life"] == stored.half_life()
    assert [probe["distance"] for probe in found["probes"]] == [probe.distance for probe in stored.probes]
    assert f"{stored.probes[-1].distance:,}" in said(*words) and len(list((home / "passages").iterdir())) == 1
    heads = json.loads(said(*words, "--heads", "--at", 200, "--json"))
    assert np.mean(np.sum(heads["weight"], axis=1)) == pytest.approx(heads["total"]) and heads["moment"] == 200
    assert f"{heads['total']:.2%}" in said(*words, "--heads", "--at", 200)
    said(*words, "--mitigation", "decay=4")
    assert len(list((home / "passages").iterdir())) == 2
    assert "half of its share" in lines(stored)[0]
    assert "no share of the state" in lines(Forgetting(passage=stored.passage, probes=stored.probes))[0]
    for wrong in ("120", "0-5", "5", "a-b"):
        with pytest.raises(UserError, match="120-180"):
            passage_of(wrong)
