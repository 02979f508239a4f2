"""What is said of a model before it is loaded: from config.json alone, as from its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from model.checkpoints.catalogue import model_card
from model.cli.main import app
from model.errors import UserError
from model.published import hub, registry
from model.published.config import read_published
from model.published.files import tensors_in
from model.published.load import count_parameters
from model.studies.facts import facts_of, find_facts
from tests.support import plain
from tests.support.published import TINY, random_model, save

pytestmark = pytest.mark.usefixtures("places")
ATTENTION = {"bamba": 2, "falcon_h1": 5, "recurrent_gemma": 1, "kimi_linear": 2, "zamba2": 2, "mamba2": 0}


@pytest.mark.parametrize("kind", list(TINY))
def test_parameters_are_counted_from_the_configuration(kind: str, tmp_path: Path) -> None:
    model = random_model(kind)
    folder = save(model, tmp_path / "model")
    config = read_published(folder, "tiny")
    counted = count_parameters(config)
    assert counted == sum(parameter.numel() for parameter in model.parameters())
    stored = sum(entry.size for entry in tensors_in(folder, "tiny").values())
    assert counted <= stored <= 1.1 * counted  # what MiniMax follows from its sizes is stored too
    if kind in ATTENTION:
        assert config.attention_layers == ATTENTION[kind]


@pytest.mark.parametrize("kind", list(plain.CONFIGS))
def test_of_families_without_a_class_too(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(plain.config(kind)))
    known = find_facts(str(tmp_path))
    assert known.parameters == sum(tensor.numel() for tensor in plain.weights(kind).values())
    assert (known.train_length, known.length_from) == (64, "config") and not known.attention_layers


def test_config_json_is_enough(tmp_path: Path) -> None:
    folder = save(random_model("bamba"), tmp_path / "model")
    whole = find_facts(str(folder))
    for file in folder.glob("*.safetensors"):
        file.unlink()
    alone = find_facts(str(folder))
    assert replace(alone, disk=whole.disk, parameters=whole.parameters, needed=whole.needed) == whole
    assert alone.needed["float32"] == pytest.approx(whole.needed["float32"], rel=0.01)
    assert (alone.layers, alone.attention_layers, alone.attention_share) == (3, 2, 0.4)


def test_the_command_shows_a_card(tmp_path: Path) -> None:
    name = str(save(random_model("bamba"), tmp_path / "model"))
    said = CliRunner().invoke(app, ["models", "show", name])
    assert said.exit_code == 0
    for words in ("Bamba", "3 recurrent, 2 with attention (40%)", "assumed for the family", "a token"):
        assert words in said.output
    registry.note(name, train_length=128)
    values = json.loads(CliRunner().invoke(app, ["models", "show", name, "--json"]).output)
    assert values["length_from"] == "user" and values["train_length"] == 128
    assert values["state_size"] == facts_of(model_card(name)).state_size
    assert json.loads(CliRunner().invoke(app, ["models", "--json"]).output)


def test_the_hub_is_asked_for_a_name_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(random_model("qwen3_5_text"), tmp_path / "model")

    def look_up(name: str) -> Any:
        return SimpleNamespace(config=read_published(folder, name), parameters=None, size=4000)

    monkeypatch.setattr(hub, "look_up", look_up)
    known = find_facts("someone/tiny")
    assert known.disk == 4000 and known.parameters == count_parameters(read_published(folder, "tiny"))
    with pytest.raises(UserError, match="no model called"):
        find_facts("nothing")
