"""Checkpoints on disk: what is found, and what is refused in which sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kernels.cpu import products
from model.checkpoints.catalogue import available, load_model, load_tokenizer_of, model_card
from model.errors import UserError
from model.published import hub, load, registry, room
from model.published.config import read_published
from model.reading import stream
from model.studies.facts import facts_of, reported_lengths
from tests.support.published import VOCAB, change_config, in_cache, mamba2, random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(900, seed=3)
pytestmark = pytest.mark.usefixtures("places")


# What is found.


def test_memory_is_estimated_for_the_segments_that_are_read() -> None:
    assert (room.SEGMENT, room.TILE, room.BUDGET) == (stream.SEGMENT, stream.TILE, products.BUDGET)


def test_a_folder_and_a_downloaded_name_are_models(checkpoint: Path) -> None:
    assert str(checkpoint) not in available()
    assert model_card(str(checkpoint)).published
    registry.add_folder(str(checkpoint))
    in_cache(checkpoint, "someone/tiny-mamba2")
    cards = available()
    assert {str(checkpoint), "someone/tiny-mamba2"} <= cards.keys()
    assert cards["someone/tiny-mamba2"].train_length == 2048
    assert cards["someone/tiny-mamba2"].weights == cards[str(checkpoint)].weights
    registry.forget_folder(str(checkpoint))
    assert str(checkpoint) not in available() and (checkpoint / "model.safetensors").exists()


def test_the_training_length_is_the_users(checkpoint: Path) -> None:
    registry.note(str(checkpoint), train_length=8192)
    assert model_card(str(checkpoint)).train_length == 8192
    assert not any(entry.name == registry.ABOUT for entry in checkpoint.iterdir())


def test_weights_are_known_by_their_content(copy: Path) -> None:
    before = model_card(str(copy)).weights
    assert model_card(str(copy)).weights == before
    save(mamba2(), copy)
    assert model_card(str(copy)).weights != before


def test_facts_need_no_weights(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetensors.safe_open", lambda *_: pytest.fail("weights were opened"))
    found = facts_of(model_card(str(checkpoint)))
    theirs = random_model("mamba2")
    assert found.parameters == sum(parameter.numel() for parameter in theirs.parameters())
    assert found.state_size == 3 * 64 * 8 and found.state == 4 * found.state_size and found.grows == 0
    # Two bytes more for each, and all four once more in the order of the processor's products.
    assert found.needed["float32"] - found.needed["bfloat16"] == 6 * found.parameters
    assert (found.forget, found.recall) == (None, None)


def test_published_lengths_are_those_of_the_paper_and_only_within_its_fit(tmp_path: Path) -> None:
    def lengths(layers: int, width: int, second: bool = True) -> tuple[int | None, int | None]:
        ssm = {"layer": "Mamba2"} if second else {}
        values = {"d_model": width, "n_layer": layers, "vocab_size": 50277, "ssm_cfg": ssm}
        folder = tmp_path / f"{layers}-{width}-{second}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(values))
        return reported_lengths(read_published(folder, "official"))

    assert lengths(24, 768) == (pytest.approx(20_000, rel=0.05), pytest.approx(16_000, rel=0.05))
    assert lengths(48, 1024) == (pytest.approx(62_000, rel=0.05), pytest.approx(258_000, rel=0.05))
    assert lengths(48, 1536) == lengths(24, 768, second=False) == (None, None)


# What is refused, each in one sentence.


def refused(folder: Path | str) -> str:
    with pytest.raises(UserError) as error:
        load_model(str(folder))
    for language in ("en", "ja"):
        assert error.value.sentence(language).count("\n") == 0
    return error.value.key


def test_pickled_weights_are_never_opened(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_args, **_kwargs: pytest.fail("a pickle was opened"))
    assert refused(copy) == "published.pickled"


def test_code_of_a_checkpoint_is_never_run(copy: Path) -> None:
    change_config(copy, model_type="new_mamba", auto_map={"AutoConfig": "configuration.Config"})
    (copy / "configuration.py").write_text("raise SystemExit('it ran')")
    assert refused(copy) == "published.remote_code"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"model_type": "llama"}, "published.unsupported"),
        ({"quantization_config": {"bits": 4}}, "published.quantised"),
        ({"hidden_size": "wide"}, "checkpoints.bad_config"),
        ({"hidden_act": "relu"}, "published.not_computed"),
        ({"num_hidden_layers": 4}, "published.missing_tensor"),
        ({"num_hidden_layers": 2}, "published.foreign_tensor"),
        ({"state_size": 16}, "published.wrong_shape"),
        ({"model_type": "lfm2"}, "published.no_state"),
        ({"model_type": "glm5_next_text"}, "published.no_head"),
    ],
)
def test_a_configuration_that_does_not_fit(copy: Path, values: dict[str, Any], key: str) -> None:
    change_config(copy, **values)
    assert refused(copy) == key


def rewritten(folder: Path, change: Callable[[str], str | None]) -> None:
    """The weights in ``folder`` under the names that ``change`` gives, without those that it gives none."""
    named = load_file(folder / "model.safetensors")
    new = {change(name): tensor.clone() for name, tensor in named.items()}
    save_file({name: tensor for name, tensor in new.items() if name}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: name.removeprefix("backbone."),
    ],
)
@pytest.mark.parametrize("kind", ["mamba2", "jamba"])
def test_prefixes_of_training_are_understood(kind: str, change: Callable[[str], str], tmp_path: Path) -> None:
    theirs = random_model(kind)
    folder = save(theirs, tmp_path)
    rewritten(folder, change)
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        logits, _ = load_model(str(folder))(tokens)
        torch.testing.assert_close(logits, theirs(tokens, use_cache=False).logits, atol=1e-4, rtol=0)


def test_a_head_of_its_own_is_kept_where_the_configuration_ties_it(copy: Path) -> None:
    from transformers import AutoModelForCausalLM

    named = load_file(copy / "model.safetensors")
    named["lm_head.weight"] = named["lm_head.weight"] + 1
    save_file(named, copy / "model.safetensors")
    change_config(copy, tie_word_embeddings=True)
    theirs = AutoModelForCausalLM.from_pretrained(copy)
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        logits, _ = load_model(str(copy))(tokens)
        torch.testing.assert_close(logits, theirs(tokens, use_cache=False).logits, atol=1e-4, rtol=0)


def test_a_wrong_shape_names_tensor_and_shapes(copy: Path) -> None:
    change_config(copy, state_size=16)
    with pytest.raises(UserError, match=r"conv1d\.bias is 80 and should be 96"):
        load_model(str(copy))


def test_the_norm_of_flash_linear_attention_is_honoured(copy: Path) -> None:
    change_config(copy, norm_eps=0.5)
    values = json.loads((copy / "config.json").read_text())
    del values["layer_norm_epsilon"]
    (copy / "config.json").write_text(json.dumps(values))
    assert read_published(copy, "fla").norm_eps == 0.5


def test_a_tokenizer_that_is_too_small_or_missing(copy: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(copy / "tokenizer.json"))
    with pytest.raises(UserError, match="2 words and the model 320"):
        prepared(TEXT, str(copy))
    load_tokenizer_of.cache_clear()
    (copy / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no fast tokenizer"):
        prepared(TEXT, str(copy))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None])
def test_damaged_weights(copy: Path, content: bytes | None) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000] if content is None else content)
    assert refused(copy) == "checkpoints.bad_weights"


def test_missing_pieces(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert refused(copy) == "published.no_weights"
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert refused(copy) == "published.missing_file"
    (copy / "config.json").unlink()
    assert refused(copy) == "published.no_config"
    assert refused("someone/not-here") == "published.not_downloaded"
    with pytest.raises(UserError, match="no folder"):
        registry.add_folder(str(tmp_path / "nowhere"))


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "free_memory", lambda device: 10**6)
    monkeypatch.setattr(room, "free_memory", lambda device: 10**6)
    monkeypatch.setattr(load, "place", lambda *_: pytest.fail("it was loaded"))
    assert refused(checkpoint) == "published.no_room"


def test_a_tokenizer_of_another_model(copy: Path) -> None:
    file = copy / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(UserError, match="no fast tokenizer"):
        prepared(TEXT, str(copy))


LOADING = """
import resource, sys
import model.published.load as load
import transformers
from pathlib import Path
from model.published.config import read_published

def held():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

folder = Path(sys.argv[1])
config = read_published(folder, "large")
before = held()
model = load.load_published(folder, "large", config, sys.argv[2])
touched = sum(float(parameter.sum()) for parameter in model.parameters())
print(held() - before)
"""


@pytest.mark.parametrize(("precision", "most"), [("float32", 1.3), ("bfloat16", 1.8)])
def test_loading_needs_no_second_copy(tmp_path: Path, precision: str, most: float) -> None:
    theirs = mamba2(hidden_size=512, num_heads=16, head_dim=64, num_hidden_layers=8, vocab_size=30_000)
    theirs.save_pretrained(tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    command = [sys.executable, "-c", LOADING, str(tmp_path), precision]
    done = subprocess.run(command, cwd=hub.ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < most * size  # in bfloat16 the pages of the float32 file count too


def test_tiny_models_have_the_vocabulary_of_their_tokenizer(checkpoint: Path) -> None:
    assert model_card(str(checkpoint)).config.vocab_size == VOCAB


def test_a_published_model_is_not_trained_on(checkpoint: Path) -> None:
    from model.training.post_config import PostTrainConfig
    from model.training.post_training import post_train

    config = PostTrainConfig(base=str(checkpoint), interventions=(("zeros", 1.0),), length=64, rows=2, steps=2)
    with pytest.raises(UserError, match="only reading"):
        post_train(config, {}, checkpoint / "save.safetensors")
