"""A home with one tiny model."""

import pytest
import torch

from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A home with one tiny model, which is the only one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", tmp_path / "none")
    forget_models()
    make_tiny_checkpoint(tmp_path / "home")
    yield tmp_path
    torch.set_num_threads(threads)
    forget_models()
