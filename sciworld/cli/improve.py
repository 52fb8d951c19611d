"""The command that records what a surrogate does not know, and trains it again, until its plans hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import Device, Seed, StoreFolder, count_in_range, show, warn, writable, write


def improve(
    store: StoreFolder,
    run: Annotated[Path, typer.Option(help="The folder of the loop; give the same command again to go on.")],
    domain: Annotated[
        str, typer.Option(help="What is steered in its trusted simulator: stem, fluid or driving.")
    ] = "stem",
    rates: Annotated[
        str | None, typer.Option(help="Of the simulated silicon: simple, prior (if you do not say) or mixture.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Of the model, as of train; certain is for wakes.")] = None,
    rounds: Annotated[int, typer.Option(help="Trainings, at most.", callback=count_in_range("rounds"))] = 6,
    recordings: Annotated[
        int, typer.Option(help="Added after the first round.", callback=count_in_range("recordings"))
    ] = 4,
    growth: Annotated[float, typer.Option(help="How many times as many are added after each further round.")] = 2.0,
    actions: Annotated[
        int | None,
        typer.Option(
            help="Of each recording; 22, of wakes 100, of drives 60 at most.", callback=count_in_range("actions")
        ),
    ] = None,
    members: Annotated[int, typer.Option(help="Of the ensemble, two or more.")] = 3,
    episodes: Annotated[int, typer.Option(help="Of each verdict.", callback=count_in_range("episodes"))] = 30,
    target: Annotated[float, typer.Option(help="That the lower end of the interval of success must reach.")] = 0.8,
    steps: Annotated[
        int, typer.Option(help="Of training, for each member in each round.", callback=count_in_range("steps"))
    ] = 1000,
    batch: Annotated[int, typer.Option(help="Windows a step.", callback=count_in_range("batch"))] = 32,
    out: Annotated[Path | None, typer.Option(help="Write every round as NetCDF, e.g. rounds.nc.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Train, judge, record in the trusted simulator what is not known yet, until the verdict holds.

    The recordings are appended to the store; nothing that it held is changed.
    """
    from sciworld.loop import LoopSettings, improve
    from sciworld.store import Store
    from sciworld.tasks.experiments import experiment
    from sciworld.training.trainer import FitSettings

    writable(out)
    settings = LoopSettings(rounds, recordings, growth, members, episodes, target, seed)
    stored = Store.open(store)
    chosen = experiment(domain, stored, rates, actions)
    fit = FitSettings(steps=steps, batch=batch, device=device, seed=seed)
    found = improve(stored, run, chosen, fit, settings, preset=preset, progress=typer.echo)
    show(found.to_table())
    warn(found.rounds[-1].verdict.warnings())
    if out is not None:
        write(out, bytes(found.to_xarray().to_netcdf(engine="h5netcdf")))
        typer.echo(f"every round: {out}")
    typer.echo(f"the ensemble: {found.rounds[-1].folder}")
