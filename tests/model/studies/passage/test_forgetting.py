"""How long until a passage is forgotten: shares along the text, and what a repeated passage costs less."""

import numpy as np
import pytest
import torch

from model.checkpoints.catalogue import load_tokenizer_of
from model.errors import UserError
from model.experiment import Strategy
from model.studies.passage.forgetting import cost, follow, with_strategy
from model.studies.passage.heads import heads_of
from model.studies.passage.probe import Prober, losses_from, query_in
from model.studies.passage.result import (
    Difference,
    Forgetting,
    Passage,
    Probe,
    Recalled,
    crossed,
    distances_after,
    forgetting_file,
    planned,
)
from model.studies.recall import PASSKEYS
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TEXT = tiny_text(150)
PASSAGE = Passage(start=101, stop=133)


@pytest.fixture
def ready(home):
    make_tiny_checkpoint(home)
    return prepared(TEXT)


def test_a_passage_is_followed_to_the_end_of_the_document(ready, tmp_path):
    tokens, done = len(ready.tokens), []
    found = follow(ready, PASSAGE, tmp_path, on_progress=lambda now, total: done.append((now, total)))
    assert found.complete and found.probes[0].distance == 0
    assert found.probes[-1].distance == tokens - PASSAGE.stop == max(found.shares)
    assert done[-1][0] <= done[-1][1] == cost(PASSAGE, tokens, 64) and done[-1][0] > 0.8 * done[-1][1]
    for distance in (0, found.probes[5].distance, found.probes[-1].distance):
        table = heads_of(ready, PASSAGE, PASSAGE.stop + distance, ahead=4)
        assert found.shares[distance] == pytest.approx(table.weight.sum(1), abs=1e-5)
        probe = next(each for each in found.probes if each.distance == distance)
        if distance:  # right at its end nothing predicts the first token with a fresh state
            assert probe.loss == pytest.approx(table.whole.again, abs=1e-4)
        assert probe.remembered.mean == pytest.approx(probe.without - probe.loss, abs=1e-5)
        assert probe.gain.mean == pytest.approx(probe.fresh - probe.loss, abs=1e-5)
        assert probe.recalled is None  # it holds no key
    again = Forgetting.load(tmp_path, PASSAGE)
    assert again.shares == found.shares and again.probes == found.probes


def test_the_controls_have_not_read_the_passage(ready, tmp_path):
    """Without the passage: the same text, read without it. Fresh: at most a training length of what came after it."""
    found = follow(ready, PASSAGE, tmp_path)
    prober = Prober(ready, PASSAGE)
    model = prober.model
    for probe in (found.probes[2], found.probes[-1]):
        end = PASSAGE.stop + probe.distance
        for start, expected in ((0, probe.without), (None, probe.fresh)):
            start = max(PASSAGE.stop, end - 64) if start is None else start
            kept = np.r_[start : PASSAGE.start, PASSAGE.stop : end] if start == 0 else np.arange(start, end)
            ids = torch.from_numpy(ready.tokens[kept].astype(np.int64))[None]
            with torch.inference_mode():
                hidden, state = model.hidden(ids)
            losses = losses_from(model, prober.scans, state, hidden[:, -1], prober.ids)
            assert losses.mean() == pytest.approx(expected, abs=1e-4)


def test_a_cancelled_job_keeps_its_probes_and_goes_on(ready, tmp_path, monkeypatch):
    stopped = follow(ready, PASSAGE, tmp_path, stop=lambda: forgetting_file(tmp_path, PASSAGE).exists())
    assert 0 < len(stopped.probes) < len(planned(PASSAGE, len(ready.tokens)))
    kept = Forgetting.load(tmp_path, PASSAGE)
    assert kept.probes == stopped.probes and not kept.complete
    made = []
    monkeypatch.setattr(
        "model.studies.passage.forgetting._probe",
        lambda prober, distance, *states: made.append(distance) or kept.probes[0],
    )
    follow(ready, PASSAGE, tmp_path)
    assert set(made) == set(planned(PASSAGE, len(ready.tokens))) - {probe.distance for probe in kept.probes}


def test_mitigations_side_by_side(ready, tmp_path):
    window = with_strategy(ready, Strategy.of(mitigations={"window": 64}))
    found = follow(window, PASSAGE, tmp_path / "window")
    beyond = [distance for distance in found.shares if distance > 64]
    assert beyond and max(abs(sum(found.shares[distance])) for distance in beyond) < 1e-6
    assert found.forgotten() < 100
    both = {"window": 64.0, "state_norm": 1.0}
    bounded = follow(with_strategy(ready, Strategy.of(mitigations=both)), PASSAGE, tmp_path / "norm")
    assert bounded.complete and not bounded.shares and bounded.half_life() is None
    with pytest.raises(UserError, match="windows"):
        with_strategy(ready, Strategy.of(mitigations={"windows": 64}))
    with pytest.raises(UserError, match="not within"):
        follow(ready, Passage(start=10, stop=len(ready.tokens) + 1), tmp_path)


@pytest.mark.parametrize("language", PASSKEYS)
def test_a_passage_with_a_key_is_queried(home, tmp_path, language):
    make_tiny_checkpoint(home)
    tokenizer = load_tokenizer_of("tiny")
    needle = PASSKEYS[language].needle.format(key="40713")
    query = query_in(f"and so on {needle} and so on", tokenizer)
    assert query.key == 5
    assert tokenizer.decode(query.ids.tolist()) == PASSKEYS[language].query.format(key="40713")
    assert query_in("[F=123] ok", tokenizer).key == 3
    assert query_in(needle.replace("40713", "40714", 1), tokenizer) is None  # two keys are no key
    assert query_in("nothing to ask for", tokenizer) is None
    text = tiny_text(60) + needle + tiny_text(60, seed=3)
    ready = prepared(text)
    starts = ready.characters
    at = text.index(needle)
    passage = Passage(start=int(np.searchsorted(starts, at)), stop=int(np.searchsorted(starts, at + len(needle))))
    found = follow(ready, passage, tmp_path)
    assert all(0 < probe.recalled.probability < 1 for probe in found.probes)


def of(shares: dict[int, float], remembered: list[float], gain: float = 0.1, right: str = "") -> Forgetting:
    """A passage with these shares of one layer, and probes that remember so much of a loss of 2 without it."""
    probes = tuple(
        Probe(
            distance=10 * place,
            loss=2.0 - nats,
            without=2.0,
            fresh=2.0 - nats + gain,
            remembered=Difference(nats, nats - 1, nats + 1),
            gain=Difference(gain, gain, gain),
            recalled=Recalled(0.5, right[place] == "y") if right else None,
        )
        for place, nats in enumerate(remembered)
    )
    return Forgetting(
        passage=PASSAGE, shares={at: (share,) for at, share in shares.items()}, probes=probes, planned=len(probes)
    )


def test_half_lives_and_where_it_is_forgotten():
    found = of({0: 0.4, 100: 0.3, 200: 0.1, 300: 0.02, 400: 0.0}, [1.0, -0.1, 0.2, 0.09, -0.2], right="ynyyn")
    assert found.half_life() == 150 and found.forgotten() == 350
    assert found.lost() == 30 and found.unanswered() == 40  # 0.09 of 2 nats are less than 5%
    assert of({}, [1.0, 0.5], gain=-0.1).lost() == 0  # worse than with a fresh state
    assert of({}, [1.0, 0.5]).lost() is None and of({}, [1.0]).unanswered() is None
    assert of({}, [0.0, 0.0], right="ny").unanswered() is None and of({}, [0.0, 0.0], right="nn").unanswered() == 0
    assert of({0: 0.4, 100: 0.005, 200: 0.3}, []).forgotten() is None
    assert of({0: 0.004, 100: 0.002}, [0.1]).forgotten() == 0
    assert of({0: 0.4, 100: 0.3}, [-1.0]).half_life() is None and of({}, [-1.0]).lost() == 0
    assert of({}, []).lost() is None and not of({}, []).complete
    assert crossed(np.array([5.0, 9.0]), np.array([1.0, 0.0]), 0.25) == 8


def test_distances_are_even_in_the_logarithm():
    found = distances_after(100_000, 16)
    assert found[0] == 0 and found[-1] == 100_000 and len(found) == 17 - 1
    ratios = np.diff(np.log(found[1:]))
    assert ratios.max() / ratios.min() < 1.2
    assert distances_after(0, 16) == [0] and distances_after(3, 16) == [0, 3]
