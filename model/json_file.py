"""JSON on disk: written whole or not at all, and with its own checksum where damage must not pass for numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.disk import write_whole, writing

SEAL = "sha256"
"""The entry that holds the digest of all others."""


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; UserError if the disk does not take it. Infinity and NaN become null."""
    with writing(path):
        write_whole(path, json.dumps(_finite(values), ensure_ascii=False, indent=1).encode())


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON with a digest of itself, for :func:`unsealed`."""
    values = _finite({name: value for name, value in values.items() if name != SEAL})
    write_json(path, {**values, SEAL: digest(values)})


def unsealed(values: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """The ``values`` that :func:`write_sealed` was given, as they were parsed.

    ValueError if they have changed, or have no digest where one is ``required``.
    """
    rest = {name: value for name, value in values.items() if name != SEAL}
    if (required or SEAL in values) and values.get(SEAL) != digest(rest):
        raise ValueError("its digest is another")
    return rest


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON ``values``, however they are laid out in a file."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
