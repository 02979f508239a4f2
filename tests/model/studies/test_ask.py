"""Asking after reading: the states are those of the recording, and what is written follows plain laws."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model.cli.main import app
from model.errors import UserError
from model.reading.again import prepare_again, states_at
from model.reading.runner import run
from model.recording.reader import recordings
from model.recording.state_file import StateFile
from model.state import flatten_state
from model.studies.ask.result import Along, Answer, Answers, Question, moments_along, repetition
from model.studies.ask.run import Voice, ask
from model.studies.ask.sampling import draw, entropy, nucleus, probabilities
from model.studies.ask.states import ask_state, compared, measured, state_at
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TEXT = tiny_text(700)


@pytest.fixture
def recording(home):
    make_tiny_checkpoint(home)
    choices = {"initial_state": "gaussian", "mitigations": {"decay": 2.0}, "off": ("head:1.2",)}
    return run(prepared(TEXT, **choices), home / "recordings", keep_text=True)


def asked(ready, *wanted: tuple[int, Question]) -> list[Answer]:
    return [answer for _, answer in ask(ready, wanted)]


def test_the_state_at_the_end_is_the_stored_one_and_any_moment_is_on_the_way(recording, monkeypatch):
    ready = prepare_again(recording, TEXT)
    stored = recording.state()
    (there,) = states_at(ready, [recording.tokens])
    assert {name: array.tolist() for name, array in stored.items()} == {
        name: tensor.tolist() for name, tensor in flatten_state(there.state).items()
    }
    monkeypatch.setattr("model.reading.again.segment_of", lambda config, device: 128)
    whole = {there.tokens: there for there in states_at(ready, [recording.tokens, 100, 128, 300])}
    assert list(whole) == [100, 128, 300, recording.tokens]
    end = flatten_state(whole[recording.tokens].state)
    assert stored.keys() == end.keys()
    for name, array in stored.items():
        assert np.allclose(array, end[name].numpy(), rtol=1e-4, atol=1e-5), name
    alone = next(states_at(ready, [300]))
    assert all(
        torch.equal(one, flatten_state(alone.state)[name]) for name, one in flatten_state(whole[300].state).items()
    )
    assert list(states_at(ready, [300], passed=lambda tokens: tokens > 100)) == []


def test_a_greedy_continuation_is_that_of_a_plain_loop(recording):
    ready, length = prepare_again(recording, TEXT), 12
    (answer,) = asked(ready, (200, Question(length=length)))
    voice = Voice(ready.experiment, ready.explored)
    there = next(states_at(ready, [200]))
    state, hidden, tokens, nats = there.state, there.hidden, [], []
    for _ in range(length):
        with torch.inference_mode():
            share = voice.model.logits(hidden)[0].double().softmax(-1)
            tokens.append(int(share.argmax()))
            nats.append(float(-(share * share.clamp_min(1e-300).log()).sum()))
            seen, state = voice.model.hidden(torch.tensor([tokens[-1:]]), state, voice.scans)
            hidden = seen[:, -1]
    assert list(answer.tokens) == tokens and answer.entropy == pytest.approx(nats)
    assert answer.next[0].token == tokens[0] and answer.next[0].rank == 1
    assert answer.follows is not None and answer.follows.token == ready.tokens[200]
    by_rank = [each.probability for each in answer.next]
    assert by_rank == sorted(by_rank, reverse=True)


def test_a_seed_decides_and_a_question_is_read_first(recording):
    ready = prepare_again(recording, TEXT)
    drawn = [Question(length=20, temperature=1.5, seed=seed) for seed in (1, 2)]
    one, two, again = (asked(ready, (200, question))[0] for question in (*drawn, drawn[0]))
    assert one == again and one.tokens != two.tokens
    words = tiny_text(30, seed=5)
    voice = Voice(ready.experiment, ready.explored, needs_words=True)
    there = next(states_at(ready, [200]))
    _, hidden, tokens = voice.read(words, there.state, lambda done: None)
    (answer,) = asked(ready, (200, Question(text=words, length=4)))
    assert answer.next == voice.table(voice.scores(hidden)) and len(tokens) > 5
    end = asked(ready, (recording.tokens, Question(length=2)))[0]
    assert end.follows is None


def test_several_moments_and_questions_come_in_one_pass_and_stop(recording):
    ready, seen = prepare_again(recording, TEXT), []
    long, short = Question(length=9), Question(length=5)
    found = list(ask(ready, [(300, long), (50, short), (300, short)], on_progress=lambda *done: seen.append(done)))
    assert [(question, answer.moment) for question, answer in found] == [(short, 50), (long, 300), (short, 300)]
    assert found[1][1].tokens[:5] == found[2][1].tokens
    assert seen[-1] == (300 + 19, 300 + 19) and seen == sorted(seen)
    assert list(ask(ready, [(300, long)], stop=lambda: True)) == []
    with pytest.raises(UserError, match="outside"):
        asked(ready, (recording.tokens + 1, long))
    with pytest.raises(UserError, match="temperature"):
        asked(ready, (1, Question(temperature=-1)))


def test_the_nucleus_is_the_smallest_set():
    random = np.random.default_rng(0)
    scores = random.normal(size=50) * 3
    share = probabilities(scores)
    for top_p in (0.01, 0.3, 0.9, 1.0):
        kept = nucleus(share, top_p)
        assert share[kept].sum() >= top_p - 1e-12
        assert share[kept[:-1]].sum() < top_p
        assert share[kept].min() >= np.delete(share, kept).max(initial=0)
    assert {draw(scores, 1.0, 0.5, random) for _ in range(300)} <= set(nucleus(share, 0.5).tolist())
    assert draw(scores, 0.0, 1.0, random) == scores.argmax()
    counts = np.bincount([draw(scores, 1.0, 1.0, random) for _ in range(4000)], minlength=50) / 4000
    assert np.abs(counts - share).max() < 0.03
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(math.log(8)) and entropy(np.eye(3)[0]) == 0


def test_repetition_and_where_it_begins():
    assert repetition([1, 2, 3, 4, 5, 6]) == 0 and math.isnan(repetition([1, 2, 3]))
    assert repetition([7] * 10) == pytest.approx(6 / 7)  # of seven groups, the first is new
    assert repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)

    def along(shares: list[int]) -> Along:
        """Continuations that repeat (1) or do not (0), at 50, 150, 250 ... tokens, of a training length of 200."""
        tokens = {0: tuple(range(20)), 1: (7,) * 20}
        made = [
            Answer(moment=50 + 100 * at, next=(), follows=None, tokens=tokens[share], text="", entropy=(1.0,))
            for at, share in enumerate(shares)
        ]
        return Along.of(made[::-1], 200)

    assert along([0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1]).repeats_from == 650
    assert along([0, 0, 1, 1, 1]).repeats_from == 250
    assert along([0, 0, 0, 1, 1]).repeats_from is None and along([1, 1, 1, 1, 1, 1]).repeats_from is None
    assert along([0, 0, 1, 1, 1, 0, 0, 0, 0, 0]).repeats_from is None
    found = along([0, 0, 1, 1, 1])
    assert (found.within_repetition, found.beyond_repetition) == (0, found.repetition_since(250)) and found.moments[
        0
    ] == 50
    moments = moments_along(60_000, 256)
    assert moments[-1] == 60_000 and sum(moment <= 256 for moment in moments) >= 2 and len(moments) <= 16
    assert moments_along(3, 256)[-1] == 3


def test_answers_are_read_again_or_not_at_all(tmp_path):
    question = Question(text="¿?\n", temperature=0.5)
    answer = Answer(moment=5, next=(), follows=None, tokens=(1, 2), text="a\0b", entropy=(0.5, 1.0))
    Answers(recording="0" * 12, question=question, answers={5: answer}).save(tmp_path)
    assert Answers.load(tmp_path, "0" * 12, question).answers == {5: answer}
    assert not Answers.load(tmp_path, "0" * 12, Question()).answers
    (file,) = tmp_path.glob("*/*.json")
    good = file.read_bytes()
    for place in range(0, len(good), 7):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert Answers.load(tmp_path, "0" * 12, question).answers in ({}, {5: answer})


def test_a_saved_state_says_the_same_and_is_compared(recording, tmp_path):
    ready, file = prepare_again(recording, TEXT), tmp_path / "state.safetensors"
    for text in ("", "pump"):
        question = Question(text=text, length=6)
        state_at(ready, 200).save(file)
        loaded, (answer,) = StateFile.load(file), asked(ready, (200, question))
        from_file = ask_state(loaded, question)
        assert (from_file.next, from_file.tokens) == (answer.next, answer.tokens)
    other = state_at(ready, 300)
    found = compared(loaded, other)
    assert compared(loaded, loaded).angle == pytest.approx(0, abs=1e-3)
    assert found.first.norm == pytest.approx(np.linalg.norm([loaded.memory(0), loaded.memory(1)], axis=(2, 3)))
    assert (found.angle > 1).any() and found.first.novelty.shape == (2,) and (found.first.rank >= 1).all()
    row, column = loaded.memory(0)[1].ravel(), other.memory(0)[1].ravel()
    cosine = row @ column / np.linalg.norm(row) / np.linalg.norm(column)
    assert np.cos(np.radians(found.angle[0, 1])) == pytest.approx(cosine)
    assert measured(loaded).nearest.max() <= 64


def test_foreign_states_are_said_so(recording, home, tmp_path):
    ready = prepare_again(recording, TEXT)
    state, file = state_at(ready, 100), tmp_path / "state.safetensors"
    good = state.to_bytes()
    for data, words in (
        (b"", "not a whole safetensors"),
        (good[:-9], "not a whole safetensors"),
        ((home / "checkpoints/tiny/model.safetensors").read_bytes(), "not a state"),
        (good.replace(b'"memory-explorer state"', b'"memory-explorer stage"'), "not a state"),
    ):
        with pytest.raises(UserError, match=words):
            StateFile.of(data, "a.safetensors")
    broken = {**state.tensors, "0.state": np.full_like(state.tensors["0.state"], np.inf)}
    with pytest.raises(UserError, match="not finite"):
        StateFile.of(remade(state, broken).to_bytes(), "a.safetensors")
    narrow = remade(state, {**state.tensors, "1.state": state.tensors["1.state"][..., :3]})
    with pytest.raises(UserError, match="shape"):
        ask_state(narrow, Question())
    with pytest.raises(UserError, match="shape"):
        compared(state, narrow)
    state.save(file)
    begun = prepared(TEXT, initial_state="carried", source=file)
    assert len(begun.experiment.strategy.source) == 12
    assert begun.experiment.key != prepared(TEXT, initial_state="carried", source=recording.path).experiment.key
    first = next(states_at(begun, [1]))
    assert not torch.equal(first.state[0].memory.state, next(states_at(prepared(TEXT), [1])).state[0].memory.state)
    weights = home / "checkpoints/tiny/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    for tried in (lambda: prepared(TEXT, initial_state="carried", source=file), lambda: ask_state(state, Question())):
        with pytest.raises(UserError, match="other weights"):
            tried()
    with pytest.raises(UserError, match="other weights"):
        prepare_again(recording, TEXT)


def remade(state: StateFile, tensors: dict[str, np.ndarray]) -> StateFile:
    return StateFile(experiment=state.experiment, tokens=state.tokens, heads=state.heads, tensors=tensors, name="b")


def test_the_command_line_asks_saves_and_compares(recording, tmp_path):
    def said(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    file = tmp_path / "state.safetensors"
    answer = json.loads(said("ask", recording.path, "--at", 150, "--length", 8, "--question", "pump", "--json"))
    said("state", "save", recording.path, "--at", 150, "--out", file)
    from_file = json.loads(said("ask", file, "--length", 8, "--question", "pump", "--json"))
    assert from_file["tokens"] == answer["tokens"] and len(answer["tokens"]) == 8
    assert "really follows" in said("ask", recording.path, "--at", 150, "--length", 4)
    shown = json.loads(said("state", "show", file, "--json"))
    assert shown["tokens"] == 150 and shown["mitigations"] == {"decay": 2.0}
    assert "novelty" in said("state", "show", file)
    both = json.loads(said("state", "compare", file, file, "--json"))
    assert np.allclose(both["angle"], 0, atol=1e-3)
    text = tmp_path / "notes.txt"
    text.write_text(tiny_text(60))
    out = tmp_path / "carried"
    said("read", text, "--model", "tiny", "--initial-state", f"file={file}", "--out", out, "--json")
    (carried,) = recordings(out)
    digits = carried.experiment.strategy.source
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(digits) and len(digits) == 12
    said("ask", carried.path, "--document", text, "--source", file, "--length", 2)
    with pytest.raises(UserError, match="--source"):
        said("ask", carried.path, "--document", text, "--length", 2)
    with pytest.raises(UserError, match="outside"):
        said("ask", recording.path, "--at", recording.tokens + 1)
    document = tmp_path / "other.txt"
    document.write_text("another text")
    with pytest.raises(UserError, match="not the text"):
        said("ask", recording.path, "--document", document)
