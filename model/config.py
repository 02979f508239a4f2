"""What a model is made of, as frozen data, and the presets that this project trains or is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RECORDED_CHANNELS = 64
"""Channels that are recorded as one head, at most, where heads are one channel wide: as many as Mamba-2 usually has."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a recurrent language model, in the words of the Mamba-2 paper.

    ``layers`` names one mixer of :data:`model.mixers.MIXERS` per layer, so a hybrid is a mixed tuple.
    ``train_length`` is the number of tokens of a training sequence: past it, a state is extrapolation.
    ``bias`` and ``step_limit`` are of published checkpoints: whether a mixer's projections have one, and what its step
    sizes are held between.
    """

    layers: tuple[str, ...]
    d_model: int
    d_state: int
    headdim: int
    vocab_size: int
    train_length: int
    expand: float = 2
    ngroups: int = 1
    d_conv: int = 4
    norm_eps: float = 1e-5
    tied: bool = True
    bias: bool = False
    step_limit: tuple[float, float] | None = None

    @property
    def d_inner(self) -> int:
        """Width of a mixer: expand * d_model."""
        return int(self.expand * self.d_model)

    @property
    def nheads(self) -> int:
        """Heads of a mixer: d_inner / headdim."""
        return self.d_inner // self.headdim

    @property
    def recorded_heads(self) -> int:
        """Heads of a layer as they are recorded: a mixer's own, or groups of channels where heads are one channel."""
        if self.headdim > 1:
            return self.nheads
        together = max(size for size in range(1, RECORDED_CHANNELS + 1) if self.nheads % size == 0)
        return self.nheads // together

    @property
    def recorded_headdim(self) -> int:
        """Channels of a recorded head."""
        return self.d_inner // self.recorded_heads

    @property
    def state_size(self) -> int:
        """Elements of the recurrent state of the whole model (without the convolution windows)."""
        return len(self.layers) * self.d_inner * self.d_state


def small(mixer: str, **sizes: Any) -> ModelConfig:
    """Two layers of ``mixer`` around the width, vocabulary and training length of the shipped models."""
    return ModelConfig(layers=(mixer,) * 2, d_model=128, vocab_size=2048, train_length=256, **sizes)


PRESETS: dict[str, ModelConfig] = {
    "mamba2-base": ModelConfig(
        layers=("mamba2",) * 2, d_model=128, d_state=64, headdim=32, vocab_size=2048, train_length=256
    ),
    "gated-deltanet-base": ModelConfig(
        layers=("gated_deltanet",) * 2,
        d_model=128,
        d_state=64,
        headdim=64,
        ngroups=2,
        vocab_size=2048,
        train_length=256,
    ),
    # One of each family at about the parameters of mamba2-base; sizes of heads as parameters allow.
    "retnet-base": small("retention", expand=1, headdim=32, d_state=64),
    "linear-attention-base": small("linear_attention", expand=1, headdim=32, d_state=80),
    "gla-base": small("gla", expand=1, headdim=32, d_state=64),
    "mamba3-base": small("mamba3", headdim=32, d_state=64),
    "mamba-base": small("mamba", headdim=1, d_state=16),
    "lru-base": small("lru", headdim=1, d_state=1),
    "s4d-base": small("s4d", headdim=1, d_state=16),
    "s5-base": small("s5", headdim=1, d_state=1),
    "rwkv7-base": small("rwkv7", expand=1, headdim=32, d_state=32),
    "transformer-rope-base": small("attention_rope", expand=1, headdim=32, d_state=2),
    "transformer-alibi-base": small("attention_alibi", expand=1, headdim=32, d_state=2),
    "hybrid-base": ModelConfig(
        layers=("mamba2", "attention_window"),
        d_model=128,
        d_state=64,
        headdim=32,
        vocab_size=2048,
        train_length=256,
    ),
    "transformer-window-base": small("attention_window", expand=1, headdim=32, d_state=2),
    # Cells: about as many parameters, in units of the state; d_state is the number of vectors that a cell carries.
    **{
        f"{name}-base": ModelConfig(
            layers=(name,) * 2,
            d_model=128,
            d_state=vectors,
            headdim=headdim,
            expand=units / 128,
            vocab_size=2048,
            train_length=256,
        )
        for name, units, headdim, vectors in (
            ("rnn", 240, 30, 1),
            ("lstm", 112, 14, 2),
            ("gru", 128, 16, 1),
            ("scrn", 256, 32, 1),
            ("ascrn", 256, 32, 1),
            ("ctrnn", 240, 30, 1),
            ("ltc", 24, 8, 1),
            ("cfc", 144, 18, 1),
        )
    },
    # The shape of the published 130M checkpoint (arXiv 2405.21060): random weights, for measuring speed only.
    "mamba2-130m": ModelConfig(
        layers=("mamba2",) * 24, d_model=768, d_state=128, headdim=64, vocab_size=50288, train_length=2048
    ),
}
