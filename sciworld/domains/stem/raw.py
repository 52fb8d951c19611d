"""What a file holds, before it is a recording: frames as they are, and the calibration that the file states."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import require_positive
from sciworld.controls import Column, ColumnTable
from sciworld.domains.stem.blocks import Blocks, joined
from sciworld.errors import FormatError
from sciworld.units import LENGTHS


@dataclass(frozen=True)
class ReadOptions:
    """What the user states about a file: what the file does not say, or says wrongly.

    Parameters
    ----------
    pixel_size : A a pixel, in place of what the file says.
    frame_seconds : seconds from the start of one frame to the start of the next, in place of what the file says.
    frames : keep only the first so many frames (a stack may be padded beyond what was recorded).
    array : which array to read, where the file holds several: its name, or its number.
    session, licence, citation : texts of the recording; the session is the file's name unless given.
    """

    pixel_size: float | None = None
    frame_seconds: float | None = None
    frames: int | None = None
    array: str = ""
    session: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        require_positive(self, "pixel_size", "frame_seconds", "frames")


@dataclass(frozen=True)
class Raw:
    """What one file holds.

    Parameters
    ----------
    frames : (time, [z,] y, x, channel), as stored, and still in the file.
    kind : what the file is, for the history.
    step : A a pixel along x and y, as the file states it; None if it does not.
    origin : A, where the pixel (0, 0) lies.
    time : (time,) s, start of each exposure; None if the file does not say.
    exposure : s, how long each exposure took; None if the file does not say.
    units : of the intensity; empty if the file does not say.
    channel : what was detected, as far as the file says. channels : the name of each, where the file has names.
    facts : covariates of the run, by name: value and units.
    silicon : (time, 2) column and row of a labelled silicon atom; None if there are no labels.
    notes : sentences for the history: choices that were made, contradictions that were found.
    """

    frames: Blocks
    kind: str
    step: tuple[float, float] | None = None
    origin: tuple[float, float] = (0.0, 0.0)
    time: np.ndarray | None = None
    exposure: float | None = None
    units: str = ""
    channel: str = "intensity"
    channels: tuple[str, ...] = ()
    facts: dict[str, tuple[float, str]] = field(default_factory=dict)
    silicon: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def length(value: object, units: object) -> float | None:
    """`value` in A, or None if `units` is no unit of length or the value is no finite number but zero."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value == 0:
        return None
    scale = LENGTHS.get(str(units).strip())
    return None if scale is None else float(value) * scale


def choose(name: str, units: str, candidates: Sequence[tuple[str, float | None]], notes: list[str]) -> float | None:
    """The first of several statements that the file makes about one quantity; a contradiction is noted."""
    known = [(where, value) for where, value in candidates if value is not None]
    if not known:
        return None
    where, chosen = known[0]
    for other, value in known[1:]:
        if not math.isclose(chosen, value, rel_tol=1e-3):
            notes.append(
                f"{name} is {chosen:g} {units} by {where} and {value:g} {units} by {other}; the former is used"
            )
    return chosen


def stack(frames: Blocks) -> Blocks:
    """An array of (y, x), (time, y, x) or (time, y, x, channel) as the last of these. Raises FormatError."""
    axes: dict[int, tuple[int | None, ...]] = {2: (None, 0, 1, None), 3: (0, 1, 2, None), 4: (0, 1, 2, 3)}
    if frames.ndim not in axes or 0 in frames.shape:
        raise FormatError(
            f"{frames.path}: an array of shape {frames.shape}; frames are (y, x), (time, y, x) or (time, y, x, channel)"
        )
    return frames.arranged(axes[frames.ndim])


def _widen(frames: Blocks, path: Path, notes: list[str]) -> Blocks:
    """Frames in a dtype that recordings know; any other is widened, by which nothing is lost."""
    if frames.dtype.name in recording.FRAME_DTYPES:
        return frames
    if frames.dtype.kind in "biuf":
        for wider in recording.FRAME_DTYPES:
            # NumPy calls int64 to float64 safe, but it rounds.
            exact = frames.dtype.itemsize < 8 or frames.dtype.kind == "f"
            if exact and np.can_cast(frames.dtype, wider):
                notes.append(f"{frames.dtype.name} is kept as {wider}, by which nothing is lost")
                return frames.astype(wider)
    raise FormatError(
        f"{path}: frames of dtype {frames.dtype}; convert them to one of {', '.join(recording.FRAME_DTYPES)} first"
    )


def join(raws: Sequence[Raw], paths: Sequence[Path]) -> Raw:
    """Files that hold successive frames as one. Raises FormatError naming the file that does not fit the first."""
    first = raws[0]
    for raw, path in zip(raws[1:], paths[1:], strict=True):
        for what, mine, other in (
            ("a frame shape", first.frames.shape[1:], raw.frames.shape[1:]),
            ("the dtype", first.frames.dtype, raw.frames.dtype),
            ("a pixel size of", first.step, raw.step),
            ("an origin of", first.origin, raw.origin),
            ("intensity units", first.units, raw.units),
            ("the channels", first.channels, raw.channels),
            ("the facts", first.facts, raw.facts),
        ):
            if mine != other:
                raise FormatError(
                    f"{path}: {what} {other}, but {paths[0].name} has {mine}; read files that differ one by one"
                )
    notes = dict.fromkeys(note for raw in raws for note in raw.notes)  # in order, each once
    if all(path.stem.isdigit() for path in paths):
        numbers = {int(path.stem) for path in paths}
        skipped = sorted(set(range(min(numbers), max(numbers))) - numbers)
        if skipped:
            notes[f"the numbers in the files' names skip {', '.join(map(str, skipped[:10]))}"] = None
    labels = [raw.silicon for raw in raws if raw.silicon is not None]
    return dataclasses.replace(
        first,
        frames=joined([raw.frames for raw in raws], paths[0].absolute().parent),
        kind=f"{len(raws)} files of {first.kind}",
        time=None,  # each file counts from its own start
        silicon=np.concatenate(labels) if len(labels) == len(raws) else None,
        notes=tuple(notes),
    )


def as_recording(raw: Raw, path: Path, options: ReadOptions) -> xr.Dataset:
    """The recording of what was read from `path`. Raises FormatError where the file contradicts itself."""
    notes = [f"read {path.name} as {raw.kind}", *raw.notes]
    frames = _widen(raw.frames, path, notes)
    if options.frames is not None:
        if options.frames > len(frames):
            raise FormatError(
                f"{path}: {len(frames)} frames, but frames={options.frames} were asked for; ask for fewer"
            )
        notes.append(f"the first {options.frames} of {len(frames)} frames are kept, as stated by the user")
        frames = frames.first(options.frames)
    n = len(frames)
    time, known = _time(raw, n, path, options, notes)
    step = _step(raw, options, notes)
    view = None if step is None else np.array([step[0], 0.0, raw.origin[0], 0.0, step[1], raw.origin[1]])
    units = raw.units or "1"
    counted = [raw.channel] if frames.shape[-1] == 1 else [f"{raw.channel}_{k}" for k in range(frames.shape[-1])]
    names = raw.channels or counted
    facts = dict(sorted(raw.facts.items()))
    return recording.make(
        frames.lazy(),
        time,
        counted=not known,
        channels=ColumnTable(tuple(Column(name, units, role="measured") for name in names)),
        session=options.session or path.stem or "session",
        source=path.name,
        licence=options.licence,
        citation=options.citation,
        history="; ".join(notes),
        time_bounds=_bounds(time, raw.exposure) if known else None,
        view=view,
        view_units="" if view is None else "A",
        covariates={name: value for name, (value, _) in facts.items()} or None,
        covariate_table=ColumnTable(tuple(Column(name, u, role="measured") for name, (_, u) in facts.items()))
        if facts
        else None,
        **_labels(raw, n, view),  # type: ignore[arg-type]
    )


def _time(raw: Raw, n: int, path: Path, options: ReadOptions, notes: list[str]) -> tuple[np.ndarray, bool]:
    """Start of each exposure : (time,) s, and whether it is known."""
    if options.frame_seconds is not None:
        notes.append(f"a frame starts every {options.frame_seconds:g} s, as stated by the user")
        return options.frame_seconds * np.arange(n), True
    if raw.time is None:
        if n > 1:
            notes.append("the file states no times: frames are counted as seconds 0, 1, 2, ...")
        return np.arange(n, dtype=np.float64), n == 1
    if len(raw.time) < n:
        raise FormatError(
            f"{path}: times for {len(raw.time)} frames, but {n} frames; the stack may be padded: give "
            f"frames={len(raw.time)} to keep those that were recorded, or frame_seconds"
        )
    if len(raw.time) > n:
        notes.append(f"the file states times for {len(raw.time)} frames; those of the first {n} are used")
    return np.asarray(raw.time[:n], dtype=np.float64), True


def _bounds(time: np.ndarray, exposure: float | None) -> np.ndarray | None:
    """Start and end of each exposure : (time, 2) s; None if unknown, or if exposures would overlap."""
    if exposure is None or (len(time) > 1 and np.diff(time).min() < exposure * (1 - 1e-9)):
        return None
    return np.stack([time, time + exposure], axis=1)


def _step(raw: Raw, options: ReadOptions, notes: list[str]) -> tuple[float, float] | None:
    if options.pixel_size is not None:
        said = f", in place of {raw.step[0]:g} A in the file" if raw.step else ""
        notes.append(f"the pixel size is {options.pixel_size:g} A, as stated by the user{said}")
        return options.pixel_size, options.pixel_size
    if raw.step is None:
        notes.append("the file states no pixel size: the view is the pixel grid")
    else:
        notes.append(f"the pixel size is {raw.step[0]:g} A by {raw.step[1]:g} A, as stated by the file")
    return raw.step


def _labels(raw: Raw, n: int, view: np.ndarray | None) -> dict[str, object]:
    """States that hold the labelled silicon position, in the laboratory frame where it is known."""
    if raw.silicon is None:
        return {}
    units, frame, position = "pixel", "pixel", raw.silicon[:n]
    if view is not None:
        units, frame = "A", "lab"
        position = position * view[[0, 4]] + view[[2, 5]]
    columns = [
        Column(f"silicon_{axis}", units, role="inferred", group="silicon", axis=axis, frame=frame) for axis in "xy"
    ]
    return {"states": position, "state_table": ColumnTable(tuple(columns))}
