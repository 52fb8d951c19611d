"""The command that searches controls."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from sciworld.cli.learn import load
from sciworld.cli.terminal import Device, RunFolder, Seed, StoreFolder, bar, count_in_range, show, warn, writable, write
from sciworld.errors import SciworldError, SettingsError


def search(
    run: RunFolder,
    store: StoreFolder,
    goal: Annotated[
        str | None, typer.Option(help="Of silicon in graphene: where it should go, X,Y in A, laboratory frame.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="What to look for: drag, lane, or FILE.py:FUNCTION of futures and controls (DataArrays)."),
    ] = None,
    horizon: Annotated[
        int, typer.Option(help="Steps to plan ahead, with --objective.", callback=count_in_range("horizon"))
    ] = 8,
    bounds: Annotated[
        str | None, typer.Option(help="What to search, such as jets=-0.5:0.5,...; all that is possible if not said.")
    ] = None,
    recording: Annotated[int, typer.Option(help="Which; -1 is the last.")] = -1,
    frame: Annotated[int, typer.Option(help="The frame to decide from; -1 is the last.")] = -1,
    aim: Annotated[
        str, typer.Option(help="Of --goal: progress (a second), dose (progress an electron), or site.")
    ] = "progress",
    optimizer: Annotated[
        str,
        typer.Option(help="With --objective: cem, icem, mppi, cmaes, de, shooting, ...; adam and gradcem --anywhere."),
    ] = "cem",
    knots: Annotated[int | None, typer.Option(help="Values that a plan is made of; one a step.")] = None,
    samples: Annotated[int, typer.Option(help="Futures a candidate; 0 for the expected one.")] = 4,
    pessimism: Annotated[
        float, typer.Option(help="Standard deviations between an ensemble's members that a score is lowered by.")
    ] = 0.0,
    verify: Annotated[int, typer.Option(help="Best candidates that are looked at again, with more futures.")] = 4,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Also from frames, and by controls, that nothing recorded is like.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(help="Model evaluations; 160 for --goal.", callback=count_in_range("budget")),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan as JSON, e.g. plan.json.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="With --objective: draw what is expected, e.g. plan.html.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Find the next controls from a recorded frame, by what the run learned alone.

    Give --goal for silicon in graphene, else --objective.
    """
    from sciworld.store import Store

    if (goal is None) == (objective is None):
        raise SettingsError("give --goal X,Y of silicon in graphene, or --objective of anything")
    writable(out)
    writable(report)
    made, surrogate = load(run, device)
    stored, near = Store.open(store), None if anywhere else familiar(made)
    common: dict[str, Any] = {"frame": frame, "seed": seed, "familiar": near}
    with bar("searching") as progress:
        if goal is not None:
            from sciworld.tasks import stem_run

            found: Any = stem_run.plan(
                surrogate, stored, point(goal), recording, aim=aim, budget=budget or 160, progress=progress, **common
            )
        else:
            from sciworld.search.parameters import Parameters
            from sciworld.search.risk import Risk
            from sciworld.search.search import SearchSettings
            from sciworld.tasks.find_controls import find_controls, objective_in
            from sciworld.tasks.stem_run import recording_of
            from sciworld.tasks.wanted import wanted

            wish, space = str(objective), surrogate.space
            low, high = limits(bounds, space)
            found = find_controls(
                surrogate,
                recording_of(stored, recording),
                objective_in(wish) if ":" in wish else wanted(wish, stored, space),
                horizon,
                low=low,
                high=high,
                risk=Risk(between=pessimism),
                parameters=Parameters("linear" if knots else "constant", knots),
                optimizer=optimizer,
                settings=SearchSettings(budget=budget, samples=samples, verify=verify),
                progress=progress,
                **common,
            )
    show(found.to_table())
    warn(found.warnings())
    if out is not None:
        write(out, found.to_json())
        typer.echo(f"the plan: {out}")
    if report is not None and goal is None:
        write(report, found.figure().to_html(include_plotlyjs=True))
        typer.echo(f"the page: {report}")


def familiar(run: Any) -> Any:
    """What the run was trained near; None, with a warning, of one that did not keep it."""
    from sciworld.familiar.familiar import FILE

    if not (run.path / FILE).exists():
        warn([f"{run.path} does not say what it was trained near; a search goes anywhere"])
        return None
    return run.familiar()


def limits(text: str | None, space: Any) -> tuple[Any, Any]:
    """Low and high (control,) of "name=low:high,..."; those of the space where none is named. Raises SettingsError."""
    if text is None:
        return None, None
    low, high = (list(bound) for bound in (space.low, space.high))
    for part in text.split(","):
        name, _, values = part.partition("=")
        least, _, most = values.partition(":")
        try:
            place = space.table.index(name.strip())
            low[place], high[place] = float(least), float(most)
        except (ValueError, SciworldError) as error:
            raise SettingsError(f"bounds are '{text}'; write NAME=LOW:HIGH,..., of {', '.join(space.names)}") from error
    return low, high


def point(text: str) -> tuple[float, float]:
    """Two numbers such as "3.2,-1". Raises SettingsError."""
    with contextlib.suppress(ValueError):
        x, y = (float(part) for part in text.split(","))
        if math.isfinite(x + y):
            return x, y
    raise SettingsError(f"goal is '{text}'; write X,Y in A, such as --goal=3.2,-1.0")
