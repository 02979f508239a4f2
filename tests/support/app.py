"""The app under test: where it stands, and what holds of it on every page."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = str(ROOT / "app.py")
