"""The public names: loaded only when asked for, and a notebook that uses them from the first cell to the last."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import model

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, model; found = [name for name in sys.modules if name.startswith('model.')]; "
        "sys.exit(bool(found) or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=NOTEBOOK.parent.parent, check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert all(getattr(model, name) is not None for name in model.__all__)
    assert set(model.__all__) <= set(dir(model))
    with pytest.raises(AttributeError, match="no attribute"):
        _ = model.nothing


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(sources) >= 6 and not any(cell.get("outputs") for cell in cells)
    names: dict[str, object] = {}
    for source in sources:
        exec(compile(source, str(NOTEBOOK), "exec"), names)
    plain, mitigated = names["plain"].summary, names["mitigated"].summary  # type: ignore[attr-defined]
    assert plain["loss_beyond"] > mitigated["loss_beyond"] + 1
