"""Tiny random checkpoints as transformers saves them, of every family that it has a class for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model.published import registry
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


WIDE = {"hidden_size": 32, "num_hidden_layers": 5, "vocab_size": VOCAB, "intermediate_size": 48}
"""Of a hybrid with feed-forward parts."""
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
SSD = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 2, "mamba_chunk_size": 32}


def falcon_h1(**choices: Any) -> Any:
    from transformers import FalconH1Config, FalconH1ForCausalLM

    scaled = {"ssm_multipliers": [0.5, 1.5, 0.8, 1.2, 0.7], "ssm_in_multiplier": 1.3, "lm_head_multiplier": 6.0}
    return FalconH1ForCausalLM(FalconH1Config(**WIDE | HEADS | SSD | scaled | {"mamba_d_ssm": 64} | choices))


def granite(**choices: Any) -> Any:
    from transformers import GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM

    kinds = ["mamba", "attention", "mamba", "mamba", "attention"]
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 40, "logits_scaling": 0.15}
    sizes = WIDE | HEADS | SSD | experts | {"layer_types": kinds, "position_embedding_type": "rope"}
    return GraniteMoeHybridForCausalLM(GraniteMoeHybridConfig(**sizes | choices))


def nemotron_h(**choices: Any) -> Any:
    from transformers import NemotronHConfig, NemotronHForCausalLM

    sizes = {"hidden_size": 32, "vocab_size": VOCAB, "intermediate_size": 48, "head_dim": 8, "ssm_state_size": 8}
    sizes |= {"mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 2, "chunk_size": 32}
    pattern = ["mamba", "mlp", "attention", "mamba", "mamba"]
    return NemotronHForCausalLM(NemotronHConfig(**sizes | HEADS | {"layers_block_type": pattern} | choices))


def zamba2(**choices: Any) -> Any:
    from transformers import Zamba2Config, Zamba2ForCausalLM

    sizes = WIDE | {"num_attention_heads": 4, "num_key_value_heads": 4, "n_mamba_heads": 4, "mamba_ngroups": 2}
    sizes |= {"mamba_d_state": 8, "chunk_size": 32, "num_mem_blocks": 2, "use_mem_rope": True}
    kinds = ["mamba", "hybrid", "mamba", "hybrid", "mamba"]
    return Zamba2ForCausalLM(Zamba2Config(**sizes | {"layers_block_type": kinds} | choices))


def jamba(**choices: Any) -> Any:
    from transformers import JambaConfig, JambaForCausalLM

    sizes = WIDE | HEADS | {"attn_layer_period": 3, "attn_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2}
    return JambaForCausalLM(JambaConfig(**sizes | {"mamba_d_state": 8} | choices))


def zamba(**choices: Any) -> Any:
    from transformers import ZambaConfig, ZambaForCausalLM

    sizes = WIDE | {"num_attention_heads": 4, "num_key_value_heads": 4, "n_mamba_heads": 2, "mamba_d_state": 8}
    return ZambaForCausalLM(ZambaConfig(**sizes | {"attn_layer_period": 3, "attn_layer_offset": 1} | choices))


def minimax(**choices: Any) -> Any:
    from transformers import MiniMaxConfig, MiniMaxForCausalLM

    sizes = WIDE | HEADS | {"num_local_experts": 4, "num_experts_per_tok": 2, "block_size": 32, "head_dim": 8}
    kinds = ["linear_attention", "full_attention", "linear_attention", "linear_attention", "full_attention"]
    scaled = {"linear_attn_alpha_factor": 1.2, "full_attn_beta_factor": 0.9}
    return MiniMaxForCausalLM(MiniMaxConfig(**sizes | {"layer_types": kinds} | scaled | choices))


def xlstm(**choices: Any) -> Any:
    """Drawn here: the library starts gates so closed that the normaliser never counts, and fails on fused weights."""
    from transformers import xLSTMConfig, xLSTMForCausalLM

    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_heads": 4, "vocab_size": VOCAB, "chunk_size": 32}
    with torch.device("meta"):
        model = xLSTMForCausalLM(xLSTMConfig(**sizes | {"output_logit_soft_cap": 8.0} | choices))
    model = model.to_empty(device="cpu")
    for name, parameter in model.named_parameters():
        if "gate_preact.bias" in name:
            parameter.data.uniform_(-2, 5)
        else:
            parameter.data.normal_(1, 0.1) if parameter.ndim == 1 else parameter.data.normal_(std=128**-0.5)
    return model


def rwkv(**choices: Any) -> Any:
    from transformers import RwkvConfig, RwkvForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 5, "intermediate_size": 48, "vocab_size": VOCAB}
    return RwkvForCausalLM(RwkvConfig(**sizes | choices))


def saved_as(kind: str, **choices: Any) -> Any:
    """A model of the library's class for ``kind``."""
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **choices))


KINDS = ["linear_attention", "full_attention", "linear_attention", "linear_attention", "full_attention"]
GDN = {"linear_key_head_dim": 8, "linear_value_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
DELTA = WIDE | HEADS | {"layer_types": KINDS, "pad_token_id": 0, "eos_token_id": 2}
SHARED = EXPERTS | {"shared_expert_intermediate_size": 16}
QWEN = DELTA | GDN | {"head_dim": 8}
STREAMS = {"hc_count": 2, "hc_lowrank": 6, "initializer_range": 0.15}
INDEXER = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 8}
INDEXER |= {"indexer_compress_ratio": 4}
NGRAMS = {"ple_layer_ids": [1, 3], "heads_per_ngram": 2, "ngram_vocab_size_base": 200, "split_ngram_parts": 1}
LATENT = {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
KDA = DELTA | LATENT | {"linear_head_dim": 8, "linear_num_heads": 4, "num_key_value_heads": 4}


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
    "bamba with bounded steps": lambda: bamba(time_step_limit=(0.002, 0.5), mamba_proj_bias=True, attention_bias=True),
    "falcon_h1": falcon_h1,
    "falcon_h1 gated after a norm": lambda: falcon_h1(mamba_rms_norm=True, mamba_proj_bias=True),
    "falcon_h1 normed after a gate": lambda: falcon_h1(mamba_rms_norm=True, mamba_norm_before_gate=False),
    "granitemoehybrid": granite,
    "granitemoehybrid without experts": lambda: granite(num_local_experts=0, tie_word_embeddings=True),
    "nemotron_h": nemotron_h,
    "nemotron_h with experts": lambda: nemotron_h(
        layers_block_type=["moe", "mamba", "attention", "moe"], n_routed_experts=4, moe_intermediate_size=24
    ),
    "zamba2": zamba2,
    "zamba2 with adapters": lambda: zamba2(use_shared_attention_adapter=True, adapter_rank=4, use_mem_rope=False),
    "jamba": jamba,
    "jamba with biases": lambda: jamba(mamba_proj_bias=True, mamba_conv_bias=False, tie_word_embeddings=True),
    "zamba": zamba,
    "zamba with biases": lambda: zamba(mamba_proj_bias=True, mamba_conv_bias=False),
    "qwen3_next": lambda: saved_as("qwen3_next", **QWEN | SHARED),
    "qwen3_5_text": lambda: saved_as("qwen3_5_text", **QWEN),
    "qwen3_5_text with tied heads": lambda: saved_as(
        "qwen3_5_text", **QWEN | {"tie_word_embeddings": True, "linear_num_key_heads": 4}
    ),
    "qwen3_5_moe_text": lambda: saved_as(
        "qwen3_5_moe_text", **QWEN | EXPERTS | {"shared_expert_intermediate_size": 16}
    ),
    "qwen4_exp_text": lambda: saved_as("qwen4_exp_text", **QWEN | SHARED | STREAMS | INDEXER),
    "qwen4_exp_text with n-grams": lambda: saved_as(
        "qwen4_exp_text", **QWEN | SHARED | STREAMS | INDEXER | NGRAMS | {"output_gate_type": "sigmoid"}
    ),
    "olmo_hybrid": lambda: saved_as("olmo_hybrid", **DELTA | GDN | {"linear_num_key_heads": 4}),
    "olmo_hybrid with plain strength": lambda: saved_as(
        "olmo_hybrid", **DELTA | GDN | {"linear_num_key_heads": 4, "linear_allow_neg_eigval": False}
    ),
    "lara_mini": lambda: saved_as("lara_mini", **QWEN | SHARED),
    "kimi_linear": lambda: saved_as(
        "kimi_linear", **KDA | {"num_experts": 4, "num_experts_per_token": 2, "moe_intermediate_size": 24}
    ),
    "bailing_hybrid": lambda: saved_as("bailing_hybrid", **KDA | EXPERTS | {"n_group": 1, "topk_group": 1}),
    "xlstm": xlstm,
    "xlstm with fused weights": lambda: xlstm(weight_mode="fused", gate_soft_cap=4.0, chunk_size=16),
    "rwkv": rwkv,
    "rwkv halved on the way": lambda: rwkv(rescale_every=2, tie_word_embeddings=True),
    "minimax": minimax,
    "minimax with a window": lambda: minimax(sliding_window=20),
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

    if hasattr(model, "rwkv"):  # which halved weights in place when it was read with
        model.train().rwkv._rescale_layers()
        model.eval()
    model.save_pretrained(folder)
    tokenizer = train_tokenizer([tiny_text(4000)], VOCAB)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def in_cache(checkpoint: Path, name: str) -> Path:
    """The checkpoint as the hub's cache would hold it."""
    base = registry.hub_cache() / f"models--{name.replace('/', '--')}"
    folder = base / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("c0ffee")
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
