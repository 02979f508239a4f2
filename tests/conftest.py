"""What every test may count on: a data folder that is not the user's, and on demand one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side, a core each; set before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def no_folder_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the data folder of the person who runs it; jobs run in threads of the test.

    Sessions of the app are those of a shared server without a cookie: none sees what another leaves. Tests of what
    lasts say so themselves.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path_factory.mktemp("unused")))
        patch.setenv("MEMORY_EXPLORER_JOBS", "threads")  # a worker process takes seconds to import torch
        patch.setenv("MEMORY_EXPLORER_SHARED", "1")
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of the test's own; models that were loaded from it are forgotten afterwards."""
    from tests.support.homes import forget_models

    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    yield tmp_path
    forget_models()
