"""Tiny random checkpoints as transformers saves them, of every family that it has a class for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model.tokenizer import train_tokenizer
from tests.support.tiny import tiny_text

VOCAB = 320


def mamba2(**choices: Any) -> Any:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_heads": 4, "head_dim": 16, "state_size": 8}
    sizes |= {"n_groups": 1, "chunk_size": 32, "vocab_size": VOCAB}
    return Mamba2ForCausalLM(Mamba2Config(**sizes | choices))


def mamba(**choices: Any) -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "state_size": 8, "vocab_size": VOCAB}
    return MambaForCausalLM(MambaConfig(**sizes | choices))


def falcon_mamba(**choices: Any) -> Any:
    from transformers import FalconMambaConfig, FalconMambaForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "state_size": 8, "vocab_size": VOCAB}
    return FalconMambaForCausalLM(FalconMambaConfig(**sizes | choices))


def recurrent_gemma(**choices: Any) -> Any:
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    sizes = {"hidden_size": 32, "lru_width": 32, "num_hidden_layers": 5, "num_attention_heads": 4, "vocab_size": VOCAB}
    sizes |= {"num_key_value_heads": 1, "intermediate_size": 48, "attention_window_size": 20}
    return RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**sizes | choices))


def bamba(**choices: Any) -> Any:
    from transformers import BambaConfig, BambaForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 5, "attn_layer_indices": [0, 3], "vocab_size": VOCAB}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "mamba_n_groups": 2}
    sizes |= {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8}
    return BambaForCausalLM(BambaConfig(**sizes | choices))


TINY: dict[str, Callable[[], Any]] = {
    "mamba2": mamba2,
    "mamba2 with two groups": lambda: mamba2(n_groups=2, tie_word_embeddings=True),
    "mamba2 with biases and bounded steps": lambda: mamba2(
        use_bias=True, use_conv_bias=False, time_step_limit=(0.002, 0.01)
    ),
    "mamba": mamba,
    "mamba with biases": lambda: mamba(use_bias=True, use_conv_bias=False, tie_word_embeddings=False),
    "falcon_mamba": falcon_mamba,
    "recurrent_gemma": recurrent_gemma,
    "bamba": bamba,
}


def random_model(kind: str) -> Any:
    """A model of ``kind`` in evaluation mode, every parameter moved from where initialisation leaves many at 0 or 1."""
    torch.manual_seed(0)
    model = TINY[kind]().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def save(model: Any, folder: Path) -> Path:
    """Write weights, configuration and a tokenizer as the library does, and return ``folder``."""
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(folder)
    tokenizer = train_tokenizer([tiny_text(4000)], VOCAB)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder
