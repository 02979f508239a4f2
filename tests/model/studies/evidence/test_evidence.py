"""The evidence: intervals on known data, the rule of the verdicts, readings that can be interrupted, and its page."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.errors import UserError
from model.experiment import Strategy
from model.interventions.mitigations import MITIGATIONS
from model.messages import LANGUAGES, message
from model.studies.evidence import (
    CLAIMS,
    DocumentReading,
    Estimate,
    EvidenceResult,
    EvidenceTask,
    begin,
    findings,
    members,
)
from model.studies.evidence import run_evidence as run
from model.studies.evidence.claims import GROUPS, PAPERS
from model.studies.evidence.family import CURES, MITIGATED
from model.studies.evidence.findings import (
    MEASURES,
    collapse_estimate,
    norm_curve,
    recall_estimate,
    series,
    size,
    verdict,
)
from model.studies.evidence.report import printed, table
from model.studies.evidence.result import growth_of, mean_of, ratio_of, recall_draws, recalled, slope_of, surely_failed
from model.studies.evidence.run import taken_over
from tests.support.app import APP
from tests.support.tiny import make_tiny_checkpoint, tiny_text

TOKENS = 640


# -- intervals and verdicts --------------------------------------------------------------------------------------------


def test_a_mean_has_students_interval() -> None:
    from scipy.stats import t as student

    values = [0.2, 0.5, 0.1, 0.4, math.nan, 0.3]
    found = mean_of(values)
    half = student.ppf(0.975, 4) * np.nanstd(values, ddof=1) / math.sqrt(5)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half), abs=1e-4)
    assert found.count == 5
    assert mean_of([1.0]) is None and mean_of([math.nan, 1.0]) is None


def test_a_ratio_is_exact_where_it_is_the_same_everywhere_and_undefined_over_nothing() -> None:
    y = [1.0, 2.0, 1.5, 1.2]
    found = ratio_of([0.25 * value for value in y], y)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert ratio_of([1.0, 1.0, 1.0], [-0.5, 0.4, 0.1]) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        y = rng.normal(1.5, 0.3, 5)
        found = ratio_of((0.3 * y + rng.normal(0, 0.1, 5)).tolist(), y.tolist())
        held.append(found is not None and found.low <= 0.3 <= found.high)
    assert 0.91 < np.mean(held) < 0.99


def test_growth_and_slopes() -> None:
    assert growth_of([2.0, 2.0, 2.0]).mean == pytest.approx(2)
    assert growth_of([1.0, 4.0]).mean == pytest.approx(2)
    found = slope_of([0, 1, 2], [[1, 3, 5], [0, 3, 6]])
    assert (found.mean, found.count) == (pytest.approx(2.5), 2)


def test_the_longest_recalled_length_and_its_draws() -> None:
    answers = {128: (120, 120), 256: (119, 120), 512: (116, 120), 1024: (35, 120)}
    assert recalled(answers) == 512
    draws = recall_draws(answers)
    assert set(np.unique(draws)) <= {6.0, 7.0, 8.0, 9.0} and np.median(draws) == 9
    assert recalled({128: (50, 120), 256: (120, 120)}) is None  # a gap ends it
    assert surely_failed(35, 120) and surely_failed(105, 120) and not surely_failed(113, 120)


def claim(key: str):
    return next(claim for claim in CLAIMS if claim.key == key)


@pytest.mark.parametrize(
    ("key", "interval", "expected"),
    [
        ("base_excess", (0.2, 0.4), "agrees"),
        ("base_excess", (-0.4, -0.2), "disagrees"),
        ("base_excess", (-0.1, 0.4), "unclear"),
        ("base_excess", (-math.inf, math.inf), "unclear"),
        ("left_carried", (0.0, 0.1), "agrees"),
        ("left_carried", (1.1, 1.3), "disagrees"),
        ("left_carried", (0.8, 1.2), "unclear"),
        ("cost_carried", (-0.01, 0.02), "agrees"),  # a cost below 5% is none
        ("cost_carried", (0.06, 0.09), "disagrees"),
        ("cost_carried", (0.03, 0.09), "unclear"),
        ("left_zeros", (0.0, 0.1), "no_claim"),
    ],
)
def test_the_rule(key: str, interval: tuple[float, float], expected: str) -> None:
    low, high = interval
    assert verdict(claim(key), Estimate((low + high) / 2, low, high, 5)) == expected


def test_sizes_are_compared_in_the_published_direction() -> None:
    def sized(key: str, low: float, high: float) -> str:
        return size(claim(key), Estimate((low + high) / 2, low, high, 5))

    assert sized("left_gaussian", 0.1, 0.2) == sized("std_base", 1.5, 1.8) == "about"
    assert sized("left_gaussian", 0.4, 0.6) == sized("std_base", 1.2, 1.5) == "smaller"
    assert sized("left_gaussian", 0.01, 0.05) == sized("std_base", 2.5, 3.0) == "larger"
    assert sized("left_gaussian", 0.9, 1.4) == sized("base_excess", 0.1, 0.2) == ""


def test_every_claim_can_be_said_and_measured() -> None:
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    for one in CLAIMS:
        assert one.measure in MEASURES and one.group in GROUPS and one.paper in PAPERS and one.mark in "PAFS"
        assert one.direction in (-1, 0, 1)
    keys = {one.key for one in CLAIMS}
    assert {f"left_{role}" for role in CURES} <= keys
    assert {f"{what}_{name}" for name in MITIGATED for what in ("removed", "cost")} <= keys
    assert set(MITIGATIONS) < set(MITIGATED)
    empty = EvidenceResult(task=EvidenceTask(base="x", documents=(("a", "1"), ("b", "2"))), members=())
    for language in LANGUAGES:
        rows = table(empty, language)
        assert len(rows) == len(CLAIMS) and all(row["verdict"] == "missing" for row in rows)
        assert message("evidence.missing_model", language) in printed(empty, language)


# -- measuring with tiny models ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a cure of it, a cure of other weights, and a capacity series of three state sizes."""
    import torch

    from model.arch.lm import LanguageModel
    from model.checkpoints.catalogue import load_tokenizer_of, read_config, save_checkpoint

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(home))
        patch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
        name = make_tiny_checkpoint(home)
        base = home / "checkpoints" / name
        from model.checkpoints.catalogue import model_card

        made_from = model_card(name).weights
        for ending, weights in (("state-passing", made_from), ("fitted", "0" * 16)):
            shutil.copytree(base, base.with_name(f"{name}-{ending}"))
            told = json.dumps({"base_weights": weights})
            (base.with_name(f"{name}-{ending}") / "training.json").write_text(told)
        for d_state in (8, 32):
            torch.manual_seed(d_state)
            config = replace(read_config(base / "config.json"), d_state=d_state)
            save_checkpoint(base.with_name(f"other-{d_state}"), LanguageModel(config), load_tokenizer_of(name))
            (base.with_name(f"other-{d_state}") / "training.json").write_text("{}")
    return home


@pytest.fixture(autouse=True)
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(home))
    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
    monkeypatch.setattr("model.studies.evidence.measure.TRIALS", 2)


DOCUMENTS = [(f"{seed}.txt", tiny_text(600, seed=seed)) for seed in (11, 12, 13)]


@pytest.fixture(scope="module")
def whole(home: Path) -> EvidenceResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(home))
        patch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
        patch.setattr("model.studies.evidence.measure.TRIALS", 2)
        return run(*begin(DOCUMENTS, tokens=TOKENS, base="tiny"))


def test_the_family_is_found_by_what_models_are() -> None:
    found = members("tiny")
    assert [(member.name, member.role) for member in found] == [
        ("tiny", "base"),
        ("tiny-state-passing", "carried"),  # the one of other weights is no cure of these
        ("other-32", "series"),
        ("other-8", "series"),
    ]
    assert [member.state_size for member in found] == [2048, 2048, 4096, 1024]


def test_everything_that_can_be_read_is_read(whole: EvidenceResult) -> None:
    assert whole.complete and whole.seconds > 0
    base = whole.member("base")
    assert all(reading is not None for reading in whole.of(base))
    assert all(reading is not None for reading in whole.of(base, initial="carried"))
    for settings in MITIGATED.values():
        assert all(reading is not None for reading in whole.of(base, settings))
    missing = {finding.claim.key: finding.missing for finding in findings(whole) if finding.missing}
    assert {"left_tbtt", "left_fitted", "more_zeros", "recall_fitted"} <= set(missing)
    assert missing["left_fitted"] == "model" and missing["forget_length"] == "series"
    assert missing["norm_base_64"] == "tokens"  # ten training lengths were read
    assert not {"base_excess", "cost_carried", "carried_base", "cost_window", "forget_state", "std_base"} & set(missing)


def test_numbers_are_those_of_the_one_loop(whole: EvidenceResult) -> None:
    from kernels.cpu.chunked import chunked_scan
    from model.checkpoints.catalogue import load_model
    from model.reading.stream import control_losses, read
    from model.studies.evidence.run import first_tokens

    model, tokens = load_model("tiny"), first_tokens("tiny", DOCUMENTS[0][1], TOKENS)
    losses = np.concatenate([segment.losses for segment in read(model, tokens, model.zero_state(), [chunked_scan] * 2)])
    control = control_losses(model, tokens, 512, TOKENS, 64)
    base = whole.member("base")
    reading = whole.of(base)[0]
    assert reading.beyond == pytest.approx(float(losses[511:].mean()), abs=1e-5)
    assert reading.control == pytest.approx(float(control.mean()), abs=1e-5)
    carried = whole.of(base, initial="carried")[0]
    assert abs(carried.within - reading.within) > 1e-3
    window = whole.of(base, MITIGATED["window"])[0]
    assert window.within == pytest.approx(reading.within, abs=1e-5)  # 64 tokens fit into a window of 256
    cure = whole.of(whole.member("carried"))[0]
    assert (cure.within, cure.beyond) == pytest.approx((reading.within, reading.beyond))  # the same weights
    assert verdict(claim("cost_carried"), _estimate(whole, "cost_carried")) == "agrees"


def _estimate(result: EvidenceResult, key: str) -> Estimate:
    return next(finding.estimate for finding in findings(result) if finding.claim.key == key)


def test_state_statistics_are_those_of_the_final_state(home: Path) -> None:
    import torch

    from kernels.cpu.chunked import chunked_scan
    from model.checkpoints.catalogue import load_model
    from model.studies.evidence.measure import read_document
    from model.studies.evidence.run import first_tokens
    from model.studies.passkey import reader_of

    model, tokens = load_model("tiny"), first_tokens("tiny", DOCUMENTS[0][1], 64)
    reading = read_document(reader_of("tiny"), tokens, None, lambda read: False)
    _, state = model.hidden(torch.from_numpy(tokens.astype(np.int64))[None], None, [chunked_scan] * 2)
    states = torch.stack([layer.memory.state[0] for layer in state])
    assert reading.at("norm", 1) == pytest.approx(float(states.flatten(2).norm(dim=2).mean()), rel=1e-4)
    assert reading.at("std", 1) == pytest.approx(float(states.std(correction=0)), rel=1e-4)
    assert reading.at("std", 2) is None and reading.beyond is None


def test_the_series_are_by_size(whole: EvidenceResult) -> None:
    assert [member.name for member in series(whole, "state_size")] == ["other-8", "tiny", "other-32"]
    assert [member.name for member in series(whole, "train_length")] == ["tiny"]
    for member in series(whole, "state_size"):
        assert collapse_estimate(whole, member).count == 3
        assert recall_estimate(whole, member).low >= min(whole.answers(member)) / 2
    assert [spot for spot, _ in norm_curve(whole, "base")] == [1, 2, 4, 8]


def test_a_series_of_its_own_training_has_its_own_middle(whole: EvidenceResult) -> None:
    base = next(member for member in whole.members if member.role == "base")
    twin = replace(base, name="tiny-short", role="series")
    found = series(replace(whole, members=(*whole.members, twin)), "state_size")
    assert [member.name for member in found] == ["other-8", "tiny-short", "other-32"]


def test_cancelled_and_resumed_is_the_same_as_unbroken(whole: EvidenceResult, tmp_path: Path) -> None:
    begun, texts = begin(DOCUMENTS, tokens=TOKENS, base="tiny")
    file, kept = tmp_path / "new" / "result.json", 0

    def keep(result: EvidenceResult) -> None:
        nonlocal kept
        kept += 1
        result.save(file)

    for limit in (4, 30):
        part = run(begun, texts, keep=keep, stop=lambda limit=limit: kept >= limit)
        assert not part.complete and len(part.readings) + len(part.recalls) == kept == limit
        assert EvidenceResult.load(file).readings == part.readings
        begun = taken_over(begin(DOCUMENTS, tokens=TOKENS, base="tiny")[0], EvidenceResult.load(file))
    seen: list[tuple[int, int]] = []
    rest = run(begun, texts, keep=keep, report=lambda result, done, total: seen.append((done, total)))
    assert rest.complete and rest.readings == whole.readings and rest.recalls == whole.recalls
    assert all(0 <= done <= total for done, total in seen) and seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    again = run(taken_over(begin(DOCUMENTS, tokens=TOKENS, base="tiny")[0], rest), texts, stop=lambda: True)
    assert again.complete  # nothing was left


def test_readings_of_other_weights_or_documents_are_not_taken_over(whole: EvidenceResult) -> None:
    begun, _ = begin(DOCUMENTS[:2], tokens=TOKENS, base="tiny")
    taken = taken_over(begun, whole)
    hashes = {sha for _, sha in begun.task.documents}
    assert taken.readings and {sha for _, sha in taken.readings} == hashes
    assert all(not reader.strategy.source or reader.strategy.source in hashes for reader, _ in taken.readings)
    older = replace(whole, readings={(replace(who, weights="x"), sha): r for (who, sha), r in whole.readings.items()})
    assert not taken_over(begun, older).readings
    assert not taken_over(begin(DOCUMENTS, tokens=TOKENS + 1, base="tiny")[0], whole).readings


def test_a_result_survives_its_file(whole: EvidenceResult, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    whole.save(file)
    assert replace(EvidenceResult.load(file), seconds=0.0) == replace(whole, seconds=0.0)
    assert DOCUMENTS[0][1][:40] not in file.read_text()
    for broken in ("", "[]", '{"format": 1}'):
        file.write_text(broken)
        with pytest.raises(UserError, match=r"result\.json"):
            EvidenceResult.load(file)
    file.write_text('{"format": 99}')
    with pytest.raises(UserError, match="newer"):
        EvidenceResult.load(file)


@pytest.mark.parametrize(
    ("documents", "tokens", "key"),
    [
        (DOCUMENTS[:1], TOKENS, "few_documents"),
        ([DOCUMENTS[0], ("copy.txt", DOCUMENTS[0][1])], TOKENS, "few_documents"),
        (DOCUMENTS, 575, "few_tokens"),
        ([DOCUMENTS[0], ("short.txt", "pump valve " * 20)], TOKENS, "short_document"),
    ],
)
def test_what_gives_no_evidence_is_one_sentence(documents, tokens: int, key: str) -> None:
    with pytest.raises(UserError) as caught:
        begin(documents, tokens=tokens, base="tiny")
    assert caught.value.key == f"evidence.{key}"
    for language in LANGUAGES:
        assert "{" not in caught.value.sentence(language)


def test_the_command_prints_a_table_and_goes_on_from_its_file(whole: EvidenceResult, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from model.cli.main import app

    arguments = ["evidence", "--model", "tiny", "--tokens", str(TOKENS), "--out", str(tmp_path / "out.json")]
    for name, text in DOCUMENTS:
        (tmp_path / name).write_text(text, "utf-8")
        arguments += ["--text", str(tmp_path / name)]
    whole.save(tmp_path / "out.json")
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "model not shipped" in told.output and "Stuffed Mamba" in told.output
    rows = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert len(rows) == len(CLAIMS) and {"claim", "published", "ours", "verdict", "low"} <= set(rows[0])


def test_results_need_no_torch() -> None:
    modules = "model.studies.evidence, model.studies.evidence.report, viz.jobs.evidence"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the page ----------------------------------------------------------------------------------------------------------


def made_up(train_lengths: bool = True) -> EvidenceResult:
    """A whole family that shows what papers report, without any reading: five documents, all cures, both series."""
    from model.studies.evidence.family import Member
    from model.studies.passkey import Reader

    rng = np.random.default_rng(0)

    def member(name: str, role: str, train_length: int = 256, d_state: int = 64) -> Member:
        sizes = {"train_length": train_length, "d_state": d_state, "state_size": 512 * d_state}
        return Member(name=name, weights=name, role=role, **sizes)

    found = [member("base", "base"), *(member(f"base-{ending}", role) for role, ending in CURES.items())]
    found += [member(f"base-n{size}", "series", d_state=size) for size in (16, 32, 128)]
    if train_lengths:
        found += [member(f"base-t{length}", "series", train_length=length) for length in (128, 512)]
    documents = tuple((f"{place}.txt", f"{place:064x}") for place in range(5))
    task = EvidenceTask(base="base", documents=documents)
    result = EvidenceResult(task=task, members=tuple(found), complete=True)
    left = {"base": 1.0, "zeros": 1.02, "longer": 0.4, "gaussian": 0.15, "fitted": 0.05, "carried": 0.01, "tbtt": 0.01}
    for one in found:
        plain = Reader(model=one.name, weights=one.weights, train_length=one.train_length)
        readers = [(plain, left.get(one.role, one.d_state / 64 * 256 / one.train_length))]
        if one.role == "base":
            readers += [
                (replace(plain, strategy=Strategy(mitigations=tuple(given.items()))), 0.3)
                for given in MITIGATED.values()
            ]
        if one.role in ("base", "carried"):
            readers.append((replace(plain, strategy=Strategy(initial_state="carried", source="s")), 1.2))
        for _, sha in documents:
            for reader, share in readers:
                noise = rng.normal(0, 0.02)
                grown = [1 + share * step for step in range(8)]
                result.readings[reader, sha] = DocumentReading(
                    within=4.0 + noise + (0.5 if reader.strategy.source and one.role == "base" else 0),
                    beyond=4.0 + share + noise,
                    control=4.0 if reader.plain else None,
                    largest=1.5 + noise if reader.plain else None,
                    norms=tuple(grown) if reader.plain else (),
                    stds=tuple(grown) if reader.plain else (),
                )
        if one.role in ("base", "series", "fitted", "zeros"):
            longest = one.d_state * 8
            for length in (128, 256, 512, 1024, 2048):
                result.recalls[plain, length] = (120 if length <= longest else 10, 120)
    return result


def test_a_made_up_family_gets_the_verdicts_that_it_was_made_for() -> None:
    by_key = {finding.claim.key: finding for finding in findings(made_up())}
    assert not [finding.claim.key for finding in by_key.values() if finding.missing]
    for key in ("base_excess", "left_carried", "left_gaussian", "more_zeros", "carried_base", "removed_rri"):
        assert by_key[key].verdict == "agrees", key
    for key in ("forget_state", "forget_length", "recall_state", "flatter_carried", "std_base"):
        assert by_key[key].verdict == "agrees", key
    assert by_key["base_criterion"].verdict == "disagrees"  # 1.5 is below the published limit of 2
    assert by_key["recall_state"].estimate.mean == pytest.approx(1, abs=0.01)
    assert by_key["left_gaussian"].size == "about"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Opens the page in a fresh session, with the stored results of a folder and the tiny family as the base."""
    from streamlit.testing.v1 import AppTest

    monkeypatch.setattr("viz.jobs.evidence.STORED", tmp_path / "stored")
    for module in ("viz.jobs.evidence", "viz.pages.evidence.view"):
        monkeypatch.setattr(f"{module}.DEFAULT", "tiny")
    monkeypatch.setattr("viz.pages.evidence.view.LENGTHS", (TOKENS, 2 * TOKENS))
    monkeypatch.setattr("viz.pages.evidence.view.TOKENS", TOKENS)

    def start(result: EvidenceResult | None, language: str = "en", theme: str = "light"):
        if result is not None:
            result.save(tmp_path / "stored" / "result.json")
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": language, "theme": theme}
        app.run()
        return app.switch_page("viz/pages/evidence/page.py").run()

    return start


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_a_stored_result(open_page, language: str, theme: str) -> None:
    app = open_page(made_up(), language, theme)
    assert not app.exception and not app.error
    assert len(app.get("plotly_chart")) == 4 and len(app.table) == len(GROUPS)
    assert sum(len(element.value) for element in app.table) == len(CLAIMS)
    counted = [finding for finding in findings(made_up()) if finding.verdict in ("agrees", "disagrees", "unclear")]
    assert str(len(counted)) in app.main.subheader[0].value
    column = message("evidence.column_verdict", language)
    assert any("✗" in cell for element in app.table for cell in element.value[column])
    assert all(element.proto.alt for element in app.get("plotly_chart"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_missing_models_are_rows_and_not_errors(open_page, language: str) -> None:
    few = made_up(train_lengths=False)
    kept = tuple(member for member in few.members if member.role in ("base", "carried"))
    app = open_page(replace(few, members=kept), language)
    assert not app.exception and not app.error
    cells = [cell for element in app.table for cell in element.value[message("evidence.column_ours", language)]]
    assert (
        message("evidence.missing_model", language) in cells and message("evidence.missing_series", language) in cells
    )
    assert len(app.get("plotly_chart")) == 3
    assert any(message("evidence.capacity_few", language, count=1) == note.value for note in app.info)


def test_without_results_or_models_the_page_says_so(open_page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert any(note.value == message("evidence.nothing_yet", "en") for note in open_page(None).info)
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    app = open_page(made_up())
    assert not app.exception and any("tiny" in note.value for note in app.info) and len(app.get("plotly_chart")) == 4


def test_the_page_measures_cancels_and_goes_on(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.jobs import registry as jobs

    monkeypatch.setattr("viz.jobs.evidence.sample_documents", lambda: DOCUMENTS)
    app = open_page(None)
    app.button(key="ev_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "evidence")
    deadline = time.monotonic() + 60
    while job.done == 0 and job.active and time.monotonic() < deadline:
        time.sleep(0.02)
    job.cancel()
    assert job.wait(30)
    app.run()
    assert not app.exception and not app.error
    assert app.button(key="ev_run").label in (message("evidence.run_more", "en"), message("evidence.run", "en"))
    app.button(key="ev_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "evidence")
    assert job.wait(90)
    app.run()
    assert not app.exception and not app.error
    assert app.button(key="ev_run").label == message("evidence.run_done", "en") and app.table
