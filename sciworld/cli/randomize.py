"""The commands that turn one drive into many weathers and many futures: randomize, futures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import (
    Device,
    RunFolder,
    Seed,
    StoreFolder,
    bar,
    count_in_range,
    show,
    workers_in_range,
    writable,
    write,
)
from sciworld.errors import SettingsError


def randomize(
    store: StoreFolder,
    out: Annotated[Path, typer.Option(help="The store that the variants are appended to; made if missing.")],
    n: Annotated[int, typer.Option("-n", "--variants", help="Of each recording.", callback=count_in_range("n"))] = 12,
    conditions: Annotated[
        str,
        typer.Option(
            help="Presets and ranges with commas, drawn evenly: 'rain_night,fog_day', 'clear_noon,fog_density=20..80'; "
            "or any."
        ),
    ] = "any",
    seed: Seed = 0,
    method: Annotated[
        str, typer.Option(help="exact (drawn anew by the simulator that drew it), video, learned, or auto.")
    ] = "auto",
    model: Annotated[Path | None, typer.Option(help="Of --method learned: the folder of its run.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="Of --method learned: from 0, the source, to 1; see docs/randomize.md.")
    ] = None,
    device: Device = "cpu",
    source: Annotated[
        str | None, typer.Option(help="The preset that recorded video was filmed under, if the store does not say it.")
    ] = None,
    field_of_view: Annotated[float, typer.Option(help="Degrees along the rows of recorded video.")] = 70.0,
    camera_height: Annotated[float, typer.Option(help="m above the ground.")] = 1.4,
    horizon: Annotated[float | None, typer.Option(help="Row of the horizon in pixels; else the middle.")] = None,
    sky: Annotated[
        bool | None, typer.Option("--sky/--no-sky", help="Whether any is seen; else what the frames tell.")
    ] = None,
    speed: Annotated[float | None, typer.Option(help="m/s; else as recorded, or what the frames tell.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a page with the first recording and its variants, e.g. sheet.html.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page that says whether it worked, e.g. report.html; takes a minute.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Use so many processes.", callback=workers_in_range)] = None,
    scheduler: Annotated[str | None, typer.Option(help="Use the Dask cluster at this address.")] = None,
) -> None:
    """Draw the drives of a store in other light and weather; scene, motion and controls stay.

    Give the same command again after an interrupt: what the store holds already is not drawn again.
    """
    from sciworld.domains.driving.randomize import Method, Randomizing
    from sciworld.domains.driving.scene import Optics
    from sciworld.domains.driving.variants import randomize_store

    writable(sheet, report)
    optics = Optics(field_of_view, camera_height, horizon, sky, speed)
    how: Method
    if (method == "learned") != (model is not None) or (strength is not None and model is None):
        raise SettingsError("--method learned, --model and --strength go together; train one with --preset restyle")
    if model is not None:
        from sciworld.models.restyling import Restyling
        from sciworld.tasks.restyler import Restyler

        how = Restyler(str(model.absolute()), Restyling(strength), device)
    else:
        how = Randomizing(method, source, optics)
    with bar("randomizing") as progress:
        found = randomize_store(store, out, n, conditions, seed, how, workers or 0, scheduler, progress)
    typer.echo(f"{out}: {len(found)} variants")
    typer.echo(str(found[0].attrs["history"]).rpartition("; ")[2])
    if sheet is not None:
        from sciworld.domains.driving.sheet import sheet as drawn
        from sciworld.store import Store

        of = found.facts()["variant_of"].values
        first = (found[index] for index in range(len(found)) if of[index] == 0)
        write(sheet, drawn(Store.open(store)[0], first).to_html(include_plotlyjs=True))
    if report is not None:
        from sciworld.store import Store
        from sciworld.tasks.randomized import report as written

        show(written(Store.open(store), found, report, optics))
        typer.echo(f"the page: {report}")


def futures(
    run: RunFolder,
    store: StoreFolder,
    out: Annotated[Path, typer.Option(help="The store that they are appended to; made if missing.")],
    n: Annotated[int, typer.Option("-n", help="Of each recording.", callback=count_in_range("n"))] = 8,
    steps: Annotated[int, typer.Option(help="To imagine.", callback=count_in_range("steps"))] = 20,
    conditions: Annotated[
        str, typer.Option(help="As of randomize; recorded, for the light and weather that were recorded.")
    ] = "recorded",
    evaluations: Annotated[int, typer.Option(help="Of the model, for a frame; 1 gives the mean of what may be.")] = 4,
    sheet: Annotated[Path | None, typer.Option(help="Write a page with those of the first recording.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Imagine many futures of each drive, under controls that others played and in other light and weather.

    Give the same command again after an interrupt: what the store holds already is not imagined again.
    """
    from sciworld.store import Store
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.tasks.futures import imagine_store
    from sciworld.training.trainer import as_device

    writable(sheet)
    surrogate, source = Surrogate.load(run, str(as_device(device)), evaluations=evaluations), Store.open(store)
    wanted = None if conditions == "recorded" else conditions
    with bar("imagining") as progress:
        found = imagine_store(surrogate, source, out, n, steps, wanted, seed, None, progress)
    typer.echo(f"{out}: {len(found)} futures of {steps} steps")
    if sheet is not None:
        from sciworld.domains.driving.sheet import sheet as drawn

        write(sheet, drawn(found[0], (found[k] for k in range(1, n))).to_html(include_plotlyjs=True))
