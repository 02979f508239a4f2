"""Figures of a recording by name: found as entry points, in both languages and themes, without Streamlit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

from model.errors import UserError
from model.messages import LANGUAGES, catalogue
from model.plugins import rows_of
from model.recording.figures import figures
from model.recording.reader import Recording, recordings
from tests.support.recordings import synthetic_recording
from viz.figures.style import TEXT

ROOT = Path(__file__).parents[3]
NAMES = {"loss", "excess", "state_norms", "half_lives", "novelty", "unexplored", "state_map"}


@pytest.fixture(scope="module")
def shipped() -> Recording:
    """A plain recording of the shipped model, whose explored states are here."""
    return next(one for one in recordings(ROOT / "sample_data" / "recordings") if one.experiment.plain)


def test_the_program_adds_its_figures_and_commands_as_entry_points() -> None:
    found = figures()
    assert set(found) >= NAMES
    assert all(f"figures.{name}_{part}" in catalogue() for name in NAMES for part in ("title", "help"))
    assert set(rows_of("commands", FunctionType, (), titled=False)) >= {"export", "report"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_figure_speaks_its_language_and_has_its_theme(name: str, shipped: Recording) -> None:
    drawn = [shipped.figure(name, language, dark) for language, dark in zip(LANGUAGES, (False, True), strict=True)]
    words = [
        [figure.layout.xaxis.title.text, figure.layout.yaxis.title.text, *(trace.name for trace in figure.data)]
        for figure in drawn
    ]
    assert words[0] != words[1] and all(figure.data for figure in drawn)
    for figure, dark in zip(drawn, (False, True), strict=True):
        assert figure.layout.template.layout.font.color == TEXT[dark]


def test_a_figure_that_is_not_there_gives_a_sentence(tmp_path: Path, shipped: Recording) -> None:
    with pytest.raises(UserError, match=r"There is no figure “nothing”; there are: .*loss"):
        shipped.figure("nothing")
    alone = synthetic_recording(tmp_path, 3000, control=False)
    with pytest.raises(UserError, match="without a matched control"):
        alone.figure("excess")
    with pytest.raises(UserError, match="explored states of the model"):
        alone.figure("state_map")  # its weights are others


def test_figures_of_a_notebook_leave_plotly_as_it_is() -> None:
    script = (
        "import sys, plotly.io; before = plotly.io.templates.default\n"
        "from model.recording.reader import recordings\n"
        "from pathlib import Path\n"
        "one = next(iter(recordings(Path('sample_data/recordings'))))\n"
        "assert one.figure('loss').data\n"
        "assert plotly.io.templates.default == before\n"
        "assert 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_figure_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Recording) -> None:
    (tmp_path / "extra_figure.py").write_text(
        "def draw(recording, language, dark):\n    return recording.key, language"
    )
    about = tmp_path / "extra_figure-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-figure\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[memory_explorer.figures]\nextra = extra_figure:draw\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    figures.cache_clear()
    try:
        assert shipped.figure("extra", "ja") == (shipped.key, "ja")
    finally:
        figures.cache_clear()
