"""The hub, without a hub: what an offer says, and a download that ends, is cancelled, or fails."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model.errors import UserError
from model.published import hub, registry

pytestmark = pytest.mark.usefixtures("places")


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
    offer = hub.look_up("someone/tiny-mamba2")
    assert offer.files == {"config.json": 700, "model.safetensors": 4000, "tokenizer.json": 90}
    assert offer.size == 4790 and offer.parameters == 1234 and offer.config.state_size == 3 * 64 * 8
    assert registry.downloaded("someone/tiny-mamba2") is None


def test_an_offer_of_pickles_is_none(answer: Answer) -> None:
    answer.names = {"config.json": 1, "pytorch_model.bin": 100}
    with pytest.raises(UserError, match="pickle"):
        hub.look_up("someone/tiny-mamba2")
    answer.names = {"README.md": 1}
    with pytest.raises(UserError, match=r"config\.json"):
        hub.look_up("someone/tiny-mamba2")


@pytest.mark.parametrize("name", ["", "mamba2", "a/b/c", "../secret", "a b/c"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(UserError, match="not a name of the hub"):
        hub.look_up(name)


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
            hub.look_up("someone/tiny-mamba2")
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
    assert hub.download(hub.look_up("someone/tiny-mamba2"), report=lambda *step: seen.append(step))
    assert (1000, 4790) in seen and seen[-1] == (4790, 4790)


def test_a_download_can_be_cancelled_and_goes_on_later(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, 60)
    offer = hub.look_up("someone/tiny-mamba2")
    assert not hub.download(offer, stop=lambda: hub.on_disk(offer.name) > 0)
    assert hub.on_disk(offer.name) == 1000


@pytest.mark.parametrize(
    ("end", "key"), [("print('published.gated'); sys.exit(1)", "gated"), ("sys.exit(3)", "failed")]
)
def test_a_download_that_fails_says_why(answer: Answer, monkeypatch: pytest.MonkeyPatch, end: str, key: str) -> None:
    child(monkeypatch, 0, end)
    with pytest.raises(UserError) as error:
        hub.download(hub.look_up("someone/tiny-mamba2"))
    assert error.value.key == f"published.{key}"


def test_a_download_that_does_not_fit_on_the_disk_never_starts(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr(hub.subprocess, "Popen", lambda *_, **__: pytest.fail("it started"))
    with pytest.raises(UserError, match="on disk"):
        hub.download(hub.look_up("someone/tiny-mamba2"))
