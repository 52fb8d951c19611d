"""Drives of the KITTI raw data: `oxts/` with position, motion and turning of the car, and its cameras where copied.

A drive is a folder "..._sync" or "..._extract" with `oxts/data/N.txt` (30 numbers each), `oxts/timestamps.txt`, and
`image_02/` (`image_03/`, else the grey `image_00/`, `image_01/`) with `data/N.png` and `timestamps.txt`. In a
synchronised drive row N belongs to picture N; else the rows, 100 a second, are read at the pictures' times.
Geiger, Lenz, Stiller, Urtasun, "Vision meets robotics: the KITTI dataset", IJRR 32 (2013) 1231.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.driving.absent import ABSENT, absent_frames
from sciworld.domains.logs import Log, hold, linear, log, ragged
from sciworld.domains.media import open_images
from sciworld.errors import FormatError, SettingsError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

# The 30 numbers of a row with their units, in their order; f, l, u: forward, left, up of the car.
FIELDS = {
    "lat": "deg", "lon": "deg", "alt": "m", "roll": "rad", "pitch": "rad", "yaw": "rad", "vn": "m/s", "ve": "m/s",
    "vf": "m/s", "vl": "m/s", "vu": "m/s", "ax": "m/s^2", "ay": "m/s^2", "az": "m/s^2", "af": "m/s^2", "al": "m/s^2",
    "au": "m/s^2", "wx": "rad/s", "wy": "rad/s", "wz": "rad/s", "wf": "rad/s", "wl": "rad/s", "wu": "rad/s",
    "pos_accuracy": "m", "vel_accuracy": "m/s", "navstat": "1", "numsats": "1", "posmode": "1", "velmode": "1",
    "orimode": "1",
}  # fmt: skip
CONTROLS = ("vf", "wu")
ANGLES = ("roll", "pitch", "yaw")
COUNTS = ("navstat", "numsats", "posmode", "velmode", "orimode")
CAMERAS = (("image_02", "image_03"), ("image_00", "image_01"))
HOLE = 0.5  # s without a row above which nothing is known
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?")


def is_kitti(path: Path) -> bool:
    """Whether a folder is a drive: it has rows of motion and their times."""
    try:
        return (path / "oxts" / "data").is_dir() and (path / "oxts" / "timestamps.txt").is_file()
    except OSError:
        return False


def read_kitti(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """The recording of one drive. Raises FormatError naming the file that is damaged or does not fit."""
    if settings.frame_seconds is not None:
        raise SettingsError(f"{path}: states the times of its frames; leave out frame_seconds")
    session = Path(os.path.abspath(path)).name
    numbers, stamps = _stamps(path / "oxts")
    rows = _rows([path / "oxts" / "data" / f"{name}.txt" for name in numbers])
    notes = [f"read {session} as a KITTI drive: {len(rows)} rows of motion"]
    cameras = _cameras(path, notes)
    main = next(iter(cameras), "")
    frame_numbers, shown = _stamps(path / main) if main else (numbers, stamps)
    seconds = (stamps - shown[0]) / np.timedelta64(1, "s")
    time = (shown - shown[0]) / np.timedelta64(1, "s")
    if not (np.diff(time) > 0).all():
        frame = int(np.argmin(np.append(True, np.diff(time) > 0)))
        where = path / (main or "oxts") / "timestamps.txt"
        raise FormatError(f"{where}: frame {frame} is not later than the one before; mend the times, or drop the frame")
    notes.append(f"times are from {main or 'oxts'}/timestamps.txt, 0 s is {shown[0]}")
    columns = [_column(name) for name in FIELDS]
    logs = [log(seconds, series, name, str(path / "oxts")) for name, series in zip(FIELDS, rows.T, strict=True)]
    if frame_numbers == numbers:
        aligned = rows
        apart = float(np.abs(seconds - time).max())
        notes.append(f"row N belongs to frame N; their times differ by up to {apart:.3g} s")
    else:
        aligned = np.stack([_read(one, name, time) for name, one in zip(FIELDS, logs, strict=True)], axis=1)
        notes += dict.fromkeys(note for one in logs for note in one.notes)
        notes.append(f"rows are read at the frames' times, nothing is known across more than {HOLE:g} s without one")
    is_control = np.array([name in CONTROLS for name in FIELDS])
    controls = aligned[:, is_control].copy()
    controls[-1] = np.nan
    absent, absent_table = absent_frames(len(time))
    ds = recording.make(
        cameras[main] if main else absent,
        time,
        channels=colours(cameras[main].shape[-1]) if main else absent_table,
        session=session,
        source=session,
        licence="",
        citation="",
        history="; ".join(notes),
        controls=controls,
        control_table=ColumnTable(tuple(column for column in columns if column.name in CONTROLS)),
        states=aligned[:, ~is_control],
        state_table=ColumnTable(tuple(column for column in columns if column.name not in CONTROLS)),
        logs=ragged(logs),
        log_table=ColumnTable(tuple(columns)),
    )
    return [_with_cameras(ds, {name: frames for name, frames in cameras.items() if name != main})]


def _column(name: str) -> Column:
    kind = "angle" if name in ANGLES else "integer" if name in COUNTS else "continuous"
    return Column(name, FIELDS[name], kind=kind, role="measured")


def _read(rows: Log, name: str, time: np.ndarray) -> np.ndarray:
    """A field at the frames' times: what is counted is held, an angle turns the short way."""
    if name in COUNTS:
        return hold(rows, time)
    return linear(rows, time, HOLE, period=2.0 * np.pi if name in ANGLES else None)


def _names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The names, without suffix, of the numbered files of a folder, in the order of their numbers."""
    names = [Path(name) for name in os.listdir(folder)] if folder.is_dir() else []
    return sorted((name.stem for name in names if name.suffix.lower() in suffixes and name.stem.isdecimal()), key=int)


def _stamps(folder: Path) -> tuple[list[str], np.ndarray]:
    """The names of the files in `data`, and the time of each : (file,) datetime64[ns].

    A line stands for each file, or for each number from 0 where files are missing.
    """
    file = folder / "timestamps.txt"
    names = _names(folder / "data", (".txt", ".png", ".jpg"))
    try:
        lines = [line.strip() for line in file.read_text(encoding="ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: cannot be read ({error}); copy it anew") from error
    for k, line in enumerate(lines):
        if not STAMP.fullmatch(line):
            raise FormatError(
                f"{file}, line {k + 1}: '{line:.40}' is no time such as 2011-09-26 13:02:25.964389445; copy it anew"
            )
        if len(line) != len(lines[0]):
            raise FormatError(f"{file}, line {k + 1}: '{line}' has fewer or more digits than the first; copy it anew")
    if not names:
        raise FormatError(f"{folder / 'data'}: no numbered files; copy the drive anew")
    stamps = np.array([line.replace(" ", "T") for line in lines], dtype="datetime64[ns]")
    if len(lines) == len(names):
        return names, stamps
    if int(names[-1]) < len(lines):
        return names, stamps[[int(name) for name in names]]
    raise FormatError(f"{file}: {len(lines)} times for {len(names)} files; one was cut off, copy both anew")


def _rows(files: list[Path]) -> np.ndarray:
    """The numbers of all files : (row, field). Raises FormatError naming the one that is cut, or no row."""
    ended = [_row(file) for file in files]
    cut = [file for file, (_, whole) in zip(files, ended, strict=True) if not whole]
    if 0 < len(cut) < len(files):
        raise FormatError(f"{cut[0]}: its line has no end, as others have; its last number may be cut; copy it anew")
    return np.array([row for row, _ in ended])


def _row(file: Path) -> tuple[list[float], bool]:
    """The numbers of a file, and whether its line has an end."""
    try:
        text = file.read_text(encoding="ascii")
        row = [float(value) for value in text.split()]
    except (OSError, ValueError) as error:
        raise FormatError(f"{file}: no row of numbers ({error}); copy it anew") from error
    if len(row) != len(FIELDS) or not np.isfinite(row).all():
        raise FormatError(f"{file}: {len(row)} numbers, not {len(FIELDS)} finite ones; it is truncated: copy it anew")
    return row, text.endswith("\n")


def _cameras(path: Path, notes: list[str]) -> dict[str, Any]:
    """The lazy frames of the colour cameras, else of the grey ones, by folder; the first sets the times."""
    for pair in CAMERAS:
        names = {camera: _names(path / camera / "data", (".png", ".jpg")) for camera in pair}
        there = [camera for camera in pair if names[camera]]
        if not there:
            continue
        found = {}
        for camera in there:
            if names[camera] != names[there[0]]:
                notes.append(f"{camera} has other frames than {there[0]}, and is not read")
                continue
            files = {Path(name).stem: name for name in os.listdir(path / camera / "data")}
            found[camera] = open_images([path / camera / "data" / files[name] for name in names[camera]])
        return found
    notes.append(ABSENT)
    return {}


def _with_cameras(ds: xr.Dataset, cameras: dict[str, Any]) -> xr.Dataset:
    """The recording with further cameras on its clock."""
    for name, frames in cameras.items():
        dims = ("time", f"y_{name}", f"x_{name}", f"channel_{name}")
        columns = {"columns": colours(frames.shape[-1]).to_json()}
        view = ds["view"].variable
        ds = ds.assign({f"frames_{name}": (dims, frames, columns), f"view_{name}": view})
        note = f"frames_{name} was taken beside the frames, at times of its own within milliseconds"
        ds = ds.assign_attrs(history=f"{ds.attrs['history']}; {note}")
    return recording.check(ds)
