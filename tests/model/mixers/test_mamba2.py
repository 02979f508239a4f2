"""Our Mamba-2 is transformers' Mamba-2, in one piece and streamed."""

import pytest
import torch

from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.state import flatten_state, unflatten_state


@pytest.fixture(scope="module", params=[1, 2], ids=["one group", "two groups"])
def pair(request):
    from transformers import Mamba2Config, Mamba2ForCausalLM

    torch.manual_seed(0)
    groups = request.param
    theirs = Mamba2ForCausalLM(
        Mamba2Config(
            hidden_size=64,
            num_hidden_layers=3,
            num_heads=8,
            head_dim=16,
            state_size=16,
            n_groups=groups,
            vocab_size=97,
            chunk_size=32,
            tie_word_embeddings=False,
        )
    ).eval()
    ours = LanguageModel(
        ModelConfig(
            layers=("mamba2",) * 3,
            d_model=64,
            d_state=16,
            headdim=16,
            ngroups=groups,
            vocab_size=97,
            train_length=64,
            tied=False,
        )
    )
    weights = {"embedding.weight": theirs.backbone.embeddings.weight, "lm_head": theirs.lm_head.weight}
    weights["norm.weight"] = theirs.backbone.norm_f.weight
    for index, layer in enumerate(theirs.backbone.layers):
        mixer, place = layer.mixer, f"blocks.{index}."
        weights |= {place + "norm.weight": layer.norm.weight, place + "mixer.norm.weight": mixer.norm.weight}
        weights |= {place + f"mixer.{name}.weight": getattr(mixer, name).weight for name in ("in_proj", "out_proj")}
        weights |= {place + f"mixer.{name}": getattr(mixer, name) for name in ("A_log", "D", "dt_bias")}
        weights[place + "mixer.conv_weight"] = mixer.conv1d.weight.squeeze(1).T
        weights[place + "mixer.conv_bias"] = mixer.conv1d.bias
    ours.load_state_dict(weights)
    return ours.requires_grad_(False), theirs


TOKENS = torch.randint(0, 97, (2, 300), generator=torch.Generator().manual_seed(1))


def test_logits_in_one_piece(pair) -> None:
    ours, theirs = pair
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    logits, _ = ours(TOKENS)
    assert expected.abs().max() > 1
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_logits_streamed_in_uneven_pieces(pair) -> None:
    ours, theirs = pair
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    state, found, start = None, [], 0
    for length in (1, 2, 7, 63, 64, 65, 98):
        logits, state = ours(TOKENS[:, start : start + length], state)
        found.append(logits)
        start += length
    assert start == TOKENS.shape[1]
    torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-4, rtol=0)


def test_final_state_is_the_cache_of_transformers(pair) -> None:
    ours, theirs = pair
    with torch.no_grad():
        cache = theirs(TOKENS, use_cache=True).cache_params
    _, state = ours(TOKENS)
    for index, layer in enumerate(state):
        torch.testing.assert_close(layer.memory.state, cache.layers[index].recurrent_states[0], atol=1e-4, rtol=0)


def test_reading_changes_neither_model_nor_state(pair) -> None:
    ours, _ = pair
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    _, state = ours(TOKENS)
    kept = {name: tensor.clone() for name, tensor in flatten_state(state).items()}
    ours(TOKENS, state)
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())
    assert all(torch.equal(kept[name], tensor) for name, tensor in flatten_state(state).items())


def test_state_survives_naming(pair) -> None:
    ours, _ = pair
    _, state = ours(TOKENS)
    rebuilt = unflatten_state(flatten_state(state))
    first, _ = ours(TOKENS, state)
    second, _ = ours(TOKENS, rebuilt)
    assert torch.equal(first, second)


def test_bfloat16_keeps_the_state_in_float32(pair) -> None:
    ours, _ = pair
    fast = LanguageModel(ours.config)
    fast.load_state_dict(ours.state_dict())
    exact, _ = ours(TOKENS)
    rounded, state = fast.requires_grad_(False).use_bfloat16()(TOKENS)
    assert all(layer.memory.state.dtype == torch.float32 for layer in state)
    assert (rounded.float() - exact).square().mean() < 1e-3 * exact.square().mean()
