"""Asking a published model: its attention and convolutions go along with the state, and ids do where words do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.cli.main import app
from model.documents.token_ids import read_token_ids
from model.errors import UserError
from model.published import registry
from model.reading.again import prepare_again
from model.reading.prepare import Options, prepare
from model.reading.runner import run
from model.recording.state_file import StateFile
from model.studies.ask.result import Question
from model.studies.ask.run import ask
from model.studies.ask.states import ask_state, state_at
from tests.support.published import random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(200, seed=3)


@pytest.mark.parametrize("kind", ["bamba", "recurrent_gemma", "xlstm"])
def test_a_published_model_is_asked_as_it_read(kind: str, home: Path, tmp_path: Path) -> None:
    name = str(save(random_model(kind), home / "model"))
    registry.note(name, train_length=64)
    recording = run(prepared(TEXT, name, control=False), tmp_path / "recordings", keep_text=True)
    ready, question = prepare_again(recording, TEXT), Question(text="pump", length=6)
    loss = recording.array("loss")
    found = [answer for _, answer in ask(ready, [(moment, question) for moment in (1, 150, 301)])]
    for answer in found:
        assert answer.follows is not None and answer.decoded
        assert answer.follows.probability == pytest.approx(np.exp(-loss[answer.moment]), rel=1e-3)
    state = StateFile.of(state_at(ready, 150).to_bytes(), "a.safetensors")
    again = ask_state(state, question)
    assert again == replace(found[1], follows=None, next=again.next, entropy=again.entropy)
    assert again.entropy == pytest.approx(found[1].entropy, rel=1e-4)
    rest = [each for each in state.tensors if ".rest." in each]
    if rest:
        cut = {each: array for each, array in state.tensors.items() if each not in rest}
        with pytest.raises(UserError, match="other shapes"):
            ask_state(replace(state, tensors=cut), question)


def test_without_a_tokenizer_ids_stand_for_words(home: Path, tmp_path: Path) -> None:
    folder = save(random_model("mamba2"), home / "model")
    for file in folder.glob("*token*"):
        file.unlink()
    registry.note(str(folder), train_length=64)
    file = tmp_path / "ids.txt"
    file.write_text(" ".join(map(str, np.random.default_rng(0).integers(0, 320, 200))))
    document = read_token_ids(file)
    recording = run(prepare(document, str(folder), options=Options(control=False)), tmp_path / "recordings")
    ready = prepare_again(recording, document.text)
    (answer,) = (answer for _, answer in ask(ready, [(100, Question(length=5))]))
    assert not answer.decoded and answer.text == " ".join(map(str, answer.tokens))
    assert answer.follows is not None and answer.follows.text == str(ready.tokens[100])
    with pytest.raises(UserError, match="tokenizer"):
        list(ask(ready, [(100, Question(text="pump"))]))
    said = CliRunner().invoke(app, ["ask", str(recording.path), "--at", "100", "--document", str(file)])
    assert said.exit_code == 0 and "ids of tokens" in said.output
