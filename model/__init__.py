"""The library: recurrent language models whose memory can be recorded, replaced and mitigated from outside.

    from model import load_model, read, diagnose, open_recording, MITIGATIONS, INITIAL_STATES, MIXERS

Importing this package imports nothing else; each name is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "load_model": "model.checkpoints.catalogue",
    "available": "model.checkpoints.catalogue",
    "read": "model.api",
    "diagnose": "model.api",
    "open_recording": "model.api",
    "token_table": "model.api",
    "MITIGATIONS": "model.interventions.mitigations",
    "INITIAL_STATES": "model.interventions.initial_states",
    "MIXERS": "model.mixers",
}
"""The public names, and the module that each is loaded from."""

__all__ = [
    *("INITIAL_STATES", "MITIGATIONS", "MIXERS", "available", "diagnose", "load_model", "open_recording", "read"),
    "token_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
