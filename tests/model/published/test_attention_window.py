"""A window of attention: exact to the token, the same in any pieces, bounded, and nothing where it does not bind."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from model.published.body import LibraryModel
from model.published.config import read_published, sees_everything
from model.published.load import load_published
from model.state import flatten_state, unflatten_state
from tests.support.published import VOCAB, random_model, save

TOKENS = torch.randint(0, VOCAB, (2, 150), generator=torch.Generator().manual_seed(1))
WINDOW = 13
HYBRIDS = [
    *("bamba", "falcon_h1", "granitemoehybrid", "nemotron_h", "zamba2 with adapters", "jamba", "zamba", "minimax"),
    *("minimax with a window", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "olmo_hybrid", "lara_mini"),
    *("kimi_linear", "bailing_hybrid", "qwen4_exp_text", "qwen4_exp_text with n-grams"),
]


class Pair(NamedTuple):
    ours: LibraryModel
    theirs: Any


@pytest.fixture(scope="module", params=HYBRIDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    torch.set_num_threads(1)
    theirs = random_model(request.param)
    folder = save(theirs, tmp_path_factory.mktemp("checkpoint"))
    found = load_published(folder, "tiny", read_published(folder, "tiny"))
    assert isinstance(found, LibraryModel) and sees_everything(found.config)
    return Pair(found, theirs)


@pytest.fixture
def model(pair: Pair) -> LibraryModel:
    return pair.ours


def read(model: LibraryModel, pieces: tuple[int, ...]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    state, found = None, []
    with torch.inference_mode():
        for piece in TOKENS.split(pieces, dim=1):
            logits, state = model(piece, state)
            found.append(logits)
            state = unflatten_state(flatten_state(state))  # as a run that is resumed
    assert state is not None
    return torch.cat(found, dim=1), flatten_state(state)


def test_short_documents_are_read_as_the_library_reads_them(model: LibraryModel) -> None:
    plain, kept = read(model, (64, 64, 22))
    windowed, same = read(model.seeing(TOKENS.shape[1]), (64, 64, 22))
    assert torch.equal(plain, windowed)
    assert kept.keys() == same.keys()


def test_it_is_what_the_library_makes_of_a_banded_mask(pair: Pair) -> None:
    tokens = TOKENS.shape[1]
    band = torch.ones(tokens, tokens, dtype=torch.bool).tril().triu(1 - WINDOW)
    with torch.inference_mode():
        expected = pair.theirs(TOKENS, attention_mask=band.expand(len(TOKENS), 1, -1, -1), use_cache=False).logits
    found, _ = read(pair.ours.seeing(WINDOW), (64, 64, 22))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_results_do_not_depend_on_the_pieces(model: LibraryModel) -> None:
    bounded = model.seeing(WINDOW)
    one, _ = read(bounded, (150,))
    for pieces in ((1, 2, 7, 63, 64, 13), (12, 13, 14, 111), (50, 50, 50)):
        cut, _ = read(bounded, pieces)
        torch.testing.assert_close(cut, one, atol=1e-4, rtol=0)
    full, _ = read(model, (150,))
    torch.testing.assert_close(one[:, :WINDOW], full[:, :WINDOW], atol=1e-4, rtol=0)
    assert (one[:, WINDOW:] - full[:, WINDOW:]).abs().max() > 1e-3


def test_what_is_kept_is_bounded(model: LibraryModel) -> None:
    def held(window: int) -> int:
        _, kept = read(model.seeing(window), (70, 80))
        return sum(tensor.numel() for name, tensor in kept.items() if ".rest." in name and tensor.is_floating_point())

    assert held(WINDOW) - held(1) == len(TOKENS) * model.config.kept_per_token * (WINDOW - 1)


def test_one_token_is_the_token_itself(model: LibraryModel) -> None:
    one, kept = read(model.seeing(1), (150,))
    cut, _ = read(model.seeing(1), (1, 80, 69))
    torch.testing.assert_close(cut, one, atol=1e-4, rtol=0)
    assert one.isfinite().all() and all(tensor.isfinite().all() for tensor in kept.values())


def test_the_model_itself_is_not_changed(model: LibraryModel) -> None:
    before, _ = read(model, (150,))
    read(model.seeing(WINDOW), (150,))
    after, _ = read(model, (150,))
    assert torch.equal(before, after)


def test_local_attention_stays_as_it_is(tmp_path) -> None:
    folder = save(random_model("recurrent_gemma"), tmp_path)
    model = load_published(folder, "tiny", read_published(folder, "tiny"))
    assert model.seeing(5) is model
