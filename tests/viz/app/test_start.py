"""What the app loads before its first picture, how large that is, and the settings of a company."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from model.documents.document import MAX_BYTES
from viz.app import theme
from viz.app.language import plain

ROOT = Path(__file__).parents[3]
PAGES = sorted(file.parent.name for file in (ROOT / "viz" / "pages").glob("*/page.py"))
LANGUAGES = {"en": "en-GB", "ja": "ja-JP"}


VIEWS = sorted(file for file in (ROOT / "viz" / "pages").rglob("[a-z]*.py") if file.name != "page.py")


def test_the_app_starts_without_torch() -> None:
    modules = [
        "viz.app.sidebar",
        "viz.jobs.reading",
        "viz.app.uploads",
        "viz.app.session",
        *(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in VIEWS),
    ]
    script = (
        f"import {', '.join(modules)}, sys\n"
        "print([name for name in ('torch', 'umap', 'numba', 'transformers', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout


def test_the_first_page_takes_little_work() -> None:
    script = (
        "import streamlit.web.server, streamlit.testing.v1 as testing, sys\n"
        "app = testing.AppTest.from_file('app.py', default_timeout=60)\n"
        "app.run()\n"
        "assert not app.exception\n"
        "slow = ('torch', 'umap', 'numba', 'transformers', 'sklearn', 'scipy', 'pypdfium2', 'lxml')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"  # what is slow to import, and not a clock, which a busy machine moves


def test_figures_of_the_overview_stay_small_however_long_the_document() -> None:
    from model.diagnostics.collapse import excess_curve
    from viz.figures import losses, norms, states

    tokens, rng = 1_000_000, np.random.default_rng(0)
    loss, control = rng.random(tokens, np.float32) + 2, rng.random(tokens, np.float32) + 2
    position = np.arange(0, tokens, 64)
    norm = rng.random((len(position), 24, 4), np.float32)
    common = {"train_length": 256, "end": tokens, "language": "en", "dark": False}
    curve = excess_curve(loss, control, 256)
    figures = [
        losses.loss_figure(loss, control, **common),
        norms.norm_figure(position, norm, **common),
        losses.excess_figure(curve, **common),
        states.novelty_figure(np.arange(1024) * 64, rng.random(1024), **common),
    ]
    assert max(len(figure.to_json()) for figure in figures) < 1_000_000


@pytest.mark.parametrize(
    "title",
    ["![x](http://example.com/x.png)", "[a](http://b)", "**a** _b_ `c`", "<img src=x>", "$x$", ":material/x:", "# a"],
)
def test_plain_leaves_nothing_for_markdown_to_do(title: str) -> None:
    escaped = plain(title)
    assert not re.search(r"(?<!\\)[\[\]()<>*_`$:#!]", escaped)
    assert re.sub(r"\\(.)", r"\1", escaped) == title


def test_settings_are_those_of_a_company() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["maxUploadSize"] == MAX_BYTES // 2**20
    assert "http" not in json.dumps(settings)
    for dark, name in ((False, "light"), (True, "dark")):
        assert settings["theme"][name]["backgroundColor"] == theme.BACKGROUND[dark]
        assert settings["theme"][name]["textColor"] == theme.TEXT[dark]
        assert tuple(settings["theme"][name]["chartCategoricalColors"]) == theme.COLOURS
