"""Evidence measured with tiny models: every reading, the same numbers when it is interrupted, and the command."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.errors import UserError
from model.messages import LANGUAGES
from model.studies.evidence import (
    CLAIMS,
    Estimate,
    EvidenceResult,
    begin,
    family,
    findings,
    members,
)
from model.studies.evidence import run_evidence as run
from model.studies.evidence.family import MITIGATED
from model.studies.evidence.findings import (
    collapse_estimate,
    norm_curve,
    recall_estimate,
    series,
    verdict,
)
from model.studies.evidence.run import taken_over
from tests.support.evidence import DOCUMENTS, TOKENS, claim, make_family, with_family


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_family(home)
    return home


@pytest.fixture(autouse=True)
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_family(home, monkeypatch)


@pytest.fixture(scope="module")
def whole(home: Path) -> EvidenceResult:
    with pytest.MonkeyPatch.context() as patch:
        with_family(home, patch)
        return run(*begin(DOCUMENTS, tokens=TOKENS, base="tiny"))


def test_the_family_is_found_by_what_models_are() -> None:
    found = members("tiny")
    assert [(member.name, member.role) for member in found] == [
        ("tiny", "base"),
        ("tiny-state-passing", "carried"),  # the one of other weights is not made from these
        ("other-32", "series"),
        ("other-8", "series"),
    ]
    assert [member.state_size for member in found] == [2048, 2048, 4096, 1024]


def test_everything_that_can_be_read_is_read(whole: EvidenceResult) -> None:
    assert whole.complete and whole.seconds > 0
    base = whole.member("base")
    assert all(reading is not None for reading in whole.of(base))
    assert all(reading is not None for reading in whole.of(base, initial="carried"))
    assert all(len(losses) == 4 for losses in whole.extension(base))  # 1, 2, 4 and 8 of the ten training lengths
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
    tuned = whole.of(whole.member("carried"))[0]
    assert (tuned.within, tuned.beyond) == pytest.approx((reading.within, reading.beyond))  # the same weights
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


def counted(result: EvidenceResult) -> int:
    return (
        len(result.readings) + len(result.recalls) + len(result.extensions) + len(result.reaches) + len(result.contexts)
    )


def test_models_of_other_families_are_read_for_what_is_claimed_of_them(
    whole: EvidenceResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(family, "DEFAULT", "tiny")
    monkeypatch.setattr(family, "OTHERS", {"scrn": "other-8", "rnn": "other-32", "delta": "nowhere"})
    begun, texts = begin(DOCUMENTS, tokens=TOKENS, base="tiny")
    assert [member.role for member in begun.members[-2:]] == ["scrn", "rnn"]
    result = run(taken_over(begun, whole), texts)
    assert (
        len(result.reaches) == len(result.contexts) == 6 and result.readings == whole.readings
    )  # the series had read them
    found = {finding.claim.key: finding for finding in findings(result)}
    pair = [result.reach(result.member(role)) for role in ("scrn", "rnn")]
    doublings = [math.log2(ours.reach / theirs.reach) for ours, theirs in zip(*pair, strict=True)]
    assert found["scrn_reach_more"].estimate.mean == pytest.approx(np.mean(doublings))
    within = [[one.within for one in result.of(result.member(role))] for role in ("scrn", "rnn")]
    assert found["scrn_loss_more"].estimate.mean == pytest.approx(np.mean(np.subtract(*within)))
    contexts = [result.context(result.member(role)) for role in ("scrn", "rnn")]
    difference = np.log2(np.maximum(contexts[0], 1)) - np.log2(np.maximum(contexts[1], 1))
    assert found["scrn_context_more"].estimate.mean == pytest.approx(np.mean(difference))
    result.save(tmp_path / "kept.json")
    assert EvidenceResult.load(tmp_path / "kept.json").contexts == result.contexts
    assert EvidenceResult.load(tmp_path / "kept.json").reaches == result.reaches
    assert found["extension_delta"].missing == "model"


def test_cancelled_and_resumed_is_the_same_as_unbroken(whole: EvidenceResult, tmp_path: Path) -> None:
    begun, texts = begin(DOCUMENTS, tokens=TOKENS, base="tiny")
    file, kept = tmp_path / "new" / "result.json", 0

    def keep(result: EvidenceResult) -> None:
        nonlocal kept
        kept += 1
        result.save(file)

    for limit in (4, 30):
        part = run(begun, texts, keep=keep, stop=lambda limit=limit: kept >= limit)
        assert not part.complete and counted(part) == kept == limit
        assert EvidenceResult.load(file).readings == part.readings
        begun = taken_over(begin(DOCUMENTS, tokens=TOKENS, base="tiny")[0], EvidenceResult.load(file))
    seen: list[tuple[int, int]] = []
    rest = run(begun, texts, keep=keep, report=lambda result, done, total: seen.append((done, total)))
    assert rest.complete and rest.readings == whole.readings and rest.recalls == whole.recalls
    assert rest.extensions == whole.extensions
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
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "model not shipped" in done.output and "Stuffed Mamba" in done.output
    rows = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert len(rows) == len(CLAIMS) and {"claim", "published", "ours", "verdict", "low"} <= set(rows[0])


def test_results_need_no_torch() -> None:
    modules = "model.studies.evidence, model.studies.evidence.report, viz.jobs.evidence"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
