"""The laws of the tree: imports point one way, no circles, no page knows another, and the list of deferred imports."""

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.tree import PAGE, with_tree

ROOT = Path(__file__).parents[2]
STAIRS = ["kernels", "model", "viz", "app"]
FLOORS = (
    (
        "errors",
        "messages",
        "plugins",
        "machine",
        "waiting",
        "disk",
        "json_file",
        "config",
        "state",
        "experiment",
        "tokenizer",
    ),
    ("arch", "mixers"),
    ("published", "checkpoints"),
    ("interventions",),
    ("recording", "documents"),
    ("diagnostics",),
    ("reading",),
    ("studies",),
    ("training",),
    ("api",),
    ("cli",),
)
"""The parts of ``model``, from the ground up: an import points to the same floor or a lower one."""
DEFERRED = Path(__file__).parent / "deferred_imports.toml"


@cache
def sources() -> dict[str, Path]:
    """Every module of the product, by its dotted name."""
    files = [ROOT / "app.py"]
    for room in ("kernels", "model", "viz", "sample_data"):
        files += sorted((ROOT / room).rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def targets(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The modules that an import runs: a name that is a module of ours, else the module it is taken from."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0 and node.module, "imports are absolute"
    full = {f"{node.module}.{alias.name}" for alias in node.names}
    inside = full & sources().keys()
    return inside | ({node.module} if len(inside) < len(full) else set())


def imports(body: list[ast.stmt], inside: bool = False) -> Iterator[tuple[bool, str]]:
    """Every import below ``body`` and whether it stands in a function; those for annotations alone do not run."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((inside, target) for target in targets(node))
        elif not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            deeper = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from imports(getattr(node, field, None) or [], deeper)


@cache
def graph() -> dict[str, set[str]]:
    """Module -> modules that it imports, at its top or in a function."""
    return {
        name: {target for _, target in imports(ast.parse(file.read_text("utf-8")).body)}
        for name, file in sources().items()
    }


def ours() -> Iterator[tuple[str, str]]:
    for name, found in graph().items():
        yield from ((name, target) for target in sorted(found & sources().keys()))


def test_imports_never_run_in_a_circle() -> None:
    done: set[str] = set()
    trail: list[str] = []

    def visit(name: str) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            trail.append(name)
            for target in sorted(graph()[name] & sources().keys()):
                visit(target)
            done.add(trail.pop())

    for name in sources():
        visit(name)


def test_rooms_import_rooms_below() -> None:
    def room(name: str) -> int:
        return STAIRS.index(name.split(".")[0])

    found = [(a, b) for a, b in ours() if not {a.split(".")[0], b.split(".")[0]} & {"sample_data"}]
    assert found and not [(a, b) for a, b in found if room(b) > room(a)]


def test_parts_of_model_import_parts_below() -> None:
    floors = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}

    def floor(name: str) -> int:
        return floors[name.split(".")[1]]

    inside = [(a, b) for a, b in ours() if a.startswith("model.") and b.startswith("model.")]
    assert inside and not [(a, b) for a, b in inside if floor(b) > floor(a)]


def test_pages_stand_alone() -> None:
    """No page imports another, nothing below the pages imports one, so a folder can be deleted."""

    def page(name: str) -> str:
        return name.split(".")[2] if name.startswith("viz.pages.") else ""

    assert not [(a, b) for a, b in ours() if page(b) and page(a) != page(b) and a != "app"]


def test_nothing_that_is_drawn_knows_a_model() -> None:
    """Views read recordings; a model class and torch are reached through readings, studies and training alone."""
    below = ("torch", "kernels", "model.arch", "model.mixers", "model.reading.stream", "model.reading.telemetry")
    drawn = {name: found for name, found in graph().items() if name.split(".")[0] in ("viz", "app")}
    assert drawn
    wrong = [
        (a, b) for a, found in drawn.items() for b in found if b in below or b.startswith(tuple(f"{x}." for x in below))
    ]
    assert not wrong


def test_imports_inside_functions_are_listed_with_their_reason() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for name, file in sources().items():
        for inside, target in imports(ast.parse(file.read_text("utf-8")).body):
            if inside:
                found[name].add(target)
    listed: dict[str, set[str]] = defaultdict(set)
    for entry in tomllib.loads(DEFERRED.read_text("utf-8")).values():
        assert entry["why"]
        for name, modules in entry["imports"].items():
            listed[name] |= set(modules)
    assert found == listed


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


@pytest.mark.parametrize("room", [*STAIRS, "tests"])
def test_no_code_file_outgrows_one_idea(room: str) -> None:
    files = [ROOT / "app.py"] if room == "app" else sorted((ROOT / room).rglob("*.py"))
    long = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in files}
    assert files and not {file: lines for file, lines in long.items() if lines > 400}


def test_the_architecture_names_every_folder() -> None:
    page = PAGE.read_text("utf-8")
    assert with_tree(page) == page, "run: python -m tests.tree"


def test_the_library_speaks_without_the_dashboard() -> None:
    """What the command line prints must not depend on messages that only ``viz`` adds."""
    script = (
        "import sys\n"
        "from model.studies.evidence import EvidenceResult, EvidenceTask\n"
        "from model.studies.evidence.report import table\n"
        "from model.messages import LANGUAGES\n"
        "task = EvidenceTask(base='x', documents=(('a', '1'), ('b', '2')))\n"
        "assert all(table(EvidenceResult(task=task, members=()), language) for language in LANGUAGES)\n"
        "assert 'viz' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
