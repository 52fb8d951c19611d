"""The command that writes recordings for other programs: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import StoreFolder, bar
from sciworld.errors import SettingsError


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
    black: Annotated[float, typer.Option(help="mp4: the percentile of pixels that becomes black.")] = 1.0,
    white: Annotated[float, typer.Option(help="mp4: the percentile of pixels that becomes white.")] = 99.0,
    task: Annotated[str, typer.Option(help="lerobot: what the episodes are of.")] = "",
    scale: Annotated[str, typer.Option(help="lerobot: LOW,HIGH, the values that become 0 and 255.")] = "",
    lossless: Annotated[bool, typer.Option("--lossless", help="lerobot: pictures in place of video.")] = False,
    codec: Annotated[str, typer.Option(help="lerobot: of videos: h264 or av1.")] = "h264",
) -> None:
    """Write recordings for other programs, and say what the format does not carry."""
    from sciworld.export import export as exports

    settings = exports.ExportSettings(
        camera=camera, channel=channel, rate=rate, black=black, white=white, task=task, scale=_pair(scale),
        lossless=lossless, codec=codec,
    )  # fmt: skip
    with bar(format) as progress:
        made = exports.export(store, out, format, settings, recordings=recording, progress=progress)
    for note in made.notes:
        typer.echo(f"- {note}")
    typer.echo(made.path)


def _pair(text: str) -> tuple[float, float] | None:
    """Two numbers with a comma between them; None for no text. Raises SettingsError."""
    if not text:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise SettingsError(f"--scale is '{text}'; give two numbers, such as 0,4095") from error
    return low, high
