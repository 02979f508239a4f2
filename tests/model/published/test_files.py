"""Checkpoints on disk and on the hub: what is found, what is refused in which sentence, and a reading end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from kernels.cpu import products
from model.checkpoints.catalogue import available, load_model, load_tokenizer_of, model_card
from model.cli.main import app
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS
from model.published import hub, load, registry, room
from model.published.config import read_published
from model.published.tokens import beginning
from model.reading import stream
from model.reading.reference import record_explored, reference_of
from model.reading.runner import run
from model.studies.facts import facts_of, reported_lengths
from model.tokenizer import PIECE
from tests.support.published import VOCAB, mamba2, random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(900, seed=3)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    torch.set_num_threads(1)
    yield
    load_model.cache_clear()
    load_tokenizer_of.cache_clear()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(random_model("mamba2"), tmp_path_factory.mktemp("mamba2"))


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
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


# A reading, end to end.


@pytest.mark.parametrize("kind", ["mamba2", "mamba", "recurrent_gemma", "bamba"])
def test_a_published_model_reads_a_document(kind: str, tmp_path: Path) -> None:
    name = str(save(random_model(kind), tmp_path / "model"))
    registry.note(name, train_length=64)
    card = model_card(name)
    assert record_explored(card, [("notes.txt", tiny_text(2000, 5)), ("short.txt", "oil")], windows=8)
    reference = reference_of(card)
    assert reference is not None and reference.names == ("notes.txt",) and reference.windows == 8
    choices: dict[str, Any] = {"mitigations": {"decay": 2.0}, "initial_state": "fitted", "token_norms": True}
    recording = run(prepared(TEXT, name, **choices), tmp_path / "out")
    config = card.config
    assert recording.meta.layers == config.layers
    heads = recording.array("norm").shape[2]
    assert heads == config.recorded_heads and config.nheads % heads == 0
    at = recording.array("position")[1:] - 1
    np.testing.assert_allclose(recording.array("token_norm")[at], recording.array("norm")[1:], rtol=2e-4, atol=1e-5)
    assert np.isfinite(recording.array("loss")[1:]).all() and recording.summary["unexplored_fraction"] is not None
    mixed = explored_norms(card)
    np.testing.assert_allclose(recording.array("norm")[0], mixed, rtol=0.35)


def explored_norms(card: Any) -> np.ndarray:
    """What the norms of fitted noise should be."""
    from model.diagnostics.explored import Explored

    explored = Explored.load(card.explored)
    elements = card.config.recorded_headdim * card.config.d_state
    return np.sqrt(elements * (explored.std**2 + explored.mean**2))


def test_a_cut_run_of_a_hybrid_goes_on_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.reading.runner.BLOCK", 1024)
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)  # segments of 512 tokens
    name = str(save(random_model("bamba"), tmp_path / "model"))
    seen: list[Any] = []
    document = prepared(TEXT, name, train_length=64)
    cut = run(document, tmp_path / "cut", on_progress=seen.append, stop=lambda: len(seen) >= 3)
    assert not cut.complete
    whole, resumed = run(document, tmp_path / "whole"), run(document, tmp_path / "cut")
    np.testing.assert_array_equal(resumed.array("loss"), whole.array("loss"))
    np.testing.assert_array_equal(resumed.array("norm"), whole.array("norm"))


@pytest.mark.parametrize("name", [name for name, row in MITIGATIONS.items() if row.per_head])
def test_mitigations_that_need_one_rate_per_head_are_refused(name: str, tmp_path: Path) -> None:
    folder = str(save(random_model("mamba"), tmp_path / "model"))
    assert not MITIGATIONS[name].fits(model_card(folder).config)
    assert MITIGATIONS[name].fits(model_card("mamba2-base").config)
    with pytest.raises(UserError, match="one rate"):
        prepared(TEXT, folder, mitigations={name: MITIGATIONS[name].suggested})


def test_the_command_reads_with_a_folder_and_with_a_downloaded_name(checkpoint: Path, tmp_path: Path) -> None:
    in_cache(checkpoint, "someone/tiny-mamba2")
    document = tmp_path / "notes.txt"
    document.write_text(TEXT, "utf-8")
    figures = []
    for model in (str(checkpoint), "someone/tiny-mamba2"):
        arguments = ["read", str(document), "--model", model, "--train-length", "64", "--json"]
        result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
        figures.append(json.loads(result.output)["loss_within"])
    assert figures[0] == figures[1]


def test_tokens_before_every_text_are_read_first(checkpoint: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer_of(str(checkpoint))
    assert beginning(tokenizer) == []
    tokenizer.post_processor = TemplateProcessing(single="! $A", special_tokens=[("!", 7)])
    assert beginning(tokenizer) == [7]
    document = prepared(TEXT, str(checkpoint))
    assert document.tokens[0] == 7 and document.characters[:2].tolist() == [0, 0]


def test_tokens_are_those_of_the_library(checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    text = tiny_text(9000, 3).replace(".", ".\n\n  \n   ")
    assert len(text) > 3 * PIECE
    theirs = AutoTokenizer.from_pretrained(checkpoint)(text)["input_ids"]
    document = prepared(text, str(checkpoint))
    assert document.tokens.tolist() == theirs


# The hub, without a hub.


class Answer:
    """What the hub's client would say."""

    def __init__(self, checkpoint: Path, names: dict[str, int]) -> None:
        self.checkpoint, self.names = checkpoint, names

    def model_info(self, name: str, **_: Any) -> Any:
        siblings = [SimpleNamespace(rfilename=file, size=size) for file, size in self.names.items()]
        return SimpleNamespace(siblings=siblings, safetensors=SimpleNamespace(total=1234))

    def fetch(self, name: str, file: str, local_dir: str, **_: Any) -> None:
        (Path(local_dir) / file).write_bytes((self.checkpoint / file).read_bytes())


@pytest.fixture
def answer(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    import huggingface_hub

    names = {"config.json": 700, "model.safetensors": 4000, "tokenizer.json": 90, "README.md": 5, "consolidated.pth": 9}
    found = Answer(checkpoint, names)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: found)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", found.fetch)
    return found


def test_an_offer_says_what_would_be_fetched(answer: Answer) -> None:
    offer = hub.ask("someone/tiny-mamba2")
    assert offer.files == {"config.json": 700, "model.safetensors": 4000, "tokenizer.json": 90}
    assert offer.size == 4790 and offer.parameters == 1234 and offer.config.state_size == 3 * 64 * 8
    assert registry.downloaded("someone/tiny-mamba2") is None


def test_an_offer_of_pickles_is_none(answer: Answer) -> None:
    answer.names = {"config.json": 1, "pytorch_model.bin": 100}
    with pytest.raises(UserError, match="pickle"):
        hub.ask("someone/tiny-mamba2")
    answer.names = {"README.md": 1}
    with pytest.raises(UserError, match=r"config\.json"):
        hub.ask("someone/tiny-mamba2")


@pytest.mark.parametrize("name", ["", "mamba2", "a/b/c", "../secret", "a b/c"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(UserError, match="not a name of the hub"):
        hub.ask(name)


def test_errors_of_the_hub_are_sentences(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import errors

    def error(kind: type[Exception]) -> Exception:
        return kind.__new__(kind)

    cases = {
        errors.GatedRepoError: "gated",
        errors.RepositoryNotFoundError: "not_found",
        errors.HfHubHTTPError: "hub_error",
        errors.OfflineModeIsEnabled: "offline",
        ConnectionError: "offline",
        TimeoutError: "offline",
    }
    for kind, key in cases.items():

        def fail(*_: Any, kind: type[Exception] = kind, **__: Any) -> None:
            raise error(kind)

        monkeypatch.setattr(answer, "model_info", fail)
        with pytest.raises(UserError) as found:
            hub.ask("someone/tiny-mamba2")
        assert found.value.key == f"published.{key}"


CHILD = """
import sys, time, pathlib
blobs = pathlib.Path(sys.argv[-1]) / ("models--" + sys.argv[-2].replace("/", "--")) / "blobs"
blobs.mkdir(parents=True)
for size in (1000, 4790):
    (blobs / "part.incomplete").write_bytes(b"x" * size)
    time.sleep({seconds})
{end}
"""


def child(monkeypatch: pytest.MonkeyPatch, seconds: float, end: str = "") -> None:
    monkeypatch.setattr(hub, "COMMAND", (sys.executable, "-c", CHILD.format(seconds=seconds, end=end)))


def test_a_download_reports_and_ends(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, 0.3)
    seen: list[tuple[int, int]] = []
    assert hub.download(hub.ask("someone/tiny-mamba2"), report=lambda *step: seen.append(step))
    assert (1000, 4790) in seen and seen[-1] == (4790, 4790)


def test_a_download_can_be_cancelled_and_goes_on_later(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, 60)
    offer = hub.ask("someone/tiny-mamba2")
    assert not hub.download(offer, stop=lambda: hub.on_disk(offer.name) > 0)
    assert hub.on_disk(offer.name) == 1000


@pytest.mark.parametrize(
    ("end", "key"), [("print('published.gated'); sys.exit(1)", "gated"), ("sys.exit(3)", "failed")]
)
def test_a_download_that_fails_says_why(answer: Answer, monkeypatch: pytest.MonkeyPatch, end: str, key: str) -> None:
    child(monkeypatch, 0, end)
    with pytest.raises(UserError) as error:
        hub.download(hub.ask("someone/tiny-mamba2"))
    assert error.value.key == f"published.{key}"


def test_a_download_that_does_not_fit_on_the_disk_never_starts(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr(hub.subprocess, "Popen", lambda *_, **__: pytest.fail("it started"))
    with pytest.raises(UserError, match="on disk"):
        hub.download(hub.ask("someone/tiny-mamba2"))


def test_tiny_models_have_the_vocabulary_of_their_tokenizer(checkpoint: Path) -> None:
    assert model_card(str(checkpoint)).config.vocab_size == VOCAB


def test_a_published_model_is_not_trained_on(checkpoint: Path) -> None:
    from model.training.post_config import PostTrainConfig
    from model.training.post_training import post_train

    config = PostTrainConfig(base=str(checkpoint), interventions=(("zeros", 1.0),), length=64, rows=2, steps=2)
    with pytest.raises(UserError, match="only reading"):
        post_train(config, {}, checkpoint / "save.safetensors")
