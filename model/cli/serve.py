"""``memory-explorer serve``: the dashboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def serve(
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines.")] = "localhost",
) -> None:
    """Open the dashboard, as `streamlit run app.py` does."""
    entry = Path(__file__).resolve().parent.parent.parent / "app.py"
    options = [f"--server.port={port}", f"--server.address={address}"]
    raise typer.Exit(
        subprocess.call([sys.executable, "-m", "streamlit", "run", str(entry), *options], cwd=entry.parent)
    )
