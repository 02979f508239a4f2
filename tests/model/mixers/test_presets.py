"""Every preset: about half a million parameters, the same result however a text is cut, and a loss that falls."""

from dataclasses import replace

import pytest
import torch

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, save_checkpoint
from model.config import PRESETS, ModelConfig
from model.tokenizer import train_tokenizer
from model.training.loop import token_losses
from tests.support.tiny import tiny_text

SMALL = sorted(PRESETS.keys() - {"mamba2-130m"})
LARGER = {"gated-deltanet-base": 0.07}
"""Shipped before the others were made."""
FEWER = {"ltc-base"}
"""A cell whose time would be that of ten others."""


@pytest.mark.parametrize("name", [name for name in SMALL if name not in FEWER])
def test_a_preset_has_about_half_a_million_parameters(name: str) -> None:
    model = LanguageModel(PRESETS[name])
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert count == pytest.approx(500_000, rel=LARGER.get(name, 0.05))


@pytest.mark.parametrize("name", SMALL)
def test_a_text_in_pieces_is_read_as_in_one(name: str) -> None:
    torch.manual_seed(0)
    model = LanguageModel(PRESETS[name]).double()
    tokens = torch.randint(0, 2048, (2, 41))
    with torch.inference_mode():
        whole, after = model(tokens)
        first, state = model(tokens[:, :17])
        second, state = model(tokens[:, 17:18], state)
        third, state = model(tokens[:, 18:], state)
    torch.testing.assert_close(torch.cat([first, second, third], 1), whole, rtol=1e-9, atol=1e-9)
    for one, other in zip(after, state, strict=True):
        torch.testing.assert_close(one.memory.state, other.memory.state, rtol=1e-9, atol=1e-9)
        assert one.memory.state.shape[1:] == (model.config.nheads, model.config.headdim, model.config.d_state)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_one_of_each_learns(name: str) -> None:
    torch.manual_seed(0)
    config: ModelConfig = replace(PRESETS[name], vocab_size=64)
    model = LanguageModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    tokens = torch.arange(33).remainder(7).expand(2, -1) + torch.tensor([[0], [20]])
    losses = []
    for _ in range(6):
        logits, _ = model(tokens[:, :-1])
        loss = token_losses(logits, tokens[:, 1:]).mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(torch.isfinite(part.grad).all() for part in model.parameters() if part.grad is not None)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("name", ["lru-base", "transformer-alibi-base", "hybrid-base"])
def test_a_checkpoint_of_it_opens_again(name: str, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    torch.manual_seed(0)
    config = replace(PRESETS[name], vocab_size=320)
    model = LanguageModel(config)
    save_checkpoint(tmp_path / "checkpoints" / "one", model, train_tokenizer([tiny_text(300)], 320))
    tokens = torch.randint(0, 320, (1, 20))
    torch.testing.assert_close(load_model("one")(tokens)[0], model(tokens)[0])
