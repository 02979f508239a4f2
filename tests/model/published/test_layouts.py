"""Checkpoints without a class in transformers: flash-linear-attention's, and the original state-spaces layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import UserError
from model.mixers import decay_per_head
from model.published.config import read_published
from model.published.load import load_published
from model.published.tokens import load_published_tokenizer
from tests.support import plain
from tests.support.published import random_model, save

TOKENS = torch.randint(0, plain.VOCAB, (2, 90), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", list(plain.CONFIGS))
def test_flash_linear_attention_equals_the_plain_recurrence(kind: str, tmp_path: Path) -> None:
    named = plain.weights(kind)
    plain.save(kind, tmp_path)
    expected, states = plain.read(kind, named, TOKENS)
    ours = load_published(tmp_path, kind, read_published(tmp_path, kind))
    one_rate = kind in ("retnet", "delta_net", "gated_deltanet")
    assert ours.config.train_length == 64 and decay_per_head(ours.config.layers) == one_rate
    with torch.inference_mode():
        logits, after = ours(TOKENS)
        state, found = None, []
        for piece in TOKENS.split((1, 16, 2, 63, 8), dim=1):
            part, state = ours(piece, state)
            found.append(part)
    assert expected.abs().max() > 1
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-4, rtol=0)
    for layer, truth in zip(after, states, strict=True):
        torch.testing.assert_close(layer.memory.state.transpose(-1, -2), truth, atol=1e-4, rtol=0)


def original(kind: str, folder: Path) -> tuple[Path, torch.Tensor]:
    """A tiny model of the library, saved as the state-spaces repositories save theirs; its logits."""
    theirs = random_model(kind)
    with torch.inference_mode():
        expected = theirs(TOKENS, use_cache=False).logits
    library = theirs.config
    save(theirs, folder)
    named = load_file(folder / "model.safetensors")
    named["backbone.embedding.weight"] = named.pop("backbone.embeddings.weight")
    named.setdefault("lm_head.weight", named["backbone.embedding.weight"].clone())
    save_file(named, folder / "model.safetensors")
    ssm = {"d_state": library.state_size}
    if kind == "mamba2":
        ssm |= {"layer": "Mamba2", "headdim": library.head_dim}
    values = {"d_model": library.hidden_size, "n_layer": library.num_hidden_layers, "ssm_cfg": ssm, "rms_norm": True}
    values |= {"vocab_size": plain.VOCAB - 3, "pad_vocab_size_multiple": 16, "attn_layer_idx": []}
    values["tie_embeddings"] = library.tie_word_embeddings
    (folder / "config.json").write_text(json.dumps(values))
    return folder, expected


@pytest.mark.parametrize("kind", ["mamba2", "mamba"])
def test_the_original_layout_gives_the_same_numbers(kind: str, tmp_path: Path) -> None:
    folder, expected = original(kind, tmp_path)
    with torch.inference_mode():
        logits, _ = load_published(folder, kind, read_published(folder, kind))(TOKENS)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_the_original_layout_honours_bounds_of_the_step_and_the_order_of_gate_and_norm(tmp_path: Path) -> None:
    folder, expected = original("mamba2", tmp_path)
    values = json.loads((folder / "config.json").read_text())
    for setting in ({"dt_limit": [0.01, 0.02]}, {"norm_before_gate": True}):
        changed = {**values, "ssm_cfg": {**values["ssm_cfg"], **setting}}
        (folder / "config.json").write_text(json.dumps(changed))
        config = read_published(folder, str(setting))
        assert config.step_limit == (0.01, 0.02) or config.gate_after_norm
        with torch.inference_mode():
            logits, _ = load_published(folder, "original", config)(TOKENS)
        assert (logits - expected).abs().max() > 1e-2


@pytest.mark.parametrize("setting", [{"layer": "Mamba3"}, {"D_has_hdim": True}, {"rmsnorm": False}])
def test_settings_of_the_original_layout_that_are_not_computed_are_named(setting: dict, tmp_path: Path) -> None:
    folder, _ = original("mamba2", tmp_path)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "ssm_cfg": {**values["ssm_cfg"], **setting}}))
    with pytest.raises(UserError, match=next(iter(setting))):
        read_published(folder, "original")


def test_a_bare_tokenizer_file_is_enough(tmp_path: Path) -> None:
    folder, _ = original("mamba2", tmp_path)
    text = "pump 17 was checked, 圧力は正常"
    whole = load_published_tokenizer(folder, "original").encode(text).ids
    (folder / "tokenizer_config.json").unlink()
    assert load_published_tokenizer(folder, "original").encode(text).ids == whole


def test_an_original_hybrid_is_not_taken_for_a_plain_one(tmp_path: Path) -> None:
    folder, _ = original("mamba2", tmp_path)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "attn_layer_idx": [1]}))
    with pytest.raises(UserError, match="not read here"):
        read_published(folder, "hybrid")
