"""Every mixer can be trained as the training loop trains: products in bfloat16 by autocast."""

import pytest
import torch

from model.mixers import MIXERS
from tests.support.tiny import tiny_of


@pytest.mark.parametrize("name", MIXERS)
def test_it_learns_under_autocast(name: str) -> None:
    torch.manual_seed(0)
    model = tiny_of(name)
    tokens = torch.randint(0, 30, (4, 65))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model(tokens[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
