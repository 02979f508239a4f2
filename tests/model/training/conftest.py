"""A home with the tiny model, texts to train on, and a training that is watched step by step."""

from types import SimpleNamespace

import pytest
import torch

from kernels.cpu.chunked import chunked_scan
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_tokenizer_of
from model.training import loop
from model.training.data import tokenize_groups
from model.training.post_config import PostTrainConfig
from model.training.post_training import Starts, post_train
from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint, tiny_text


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("home")
    patch.setenv("MEMORY_EXPLORER_HOME", str(home))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    make_tiny_checkpoint(home)
    yield home
    torch.set_num_threads(threads)
    patch.undo()
    forget_models()


@pytest.fixture(scope="module")
def streams(tiny):
    return tokenize_groups(
        load_tokenizer_of("tiny"), {"a": [tiny_text(1500, 1), tiny_text(900, 2)], "b": [tiny_text(1200, 3)]}
    )


@pytest.fixture
def watched(monkeypatch, streams, tmp_path):
    """Post-train and return, step by step: tokens, what entered the scans and the convolutions, what was left."""

    def watch(run_config: PostTrainConfig, starts: Starts | None = None) -> list[SimpleNamespace]:
        seen: list[SimpleNamespace] = []
        forward = LanguageModel.forward

        def spied_scan(inputs, memory, *rest, **choices):
            seen[-1].memories.append(memory.state)
            return chunked_scan(inputs, memory, *rest, **choices)

        def spied_forward(self, tokens, state=None, scans=None):
            windows = [layer.window for layer in state]
            seen.append(SimpleNamespace(tokens=tokens.clone(), windows=windows, memories=[]))
            logits, after = forward(self, tokens, state, scans)
            seen[-1].left = after
            return logits, after

        with monkeypatch.context() as patch:
            patch.setattr(loop, "scan", spied_scan)
            patch.setattr(LanguageModel, "forward", spied_forward)
            post_train(run_config, streams, tmp_path / "watched.safetensors", starts=starts)
        assert len(seen) == run_config.steps and all(len(step.memories) == 2 for step in seen)
        return seen

    return watch
