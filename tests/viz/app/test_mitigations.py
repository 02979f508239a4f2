"""The page of mitigations: what recordings show and no more, which models fit, and the button that sets the sidebar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.checkpoints.catalogue import available
from model.diagnostics.collapse import excess_removed
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS
from model.messages import message
from model.recording.reader import recordings
from model.studies.evidence.family import POST_TRAINED
from tests.support.app import LANGUAGES, sound
from tests.support.evidence import made_up

PAGE = "viz/pages/mitigations/page.py"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_has_a_card_and_only_what_was_recorded_is_a_number(
    open_app: Callable[..., AppTest], shelves: tuple[Path, Path], language: str
) -> None:
    app = sound(open_app(language).switch_page(PAGE).run())
    buttons = [button.key for button in app.main.button]
    assert all(f"mt_try_{name}" in buttons for name in [*MITIGATIONS, *INITIAL_STATES])
    assert sum(key.startswith("mt_model_") for key in buttons) == len(POST_TRAINED)
    texts = [element.value for element in app.main.markdown]
    found = {recording.experiment.plain: recording.summary for recording in recordings(shelves[1])}
    plain, mitigated = found[True], found[False]
    share = excess_removed(mitigated["excess_loss"], plain["excess_loss"], plain["loss_beyond"])
    cost = mitigated["loss_within"] / plain["loss_within"] - 1
    measured = [text for text in texts if message("mitigations.removed", language, share=round(share, 3)) in text]
    assert len(measured) == 1 and message("mitigations.cost", language, share=round(cost, 3) + 0.0) in measured[0]
    nothing = message("mitigations.not_measured", language)
    unclaimed = sum(row.cells for row in MITIGATIONS.values())  # no paper measured them
    assert sum(nothing in text for text in texts) == len(INITIAL_STATES) - 1 + unclaimed  # all but the plain one
    fitting = sum(row.obstacle(card.config) is None for row in [MITIGATIONS["window"]] for card in available().values())
    assert any(message("mitigations.fits", language, count=fitting, of=len(available())) in text for text in texts)
    assert sum("displaystyle" in text for text in texts) == 2 + len(MITIGATIONS) + len(INITIAL_STATES)


def test_evidence_of_other_weights_is_not_shown(
    open_app: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up().save(tmp_path / "evidence" / "other.json")
    monkeypatch.setattr("viz.jobs.evidence.STORED", tmp_path / "evidence")
    app = sound(open_app().switch_page(PAGE).run())
    texts = [element.value for element in app.main.markdown]
    nothing, trained = (message(f"mitigations.{key}", "en") for key in ("not_measured", "trained_not_measured"))
    # Mitigations and the pair but the recorded one, and all initial states but the plain one.
    assert sum(nothing in text for text in texts) == len(MITIGATIONS) + len(INITIAL_STATES) - 1
    assert sum(trained in text for text in texts) == len(POST_TRAINED)


def test_trying_one_sets_the_sidebar_and_opens_the_overview(open_app: Callable[..., AppTest]) -> None:
    app = open_app(decay="true", decay_value="2").button(key="tour_skip").click().run()
    app = sound(app.switch_page(PAGE).run())
    assert app.toggle(key="decay").value
    app = sound(app.button(key="mt_try_window").click().run())
    assert app.toggle(key="window").value and not app.toggle(key="decay").value
    assert app.number_input(key="window_value").value == MITIGATIONS["window"].suggested
    assert app.main.title[0].value == message("overview.page.title", "en")
    app = sound(app.switch_page(PAGE).run().button(key="mt_try_fitted").click().run())
    assert app.selectbox(key="init").value == "fitted" and not app.toggle(key="window").value
    app = sound(app.switch_page(PAGE).run().button(key="mt_model_mamba2-base-tbtt").click().run())
    assert app.selectbox(key="model").value == "mamba2-base-tbtt" and app.selectbox(key="init").value == "zeros"


def test_a_row_that_does_not_fit_the_model_cannot_be_tried(open_app: Callable[..., AppTest]) -> None:
    app = sound(open_app(model="gated-deltanet-base").switch_page(PAGE).run())
    assert app.button(key="mt_try_window").disabled and not app.button(key="mt_try_decay").disabled
