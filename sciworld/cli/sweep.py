"""The command that runs the main job over seeds, rate models and amounts of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sciworld.cli.terminal import LARGEST_COUNT, LARGEST_SEED, count_in_range, show, workers_in_range
from sciworld.errors import SettingsError

T = TypeVar("T", int, str)


def sweep(
    out: Annotated[Path, typer.Option(help="The folder of the table; give the same command again to go on.")],
    seeds: Annotated[str, typer.Option(help="Such as 0,1,2.")] = "0,1,2",
    rates: Annotated[str, typer.Option(help="Of the simulator: some of simple,prior,mixture.")] = "prior,mixture",
    transitions: Annotated[str, typer.Option(help="How many are recorded, such as 1000,5000.")] = "1000,5000",
    steps: Annotated[int, typer.Option(help="Of training.", callback=count_in_range("steps"))] = 2500,
    episodes: Annotated[int, typer.Option(help="Of steering.", callback=count_in_range("episodes"))] = 20,
    budget: Annotated[int, typer.Option(help="Model evaluations a decision.", callback=count_in_range("budget"))] = 96,
    workers: Annotated[int | None, typer.Option(help="Processes here; one a core.", callback=workers_in_range)] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Of Dask, in place of processes here, such as tcp://10.0.0.1:8786.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run cells again that failed.")] = False,
) -> None:
    """Record, train and judge for every seed, rate model and amount of data, on Dask.

    Each finished cell is kept at once; what was interrupted goes on where it was.
    """
    from sciworld.sweep.rows import DONE
    from sciworld.tasks import stem_sweep

    settings = stem_sweep.CellSettings(steps=steps, episodes=episodes, budget=budget)
    numbers = listed("seeds", seeds, int, LARGEST_SEED), listed("transitions", transitions, int, LARGEST_COUNT)
    ds = stem_sweep.run(
        out, numbers[0], listed("rates", rates, str), numbers[1], settings, workers, scheduler, retry_failed
    )  # fmt: skip
    show(stem_sweep.summary(ds))
    typer.echo(f"{int((ds['status'] == DONE).sum())} of {ds['status'].size} cells are done: {out}")


def listed(name: str, text: str, kind: Callable[[str], T], largest: int = 0) -> tuple[T, ...]:
    """Comma-separated values. Raises SettingsError."""
    try:
        values = tuple(kind(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{name} is '{text}'; write numbers with commas between, such as 0,1,2") from error
    if not values:
        raise SettingsError(f"{name} is '{text}'; give at least one")
    if any(isinstance(value, int) and not 0 <= value <= largest for value in values):
        raise SettingsError(f"{name} is '{text}'; use 0 to {largest}")
    return values
