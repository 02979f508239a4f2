"""The state norms as a slide."""

from __future__ import annotations

from viz.pages.state_norms.view import slide as render

__all__ = ["render"]
