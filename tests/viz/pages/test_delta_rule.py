"""A delta rule whose norm is flat and whose loss rises: the page shows saturation, the verdict the cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model.messages import LANGUAGES, message
from model.recording.schema import OVERWRITING
from tests.support.app import APP
from tests.support.recordings import synthetic_recording
from viz.app import session


@pytest.fixture
def open_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setattr(session, "SHIPPED", tmp_path / "none")
    synthetic_recording(tmp_path / "recordings", 20_000, title="delta", delta=True)
    synthetic_recording(tmp_path / "recordings", 300, title="short", delta=True, seed=1)

    def start(page: str, language: str = "en", title: str = "delta", **query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": language, "theme": "light"}
        for name, value in query.items():
            app.query_params[name] = value
        app.query_params["recording"] = next(
            file.parent.name
            for file in (tmp_path / "recordings").glob("*/recording.json")
            if json.loads(file.read_text("utf-8"))["title"] == title
        )
        app = app.run().switch_page(f"viz/pages/{page}/page.py").run()
        assert not app.exception and not app.error
        return app

    return start


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("title", ["delta", "short"])
def test_the_page_says_that_a_flat_norm_proves_nothing(
    open_page: Callable[..., AppTest], language: str, title: str
) -> None:
    said = "\n".join(part.value for part in open_page("state_norms", language, title).markdown)
    assert {"en": "delta rule", "ja": "デルタ則"}[language] in said and "nan" not in said


@pytest.mark.parametrize("layer", ["All layers", "Layer 0", "Layer 1"])
@pytest.mark.parametrize("name", OVERWRITING)
def test_what_is_overwritten_is_drawn(open_page: Callable[..., AppTest], name: str, layer: str) -> None:
    app = open_page("state_norms", norms_statistic=message(f"state_norms.{name}"), norms_layer=layer)
    assert app.selectbox(key="norms_statistic").value == name
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    names = {trace.get("name") for trace in drawn}
    if layer == "All layers":
        assert "Layer 1" in names and "Layer 0" not in names


def test_the_verdict_follows_the_loss(open_page: Callable[..., AppTest], tmp_path: Path) -> None:
    said = [header.value for header in open_page("overview").header]
    assert any("memor" in header and "holds" not in header for header in said), said


def test_norms_of_the_made_recording_are_flat(tmp_path: Path) -> None:
    recording = synthetic_recording(tmp_path, 20_000, delta=True)
    norm, position = recording.array("norm").mean((1, 2)), recording.array("position")
    assert norm[position > 8 * 256].mean() / norm[np.searchsorted(position, 4 * 256)] == pytest.approx(1, abs=0.1)
