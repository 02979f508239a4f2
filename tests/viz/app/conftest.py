"""The app in a new browser session, with a home that holds a tiny model and two finished recordings."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.app import LANGUAGES, ROOT
from tests.support.recordings import synthetic_recording
from tests.support.tiny import make_tiny_checkpoint
from viz.app import session
from viz.jobs import registry as jobs


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home with a tiny model, and a folder of shipped recordings."""
    home, shipped = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shipped")
    make_tiny_checkpoint(home)
    synthetic_recording(shipped, 12_000, document_name="log.txt", title="log.txt")
    synthetic_recording(
        shipped, 12_000, document_name="log.txt", title="log.txt", mitigations=(("decay", 4.0),), collapse=False
    )
    return home, shipped


@pytest.fixture
def open_app(shelves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens a new browser session."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(shelves[0]))
    monkeypatch.setattr(session, "SHIPPED", shelves[1])

    def start(language: str = "en", theme: str = "light", **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.context = {"locale": LANGUAGES[language], "theme": theme}
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    yield start
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)
