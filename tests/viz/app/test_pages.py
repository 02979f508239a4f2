"""What every page says, in both languages and both themes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from model.messages import catalogue
from tests.support.app import LANGUAGES, PAGES, sound
from viz.app import theme

SAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    "diagnose": (0, ("diagnose.intro", "diagnose.estimate", "diagnose.nothing_yet")),
    "overview": (1, ("verdict.collapses", "overview.read", "overview.what")),
    "play": (0, ("play.keys", "play.no_text")),
    "text": (0, ("text.no_text",)),
    "state_norms": (1, ("state_norms.finding",)),
    "state_map": (0, ("state_map.no_reference",)),
    "ask": (0, ("ask.no_text",)),
    "passkey": (2, ("passkey.map_title", "passkey.curve_title")),
    "capacity": (2, ("capacity.finding_below", "capacity.law", "capacity.recall_title", "capacity.forget_title")),
    "architectures": (9, ("architectures.conclusion", "architectures.unequal")),
    "cost": (0, ("cost.nothing_yet",)),
    "mitigations": (0, ("mitigations.intro", "mitigations.measured", "mitigations.fits", "mitigations.left")),
    "effective_context": (1, ("effective_context.intro", "effective_context.shown")),
    "lab": (0, ("lab.intro", "lab.nothing_yet")),
    "evidence": (5, ("evidence.summary", "evidence.extension_title", "evidence.column_published")),
    "compare": (1, ("compare.finding_cost", "compare.figures_title")),
    "documents": (0, ("documents.document", "documents.sample")),
    "recordings": (0, ("recordings.shown_all", "recordings.select_first")),
    "models": (0, ("models.here", "models.add")),
}
"""How many charts a page draws of the recording under test, and what it says of it."""
OPENED: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "overview": (("overview_more",), 3, ("overview.tokens_note", "overview.norm_title")),
    "state_norms": (
        ("norms_heads", "norms_close_up_open"),
        4,
        ("state_norms.growth_title", "state_norms.half_life_title", "state_norms.close_up.title"),
    ),
    "compare": (("compare_settings", "compare_memory"), 2, ("compare.norm_title", "compare.no_reference")),
}
"""The folded parts of a page, by their keys in the link; the charts when all are open, and what they say."""
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def said(app: AppTest) -> list[str]:
    """Every text of the page itself, escapes of Markdown taken away."""
    kinds = ("header", "subheader", "markdown", "caption", "info", "warning")
    found = [str(element.value) for kind in kinds for element in app.main.get(kind)]
    return [re.sub(r"\\(.)", r"\1", text) for text in found]


def controls(app: AppTest) -> list[str]:
    """The labels of what can be chosen or pressed."""
    kinds = ("button", "selectbox", "toggle", "radio", "slider", "select_slider", "number_input", "text_input")
    return [element.label for kind in kinds for element in app.get(kind) if element.label]


def matches(key: str, language: str, texts: list[str]) -> bool:
    """Whether one of ``texts`` holds the message ``key``, whatever its placeholders stand for."""
    words = re.split(r"{\w+[^}]*}", re.sub(r"\\(.)", r"\1", catalogue()[key][language].strip()))
    pattern = re.compile(".*?".join(re.escape(part) for part in words), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_the_table_has_every_page() -> None:
    assert sorted(SAYS) == PAGES


@pytest.mark.parametrize("theme_name", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_it_should(
    page: str, language: str, theme_name: str, open_app: Callable[..., AppTest]
) -> None:
    app = sound(open_app(language, theme_name).switch_page(f"viz/pages/{page}/page.py").run())
    charts, keys = SAYS[page]
    texts = said(app)
    assert not [key for key in keys if not matches(key, language, texts)], texts
    assert len(app.main.get("plotly_chart")) == charts
    labels = controls(app)
    assert labels
    if language == "en":
        assert not [label for label in labels if JAPANESE.search(label)]
    else:
        assert not [label for label in labels if not JAPANESE.search(label)]
    ink, other = theme.TEXT[theme_name == "dark"], theme.TEXT[theme_name == "light"]
    for chart in app.main.get("plotly_chart"):
        assert json.loads(chart.proto.spec)["data"] and other not in chart.proto.spec
    drawn = "".join(chart.proto.spec for chart in app.main.get("plotly_chart"))
    assert not charts or ink in drawn


@pytest.mark.parametrize("page", OPENED)
def test_a_link_opens_what_is_folded_and_nothing_is_drawn_before(page: str, open_app: Callable[..., AppTest]) -> None:
    keys, charts, messages = OPENED[page]
    app = sound(open_app(**dict.fromkeys(keys, "true")).switch_page(f"viz/pages/{page}/page.py").run())
    texts = said(app)
    assert not [key for key in messages if not matches(key, "en", texts)], texts
    assert len(app.main.get("plotly_chart")) == charts > SAYS[page][0]
