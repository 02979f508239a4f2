"""The hub: what a name stands for, how large it is, and getting it; never before a user asks for it.

A download runs in a process of its own, which can be ended at any time and resumes where it was when it is started
again. Only weights in safetensors, configurations and tokenizers are taken; they land in the hub's own cache, where
transformers finds them too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from model.errors import UserError
from model.published.config import PublishedConfig, read_published
from model.published.files import check_names
from model.published.registry import HUB_NAME, hub_cache
from model.published.room import gigabytes

WANTED = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")
WANTED_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt")
PATTERNS = (*WANTED, *WANTED_TOKENIZER)
COMMAND = (sys.executable, "-m", "model.published.fetch")
ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 10.0
"""How long the hub may take to answer a question."""


class Offer(NamedTuple):
    """What the hub has under ``name``: the ``files`` that would be fetched, with their sizes in bytes.

    ``parameters`` is None where the hub does not say.
    """

    name: str
    files: dict[str, int]
    config: PublishedConfig
    parameters: int | None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


def look_up(name: str) -> Offer:
    """Look ``name`` up on the hub; UserError in one sentence if it cannot be reached, or gives nothing to read here.

    Beside the list of files only ``config.json`` is fetched, and not kept.
    """
    check_hub_name(name)
    from huggingface_hub import HfApi, hf_hub_download

    try:
        info: Any = HfApi().model_info(name, files_metadata=True, timeout=SECONDS)
        sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
        if "config.json" not in sizes:
            raise UserError("published.no_config", name=name)
        with tempfile.TemporaryDirectory() as folder:
            hf_hub_download(name, "config.json", local_dir=folder, etag_timeout=SECONDS)
            config = read_published(Path(folder), name)
        check_names(sizes, name)
    except UserError:
        raise
    except Exception as error:
        raise in_a_sentence(error, name) from error
    files = {file: size for file, size in sizes.items() if any(fnmatch(file, pattern) for pattern in PATTERNS)}
    total = getattr(getattr(info, "safetensors", None), "total", None)
    return Offer(name, files, config, total)


def check_hub_name(name: str) -> None:
    """UserError unless ``name`` is written as owner/model."""
    if not HUB_NAME.fullmatch(name):
        raise UserError("published.not_a_hub_name", name=name)


def in_a_sentence(error: Exception, name: str) -> UserError:
    """What went wrong between here and the hub."""
    from huggingface_hub import errors

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (errors.GatedRepoError, "gated"),
        (errors.RepositoryNotFoundError, "not_found"),
        (errors.RevisionNotFoundError, "not_found"),
        (errors.HFValidationError, "not_a_hub_name"),
        (errors.LocalEntryNotFoundError, "offline"),
        (errors.HfHubHTTPError, "hub_error"),
    )
    for kind, key in kinds:
        if isinstance(error, kind):
            return UserError(f"published.{key}", name=name)
    return UserError("published.offline", name=name)  # no connection, no name server, offline mode: all kinds of these


def download(
    offer: Offer,
    report: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Fetch ``offer`` into the hub's cache; False if ``stop()`` turned true before everything was there.

    ``report(bytes on disk, bytes of all files)`` is called several times a second.
    """
    cache = hub_cache()
    cache.mkdir(parents=True, exist_ok=True)
    left = offer.size - on_disk(offer.name)
    free = shutil.disk_usage(cache).free
    if left > free:
        raise UserError("published.no_space", name=offer.name, needed=gigabytes(left), free=gigabytes(free))
    # The plain protocol leaves what it has so far in the cache, where it is counted and resumed from.
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(
        [*COMMAND, offer.name, str(cache)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None:
            report(min(on_disk(offer.name), offer.size), offer.size)
            if stop():
                return False
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    said = process.communicate()[0].strip()
    if process.returncode:
        known = re.fullmatch(r"published\.\w+", said)
        raise UserError(said if known else "published.failed", name=offer.name)
    report(offer.size, offer.size)
    return True


def on_disk(name: str) -> int:
    """Bytes that the cache holds of ``name``, those of unfinished files included."""
    blobs = hub_cache() / f"models--{name.replace('/', '--')}" / "blobs"
    total = 0
    for file in blobs.glob("*"):
        try:
            total += file.stat().st_size
        except OSError:
            continue  # it was renamed just now
    return total
