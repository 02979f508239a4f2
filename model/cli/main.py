"""The command line: ``memory-explorer read | diagnose | ask | text | state | models | train | passkey ...``.

Each command does what the dashboard does, through the same functions, so numbers agree. What a user can put right is
said in one sentence; only what is our fault shows a traceback. One file a command group, and here the table of them;
others come in as entry points, among them those of :mod:`viz`, which draw.
"""

from __future__ import annotations

from pathlib import Path
from types import FunctionType

import typer

from model.cli.architectures import architectures
from model.cli.ask import ask
from model.cli.bench import bench
from model.cli.convert import convert
from model.cli.cost import cost
from model.cli.diagnose import diagnose
from model.cli.evidence import evidence
from model.cli.gradients import gradients
from model.cli.models import download, explore, models_app
from model.cli.parts import parts
from model.cli.passage import passage
from model.cli.passkey import passkey
from model.cli.read import read
from model.cli.serve import serve
from model.cli.states import state_app
from model.cli.text import text
from model.cli.train import post_train, train
from model.cli.verify import verify
from model.disk import disk_error
from model.errors import UserError
from model.plugins import rows_of
from model.waiting import wait_by_load

OURS = (
    *(read, diagnose, ask, text, download, explore, verify, convert),
    *(train, post_train, parts, passage, passkey, architectures, evidence, gradients, cost, bench, serve),
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="See what the memory of a recurrent model does.")
for command in OURS:
    app.command()(command)
app.add_typer(models_app, name="models")
app.add_typer(state_app, name="state")
TAKEN = {"models", "state", *(command.__name__.replace("_", "-") for command in OURS)}
for name, added in rows_of("commands", FunctionType, TAKEN, titled=False).items():
    app.command(name)(added)


def main() -> None:
    """The console command: a mistake of the user's ends with one sentence and exit code 2."""
    wait_by_load()
    try:
        app()
    except (UserError, OSError) as error:
        said = disk_error(error, Path.cwd()) if isinstance(error, OSError) else error
        if said is None:
            raise
        typer.echo(str(said), err=True)
        raise SystemExit(2) from None
