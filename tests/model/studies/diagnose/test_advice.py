"""What follows from a comparison: the decision, where to split, and how sure that is; and how it is stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.documents.document import Document
from model.documents.pieces import Place
from model.errors import UserError
from model.messages import LANGUAGES
from model.studies.diagnose import Diagnosis, Recall, Sentence, load
from model.studies.diagnose.advice import concluded, few_to_test, pages_of
from model.training.post_config import DECAY_RATES, EMPTY_ROWS
from tests.support.diagnose import diagnosis, made_up

PLAIN = made_up("plain", onset=320)
GOOD = made_up("decay", (0.01, -0.01, 0.02, -0.02, 0.0))
PARTLY = made_up("decay", (0.5, 0.55, 0.45, 0.5, 0.5))
WORSE = made_up("decay", (1.9, 2.0, 2.1, 2.0, 2.0))


def names(found: Diagnosis) -> list[str]:
    return [step.key.removeprefix("diagnose.step_") for step in found.steps]


def reasons(found: Diagnosis) -> list[str]:
    return [reason.key.removeprefix("diagnose.reason_") for reason in found.confidence.reasons]


def recall(correct: int) -> Recall:
    return Recall(result="0", length=512, correct=correct, trials=30)


@pytest.mark.parametrize(
    ("case", "other", "expected", "split"),
    [
        ("collapses", GOOD, ["mitigate"], 320),
        ("costs", PARTLY, ["mitigate_partly", "split", "post_train"], 320),
        ("collapses", WORSE, ["do_not_use", "split", "post_train"], 320),
        ("collapses", made_up("tiny-carried", GOOD.blocks, post_trained="carried"), ["weights"], 320),
        ("holds", GOOD, ["use"], None),
        ("unclear", WORSE, ["use_unclear"], None),
    ],
)
def test_the_decision_follows_from_the_verdict_and_from_what_helps(case, other, expected, split) -> None:
    found = concluded(diagnosis(case), [PLAIN, other], trainable=True)
    assert names(found) == expected and found.split == split
    for language in LANGUAGES:
        assert all(step.words(language, strategy="X", other="Y") for step in found.steps)


def test_post_training_is_offered_where_it_was_not_measured_and_can_be_done() -> None:
    assert names(concluded(diagnosis("collapses"), [PLAIN, WORSE], trainable=False)) == ["do_not_use", "split"]
    measured = made_up("tiny-carried", WORSE.blocks, post_trained="carried")
    assert "post_train" not in names(concluded(diagnosis("collapses"), [PLAIN, measured], trainable=True))
    command = concluded(diagnosis("collapses"), [PLAIN, WORSE], trainable=True).steps[-1].values["command"]
    assert command.startswith("memory-explorer post-train tiny --intervention carried ")
    assert f" --empty-rows {EMPTY_ROWS:g} --decay-rates {DECAY_RATES:g} " in command


def test_documents_with_pages_are_split_into_pages() -> None:
    places = tuple(Place(start, (("page", page),)) for page, start in enumerate((0, 30, 60, 90), 1))
    document = replace(Document.of("x" * 120, "a.pdf"), places=places)
    assert pages_of(document) == 4 and pages_of(Document.of("no pages", "a.txt")) is None
    found = concluded(diagnosis("collapses", pages=100), [PLAIN, WORSE], trainable=False)
    assert found.split_pages == 2  # 320 of 12,800 tokens on 100 pages are 2.5
    assert names(found) == ["do_not_use", "split_pages"]


def test_without_an_onset_documents_are_split_at_the_training_length() -> None:
    assert concluded(diagnosis("collapses"), [made_up("plain"), WORSE], trainable=False).split == 64


@pytest.mark.parametrize(("tokens", "step"), [(50, "use_short"), (300, "longer")])
def test_short_documents_are_not_judged(tokens: int, step: str) -> None:
    short = replace(PLAIN, blocks=(), windows=())
    found = concluded(diagnosis("too_short", tokens=tokens), [short], trainable=True)
    assert names(found) == [step] and found.recommended is None and found.confidence.level == "low"


def test_how_sure_depends_on_the_length_the_interval_and_the_passkeys() -> None:
    def sure(*results, **more) -> Diagnosis:
        found = concluded(diagnosis("collapses", **more), results, trainable=True)
        assert all(reason.words(language) for reason in found.confidence.reasons for language in LANGUAGES)
        return found

    plain, good = replace(PLAIN, recall=recall(3)), replace(GOOD, recall=recall(20))
    best = sure(plain, good)
    assert best.confidence.level == "high" and reasons(best) == ["length_far", "width_narrow", "recall_better"]
    assert sure(plain, good, tokens=64 * 20).confidence.level == "medium"
    assert sure(plain, good, tokens=64 * 10).confidence.level == "low"
    assert reasons(sure(PLAIN, GOOD))[-1] == "recall_untested" and sure(PLAIN, GOOD).confidence.level == "medium"
    lost = sure(replace(PLAIN, recall=recall(29)), replace(GOOD, recall=recall(2)))
    assert reasons(lost)[-1] == "recall_worse" and lost.confidence.level == "medium"
    unable = concluded(diagnosis("collapses", recallable=False), [PLAIN, GOOD], trainable=True)
    assert reasons(unable)[-1] == "recall_unable" and unable.confidence.level == "high"
    wide = sure(plain, replace(made_up("decay", (0.5, -0.4, 0.4, -0.3, 0.0)), recall=recall(20)))
    assert reasons(wide)[1] == "width_wide" and wide.confidence.level == "low"


def test_passkeys_are_tested_for_the_plain_the_recommended_and_the_best() -> None:
    others = [made_up(name, (0.1 * place,) * 5) for place, name in enumerate(("window", "insertion", "retention"), 1)]
    found = concluded(
        diagnosis("collapses"), [PLAIN, GOOD, *others, made_up("state_norm", WORSE.blocks)], trainable=True
    )
    assert [result.text for result in few_to_test(found)] == ["decay=4", "plain", "window=4", "insertion=4"]
    assert len(few_to_test(replace(found, tokens=1_000_000))) == 5  # what does not help is not tested


def test_a_strategy_that_recalls_clearly_more_is_named_beside_the_recommended_one() -> None:
    plain, good = replace(PLAIN, recall=recall(30)), replace(GOOD, recall=recall(10))
    more, most = made_up("window", (0.1,) * 5, recall=recall(28)), made_up("retention", (0.4,) * 5, recall=recall(30))
    found = concluded(diagnosis("collapses"), [plain, good, more, most], trainable=True)
    assert found.best.text == "decay=4" and found.of(found.alternative).text == "window=4"  # 28 and 30 are alike
    assert names(found) == ["mitigate", "recall"]
    few = replace(more, recall=recall(12))
    assert concluded(diagnosis("collapses"), [plain, good, few], trainable=True).alternative is None
    assert concluded(diagnosis("holds"), [plain, good, more], trainable=True).alternative is None


def test_a_diagnosis_comes_back_from_its_file(tmp_path: Path) -> None:
    failed = made_up("window", (), (), failure=Sentence.of(UserError("reading.kept", tokens=5)))
    found = concluded(diagnosis("collapses"), [PLAIN, replace(GOOD, recall=recall(9)), failed], trainable=True)
    found = replace(found, complete=True, seconds=2.5, recallable=True)
    file = tmp_path / "diagnoses" / "a.json"
    found.save(file)
    again = load(file)
    assert again == found and again.best.text == "decay=4" and again.plain.onset == 320
    values = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(values | {"later": 1}), "utf-8")
    assert load(file) == found
    file.write_text(json.dumps(values | {"format": 99}), "utf-8")
    with pytest.raises(UserError, match="later version"):
        load(file)
    file.write_text("[]", "utf-8")
    with pytest.raises(UserError, match="damaged"):
        load(file)


def test_a_sentence_within_a_sentence_is_said_in_the_same_language() -> None:
    error = UserError("reading.place.control", place=UserError("reading.place.output"))
    said = Sentence.from_json(json.loads(json.dumps(Sentence.of(error).to_json())))
    assert [said.words(language) for language in LANGUAGES] == [error.sentence(language) for language in LANGUAGES]
