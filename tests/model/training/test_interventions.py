"""Mixtures of interventions: how they are written, drawn and described."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import UserError
from model.messages import LANGUAGES, message
from model.training.interventions import INTERVENTIONS, check_mixture, described, drawn, parse_interventions


@given(point=st.floats(0, 1, exclude_max=True), shares=st.lists(st.floats(0.01, 0.19), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_lot_falls_where_its_point_lies(point, shares) -> None:
    names = [name for name in INTERVENTIONS if name != "zeros"][: len(shares)]
    mixture = tuple(zip(names, shares, strict=True))
    borders = np.cumsum(shares)
    if np.abs(borders - point).min() > 1e-9:
        index = int(np.searchsorted(borders, point))
        assert drawn(mixture, point) == (names[index] if index < len(names) else "zeros")


def test_mixtures_are_written_as_name_and_share() -> None:
    assert parse_interventions(["carried=0.5", "longer=0.25"]) == (("carried", 0.5), ("longer", 0.25))
    assert parse_interventions(["tbtt"]) == (("tbtt", 0.9),)
    assert parse_interventions(["zeros"]) == (("zeros", 1.0),)
    for wrong in (["magic"], ["carried=x"], ["carried=0"], ["carried=1.5"], ["carried", "tbtt"], [], ["tbtt=.1"] * 2):
        with pytest.raises(UserError) as error:
            parse_interventions(wrong)
        assert error.value.sentence("ja") != error.value.sentence("en")
    check_mixture(tuple((name, 0.1) for name in ("carried", "tbtt", "fitted", "gaussian", "longer", "zeros")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_intervention_has_a_title_and_help(language) -> None:
    for name in INTERVENTIONS:
        (line,) = described(((name, 1.0),), language)
        assert line.startswith("100% " + message(f"interventions.{name}_title", language))
    assert len(described((("carried", 0.9),), language)) == 2
