"""The laws of cost: exact bytes, curves and their crossing, a budget that is kept, what is measured and what is not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.cli.main import app
from model.config import ModelConfig
from model.errors import UserError
from model.messages import LANGUAGES
from model.studies.cost import READERS, CostResult, Point, Prices, begin, default_prices, measure_cost
from model.studies.cost.fit import BETWEEN, BEYOND, MEASURED, crossing, fit, last_root
from model.studies.cost.plan import FIRST, LEAST, go_through, room_needed
from model.studies.cost.report import cost_at, crossing_words, digits, duration, finding, printed, size, sizes_words
from model.tokenizer import train_tokenizer
from tests.support.cost import GIGABYTE, SIZES, a_clockwork, made_up
from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint, tiny_text

LENGTHS = [256 * 2**power for power in range(8)]


def test_a_fit_finds_the_curve_that_made_the_points() -> None:
    curve = fit(LENGTHS, [0.01 + 2e-5 * n + 3e-9 * n**2 for n in LENGTHS], (0, 1, 2))
    assert curve is not None and curve.terms == pytest.approx((0.01, 2e-5, 3e-9), rel=1e-6)
    assert curve.deviation < 1e-9 and abs(curve.ahead) < 1e-6
    assert curve.at(1_000_000).value == pytest.approx(0.01 + 20 + 3000)
    noisy = fit(LENGTHS, [1e-5 * n * (1.1 if place % 2 else 0.9) for place, n in enumerate(LENGTHS)], (0, 1))
    assert noisy is not None and 0.09 < noisy.deviation < 0.25 and all(term >= 0 for term in noisy.terms)
    assert fit(LENGTHS[:2], [1.0, 2.0], (0, 1)) is None  # no fit through as many points as terms


def test_what_was_measured_is_never_called_extrapolated() -> None:
    values = [1e-5 * n for n in LENGTHS]
    values[-1] *= 1.5  # far from the fit
    curve = fit(LENGTHS, values, (0, 1))
    assert curve is not None
    for length, value in zip(LENGTHS, values, strict=True):
        assert (curve.at(length).value, curve.at(length).kind) == (value, MEASURED)
    assert curve.at(LENGTHS[0] + 1).kind == BETWEEN
    assert curve.at(LENGTHS[-1] + 1).kind == BEYOND and curve.at(LENGTHS[0] - 1).kind == BEYOND


def test_two_curves_cross_where_they_are_equal() -> None:
    ours = fit(LENGTHS, [0.1 + 1e-4 * n for n in LENGTHS], (0, 1))
    theirs = fit(LENGTHS, [0.01 + 2e-5 * n + 1e-8 * n**2 for n in LENGTHS], (0, 1, 2))
    assert ours is not None and theirs is not None
    found = crossing(ours, theirs)
    assert found.length is not None and found.kind == BETWEEN
    assert ours.fitted(found.length) == pytest.approx(theirs.fitted(found.length), rel=1e-6)
    assert ours.fitted(2 * found.length) < theirs.fitted(2 * found.length)
    assert crossing(theirs, ours).length is None  # a Transformer that is cheaper for good: never
    dear = fit(LENGTHS, [1 + 1e-3 * n for n in LENGTHS], (0, 1))
    assert dear is not None and crossing(ours, dear).length == 0
    assert crossing(replace(ours, terms=(0.1, 1e-2, 0)), theirs).kind == BEYOND


@pytest.mark.parametrize(
    ("terms", "root"),
    [((-6, 1, 1), 2), ((6, -5, 1), 3), ((1, 1, 0), 0.0), ((-8, 2, 0), 4), ((-1, -1, 0), None), ((0, 0, 0), None)],
)
def test_the_last_root(terms: tuple[float, float, float], root: float | None) -> None:
    found = last_root(*terms)
    assert found == root if root is None else found == pytest.approx(root)


@pytest.mark.parametrize("seconds", [1.0, 9.0, 60.0])
def test_the_budget_is_respected(seconds: float) -> None:
    measure, spent = a_clockwork()
    result = go_through(made_up(points=False), measure, seconds=seconds, memory=100 * GIGABYTE)
    firsts = sum(result.of(reader)[0].spent for reader in READERS)
    assert spent() <= max(seconds, firsts)
    for reader in READERS:
        lengths = [point.length for point in result.of(reader)]
        assert lengths == [FIRST * 2**power for power in range(len(lengths))]
        last, growth = result.of(reader)[-1], 4 if reader == "transformer" else 2
        over = sum(point.spent for point in result.of(reader)) + max(growth * last.seconds, LEAST)
        assert over > seconds / 3  # and the next would exceed it


def test_memory_is_a_budget_too_and_a_longer_run_extends_a_shorter() -> None:
    measure, _ = a_clockwork()
    few = go_through(made_up(points=False), measure, seconds=300, memory=20_000_000)
    longest = few.of("transformer")[-1].length
    assert room_needed(SIZES, "transformer", longest) <= 20_000_000 < room_needed(SIZES, "transformer", 2 * longest)
    asked: list[tuple[str, int]] = []

    def counting(reader: str, length: int) -> Point | None:
        asked.append((reader, length))
        return measure(reader, length)

    more = go_through(few, counting, seconds=300, memory=GIGABYTE)
    assert more.points[: len(few.points)] == few.points
    assert asked and not {(point.reader, point.length) for point in few.points} & set(asked)


def test_memory_of_the_state_is_exact_and_crosses_where_the_cache_is_as_large() -> None:
    result = made_up()
    found = result.crossing("memory")
    assert found is not None and found.length == pytest.approx(SIZES.state / SIZES.kept_per_token)
    assert found.kind != BEYOND
    prices = Prices(hour=0.1, low=8, high=24)
    cost = cost_at(result, "transformer", 1_000_000, prices)
    assert cost.memory.value == 1_000_000 * SIZES.kept_per_token and cost.memory.kind != BEYOND
    assert cost.seconds is not None and cost.seconds.kind == BEYOND
    assert cost.energy == pytest.approx((8 * cost.seconds.value / 3600, 24 * cost.seconds.value / 3600))
    assert cost.money == pytest.approx(0.1 * cost.seconds.value / 3600)  # of exactly a million tokens
    assert default_prices("cpu", 4).hour == 4 * default_prices("cpu", 1).hour


def test_attention_beside_the_state_counts_as_far_as_its_window() -> None:
    hybrid = replace(SIZES, attention=512, window=1000)
    assert [hybrid.memory("plain", length) - SIZES.state for length in (1, 999, 10**6)] == [512, 511_488, 512_000]
    for sizes in (hybrid, replace(hybrid, attention=2048), replace(hybrid, state=3_000_000), SIZES):
        assert sizes.crossing is not None
        before, after = int(sizes.crossing * 0.99), int(sizes.crossing * 1.01) + 1
        assert sizes.memory("plain", before) > sizes.memory("transformer", before)
        assert sizes.memory("plain", after) < sizes.memory("transformer", after)


def test_a_cache_without_a_window_grows_as_a_transformers_does() -> None:
    endless = replace(SIZES, attention=SIZES.kept_per_token, window=None)
    assert endless.crossing is None and not endless.bounded("plain")
    assert replace(endless, attention=SIZES.kept_per_token // 2).crossing == 2 * SIZES.state / SIZES.kept_per_token
    for length in (1, 10**6):
        assert endless.memory("plain", length) - SIZES.state == endless.memory("transformer", length)
    slow = [(2**power, 1e-8 * 4**power) for power in range(8, 14)]
    points = [
        Point(reader="plain", length=length, seconds=seconds, step=None, held=0, repeats=1, spent=1.0)
        for length, seconds in slow
    ]
    found = replace(made_up(points=False), sizes=endless, points=tuple(points))
    curve = found.curve("plain", "seconds")
    assert curve is not None and curve.terms[2] == pytest.approx(1e-8) and curve.deviation < 1e-6
    assert "per token" in sizes_words(endless, "en") and "at any length" in sizes_words(SIZES, "en")
    assert "Transformer needs less at every length" in crossing_words("memory", found.crossing("memory"), "en")


@pytest.mark.parametrize(
    "layers", [("attention_rope", "attention_alibi"), ("attention_window",), ("mamba2", "attention_window")]
)
def test_a_cache_of_our_own_holds_exactly_what_is_said(home: Path, layers: tuple[str, ...]) -> None:
    from model.studies.cost.measure import Subjects, random_tokens

    config = ModelConfig(layers=layers, d_model=32, d_state=16, headdim=16, vocab_size=320, train_length=64)
    save_checkpoint(home / "checkpoints" / "own", LanguageModel(config), train_tokenizer([tiny_text(4000)], 320))
    subjects = Subjects(begin("own", "cpu").task)
    sizes, plain = subjects.sizes, subjects._of["plain"]
    assert sizes.attention > 0 and (sizes.window is None) == ("attention_rope" in layers)
    for length in (1, 127, 128, 300):
        *_, state = plain.read(random_tokens(length, sizes.vocab_size))
        assert plain.held(state) == sizes.memory("plain", length)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_say_what_is_extrapolated(language: str) -> None:
    prices, word = Prices(hour=0.1, low=8, high=24), {"en": "extrapolated", "ja": "外挿"}[language]
    result = made_up()
    longest = min(result.of(reader)[-1].length for reader in ("plain", "transformer"))
    assert finding(result, 100_000_000, prices, language).count(word) == 2
    assert word not in finding(result, longest, prices, language)
    assert word not in finding(replace(result, points=result.points[:1]), 512, prices, language)
    assert f"{SIZES.parameters:,}" in printed(result, 1_000_000, prices, language)


def test_numbers_as_people_read_them() -> None:
    assert [duration(seconds, "en") for seconds in (0.00345, 1.0, 90, 200, 9000, 1e6, 1e8)] == [
        *("3.45 ms", "1 s", "90 s", "3.33 min", "2.5 h", "11.6 days", "3.17 years")
    ]
    assert [size(count) for count in (900, 271_000, 4.2e9, 3e15)] == ["900 B", "271 kB", "4.2 GB", "3,000 TB"]
    assert [digits(value) for value in (0, 0.00123456, 12.34, 1234.5)] == ["0", "0.00123", "12.3", "1,230"]


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    result = made_up()
    result.save(tmp_path / "a.json")
    assert CostResult.load(tmp_path / "a.json") == result
    (tmp_path / "b.json").write_text('{"format": 1}')
    (tmp_path / "c.json").write_text(json.dumps({"format": 99}))
    for name, words in (("b", "not a readable"), ("c", "newer version"), ("d", "not a readable")):
        with pytest.raises(UserError, match=words):
            CostResult.load(tmp_path / f"{name}.json")


@pytest.fixture
def tiny(home: Path) -> str:
    return make_tiny_checkpoint(home)


def test_the_cache_holds_exactly_what_is_said(tiny: str) -> None:
    from model.studies.cost.measure import Subjects, random_tokens

    subjects = Subjects(begin(tiny, "cpu").task)
    sizes = subjects.sizes
    assert abs(sizes.transformer / sizes.parameters - 1) < 0.05  # a feed-forward layer is a whole number wide
    transformer, plain = subjects._of["transformer"], subjects._of["plain"]
    for length in (1, 37, sizes.segment + 5):
        *_, cache = transformer.read(random_tokens(length, sizes.vocab_size))
        assert transformer.held(cache) == sizes.memory("transformer", length) == sizes.kept_per_token * length
        *_, state = plain.read(random_tokens(length, sizes.vocab_size))
        assert plain.held(state) == sizes.memory("plain", length)
    cache = transformer.step(3, cache)
    assert transformer.held(cache) == sizes.kept_per_token * (length + 1)


def test_a_hybrid_holds_exactly_what_is_said(tmp_path: Path) -> None:
    from model.studies.cost.measure import Subjects, random_tokens
    from tests.support.published import random_model, save

    subjects = Subjects(begin(str(save(random_model("recurrent_gemma"), tmp_path / "hybrid")), "cpu").task)
    sizes, plain = subjects.sizes, subjects._of["plain"]
    assert sizes.window > 1 and sizes.attention > 0
    for length in (1, sizes.window, sizes.window + 1, 3 * sizes.window):
        *_, state = plain.read(random_tokens(length, sizes.vocab_size))
        assert plain.held(state) == sizes.memory("plain", length)


def test_segments_of_the_transformer_are_one_reading(tiny: str) -> None:
    import torch

    from model.studies.cost.transformer import Transformer, llama_config

    config = llama_config(32, 2, 320, True, 40_000)
    whole, parts = Transformer(config, "cpu", 64), Transformer(config, "cpu", 10)
    ids = torch.randint(320, (33,)).numpy()
    caches = [list(one.read(ids))[-1] for one in (whole, parts)]
    for one, other in zip(caches[0].layers, caches[1].layers, strict=True):
        torch.testing.assert_close(one.values, other.values, rtol=1e-4, atol=1e-6)


def test_a_run_is_stopped_kept_and_resumed(tiny: str, tmp_path: Path) -> None:
    kept: list[CostResult] = []
    first = measure_cost(begin(tiny, "cpu"), seconds=1, keep=kept.append, stop=lambda: len(kept) > 1)
    assert not first.complete and len(first.points) == 2 and kept[-1] == first
    rest = measure_cost(first, seconds=1)
    assert rest.complete and rest.points[:2] == first.points and {point.reader for point in rest.points} == set(READERS)
    assert all(
        point.seconds > 0 and point.held == rest.sizes.memory(point.reader, point.length) for point in rest.points
    )
    assert [point.step is None for point in rest.points] == [point.reader == "recorded" for point in rest.points]
    for wrong in ({"seconds": 0}, {"seconds": math.nan}, {"memory": 0}):
        with pytest.raises(UserError, match="cannot take"):
            measure_cost(first, **wrong)


def test_the_command_prints_and_extends(tiny: str, home: Path) -> None:
    run = CliRunner().invoke(
        app, ["cost", "--model", tiny, "--seconds", "1", "--device", "cpu", "--watts", "5,9", "--json"]
    )
    assert run.exit_code == 0, run.output
    values = json.loads(run.stdout)
    assert values["prices"]["low"] == 5 and len(values["at_length"]) == 3
    assert {row["seconds_are"] for row in values["at_length"]} <= {"extrapolated", None}
    (file,) = (home / "cost").glob("*.json")
    again = CliRunner().invoke(app, ["cost", "--model", tiny, "--seconds", "1", "--device", "cpu", "--length", "512"])
    assert again.exit_code == 0 and "This model has" in again.output and file.name in again.output
    for wrong in (["--watts", "9"], ["--length", "0"], ["--watts", "9,5"], ["--price", "-1"]):
        assert isinstance(CliRunner().invoke(app, ["cost", "--model", tiny, *wrong]).exception, UserError)
    forget_models()
