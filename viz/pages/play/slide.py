"""The story as a slide."""

from __future__ import annotations

from viz.pages.play.view import slide as render

__all__ = ["render"]
