"""The Models page: what it lists, a model of one's own from a folder and from the hub, explored states from a text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.messages import message
from model.published import hub, registry
from model.published.config import read_published
from model.reading.reference import reference_of
from tests.support.homes import forget_models
from tests.support.published import random_model, save
from viz.app.language import plain
from viz.app.navigation import PAGES
from viz.jobs import registry as jobs

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save(random_model(kind), tmp_path_factory.mktemp(kind)) for kind in ("mamba", "bamba")}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def start(language: str = "en") -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.context = {"locale": {"en": "en-GB", "ja": "ja-JP"}[language], "theme": "light"}
        return app.run().switch_page("viz/pages/models/page.py").run()

    yield start
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)
    forget_models()


SETTINGS = "viz/pages/passkey/page.py"
"""A page that computes with the settings, so they are open there."""


def said(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.warning, *app.error, *app.success, *app.info]
    return "\n".join(part.value for part in parts)


def look(app: AppTest) -> None:
    next(button for button in app.button if button.label == "Find").click().run()


def wait(app: AppTest, kind: str) -> AppTest:
    for _ in range(100):
        if not jobs.any_active(kind):
            break
        time.sleep(0.1)
    return app.run()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_it_lists_what_is_here(page: Callable[..., AppTest], folders: dict[str, Path], language: str) -> None:
    registry.add_folder(str(folders["bamba"]))
    app = page(language)
    assert not app.exception and not app.error
    table = app.dataframe[0].value
    assert {"mamba2-base", str(folders["bamba"])} <= set(table["name"])
    app.selectbox(key="shown").select(str(folders["bamba"])).run()
    assert not app.exception
    assert ("grows by" if language == "en" else "増えます") in said(app)


def test_a_folder_comes_in_and_goes(page: Callable[..., AppTest], folders: dict[str, Path]) -> None:
    app = page()
    app.text_input(key="add_written").set_value(str(folders["mamba"]))
    look(app)
    assert "in the list of models" in said(app)
    app.run()
    name = str(folders["mamba"])
    assert name in app.selectbox(key="shown").options
    app.selectbox(key="shown").select(name).run()
    assert "2,048" in said(app) and "8,192" in said(app)
    app.number_input(key=f"length-{name}").set_value(512).run()
    app.button(key="save_length").click().run()
    assert model_card(name).train_length == 512
    settings = page().switch_page(SETTINGS).run()
    settings.selectbox(key="model").select(name).run()
    assert settings.toggle(key="window").disabled and not settings.toggle(key="decay").disabled
    app.button(key="forget_model").click().run()
    assert name not in app.selectbox(key="shown").options


def test_explored_states_come_from_the_chosen_text(page: Callable[..., AppTest], folders: dict[str, Path]) -> None:
    name = str(folders["mamba"])
    registry.add_folder(name)
    registry.note(name, train_length=64)
    app = page()
    app.selectbox(key="shown").select(name).run()
    app.selectbox(key="reference").select("sample:server_log_en").run()
    app.number_input(key="reference_windows").set_value(4).run()
    app.button(key="record").click().run()
    wait(app, "explored")
    known = reference_of(model_card(name))
    assert known is not None and known.windows == 4
    assert plain(known.names[0]) in said(app)


@pytest.mark.parametrize("written", ["", "mamba2", "/no/such/folder"])
def test_nonsense_is_answered_in_a_sentence(page: Callable[..., AppTest], written: str) -> None:
    app = page()
    app.text_input(key="add_written").set_value(written)
    look(app)
    assert len(app.error) == 1 and not app.exception


def test_the_hub_is_asked_and_then_downloaded_from(
    page: Callable[..., AppTest], folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def look_up(name: str) -> hub.Offer:
        if name == "someone/else":
            raise UserError("published.offline", name=name)
        return hub.Offer(name, {"model.safetensors": 4_000_000}, read_published(folders["mamba"], name), 1_000_000)

    def download(offer: hub.Offer, report: Callable[[int, int], None], stop: Callable[[], bool]) -> bool:
        started.append(offer.name)
        while not stop():
            report(1_000_000, 4_000_000)
            time.sleep(0.05)
        return False

    monkeypatch.setattr("viz.pages.models.job.look_up", look_up)
    monkeypatch.setattr("viz.pages.models.job.fetch", download)
    app = page()
    for name, expected in (("someone/else", "cannot be reached"), ("someone/tiny", "4,000 kB")):
        app.text_input(key="add_written").set_value(name)
        look(app)
        wait(app, "hub_ask")
        assert expected in said(app) and not started
    app.button(key="download_model").click().run()
    assert not app.exception
    job = next(job for job in jobs.registry().jobs() if job.kind == "hub_download")
    for _ in range(50):
        if job.done:
            break
        time.sleep(0.1)
    assert (job.done, job.total, started) == (1, 4, ["someone/tiny"])
    job.cancel()
    assert job.wait(10) and job.status == jobs.CANCELLED


def test_what_cannot_be_read_is_listed_with_its_reason(page: Callable[..., AppTest], folders: dict[str, Path]) -> None:
    base = registry.hub_cache() / "models--someone--old"
    (base / "snapshots" / "1").mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("1")
    (base / "snapshots" / "1" / "config.json").write_bytes((folders["mamba"] / "config.json").read_bytes())
    (base / "snapshots" / "1" / "pytorch_model.bin").write_bytes(b"never opened")
    app = page()
    assert "pickle" in said(app) and "someone" not in str(list(app.dataframe[0].value["name"]))


def test_the_hub_answers_only_when_asked(page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for client in ("HfApi", "hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub, client, lambda *_, **__: pytest.fail("the hub was asked"))
    monkeypatch.setattr(hub, "subprocess", SimpleNamespace(Popen=lambda *_, **__: pytest.fail("a download began")))
    assert not page().exception


@pytest.mark.parametrize("kind", ["mamba", "bamba"])
def test_every_page_opens_with_a_published_model(
    page: Callable[..., AppTest], folders: dict[str, Path], kind: str
) -> None:
    name = str(folders[kind])
    registry.add_folder(name)
    app = page().switch_page(SETTINGS).run().selectbox(key="model").select(name).run()
    for folder in PAGES:
        app.switch_page(f"viz/pages/{folder}/page.py").run()
        assert not app.exception, folder
        assert message("app.unexpected") not in [error.value for error in app.error], folder
        if folder == "lab":
            assert "only reading" in said(app)


def test_the_sidebar_sets_how_far_attention_sees(page: Callable[..., AppTest], folders: dict[str, Path]) -> None:
    app = page().switch_page("viz/pages/overview/page.py").run()
    assert "attention_own" not in [toggle.key for toggle in app.toggle]
    name = str(folders["bamba"])
    registry.add_folder(name)
    app = app.run().selectbox(key="model").select(name).run()
    assert "last 4,096 tokens" in said(app) and "keys and values" in said(app)
    app.toggle(key="attention_own").set_value(True).run()
    app.number_input(key="attention_window").set_value(0).run()
    assert not app.exception and "sees the whole document" in said(app)


def test_the_sidebar_switches_parts_off(page: Callable[..., AppTest]) -> None:
    app = page().switch_page(SETTINGS).run()
    app.text_input(key="off").set_value("layer:1 head:0.2").run()
    chosen = app.session_state["_explorer_choices"]
    assert not app.exception and chosen.options.off == ("layer:1", "head:0.2")
