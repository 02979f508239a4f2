"""Every view draws: figures of a million tokens stay small and legible, pages work from stored recordings."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from model.diagnostics.collapse import excess_curve
from model.diagnostics.explored import Explored
from model.diagnostics.state_map import PCA, UMAP, StateMap
from model.messages import LANGUAGES, message
from model.recording.reader import Recording, recordings
from model.recording.schema import CHUNK, OVERWRITING
from tests.support.recordings import synthetic_recording
from viz.app import session, theme
from viz.figures import compared
from viz.figures import norms as norm_figures
from viz.figures import states as state_figures
from viz.figures.compared import Line
from viz.jobs import registry as jobs
from viz.jobs import state_map as map_job
from viz.pages.compare import numbers
from viz.pages.state_map import figures as map_figures
from viz.pages.state_norms import close_up, heads
from viz.pages.state_norms import view as state_norms
from viz.ui import curves

ROOT = Path(__file__).parents[3]
MEGABYTE = 1_000_000
TOKENS, LAYERS, HEADS, SNAPSHOTS, T = 1_000_000, 24, 24, 1024, 2048
PAGES = ("state_norms", "state_map", "compare")
FOLDED = {
    "state_norms": ("norms_heads", "norms_close_up_open"),
    "state_map": ("map_text", "map_spans"),
    "compare": ("compare_settings", "compare_memory"),
}


class Big:
    """The numbers of a document of a million tokens, read by a model of 24 layers with 24 heads."""

    random = np.random.default_rng(0)
    loss = random.gamma(3, 1, TOKENS).astype(np.float32)
    control_loss = random.gamma(3, 0.8, TOKENS).astype(np.float32)
    position = np.minimum(np.arange(-(-TOKENS // CHUNK) + 1) * CHUNK, TOKENS).astype(np.int32)
    norm = random.gamma(9, 1, (len(position), LAYERS, HEADS)).astype(np.float32)
    snapshot = np.unique(np.geomspace(CHUNK, TOKENS, SNAPSHOTS).astype(np.int32))
    novelty = random.gamma(4, 0.3, len(snapshot)).astype(np.float32)
    lines = tuple(Line(letter, f"記録 {letter}", order) for order, letter in enumerate("ABCDEF"))


def states(method: str) -> StateMap:
    explained = (0.4, 0.1) if method == PCA else None
    xy = Big.random.normal(0, 1, (5000 + len(Big.snapshot), 2)).astype(np.float32)
    return StateMap(
        explored_xy=xy[:5000],
        document_xy=xy[5000:],
        method=method,
        reason="",
        explained=explained,
        kept=0.5,
        repaired=0,
    )


def trajectories(layer: int | None, log: bool, layers: int = LAYERS, dark: bool = False) -> go.Figure:
    values = Big.norm[:, :layers]
    options: dict[str, Any] = {"name": "norm", "layer": layer, "head": 3, "log_x": log, "log_y": log, "dark": dark}
    return state_norms.figure(Big.position, values, Big.loss, Big.control_loss, train_length=T, **options)


def several(draw: Callable[..., go.Figure], curves: list[Any], *more: Any, **options: Any) -> go.Figure:
    return draw(curves, *more, train_length=T, log_x=True, language="en", dark=False, **options)


FIGURES: dict[str, Callable[[], go.Figure]] = {
    "norms of all layers": lambda: trajectories(None, log=True),
    "norms of few layers": lambda: trajectories(None, log=False, layers=4, dark=True),
    "norms of the heads of a layer": lambda: trajectories(5, log=True),
    "growth": lambda: heads.growth_figure(Big.norm[-1].astype(float), dark=False),
    "half-lives": lambda: norm_figures.half_life_figure(
        10.0 * Big.norm[7] ** 3, train_length=T, language="ja", dark=True
    ),
    "close-up": lambda: close_up.figure(
        np.arange(30_000),
        np.abs(np.sin(np.arange(30_000 * HEADS))).reshape(-1, HEADS),
        0,
        Big.loss[:30_000],
        head=1,
        dark=False,
    ),
    "PCA": lambda: state_figures.map_figure(
        states(PCA), Big.novelty, Big.snapshot, by_position=False, language="en", dark=False
    ),
    "UMAP by position": lambda: state_figures.map_figure(
        states(UMAP), Big.novelty, Big.snapshot, by_position=True, language="ja", dark=True
    ),
    "novelty": lambda: map_figures.novelty_figure(Big.novelty, Big.snapshot, train_length=T, log_x=True, dark=False),
    "compared losses": lambda: several(
        compared.loss_figure, [(line, Big.loss) for line in Big.lines], Big.control_loss
    ),
    "compared excess": lambda: several(
        compared.excess_figure,
        [(line, excess_curve(Big.loss, Big.control_loss, T)) for line in Big.lines[:3]],
        end=TOKENS,
    ),
    "compared norms": lambda: several(
        compared.norm_figure, [(line, Big.position, Big.norm[:, 0, line.order]) for line in Big.lines]
    ),
    "compared unexplored": lambda: several(
        compared.unexplored_figure,
        [(line, *compared.shares(Big.snapshot, Big.novelty, log=True)) for line in Big.lines],
        end=TOKENS,
    ),
}


def check(figure: dict[str, Any], payload: int) -> None:
    """What holds of every figure, wherever it is drawn."""
    assert payload < MEGABYTE
    assert figure["layout"]["template"]["layout"]["font"]["family"] == theme.FONT
    for name, axis in figure["layout"].items():
        if name.startswith(("xaxis", "yaxis")) and "matches" not in axis:
            assert axis["title"]["text"].strip(), name


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_a_million_tokens_are_small_and_labelled(
    name: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viz.app.language.language", lambda: language)
    figure = FIGURES[name]()
    payload = plotly.io.to_json(figure)
    check(figure.to_plotly_json() | {"layout": json.loads(payload)["layout"]}, len(payload.encode()))
    for trace in figure.data:
        shown = np.asarray(trace.z if trace.type == "heatmap" else trace.y, float)
        assert np.isfinite(shown).any()
    assert sum(trace.type == "scattergl" for trace in figure.data) in (0, len(figure.data))


def test_a_figure_keeps_the_peak_of_every_series() -> None:
    values = np.ones(100_000)
    values[77_777] = 50
    for log in (False, True):
        rows = curves.kept_rows(np.arange(1, 100_001), values, points=500, log=log)
        assert 77_777 in rows
        assert len(rows) <= 502
        assert rows[0] == 0
        assert rows[-1] == len(values) - 1


def test_bins_hold_every_token_once() -> None:
    values = np.random.default_rng(0).normal(0, 1, 12_345)
    for log in (False, True):
        borders = curves.edges(len(values), 50, log, least=16)
        assert borders[0] == 0
        assert borders[-1] == len(values)
        assert np.diff(borders).min() >= 16
        _, means = curves.binned(values, parts=50, log=log)
        assert np.average(means, weights=np.diff(borders)) == pytest.approx(values.mean(), abs=1e-6)


def test_labels_do_not_cover_each_other() -> None:
    moved = np.array(curves.spread([1.0, 1.0, 1.01, 5.0, 0.99], 0.1))
    assert np.diff(np.sort(moved)).min() > 0.095
    assert moved[3] == 5.0


def test_only_what_was_set_differently_is_listed(tmp_path: Path) -> None:
    plain = synthetic_recording(tmp_path, 3000)
    mitigated = synthetic_recording(tmp_path, 3000, mitigations=(("decay", 4.0),), collapse=False)
    assert numbers.alike(plain, mitigated)
    assert list(numbers.differences([plain, mitigated])) == ["mitigation.decay"]
    before, after = (numbers.figures(recording, 3000) for recording in (plain, mitigated))
    share, paid = numbers.removed(after, before), numbers.cost(after, before)
    assert share is not None
    assert share > 0.8
    assert paid is not None
    assert abs(paid) < 0.03


# -- pages -----------------------------------------------------------------------------------------------------------


def explored(recording: Recording) -> Explored:
    """A made-up reference of the shape of ``recording``."""
    random = np.random.default_rng(1)
    layers, features = recording.array("sketch").shape[1:]
    window = np.repeat(np.arange(60), 4)
    statistics = np.ones((layers, recording.meta.nheads), np.float32)
    return Explored(
        sketch=random.normal(0, 0.6, (len(window), layers, features)).astype(np.float32),
        position=np.tile(np.array([64, 128, 192, 256], np.int32), 60),
        window=window.astype(np.int32),
        mean=0 * statistics,
        std=statistics,
        norm_at_train_length=statistics,
        train_length=256,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with recordings of one document, one short, one of another document, and one cut short."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "recordings"
    synthetic_recording(folder, 40_000, title="plain", token_norms=True, keep_text=True)
    synthetic_recording(folder, 40_000, title="mitigated", mitigations=(("decay", 4.0),), collapse=False)
    synthetic_recording(folder, 300, title="short", control=False)
    synthetic_recording(folder, 40_000, title="cut", mitigations=(("window", 256.0),), read_tokens=32_768)
    return home


@pytest.fixture
def open_page(kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., AppTest]]:
    """Opens a page in a new session, with the recordings of ``kept`` only."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(kept))
    monkeypatch.setattr(session, "SHIPPED", tmp_path)
    for module in ("figures.recorded", "pages.state_map.view", "pages.compare.numbers"):
        monkeypatch.setattr(f"viz.{module}.reference_of", explored)
    keys = {recording.title: recording.key for recording in recordings(kept / "recordings")}

    def start(page: str, recording: str = "plain", language: str = "en", **query: Any) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.context = {"locale": language, "theme": "dark"}
        for name, value in {"recording": keys[recording], **query}.items():
            app.query_params[name] = value
        return sound(app.run().switch_page(f"viz/pages/{page}/page.py").run())

    yield start
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)


def sound(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    assert not app.error, app.error[0].value
    for chart in app.get("plotly_chart"):
        assert len(chart.proto.alt) > 20
        assert not chart.proto.theme
        check(json.loads(chart.proto.spec), len(chart.proto.spec))
    return app


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recording", ["plain", "short", "cut"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_every_recording(
    page: str, recording: str, language: str, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(page, recording, language, **dict.fromkeys(FOLDED[page], "true"))
    assert app.get("plotly_chart")


@pytest.mark.parametrize("statistic", [name for name in state_norms.STATISTICS if name not in OVERWRITING])
def test_every_statistic_is_drawn(statistic: str, open_page: Callable[..., AppTest]) -> None:
    name = message(f"state_norms.{statistic}", "en")
    app = open_page("state_norms", norms_statistic=name, norms_layer="Layer 1", norms_log_y="true")
    assert app.selectbox(key="norms_statistic").value == statistic
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert spec["layout"]["yaxis"]["type"] == ("linear" if statistic == "mean" else "log")


def test_a_link_in_another_language_shows_the_same(open_page: Callable[..., AppTest]) -> None:
    app = open_page("state_norms", language="ja", norms_layer="Layer 1", norms_head="Head 2")
    assert app.selectbox(key="norms_layer").value == "1"
    assert app.selectbox(key="norms_head").value == "2"
    sound(app.segmented_control(key="lang").set_value("en").run())
    assert app.selectbox(key="norms_layer").value == "1"


def test_settings_of_a_long_document_do_not_break_a_short_one(open_page: Callable[..., AppTest], kept: Path) -> None:
    keys = {recording.title: recording.key for recording in recordings(kept / "recordings")}
    for page, fold, slider, value in (
        ("state_norms", "norms_close_up_open", "norms_range", (30_016, 39_040)),
        ("state_map", "map_text", "map_at", 38_400),
    ):
        app = open_page(page, **{fold: "true"})
        sound(app.slider(key=slider).set_value(value).run())
        sound(app.selectbox(key="recording").set_value(keys["short"]).run())
        sound(app.selectbox(key="recording").set_value(keys["plain"]).run())


def test_a_link_beyond_the_document_still_opens(open_page: Callable[..., AppTest]) -> None:
    open_page("state_map", "short", map_at="38400", map_layer="Layer 17", map_text="true")
    links: dict[str, Any] = {"norms_layer": "Layer 17", "norms_head": "Head 99", "norms_range": ["30016", "39040"]}
    links["norms_close_up_open"] = "true"
    assert open_page("state_norms", "short", **links).get("plotly_chart")


def test_the_close_up_reads_exact_norms(kept: Path) -> None:
    recording = next(one for one in recordings(kept / "recordings") if one.title == "plain")
    position, norm = close_up.token_norms(recording, 1, 1000, 1100)
    assert position.tolist() == list(range(1001, 1101))
    assert np.array_equal(norm, recording.array("token_norm")[1000:1100, 1])


def test_a_state_leads_to_its_text(open_page: Callable[..., AppTest], kept: Path) -> None:
    app = open_page("state_map", map_at="6400", map_text="true")
    recording = next(one for one in recordings(kept / "recordings") if one.title == "plain")
    position = recording.array("snapshot_position")
    character = 3 * int(position[np.abs(position - 6400).argmin()])
    assert recording.text is not None
    assert any(
        recording.text[character - 50 : character].splitlines()[-1] in block.proto.body for block in app.get("html")
    )
    sound(app.selectbox(key="map_colour").set_value("position").run())
    sound(app.selectbox(key="map_layer").set_value("1").run())


def test_umap_is_computed_once_and_kept(
    open_page: Callable[..., AppTest], kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_SHARED", "0")  # where the data folder may be written to
    app = open_page("state_map", "mitigated", map_layer="Layer 0")
    app.button(key="map_compute").click().run()
    deadline = time.monotonic() + 120
    while len(app.get("plotly_chart")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        sound(app.run())
    recording = next(one for one in recordings(kept / "recordings") if one.title == "mitigated")
    made = map_job.States(recording, explored(recording), 0)
    stored = map_job.umap_map(made)
    assert stored is not None
    assert stored.document_xy.shape == (len(recording.array("snapshot_position")), 2)
    other = replace(made.explored, sketch=made.explored.sketch + 1)
    assert map_job.umap_map(made._replace(explored=other)) is None
    assert map_job.umap_map(made._replace(layer=1)) is None
    (recording.path / "state_map-0.npz").write_bytes(b"not an archive")
    assert map_job.umap_map(made) is None


def test_a_waiting_umap_can_be_cancelled(open_page: Callable[..., AppTest]) -> None:
    busy = threading.Event()
    jobs.submit("another session", "map", lambda job: busy.wait(60), device="map")
    try:
        app = open_page("state_map", "cut")
        sound(app.button(key="map_compute").click().run())
        assert not [button for button in app.button if button.key == "map_compute"]
        sound(app.button(key="map_cancel").click().run())
        assert app.button(key="map_compute")
    finally:
        busy.set()


def test_unlike_recordings_are_left_out_unless_wanted(open_page: Callable[..., AppTest], kept: Path) -> None:
    keys = {recording.title: recording.key for recording in recordings(kept / "recordings")}
    app = open_page("compare")
    assert app.selectbox(key="compare_baseline").value == keys["plain"]
    assert set(app.multiselect(key="compare_others").value) == {keys["mitigated"], keys["cut"]}
    assert not app.warning
    sound(app.multiselect(key="compare_others").set_value([keys["mitigated"], keys["short"]]).run())
    assert "short" in app.warning[0].value
    assert len(app.table[0].value.columns) == 2
    sound(app.toggle(key="compare_anyway").set_value(True).run())
    assert len(app.table[0].value.columns) == 3
    sound(app.multiselect(key="compare_others").set_value([]).run())
    assert app.info
