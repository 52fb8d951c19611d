"""Donkeycar tubs, version 1 and 2: a small car's camera with the steering and throttle that its driver gave.

A tub is a folder, or an archive of one (.tar, .tar.gz). Version 2 has `manifest.json` (5 lines: inputs, types,
metadata, facts of the manifest, and the catalogs with the indexes that were deleted), `catalog_N.catalog` (a record a
line) and `images/`. Version 1 has `record_N.json` beside its pictures. What macOS adds (`._*`) is passed over.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.driving.archive import archive_names, is_archive, unpack
from sciworld.domains.logs import log, ragged
from sciworld.domains.media import open_images
from sciworld.errors import FormatError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

LOOP_HZ = 20.0  # DRIVE_LOOP_HZ, as Donkeycar's configuration has it unless changed
SHORTEST = 0.01  # s a frame; no drive loop is faster, so shorter steps are those of a conversion
LONGEST_VECTOR = 32  # numbers of one input that become columns; longer ones are arrays
IMAGE = "cam/image_array"
CONTROLS = ("user/angle", "user/throttle")
MARKS = re.compile(r"(manifest\.json|catalog_\d+\.catalog|record_\d+\.json|\d+_cam[-_]image_array_\.(jpe?g|png))")
RECORD = re.compile(r"record_(\d+)\.json")


@dataclass(frozen=True)
class Tub:
    """The records of a tub, as its files have them.

    Parameters
    ----------
    root : the folder. version : 1 or 2. images : the folder of its pictures.
    records : those that were not deleted, each with `_index`, in increasing order.
    notes : sentences for the history.
    """

    root: Path
    version: int
    images: Path
    records: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def is_donkeycar(path: Path) -> bool:
    """Whether a folder is a tub, or a file an archive with one."""
    try:
        if path.is_dir():
            return _version(path) is not None
        names = [Path(name).name for name in archive_names(path)] if is_archive(path) else []
        return any(MARKS.fullmatch(name) for name in names)
    except (OSError, ValueError):
        return False


def read_donkeycar(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """One recording a session of a tub, or of each tub in an archive. Raises FormatError naming the file and record."""
    if path.is_dir():
        roots, names = [path], [Path(os.path.abspath(path)).name]
    else:
        unpacked = unpack(path, wanted=lambda name: not name.startswith("._"))
        roots = [folder for folder in _folders(unpacked) if _version(folder) is not None]
        stem = re.sub(r"\.(tar\.gz|tgz|tar)$", "", path.name)
        names = [stem if len(roots) == 1 else f"{stem}/{root.relative_to(unpacked)}" for root in roots]
    found = []
    for root, name in zip(roots, names, strict=True):
        version = _version(root)
        tub = _read_v2(root) if version == 2 else _read_v1(root)
        if not tub.records:
            raise FormatError(f"{root}: a tub without records; they were all deleted, or it was never driven")
        sessions = list(dict.fromkeys(str(record.get("_session_id") or "") for record in tub.records))
        for session in sessions:
            records = [record for record in tub.records if str(record.get("_session_id") or "") == session]
            found.append(_recording(tub, records, f"{name}/{session}" if session else name, path.name, settings))
    if not found:
        raise FormatError(f"{path}: no tub in it; expected manifest.json or record_N.json")
    return found


def _folders(root: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in sorted(os.walk(root))]


def _version(root: Path) -> int | None:
    """2 with a manifest beside catalogs or pictures, 1 with records, None if the folder is no tub."""
    with os.scandir(root) as entries:
        names = {entry.name for entry in entries}
    if "manifest.json" in names and ("images" in names or any(name.endswith(".catalog") for name in names)):
        return 2
    return 1 if any(RECORD.fullmatch(name) for name in names) else None


def _read_v2(root: Path) -> Tub:
    manifest = root / "manifest.json"
    lines = [_json(line, f"{manifest}, line {k + 1}") for k, line in enumerate(_lines(manifest))]
    last = lines[4] if len(lines) == 5 else None
    if not isinstance(last, dict) or not isinstance(last.get("paths"), list):
        raise FormatError(
            f"{manifest}: {len(lines)} lines without a list of catalogs in the fifth; it is truncated: copy it anew"
        )
    records = []
    for name in last["paths"]:
        catalog = root / _plain(name, manifest)
        for k, line in enumerate(_lines(catalog)):
            record = _json(line, f"{catalog}, line {k + 1}")
            if not isinstance(record, dict) or type(record.get("_index")) is not int:
                raise FormatError(f"{catalog}, line {k + 1}: no record with an _index; copy it anew")
            records.append(record)
    indexes = [record["_index"] for record in records]
    for k, (one, two) in enumerate(itertools.pairwise(indexes)):
        if two <= one:
            raise FormatError(f"{root}: record {k + 1} has _index {two} after {one}; its catalogs are mixed up")
    deleted = last.get("deleted_indexes", [])
    if not isinstance(deleted, list) or not all(type(index) is int for index in deleted):
        raise FormatError(f"{manifest}: deleted_indexes are {deleted!r:.60}; expected a list of whole numbers")
    return Tub(root, 2, root / "images", *_without(records, set(deleted), "deleted_indexes"))


def _read_v1(root: Path) -> Tub:
    files = sorted((int(match[1]), name) for name in os.listdir(root) if (match := RECORD.fullmatch(name)))
    records = []
    for index, name in files:
        record = _json("\n".join(_lines(root / name)), str(root / name))
        if not isinstance(record, dict):
            raise FormatError(f"{root / name}: no record; expected a JSON object")
        # Version 1 counts from the start of its tub.
        stamp = record.get("milliseconds")
        records.append({**record, "_index": index, "_timestamp_ms": stamp} if stamp else {**record, "_index": index})
    excluded = root / "exclude.json"
    left = _json("\n".join(_lines(excluded)), str(excluded)) if excluded.is_file() else []
    if not isinstance(left, list) or not all(type(index) is int for index in left):
        raise FormatError(f"{excluded}: expected a list of whole numbers; mend it, or remove it")
    return Tub(root, 1, root, *_without(records, set(left), "exclude.json"))


def _without(
    records: list[dict[str, Any]], deleted: set[int], origin: str
) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The records that were not deleted, and sentences that say how many were."""
    kept = tuple(record for record in records if record["_index"] not in deleted)
    unknown = len(deleted) - (len(records) - len(kept))
    notes = [f"{len(records) - len(kept)} of {len(records)} records are deleted ({origin})"]
    if unknown:
        notes.append(f"{unknown} of the {origin} name no record")
    return kept, tuple(notes)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path}: cannot be read ({error}); the tub is incomplete or damaged: copy it anew"
        ) from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not JSON ({error}); it is truncated or damaged: copy it anew") from error


def _plain(name: Any, where: Path) -> str:
    """A name of a file in the tub's own folder. Raises FormatError for a path that leads elsewhere."""
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise FormatError(f"{where}: {name!r:.80} is no name of a file in the tub; mend it")
    return name


def _recording(
    tub: Tub, records: Sequence[dict[str, Any]], session: str, source: str, settings: DrivingOptions
) -> xr.Dataset:
    """The records of one session as a recording."""
    notes = [f"read {source} as Donkeycar tub v{tub.version}: {len(records)} records", *tub.notes]
    frames = open_images(_pictures(tub, records))
    time, assumed = _clock(records, settings, notes)
    columns = [Column(name, "1", -1.0, 1.0) for name in CONTROLS if any(name in record for record in records)]
    if not columns:
        raise FormatError(f"{tub.root}: records without {' and '.join(CONTROLS)}; nothing was controlled")
    values = np.stack([_numbers(records, column, tub.root) for column in columns], axis=1)
    table = ColumnTable(tuple(columns))
    raw = [log(time, series, column.name, str(tub.root)) for column, series in zip(table, values.T, strict=True)]
    controls = values.copy()
    controls[-1] = np.nan
    # What was deleted acted too: between the frames beside it more than one row acts.
    gaps = np.flatnonzero(np.diff([record["_index"] for record in records]) > 1)
    if len(gaps):
        controls[gaps] = np.nan
        notes.append(f"{len(gaps)} gaps where records are deleted or missing have unknown controls")
    states, state_table = _states(records, tub.root, notes)
    return recording.make(
        frames,
        time,
        counted=assumed,
        channels=colours(frames.shape[-1]),
        session=session,
        source=source,
        licence="",
        citation="",
        history="; ".join(notes),
        controls=controls,
        control_table=table,
        states=states,
        state_table=state_table,
        logs=ragged(raw),
        log_table=table,
    )


def _pictures(tub: Tub, records: Sequence[dict[str, Any]]) -> list[Path]:
    """The file of each record's picture. Raises FormatError that names the first that is missing."""
    present = set(os.listdir(tub.images)) if tub.images.is_dir() else set()
    names = []
    for record in records:
        if IMAGE not in record:
            raise FormatError(f"{tub.root}: record {record['_index']} has no '{IMAGE}'; delete it from the tub")
        names.append(_plain(record[IMAGE], tub.root))
    missing = [(record["_index"], name) for record, name in zip(records, names, strict=True) if name not in present]
    if missing:
        raise FormatError(
            f"{tub.images / missing[0][1]}: missing, as {len(missing) - 1} more pictures; copy the tub anew, or "
            f"delete the records (the first is {missing[0][0]}) in Donkeycar's tub manager"
        )
    return [tub.images / name for name in names]


def _clock(records: Sequence[dict[str, Any]], settings: DrivingOptions, notes: list[str]) -> tuple[np.ndarray, bool]:
    """(time,) s from the first record, by its stamps if these can be believed; and whether the rate is assumed."""
    stamps: list[Any] = [record.get("_timestamp_ms") for record in records]
    doubt = ""
    if not all(type(stamp) in (int, float) and math.isfinite(stamp) for stamp in stamps):
        doubt = "not every record has a time stamp"
    else:
        time = (np.array(stamps, dtype=np.float64) - float(stamps[0])) / 1e3
        steps = np.diff(time)
        if (steps <= 0).any():
            doubt = f"{int((steps <= 0).sum())} time stamps do not increase"
        elif len(steps) and np.median(steps) < SHORTEST:
            doubt = f"the time stamps are {np.median(steps):g} s apart, which no drive loop is: those of a conversion"
    if not doubt and settings.frame_seconds is None:
        return time, False
    index = np.array([record["_index"] for record in records], dtype=np.float64)
    step = settings.frame_seconds or 1.0 / LOOP_HZ
    origin = "as the user states" if settings.frame_seconds else f"Donkeycar's rate of {LOOP_HZ:g} Hz is assumed"
    notes.append(f"{doubt or 'the time stamps are not used'}; records are counted, {step:g} s each: {origin}")
    return (index - index[0]) * step, not settings.frame_seconds


def _numbers(records: Sequence[dict[str, Any]], column: Column, root: Path) -> np.ndarray:
    """A control of every record : (time,) float64; NaN where it is null or missing."""
    found = np.full(len(records), np.nan)
    for k, record in enumerate(records):
        value = record.get(column.name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if type(value) not in (int, float) or not -1.0 <= value <= 1.0:
            raise FormatError(
                f"{root}: record {record['_index']} has {column.name} {value!r:.40}, not a number in [-1, 1]; delete "
                "the record from the tub"
            )
        found[k] = value
    return found


def _states(
    records: Sequence[dict[str, Any]], root: Path, notes: list[str]
) -> tuple[np.ndarray | None, ColumnTable | None]:
    """What else the records hold in numbers : (time, state), and the mode if it changes; with the table."""
    columns, series, left = [], [], []
    for name in dict.fromkeys(key for record in records for key in record):
        values: list[Any] = [record.get(name) for record in records]
        if name.startswith("_") or name in (*CONTROLS, IMAGE, "milliseconds"):
            continue
        if name == "user/mode" and all(isinstance(value, str) and value for value in values):
            levels = tuple(sorted(set(values)))
            if len(levels) == 1:
                notes.append(f"user/mode is '{levels[0]}' throughout")
                continue
            piloted = sum(value != "user" for value in values)
            notes.append(
                f"{piloted} records were driven by a pilot, not by user/angle and user/throttle: see user/mode"
            )
            columns.append(Column(name, "1", kind="categorical", levels=levels))
            series.append([float(levels.index(value)) for value in values])
            continue
        rows = [value if isinstance(value, list) else [value] for value in values]
        width = max(len(row) for row in rows)
        plain = all(item is None or type(item) in (int, float, bool) for row in rows for item in row)
        if not plain or width > LONGEST_VECTOR or any(len(row) != width for row in rows if row != [None]):
            left.append(name)
            continue
        for k in range(width):
            columns.append(Column(name if width == 1 else f"{name}_{k}", "unknown", role="measured"))
            series.append([np.nan if row == [None] or row[k] is None else float(row[k]) for row in rows])
    if left:
        notes.append(f"not read, since they are no numbers: {', '.join(sorted(left))}")
    if not columns:
        return None, None
    found = np.array(series, dtype=np.float64).T
    if np.isinf(found).any():
        raise FormatError(f"{root}: record {records[int(np.isinf(found).any(axis=1).argmax())]['_index']} is infinite")
    return found, ColumnTable(tuple(columns))
