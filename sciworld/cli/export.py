"""The command that writes recordings for other programs: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import StoreFolder, bar


def export(
    store: StoreFolder,
    out: Annotated[Path, typer.Argument(help="The file or folder to write; must not exist.")],
    format: Annotated[str, typer.Option("--format", help="well, ome-zarr, mp4 or lerobot.")],
    recording: Annotated[
        list[int] | None, typer.Option(help="Which, counted from 0; repeat it for several. All if not given.")
    ] = None,
    camera: Annotated[str, typer.Option(help="Whose frames, where a format holds those of one.")] = "frames",
    channel: Annotated[int | None, typer.Option(help="mp4: the channel that is shown in grey.")] = None,
    rate: Annotated[float | None, typer.Option(help="mp4: frames a second.")] = None,
    task: Annotated[str, typer.Option(help="lerobot: what the episodes are of.")] = "",
    low: Annotated[float | None, typer.Option(help="lerobot: the value that becomes 0.")] = None,
    high: Annotated[float | None, typer.Option(help="lerobot: the value that becomes 255.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="lerobot: pictures in place of video.")] = False,
) -> None:
    """Write recordings for other programs, and say what the format does not carry."""
    from sciworld.errors import SettingsError
    from sciworld.ingest import export as exports

    if (low is None) != (high is None):
        raise SettingsError("--low and --high go together; give both or neither")
    scale = None if low is None or high is None else (low, high)
    settings = exports.ExportSettings(
        camera=camera, channel=channel, rate=rate, task=task, scale=scale, lossless=lossless
    )
    with bar(format) as progress:
        made = exports.export(store, out, format, settings, recordings=recording, progress=progress)
    for note in made.notes:
        typer.echo(f"- {note}")
    typer.echo(made.path)
