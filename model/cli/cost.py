"""``memory-explorer cost``: what reading takes, against a Transformer of the same size."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.card import home
from model.cli.options import set_threads
from model.errors import UserError
from model.machine import cores
from model.studies.cost import CostResult, Prices, begin, default_prices, measure_cost
from model.studies.cost.report import printed, values


def cost(
    model: Annotated[str, typer.Option(help="A model's name or a checkpoint folder.")] = "mamba2-base",
    length: Annotated[int, typer.Option(help="Tokens of the document to say it for.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(help="Seconds to measure in all; lengths double until they are used.")] = 60,
    memory: Annotated[
        float | None, typer.Option(help="Gigabytes that may be used; half of what is free if not given.")
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="Money per hour of this machine; 0.05 a core or 3 a GPU if not given.")
    ] = None,
    watts: Annotated[
        str | None, typer.Option(help="LOW,HIGH: power of this machine; 4 to 12 W a core if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="The result's JSON file; a later run with more seconds extends it.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
) -> None:
    """Measure time and memory of reading beside a Transformer of the same size, and extrapolate to any length."""
    set_threads(threads)
    if length < 1:
        raise UserError("cost.length", length=length)
    begun = begin(model, device)
    prices = prices_of(begun.task.device, price, watts)
    file = out or home() / "cost" / f"{begun.task.key}.json"
    if file.exists():
        known = CostResult.load(file)
        begun = known if known.task == begun.task else begun

    def show(reader: str, at: int, read: int) -> None:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{reader}: {read:,} of {at:,} tokens   ")

    result = measure_cost(
        begun,
        seconds=seconds,
        memory=None if memory is None else int(memory * 1e9),
        report=show,
        keep=lambda kept: kept.save(file),
    )
    if as_json:
        typer.echo(json.dumps(values(result, length, prices), ensure_ascii=False))
        return
    typer.echo(f"{printed(result, length, prices)}\n\n{file}")


def prices_of(device: str, price: float | None, watts: str | None) -> Prices:
    """The defaults of ``device``, with what was given; UserError for what cannot be read."""
    prices = default_prices(device, cores())
    prices = prices if price is None else replace(prices, hour=price)
    if watts is not None:
        try:
            low, high = map(float, watts.split(","))
        except ValueError as error:
            raise UserError("cost.watts", value=watts) from error
        prices = replace(prices, low=low, high=high)
    prices.check()
    return prices
