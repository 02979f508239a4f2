"""Clipping is what torch does under these names; a truncated reading gives the same numbers and no older gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kernels.dispatch import scan
from model.checkpoints.catalogue import load_model
from model.errors import UserError
from model.messages import LANGUAGES, message
from model.state import map_state
from model.training.clipping import CLIPPINGS, clip_gradients
from model.training.loop import read_truncated, token_losses
from tests.support.training import config


def weights(scale: float) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    found = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,))]
    for weight in found:
        weight.grad = scale * torch.randn(weight.shape, generator=generator)
    return [*found, nn.Parameter(torch.zeros(2))]  # the last has no gradient


@pytest.mark.parametrize("scale", [1e-3, 100.0])
def test_clippings_are_those_of_torch(scale: float) -> None:
    before = weights(scale)
    norm = torch.cat([weight.grad.flatten() for weight in before[:2]]).norm()
    for name, by_torch in (
        ("norm", lambda found: nn.utils.clip_grad_norm_(found, 0.5)),
        ("value", lambda found: nn.utils.clip_grad_value_(found, 0.5)),
        ("none", lambda found: None),
    ):
        ours, theirs = weights(scale), weights(scale)
        torch.testing.assert_close(clip_gradients(iter(ours), name, 0.5), norm)
        by_torch(theirs)
        for mine, other in zip(ours[:2], theirs[:2], strict=True):
            assert torch.equal(mine.grad, other.grad)
    assert list(CLIPPINGS) == ["norm", "value", "none"]


def test_an_unknown_clipping_and_a_limit_of_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="clipping"):
        config(("zeros", 1.0), clipping="softly").check()
    for changes in ({"clip": 0.0}, {"truncation": -1}):
        with pytest.raises(UserError, match=next(iter(changes))):
            config(("zeros", 1.0), **changes).check()
    config(("zeros", 1.0), clipping="value", clip=0.01, truncation=16).check()
    for name in CLIPPINGS:
        assert all(message(f"training.clipping_{name}{end}", which) for end in ("", "_help") for which in LANGUAGES)


@pytest.mark.parametrize("truncation", [0, 16, 24, 64])
def test_a_truncated_reading_gives_the_same_numbers_and_no_gradient_beyond_its_length(truncation: int) -> None:
    model = load_model("tiny")
    tokens = torch.randint(0, model.config.vocab_size, (2, 65), generator=torch.Generator().manual_seed(0))
    state = map_state(model.zero_state(2), lambda tensor: tensor.requires_grad_())
    scans = [scan] * len(model.config.layers)
    whole, after = model(tokens[:, :-1], None, scans)
    logits, ended = read_truncated(model, tokens[:, :-1], state, scans, truncation)
    torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ended[1].memory.state, after[1].memory.state, rtol=1e-4, atol=1e-4)
    losses = token_losses(logits, tokens[:, 1:])
    if truncation in (0, 64):
        (found,) = torch.autograd.grad(losses[:, -1].sum(), state[0].memory.state)
        assert found.abs().max() > 0
    else:  # every piece is cut off what was before it, the first too
        assert not losses.requires_grad
    model.requires_grad_(True)
    try:
        parts = read_truncated(model, tokens[:, :-1], None, scans, truncation)[0]
        token_losses(parts, tokens[:, 1:]).sum().backward()
        assert model.blocks[0].mixer.in_proj.weight.grad.abs().max() > 0
    finally:
        model.requires_grad_(False)
        model.zero_grad(set_to_none=True)
