"""Commands that bring data in: catalog, ingest, compact."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from sciworld.cli.terminal import StoreFolder, bar, show, warn, workers_in_range

LISTED = 10  # histories and warnings that are shown

catalog_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetch it.")


@catalog_app.command("list")
def catalog_list() -> None:
    """Every data set, one a line."""
    from sciworld import catalog

    width = max(len(name) for name in catalog.entries())
    for name, entry in catalog.entries().items():
        typer.echo(f"{name:<{width}}  {entry.domain:<7}  {entry.extent:<14}  {entry.title}")


@catalog_app.command("show")
def catalog_show(name: Annotated[str, typer.Argument(help="As the list has it.")]) -> None:
    """What a data set is, its licence, and how to cite it."""
    from sciworld import catalog

    typer.echo(catalog.show(name))


@catalog_app.command("fetch")
def catalog_fetch(name: Annotated[str, typer.Argument(help="As the list has it.")]) -> None:
    """Bring a data set here, and print the path of its store or of its files."""
    from sciworld import catalog

    with bar(name) as progress:
        found = catalog.fetch(name, progress)
    for path in [found] if isinstance(found, Path) else found:
        typer.echo(path)


@catalog_app.command("ingest")
def catalog_ingest(
    name: Annotated[str, typer.Argument(help="As the list has it.")],
    out: Annotated[Path, typer.Option(help="The store that its recordings are appended to; made if missing.")],
) -> None:
    """Fetch a data set of files, and read its frames into a store."""
    from sciworld.ingest import run

    report(run.ingest_entry(name, out))


def ingest(
    sources: Annotated[list[Path], typer.Argument(help="Files; a folder is one movie, tub, segment or data set.")],
    out: Annotated[Path, typer.Option(help="The store that the recordings are appended to; made if missing.")],
    controls: Annotated[
        list[Path] | None,
        typer.Option(help="A CSV or Parquet file with the controls; one for each source, in their order."),
    ] = None,
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            help="Which controls are which columns, and their units, e.g. 'x=beam_x:A,y=beam_y:A,dwell=t:s'. Behind "
            "one of a log, ~linear, ~mean or ~hold says how it is read at the times of frames: 'v=speed:m/s~linear'.",
        ),
    ] = "",
    times: Annotated[
        str,
        typer.Option(
            help="The column that says when a row acted: in s, or in other units, e.g. 't:ms', or as time stamps. "
            "Without it the rows belong to the frames in order."
        ),
    ] = "",
    shift: Annotated[int, typer.Option(help="Give the controls to frames so many later, to mend a lag.")] = 0,
    together: Annotated[bool, typer.Option("--together", help="All sources are one movie.")] = False,
    reader: Annotated[str | None, typer.Option(help="A domain and suffix to read as, e.g. 'stem:.tif'.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Length a pixel where the file is silent: 0.08:A.")] = None,
    frame_seconds: Annotated[float | None, typer.Option(help="Seconds a frame where the file is silent.")] = None,
    pulse_seconds: Annotated[
        float | None, typer.Option(help="Seconds from the first to the second image of a PIV pair.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Keep only the first so many frames.")] = None,
    array: Annotated[str | None, typer.Option(help="Which array, where a file holds several.")] = None,
    session: Annotated[str | None, typer.Option(help="Name of the session; else that of the file.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    citation: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    allow_nan: Annotated[
        bool, typer.Option("--allow-nan", help="Keep frames with pixels that are not finite.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Read with so many processes.", callback=workers_in_range)] = None,
    scheduler: Annotated[str | None, typer.Option(help="Read on the Dask cluster at this address.")] = None,
) -> None:
    """Read files and their controls into a store; measure quality and lag.

    Bad sources are listed beside the store and never stop the others; only if nothing could be used the command fails.
    Give the same command again after an interrupt: what the store holds already is not read again.
    """
    from sciworld.ingest import run
    from sciworld.units import parse_length

    stated = {"frame_seconds": frame_seconds, "frames": frames, "array": array, "session": session}
    stated |= {"licence": licence, "citation": citation, "pulse_seconds": pulse_seconds}
    stated |= {"pixel_size": None if pixel_size is None else parse_length(pixel_size)}
    with bar("ingesting") as progress:
        found = run.ingest(
            sources, out, controls=controls or (), mapping=mapping, times=times, shift=shift, together=together,
            reader=reader, allow_nan=allow_nan, workers=workers, scheduler=scheduler, progress=progress,
            options={name: value for name, value in stated.items() if value is not None},
        )  # fmt: skip
    report(found)


def compact(
    store: StoreFolder,
    megabytes: Annotated[
        int, typer.Option(help="Merge neighbouring parts into parts of at most this size.", min=1, max=10**9)
    ] = 4096,
) -> None:
    """Merge the small parts that parallel ingest left; recordings keep their numbers and every bit."""
    from sciworld.store import Store

    opened = Store.open(store)
    before = len(opened.parts)
    if opened.compact(megabytes << 20):
        typer.echo(f"{store}: {before} parts became {len(opened.parts)}")
        return
    kinds = [part.kind for part in opened.parts]
    if before < 2:
        why = "it is one part already" if before else "it is empty"
    elif not any(one == two for one, two in itertools.pairwise(kinds)):
        why = "no two neighbouring parts are of one kind: frames of one shape and type, with the same controls"
    else:
        why = f"no two neighbouring parts of one kind are together at most {megabytes} MB; raise --megabytes"
    typer.echo(f"{store}: nothing to merge; {why}")


def report(found: Any) -> None:
    """What an ingest did."""
    from sciworld.evaluate.table import Table

    for history in found.histories[:LISTED]:
        typer.echo(f"- {history}")
    if len(found.histories) > LISTED:
        typer.echo(f"- ... and {len(found.histories) - LISTED} more; each recording has its own as 'history'")
    rows = [("store", str(found.store)), ("recordings", str(found.recordings)), ("frames", str(found.frames))]
    rows += [("MB of frames", f"{found.nbytes / 1e6:.1f}")]
    rows += [("there already", str(found.already))] * bool(found.already)
    rows += [("rejected", str(len(found.rejected)))] * bool(found.rejected)
    rows += [("their list", str(found.quarantine))] * (found.quarantine is not None)
    if found.lag is not None:
        rows += [("lag", found.lag.summary()), ("its picture", str(found.figure))]
    show(Table(("appended", ""), tuple(rows)))
    warn(f"rejected: {one.reason}" for one in found.rejected[:LISTED])
    warn(found.warnings[:LISTED])
    if len(found.warnings) > LISTED or len(found.rejected) > LISTED:
        counts = f"{len(found.rejected)} rejections and {len(found.warnings)} warnings"
        warn([f"{counts}; the first {LISTED} of each are shown"])
    if found.rejected:
        where = "their list could not be written" if found.quarantine is None else f"all are in {found.quarantine}"
        warn([f"{len(found.rejected)} rejected, which did not go into the store; {where}"])
