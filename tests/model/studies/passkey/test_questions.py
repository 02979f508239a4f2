"""Every question of the table: prompts as long as they say, answers that stand in them, forked as from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import UserError
from model.messages import LANGUAGES, message
from model.studies.passkey import Prompts
from model.studies.passkey.cell_by_cell import run_passkey
from model.studies.passkey.fork import run_forked
from model.studies.passkey.questions import QUESTIONS
from model.studies.passkey.words import SHAPES
from tests.support.passkey import DOCUMENT, a_task, empty

LENGTHS = (340, 341, 500)


def asking(question: str, **changes):
    row = QUESTIONS[question]
    settings = {"question": question, "count": min(4, row.high), "lengths": LENGTHS, "digits": 3}
    return a_task(**{**settings, **changes})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_prompts_are_as_long_as_they_say_and_tell_what_they_ask_for(tokenizer, question, language):
    task = asking(question, language=language, filler="text")
    prompts = Prompts(task, tokenizer, DOCUMENT)
    for length, depth in task.cells:
        for trial in range(4):
            prompt = prompts.prompt(length, depth, trial)
            assert len(prompt.ids) == length
            before, needle, after, query = prompt.pieces(tokenizer)
            whole = np.concatenate([prompt.ids, prompt.key_ids])
            said = tokenizer.decode(whole[prompt.scored].tolist())
            assert said.replace(" ", "") == prompt.key.replace(" ", "")
            assert all(part in needle for part in prompt.key.split())
            assert prompt.scored[-1] == len(whole) - 1 and prompt.scored[0] > prompt.query_start
            assert "\ufffd" not in before + needle + after + query
            if question != "associative":
                assert tokenizer.decode(prompt.key_ids.tolist()).strip() == prompt.key
    assert len({prompts.prompt(500, 0.5, trial).key for trial in range(8)}) > 4


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_the_same_forked_and_from_scratch(model, tokenizer, question):
    task = asking(question, trials=3)
    prompts = Prompts(task, tokenizer)
    right, found = (run(model, prompts, empty(task)) for run in (run_passkey, run_forked))
    for place, cell in right.cells.items():
        assert found.cells[place][:2] == cell[:2]
        assert found.cells[place].probability == pytest.approx(cell.probability, rel=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_of_every_shape(tokenizer, shape):
    prompts = Prompts(asking("passkey", shape=shape, digits=12), tokenizer)
    key = prompts.prompt(340, 0.5, 0)
    assert len(key.key) == len(key.key_ids) == 12 and set(key.key) <= set(SHAPES[shape])
    assert key.key in key.pieces(tokenizer)[1]


def test_every_question_has_a_title_and_a_help_in_every_language():
    for name in QUESTIONS:
        for language in LANGUAGES:
            assert message(f"recall.{name}_title", language) and message(f"recall.{name}_help", language)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"question": "poem"}, "recall.unknown"),
        ({"shape": "runes"}, "recall.shape"),
        ({"count": 2}, "recall.count"),
        ({"question": "keys", "count": 1}, "recall.count"),
        ({"question": "occurrence", "count": 10}, "recall.count"),
        ({"question": "associative", "count": 26, "lengths": (120,)}, "passkey.too_short"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(tokenizer, changes, key):
    with pytest.raises(UserError) as caught:
        Prompts(a_task(**changes), tokenizer)
    assert caught.value.key == key
    for language in LANGUAGES:
        sentence = caught.value.sentence(language)
        assert "{" not in sentence and "\n" not in sentence


def test_more_states_than_memory_holds_are_refused_before_any_work(model, tokenizer, monkeypatch):
    monkeypatch.setattr("model.studies.passkey.fork.free_memory", lambda: 1000)
    task = a_task(filler="text", trials=900, lengths=(120,))
    with pytest.raises(UserError, match="900 trials"):
        run_forked(model, Prompts(task, tokenizer, DOCUMENT), empty(task), report=lambda *_: pytest.fail())
