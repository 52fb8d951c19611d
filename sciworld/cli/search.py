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
        int | None,
        typer.Option(help="Of --objective: steps to plan ahead; 8.", callback=count_in_range("horizon")),
    ] = None,
    bounds: Annotated[
        str | None,
        typer.Option(help="Of --objective: what to search, such as jets=-0.5:0.5,...; else what was recorded."),
    ] = None,
    recording: Annotated[int, typer.Option(help="Which; -1 is the last.")] = -1,
    frame: Annotated[int, typer.Option(help="The frame to decide from; -1 is the last.")] = -1,
    aim: Annotated[
        str | None,
        typer.Option(help="Of --goal: progress (a second; if not said), dose (progress an electron), or site."),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="Of --objective: cem (if not said), icem, mppi, cmaes, ...; adam and gradcem --anywhere."),
    ] = None,
    knots: Annotated[
        int | None, typer.Option(help="Of --objective: values that a plan is made of; one a step.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Of --objective: futures a candidate; 4, or 0 for the expected one.")
    ] = None,
    pessimism: Annotated[
        float, typer.Option(help="Standard deviations between an ensemble's members that a score is lowered by.")
    ] = 0.0,
    verify: Annotated[
        int | None, typer.Option(help="Of --objective: best candidates that are looked at again, with more futures; 4.")
    ] = None,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Also from frames, and by controls, that nothing recorded is like.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(help="Model evaluations; 160 for --goal.", callback=count_in_range("budget")),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan as JSON, e.g. plan.json.")] = None,
    report: Annotated[Path | None, typer.Option(help="Of --objective: draw what is expected, e.g. plan.html.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Find the next controls from a recorded frame, by what the run learned alone.

    Give --goal for silicon in graphene, else --objective.
    """
    from sciworld.search.risk import Risk
    from sciworld.store import Store
    from sciworld.tasks import stem_run

    if (goal is None) == (objective is None):
        raise SettingsError("give --goal X,Y of silicon in graphene, or --objective of anything")
    wished: dict[str, Any] = {
        "horizon": horizon,
        "bounds": bounds,
        "optimizer": optimizer,
        "knots": knots,
        "samples": samples,
    }
    wished |= {"verify": verify}
    if goal is not None:
        none_of({**wished, "report": report}, "--objective", "--goal")
    else:
        none_of({"aim": aim}, "--goal", "--objective")
    writable(out, report)
    made, surrogate = load(run, device)
    stored, near = Store.open(store), None if anywhere else familiar(made)
    common: dict[str, Any] = {"frame": frame, "seed": seed, "familiar": near, "risk": Risk(between=pessimism)}
    with bar("searching") as progress:
        common["progress"] = progress
        if goal is not None:
            found: Any = stem_run.plan(
                surrogate, stored, point(goal), recording, aim=aim or "progress", budget=budget or 160, **common
            )
        else:
            known = {name: value for name, value in wished.items() if value is not None}
            found = by_objective(surrogate, stored, recording, str(objective), budget=budget, **known, **common)
    show(found.to_table())
    warn(found.warnings())
    if out is not None:
        write(out, found.to_json())
        typer.echo(f"the plan: {out}")
    if report is not None:
        write(report, found.figure().to_html(include_plotlyjs=True))
        typer.echo(f"the page: {report}")


def none_of(given: dict[str, Any], kind: str, other: str) -> None:
    """Raises SettingsError where something was said that only the other `kind` of search heeds."""
    said = [f"--{name}" for name, value in given.items() if value is not None]
    if said:
        raise SettingsError(f"{', '.join(said)}: of {kind} alone; leave it out with {other}")


def by_objective(
    surrogate: Any,
    store: Any,
    recording: int,
    wish: str,
    *,
    horizon: int = 8,
    bounds: str | None = None,
    optimizer: str = "cem",
    knots: int | None = None,
    samples: int = 4,
    verify: int = 4,
    budget: int | None = None,
    **common: Any,
) -> Any:
    """What `find_controls` finds for a wish that has a name, or is a function in a file."""
    from sciworld.search.parameters import Parameters
    from sciworld.search.search import SearchSettings
    from sciworld.tasks.find_controls import find_controls, objective_in
    from sciworld.tasks.stem_run import recording_of
    from sciworld.tasks.wanted import wanted

    space = surrogate.space
    low, high = limits(bounds, space)
    return find_controls(
        surrogate,
        recording_of(store, recording),
        objective_in(wish) if ":" in wish else wanted(wish, store, space),
        horizon,
        low=low,
        high=high,
        parameters=Parameters("linear" if knots else "constant", knots),
        optimizer=optimizer,
        settings=SearchSettings(budget=budget, samples=samples, verify=verify),
        **common,
    )


def familiar(run: Any) -> Any:
    """What the run was trained near; None, with a warning, of one that did not keep it."""
    from sciworld.familiar.familiar import FILE

    if not (run.path / FILE).exists():
        warn([f"{run.path} does not say what it was trained near; a search goes anywhere"])
        return None
    return run.familiar()


def limits(text: str | None, space: Any) -> tuple[Any, Any]:
    """Low and high (control,) of "name=low:high,...", NaN where none is named. Raises SettingsError."""
    if text is None:
        return None, None
    low, high = [math.nan] * len(space), [math.nan] * len(space)
    names = [part.partition("=")[0].strip() for part in text.split(",")]
    for name in {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"bounds are '{text}'; '{name}' is named twice")
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
