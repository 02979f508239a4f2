"""A tiny model and its tokenizer, in memory alone."""

from __future__ import annotations

import pytest

from model.config import ModelConfig
from model.studies.passkey.prompts import SENTENCES
from model.studies.recall import PASSKEYS
from model.tokenizer import train_tokenizer
from tests.support.passkey import DOCUMENT


@pytest.fixture(scope="module")
def tokenizer():
    """So few merges that most Japanese characters are several tokens."""
    needles = [form.needle + form.query for form in PASSKEYS.values()]
    return train_tokenizer([*SENTENCES.values(), *needles, DOCUMENT], 420)


@pytest.fixture(scope="module")
def model(tokenizer):
    import torch

    from model.arch.lm import LanguageModel

    torch.manual_seed(3)
    sizes = {"d_model": 16, "d_state": 8, "headdim": 8, "train_length": 64}
    model = LanguageModel(ModelConfig(layers=("mamba2",) * 2, vocab_size=tokenizer.get_vocab_size(), **sizes))
    with torch.no_grad():  # random weights that nevertheless prefer digits, so that some answers are right
        for digit in "13579":
            model.embedding.weight[tokenizer.token_to_id(digit)] *= 40
    return model.double().requires_grad_(False)
