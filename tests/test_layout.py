"""The house rules that a machine can check: imports point one way, and `kernels` does not disturb transformers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import with_tree

ROOT = Path(__file__).parent.parent
STAIRS = ["kernels", "model", "viz", "app"]
TORCH_FREE = ["viz"]


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def sources(room: str) -> list[Path]:
    return [ROOT / "app.py"] if room == "app" else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", STAIRS)
def test_imports_point_left_only(room: str) -> None:
    higher = set(STAIRS[STAIRS.index(room) + 1 :])
    found = {str(file.relative_to(ROOT)): imported(file) & higher for file in sources(room)}
    assert sources(room)
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize("room", TORCH_FREE)
def test_a_view_never_sees_a_model(room: str) -> None:
    assert not [file for file in sources(room) if "torch" in imported(file)]


def test_kernels_package_stays_empty() -> None:
    assert (ROOT / "kernels" / "__init__.py").read_text() == ""


def test_transformers_runs_mamba2_with_this_root_first_on_the_path() -> None:
    script = (
        "import kernels, torch, transformers\n"
        "config = transformers.Mamba2Config(hidden_size=32, num_hidden_layers=1, num_heads=4, head_dim=16, "
        "state_size=8, n_groups=1, vocab_size=11, chunk_size=8)\n"
        "model = transformers.Mamba2ForCausalLM(config)\n"
        "assert model(torch.arange(10)[None]).logits.shape == (1, 10, 11)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_no_code_file_outgrows_one_idea() -> None:
    rooms = [file for room in STAIRS for file in sources(room)]
    long = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in rooms}
    assert not {file: lines for file, lines in long.items() if lines > 400}


def test_the_readme_names_every_file() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert with_tree(readme) == readme, "run: python -m tests.tree"
