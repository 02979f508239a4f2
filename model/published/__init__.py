"""The table of published families: checkpoints that others trained, read through our own scan.

A row is named like ``model_type`` of a checkpoint's ``config.json``. Its module says how the library's configuration
translates into ours (``sizes``). Where transformers has the model, the body is the library's own, with two exceptions:
the module names the class of its recurrent mixer (``MIXER``) and puts the parameters into ours (``adopted``; ``PAIR``
if that class returns two values). Otherwise it says which of our modules make up a layer and where their weights lie
(``anatomy``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Family:
    """One row: ``title`` for people, ``module`` below :mod:`model.published`, and what is assumed of its training.

    ``train_length``: tokens of a training sequence where the configuration does not tell; the user can change it.
    ``in_transformers``: whether the library has a class that reads the configuration; ``own_body``: all modules are
    ours even so.
    """

    title: str
    module: str
    train_length: int = 2048
    in_transformers: bool = True
    own_body: bool = False

    @property
    def library_body(self) -> bool:
        """Whether the library's modules stand around our mixers; otherwise all modules are ours."""
        return self.in_transformers and not self.own_body


FAMILIES: dict[str, Family] = {
    "mamba2": Family(title="Mamba-2", module="mamba2"),
    "mamba": Family(title="Mamba", module="mamba"),
    "falcon_mamba": Family(title="Falcon-Mamba", module="falcon_mamba", train_length=8192),
    "recurrent_gemma": Family(title="RecurrentGemma", module="recurrent_gemma", train_length=8192),
    "bamba": Family(title="Bamba", module="bamba", train_length=4096),
    "falcon_h1": Family(title="Falcon-H1", module="falcon_h1", train_length=8192),
    "granitemoehybrid": Family(title="Granite 4.0", module="granite", train_length=4096),
    "nemotron_h": Family(title="Nemotron-H", module="nemotron_h", train_length=8192),
    "zamba2": Family(title="Zamba2", module="zamba2", train_length=4096),
    "jamba": Family(title="Jamba", module="jamba", train_length=4096),
    "zamba": Family(title="Zamba", module="zamba", train_length=4096),
    "minimax": Family(title="MiniMax-01", module="minimax", train_length=8192),
    "qwen3_next": Family(title="Qwen3-Next", module="qwen3_next", train_length=32768),
    "qwen3_5_text": Family(title="Qwen3.5", module="gated_deltanet", train_length=32768),
    "qwen3_5_moe_text": Family(title="Qwen3.5 MoE", module="qwen3_5_moe", train_length=32768),
    "qwen4_exp_text": Family(title="Qwen4-Exp", module="qwen4_exp", train_length=32768),
    "olmo_hybrid": Family(title="OLMo Hybrid", module="olmo_hybrid", train_length=8192),
    "lara_mini": Family(title="Lara mini", module="lara_mini", train_length=8192),
    "kimi_linear": Family(title="Kimi Linear", module="kimi_linear", train_length=4096),
    "bailing_hybrid": Family(title="Bailing hybrid", module="bailing_hybrid", train_length=4096),
    "xlstm": Family(title="xLSTM", module="xlstm", train_length=8192, own_body=True),
    "rwkv": Family(title="RWKV-4", module="rwkv4", train_length=1024, own_body=True),
    "gla": Family(title="GLA", module="gla", in_transformers=False),
    "hgrn2": Family(title="HGRN-2", module="hgrn2", in_transformers=False),
    "rwkv6": Family(title="RWKV-6", module="rwkv6", in_transformers=False),
    "rwkv7": Family(title="RWKV-7", module="rwkv7", in_transformers=False),
    "retnet": Family(title="RetNet", module="retnet", in_transformers=False),
    "delta_net": Family(title="DeltaNet", module="delta_net", in_transformers=False),
    "gated_deltanet": Family(title="Gated DeltaNet", module="delta_net", in_transformers=False),
}


WITHOUT_STATE = ("lfm2", "lfm2_moe", "lfm3", "zaya")
"""Kinds whose layers are short convolutions and attention: there is no recurrent state that could be looked at."""

WITHOUT_HEAD = ("glm5_next", "glm5_next_text")
"""Kinds with a recurrent state of which the library has no causal language model for text."""


def titles() -> str:
    """The families by name, for a sentence."""
    return ", ".join(family.title for family in FAMILIES.values())
