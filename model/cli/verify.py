"""``memory-explorer verify``: whether a published model is computed as its library computes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import set_threads

if TYPE_CHECKING:
    from model.studies.verify import Check

WAYS = {
    "one_piece": "one piece",
    "uneven_pieces": "uneven pieces",
    "bfloat16": "one piece, bfloat16",
    "two_pieces": "two pieces, from the cache",
    "one_by_one": "token by token, from the cache",
    "padded_left": "padding on the left",
    "padded_right": "padding on the right, then the cache",
}
"""What a row of the table is called."""


def verify(
    model: Annotated[str, typer.Argument(help="A folder that transformers saved, or a downloaded hub name.")],
    tokens: Annotated[int, typer.Option(help="Random tokens that are read.")] = 257,
    seed: Annotated[int, typer.Option(help="Seed of the tokens.")] = 0,
    tolerance: Annotated[float, typer.Option(help="Largest difference of a logit, relative to the largest.")] = 1e-4,
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Compare a published model, computed here, with its library: whole, in pieces, in bfloat16, and with padding.

    Exit code 1 if what is computed here differs. Differences of the library from itself are reported only.
    """
    from model.studies.verify import verify as verify_model

    set_threads(threads)
    found = verify_model(model, tokens=tokens, seed=seed, tolerance=tolerance)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        loop = found.reference == "loop"
        reference = "our loop over time" if loop else f"{found.reference}, one forward pass"
        typer.echo(f"{found.family}: {found.tokens} random tokens, float32; reference: {reference}\n")
        typer.echo(f"{'':46s} {'difference':>10s}  {'first token':>11s}  first module that differs")
        for title, checks in (("here", found.ours), ("library", found.library)):
            for check in checks:
                typer.echo(row(f"{title}, {WAYS[check.way]}", check))
        typer.echo(
            "\nWhat is computed here equals the reference." if found.right else "\nWhat is computed here DIFFERS."
        )
    if not found.right:
        raise typer.Exit(1)


def row(title: str, check: Check) -> str:
    """One line of the table."""
    if check.difference is None:
        return f"{title:46s} {'failed':>10s}  {check.error}"
    position = "-" if check.position is None else f"{check.position:,}"
    module = "a tie: the library's own selection depends on rounding here" if check.tie else check.module or "-"
    return f"{title:46s} {check.difference:10.1e}  {position:>11s}  {module}"
