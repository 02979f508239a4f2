"""The map of the states as a slide."""

from __future__ import annotations

from viz.pages.state_map.view import slide as render

__all__ = ["render"]
