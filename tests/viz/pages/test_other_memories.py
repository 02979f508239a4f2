"""Every page opens on a Transformer, a hybrid and a cell, and says in one sentence which question does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.config import ModelConfig
from model.errors import UserError
from model.mixers import recurrent
from model.reading.explore import explore
from model.reading.runner import run
from model.tokenizer import encode, train_tokenizer
from tests.support.app import APP, sound, words
from tests.support.homes import forget_models
from tests.support.tiny import prepared, tiny_text
from viz.app.navigation import PAGES
from viz.figures import recorded

SIZES = {"d_model": 32, "headdim": 16, "vocab_size": 320, "train_length": 64}
MODELS = {
    "rope": ModelConfig(layers=("attention_rope",) * 2, d_state=2, expand=1, **SIZES),
    "hybrid": ModelConfig(layers=("mamba2", "attention_window"), d_state=16, **SIZES),
    "lstm": ModelConfig(layers=("lstm",) * 2, d_state=2, expand=1, **SIZES),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with these three models and a recording of each."""
    folder = tmp_path_factory.mktemp("home")
    tokenizer = train_tokenizer([tiny_text(4000)], 320)
    tokens, _ = encode(tokenizer, tiny_text(1500, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(folder))
        patch.setattr("model.checkpoints.catalogue.SHIPPED", folder / "none")
        patch.setattr("viz.app.session.SHIPPED", folder / "none")
        forget_models()
        for name, config in MODELS.items():
            torch.manual_seed(0)
            model = LanguageModel(config).requires_grad_(False)
            save_checkpoint(folder / "checkpoints" / name, model, tokenizer)
            if recurrent(config.layers):
                found = explore(model, [tokens], 64, windows=12)
                found.save(folder / "checkpoints" / name / "explored.safetensors")
            run(prepared(tiny_text(500, seed=3), name), folder / "recordings", keep_text=True)
        yield folder
    forget_models()


def recording_of(home: Path, name: str) -> recorded.Recording:
    found = [recorded.Recording(file.parent) for file in (home / "recordings").glob("*/recording.json")]
    return next(one for one in found if one.experiment.model == name)


@pytest.mark.parametrize("name", MODELS)
def test_every_page_opens_on_it(home: Path, name: str) -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.context = {"locale": "en", "theme": "light"}
    app.query_params["recording"] = recording_of(home, name).key
    app.query_params["model"] = name
    app.query_params["norms_heads"] = "true"
    sound(app.run())
    said = {}
    for page in PAGES:
        said[page] = words(sound(app.switch_page(f"viz/pages/{page}/page.py").run()))
        if page == "state_norms":
            offered = app.selectbox(key="norms_statistic").options
            assert ("Effective rank" in offered) == (name == "hybrid")
            assert ("Mean decay (share kept per token)" in offered) == (name != "rope")
        if page == "text":
            app.selectbox(key="text_measure").set_value("remembered").run()
            said["text"] = words(sound(app))
        if page == "state_map" and name == "hybrid":
            assert list(app.selectbox(key="map_layer").options) == ["All layers", "Layer 0"]
    assert ("no state to place on a map" in said["state_map"]) == (name == "rope")
    assert ("recurrent layers" in said["state_map"]) == (name == "hybrid")
    assert ("cache of keys and values" in said["state_norms"]) == (name != "lstm")
    assert ("half-life do not apply" in said["state_norms"]) == (name == "rope")
    assert {"rope": "every token apart", "hybrid": "every token apart", "lstm": "no sum of"}[name] in said["text"]
    assert ("cache, which starts empty" in said["lab"]) == (name == "rope")


def test_figures_that_do_not_apply_say_why(home: Path) -> None:
    cache = recording_of(home, "rope")
    for draw in (recorded.novelty, recorded.unexplored, recorded.state_map):
        with pytest.raises(UserError, match="this figure does not apply"):
            draw(cache)
    with pytest.raises(UserError, match="no half-lives"):
        recorded.half_lives(cache)
    hybrid = recording_of(home, "hybrid")
    lives = [trace for trace in recorded.half_lives(hybrid).data if trace.x is not None and len(trace.x)]
    assert lives and all(np.isfinite(np.array(trace.x, np.float64)).all() for trace in lives)
    assert recorded.state_map(hybrid).data
