"""Whole diagnoses with a tiny model: what is read, once; what is stored; cancelled, killed and resumed."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import model as library
from model.cli.main import app
from model.documents.document import Document
from model.errors import UserError
from model.experiment import Strategy
from model.interventions.mitigations import MITIGATIONS
from model.reading import windows
from model.reading.prepare import Options, prepare
from model.reading.runner import run
from model.recording.reader import Recording
from model.studies.diagnose import Diagnosis, diagnose, file_of, load, readings
from model.studies.diagnose.many import diagnose_file, on_cluster
from model.studies.diagnose.strategies import candidates, question_key
from tests.support.diagnose import make_family
from tests.support.homes import forget_models
from tests.support.tiny import tiny_text

DOCUMENT = Document.of(tiny_text(1200), "notes.txt")
TIMES = {"seconds", "tokens_per_second", "speed"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """The tiny model and its post-trained weights, which are the only ones."""
    home = tmp_path_factory.mktemp("home")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(home))
        patch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
        forget_models()
        make_family(home)
        yield home
    assert torch.get_num_threads() == threads  # a diagnosis leaves them as they were
    forget_models()


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Diagnosis, Path]:
    out = tmp_path_factory.mktemp("out")
    return diagnose(DOCUMENT, "tiny", out, recall=False, workers=2), out


def timeless(value: object) -> object:
    """``value`` without how long it took."""
    if isinstance(value, dict):
        return {name: timeless(entry) for name, entry in value.items() if name not in TIMES}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


def test_every_fitting_strategy_is_read(whole: tuple[Diagnosis, Path]) -> None:
    found, _ = whole
    texts = [result.text for result in found.strategies]
    assert found.complete and len(texts) == len(set(texts)) == found.planned == len(candidates("tiny"))
    for name, row in MITIGATIONS.items():
        strengths = {f"{name}={value:g}" for value in (row.suggested, *row.others)}
        assert len(row.others) == 2 and (strengths.isdisjoint(texts) if row.cells else strengths <= set(texts))
    assert {"plain", "initial_state=gaussian", "initial_state=fitted", "tiny-carried"} <= set(texts)
    assert "retention=0.9999 insertion=0.75" in texts or "insertion=0.75 retention=0.9999" in texts
    assert [result.post_trained for result in found.strategies if result.text == "tiny-carried"] == ["carried"]


def test_each_strategy_is_an_ordinary_recording(whole: tuple[Diagnosis, Path]) -> None:
    """One that is read on its own has the same key and the same numbers."""
    found, out = whole
    for result in found.strategies:
        recording = Recording(out / result.recording)
        assert recording.complete and recording.key == result.recording
    one = next(result for result in found.strategies if result.text == "decay=4")
    alone = run(prepare(DOCUMENT, "tiny", Strategy.of(mitigations={"decay": 4.0})), out.parent / "alone")
    assert alone.key == one.recording
    stored = Recording(out / one.recording)
    for name in ("loss", "control_loss"):
        np.testing.assert_allclose(stored.array(name), alone.array(name), atol=1e-5)
    assert one.excess.mean == pytest.approx(alone.summary["excess_loss"], abs=1e-3)
    plain = Recording(out / found.plain.recording)
    assert found.case in plain.summary or found.verdict.values["tokens"] == plain.read_tokens


def test_the_control_of_a_model_is_read_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: dict[int, int] = {}
    control = windows.control_losses

    def counted(model, tokens, first, stop, train_length):
        scored[id(model)] = scored.get(id(model), 0) + stop - first
        return control(model, tokens, first, stop, train_length)

    monkeypatch.setattr(windows, "control_losses", counted)
    monkeypatch.setattr("model.reading.runner.control_losses", lambda *asked: pytest.fail("read again"))
    found = diagnose(DOCUMENT, "tiny", tmp_path, recall=False, workers=2)
    assert found.complete and list(scored.values()) == [found.tokens, found.tokens]  # the base, and its other weights


def test_what_is_there_is_not_read_again(
    whole: tuple[Diagnosis, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = whole
    monkeypatch.setattr(readings, "run", lambda *asked, **how: pytest.fail("read again"))
    assert timeless(diagnose(DOCUMENT, "tiny", out, recall=False).to_json()) == timeless(found.to_json())
    elsewhere = diagnose(DOCUMENT, "tiny", tmp_path, recall=False, elsewhere=[out])
    assert timeless(elsewhere.to_json()) == timeless(found.to_json())
    assert not list(tmp_path.glob("*/recording.json"))


@pytest.mark.parametrize("ending", ["cancelled", "killed"])
def test_an_interrupted_diagnosis_resumes_to_the_same_answer(
    whole: tuple[Diagnosis, Path], tmp_path: Path, ending: str
) -> None:
    class KilledError(Exception):
        pass

    seen: list[Diagnosis] = []

    def watched(so_far: Diagnosis, done: int, total: int) -> None:
        assert 0 <= done <= total
        seen.append(so_far)
        if ending == "killed" and len(so_far.strategies) == 3:
            raise KilledError

    def stop() -> bool:
        return ending == "cancelled" and bool(seen) and len(seen[-1].strategies) >= 3

    if ending == "killed":
        with pytest.raises(KilledError):
            diagnose(DOCUMENT, "tiny", tmp_path, recall=False, workers=1, report=watched)
    else:
        part = diagnose(DOCUMENT, "tiny", tmp_path, recall=False, workers=1, report=watched, stop=stop)
        assert not part.complete and 3 <= len(part.strategies) < part.planned
    key = question_key(DOCUMENT.sha256, candidates("tiny"), recall=False)
    stored = load(file_of(tmp_path, key))
    assert not stored.complete and len(stored.strategies) >= 3 and stored.plain is not None
    found = diagnose(DOCUMENT, "tiny", tmp_path, recall=False, workers=1)
    assert timeless(found.to_json()) == timeless(whole[0].to_json())


def test_a_strategy_that_fails_says_so_and_the_rest_go_on(
    whole: tuple[Diagnosis, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole[1], out)
    shutil.rmtree(out / next(result.recording for result in whole[0].strategies if result.text == "decay=1024"))

    def broken(prepared, *asked, **how):
        raise UserError("reading.not_finite", token=9, place="x", cause="y", kept="z")

    monkeypatch.setattr(readings, "run", broken)
    found = diagnose(DOCUMENT, "tiny", out, recall=False)
    failed = [result for result in found.strategies if result.failure is not None]
    assert [result.text for result in failed] == ["decay=1024"] and failed[0].excess is None
    assert found.complete and found.strategies[-1] is failed[0] and found.recommended != failed[0].recording


def test_a_short_document_is_read_once_and_not_judged(home: Path, tmp_path: Path) -> None:
    found = diagnose(Document.of(tiny_text(60), "short.txt"), "tiny", tmp_path)
    assert found.complete and found.case == "too_short" and [one.text for one in found.strategies] == ["plain"]
    assert found.recommended is None and found.confidence.level == "low"


def test_a_model_that_recalls_nothing_has_no_recall(home: Path, tmp_path: Path, whole: tuple[Diagnosis, Path]) -> None:
    found = diagnose(DOCUMENT, "tiny", tmp_path, elsewhere=[whole[1]])
    assert found.recallable is False and all(result.recall is None for result in found.strategies)


def test_recall_stands_beside_the_strategies_that_matter(
    home: Path, tmp_path: Path, whole: tuple[Diagnosis, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.studies.diagnose.passkeys.ABLE", 0.0)
    found = diagnose(DOCUMENT, "tiny", tmp_path, elsewhere=[whole[1]])
    tested = [result for result in found.strategies if result.recall is not None]
    assert found.recallable and found.plain.recall is not None and 1 <= len(tested) <= 4
    assert all((tmp_path / "passkey" / f"{result.recall.result}.json").exists() for result in tested)
    assert all(result.recall.length == 8 * 64 and result.recall.trials == 30 for result in tested)
    assert load(file_of(tmp_path, found.key)) == found


def test_another_question_has_another_key(home: Path) -> None:
    wanted = candidates("tiny")
    keys = {
        question_key(DOCUMENT.sha256, wanted),
        question_key("0" * 64, wanted),
        question_key(DOCUMENT.sha256, wanted[:-1]),
        question_key(DOCUMENT.sha256, wanted, Options(train_length=32)),
        question_key(DOCUMENT.sha256, wanted, recall=False),
    }
    assert len(keys) == 5
    assert [one.model for one in candidates("tiny-carried") if one.post_trained] == []


def test_the_command_answers_as_json_and_goes_on_after_a_broken_file(
    home: Path, tmp_path: Path, whole: tuple[Diagnosis, Path]
) -> None:
    folder = tmp_path / "documents"
    (folder / ".hidden").mkdir(parents=True)
    (folder / ".hidden" / "no.txt").write_text("no")
    (folder / "a.txt").write_text(DOCUMENT.text, "utf-8")
    (folder / "b.pdf").write_bytes(b"%PDF-1.7 nothing follows")
    words = ["diagnose", "--model", "tiny", "--out", str(whole[1]), "--no-recall", "--json"]
    one = CliRunner().invoke(app, [*words, str(folder / "a.txt")])
    answer = json.loads(one.stdout)
    best = whole[0].best
    assert answer["verdict"] == whole[0].case and answer["recommended"] == (None if best is None else best.text)
    assert {entry["strategy"] for entry in answer["strategies"]} == {result.text for result in whole[0].strategies}
    assert answer["complete"] and Path(answer["diagnosis"]).exists() and answer["next"] and answer["sentence"]
    assert {"excess_removed", "cost_within", "confidence", "ties"} <= answer.keys()
    assert answer["recommended"] not in answer["ties"]
    many = CliRunner().invoke(app, [*words, str(folder)])
    assert many.exit_code == 0, many.output
    answers = json.loads(many.stdout)
    assert [Path(entry["file"]).name for entry in answers] == ["a.txt", "b.pdf"]
    assert answers[0]["verdict"] == answer["verdict"] and "error" in answers[1] and "verdict" not in answers[1]
    said = CliRunner().invoke(app, [*words[:-1], str(folder)])
    assert "plain" in said.stdout and answers[1]["error"] in said.stdout and answer["sentence"] in said.stdout
    assert CliRunner().invoke(app, [*words, str(folder / "b.pdf")]).exit_code == 2


def test_documents_go_to_the_workers_of_a_cluster(home: Path, tmp_path: Path, whole: tuple[Diagnosis, Path]) -> None:
    """Any executor: what is sent and what comes back is pickled, as it is on the way to another machine."""
    files = [tmp_path / "a.txt", tmp_path / "missing.txt"]
    files[0].write_text(DOCUMENT.text, "utf-8")
    working = pickle.loads(pickle.dumps(partial(diagnose_file, out=whole[1], recall=False)))
    with ThreadPoolExecutor(1) as pool:
        found = list(on_cluster(pool, [(file, "tiny") for file in files], working))
    found = sorted(pickle.loads(pickle.dumps(found)), key=lambda outcome: outcome.file)
    assert timeless(found[0].diagnosis.to_json()["strategies"]) == timeless(whole[0].to_json()["strategies"])
    assert found[1].diagnosis is None and "missing.txt" in found[1].error.words("en")


def test_a_notebook_asks_for_a_diagnosis(home: Path, tmp_path: Path, whole: tuple[Diagnosis, Path]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(DOCUMENT.text, "utf-8")
    found = library.diagnose(file, "tiny", whole[1], recall=False)
    assert timeless(found.to_json()) == timeless(replace(whole[0], document_name="notes.txt").to_json())
