"""Attention at the door: against scores of all pairs, its window, its cache, and what is said of the cache."""

import pytest
import torch
from torch import Tensor

from kernels import attention
from kernels.attention import AttentionInputs
from kernels.dispatch import scan
from kernels.types import Memory

HEADS, WIDTH = 2, 4


def inputs_of(seqlen: int, slopes: bool, window: int | None) -> AttentionInputs:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, seqlen, HEADS, WIDTH, dtype=torch.float64)
    return AttentionInputs(q, k, v, torch.tensor([0.5, 0.25], dtype=torch.float64) if slopes else None, window)


def empty() -> Memory:
    cache = torch.zeros(2, 0, HEADS, WIDTH, dtype=torch.float64)
    return Memory(cache.new_zeros(2, HEADS, WIDTH, 2), (cache, cache))


def all_pairs(inputs: AttentionInputs) -> Tensor:
    seqlen = inputs.q.shape[1]
    scores = torch.einsum("bthp,bshp->bhts", inputs.q, inputs.k) / WIDTH**0.5
    distance = torch.arange(seqlen)[:, None] - torch.arange(seqlen)
    if inputs.slopes is not None:
        scores = scores - inputs.slopes[:, None, None] * distance
    unseen = (distance < 0) | (distance >= (inputs.window or seqlen))
    return torch.einsum("bhts,bshp->bthp", scores.masked_fill(unseen, -torch.inf).softmax(-1), inputs.v)


def cut(inputs: AttentionInputs, start: int, stop: int) -> AttentionInputs:
    return inputs._replace(q=inputs.q[:, start:stop], k=inputs.k[:, start:stop], v=inputs.v[:, start:stop])


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("window", [None, 1, 7, 500])
def test_it_is_softmax_attention_in_any_pieces(
    slopes: bool, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "QUERIES", 16)
    inputs = inputs_of(101, slopes, window)
    truth = all_pairs(inputs)
    torch.testing.assert_close(scan(inputs, empty()).y, truth)
    memory, found = empty(), []
    for start, stop in ((0, 1), (1, 40), (40, 101)):
        output = scan(cut(inputs, start, stop), memory)
        found.append(output.y)
        memory = output.memory
    torch.testing.assert_close(torch.cat(found, 1), truth)
    assert memory.past[0].shape[1] == min(101, window or 101)


@pytest.mark.parametrize("window", [None, 7, 100])
def test_the_telemetry_is_that_of_what_is_kept(window: int | None) -> None:
    inputs = inputs_of(150, False, window)
    with torch.inference_mode():
        output = scan(inputs, empty(), True)
    assert output.telemetry is not None and output.token_norms is not None
    for row, end in enumerate((0, 64, 128, 150)):
        start = 0 if window is None else max(0, end - window)
        kept = torch.stack([inputs.k[:, start:end], inputs.v[:, start:end]], -1).transpose(1, 2).flatten(2)
        if not end:
            assert not output.telemetry.norm[:, 0].any()
            continue
        torch.testing.assert_close(output.telemetry.norm[:, row], kept.norm(dim=-1))
        torch.testing.assert_close(output.telemetry.mean[:, row], kept.mean(-1))
        torch.testing.assert_close(output.telemetry.std[:, row], kept.std(-1, correction=0))
        torch.testing.assert_close(output.telemetry.max_abs[:, row], kept.abs().amax(-1))
        torch.testing.assert_close(output.token_norms[:, end - 1], kept.norm(dim=-1))


def test_a_model_sees_no_more_than_its_window() -> None:
    """A change of the first key is seen by the last token of the window, and by none after it."""
    inputs = inputs_of(30, False, 8)
    other = inputs._replace(k=inputs.k.clone())
    other.k[:, 0] += 1
    apart = (scan(inputs, empty()).y - scan(other, empty()).y).abs().amax((0, 2, 3))
    assert (apart[:8] > 0)[1:].all() and not apart[8:].any()
