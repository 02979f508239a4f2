"""The dashboard: all that a user sees. It reads recordings and never a model."""

from pathlib import Path

from model.messages import add_folders
from viz.app.navigation import PAGES

_HERE = Path(__file__).parent
add_folders(
    [
        *(_HERE / part for part in ("app", "figures", "jobs", "report", "ui")),
        *(_HERE / "pages" / page for page in PAGES),
    ]
)
