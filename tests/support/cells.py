"""Small mixers of the second door, and libraries' modules with the same weights."""

from __future__ import annotations

import torch

from model.config import ModelConfig
from model.mixers import MIXERS

CELLS = {name: row for name, row in MIXERS.items() if row.cell}
VECTORS = {"lstm": 2}


def cell_config(name: str, layers: int = 1, **sizes) -> ModelConfig:
    """Four heads of six units."""
    known = {"d_model": 12, "expand": 2, "headdim": 6, "d_state": VECTORS.get(name, 1), "vocab_size": 320}
    return ModelConfig(layers=(name,) * layers, train_length=64, **{**known, **sizes})


def make_cell(name: str, seed: int = 0, **sizes) -> torch.nn.Module:
    """The mixer ``name`` in float64, with biases that are not zero."""
    torch.manual_seed(seed)
    mixer = CELLS[name].make(cell_config(name, **sizes)).double()
    for parameter in mixer.parameters():
        if parameter.ndim == 1:
            parameter.data += torch.randn_like(parameter) / 4
    return mixer


def random_state(mixer: torch.nn.Module, rows: int) -> torch.Tensor:
    """A memory that is not empty, (rows, nheads, headdim, d_state)."""
    return torch.randn_like(mixer.zero_state(rows).memory.state) / 2


def torch_module(mixer: torch.nn.Module) -> torch.nn.Module:
    """torch.nn's RNN, LSTM or GRU with the weights of ``mixer``."""
    kinds = {"rnn_tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    units, width = mixer.config.d_inner, mixer.config.d_model
    theirs = kinds[mixer.fused](width, units, batch_first=True).double()
    for parameter, weight in zip(theirs.parameters(), mixer.weights(), strict=True):
        parameter.data.copy_(weight)
    return theirs
