"""Files become recordings in a store: the first step of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import catalog, recording
from sciworld.controls import ColumnTable
from sciworld.errors import CatalogError, RecordingError, SettingsError
from sciworld.ingest.controls import attach_controls, doubts, parse_map
from sciworld.ingest.lag import Lag, estimate_lag
from sciworld.ingest.open import open_recordings
from sciworld.store import Store

Source = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Summary:
    """What `ingest` did.

    Parameters
    ----------
    store : where the recordings are.
    parts : names of the parts that were appended.
    recordings, frames : how many.
    lag : the measured lag; None without controls.
    figure : the page that shows the lag; None without controls, or if it could not be written.
    histories : what was stated, chosen and contradicted, one text a recording.
    warnings : what the user must look at.
    """

    store: Path
    parts: tuple[str, ...]
    recordings: int
    frames: int
    lag: Lag | None
    figure: Path | None
    histories: tuple[str, ...]
    warnings: tuple[str, ...]


def ingest(
    sources: Source | Sequence[Source],
    out: str | Path,
    *,
    controls: str | Path | Sequence[str | Path] = (),
    mapping: str = "",
    times: str = "",
    shift: int = 0,
    reader: str | None = None,
    allow_nan: bool = False,
    options: Mapping[str, object] | None = None,
) -> Summary:
    """Read files, attach their controls, measure the lag, and append everything to the store at `out` at once.

    sources : a file, or several; a folder, or a list within the list, is one movie. controls : one CSV file for each
    source. mapping, times, shift : see `attach_controls`. reader, options : see `open_recordings`.
    `allow_nan` keeps frames with pixels that are not finite, which are refused otherwise.
    Positions count from the centre of the first pixel, x along columns and y down the rows, unless the file states an
    origin; beams outside the frame are a warning. The lag's picture is written beside the store, as NAME-lag.html
    with plotly's script in plotly.min.js; if it cannot be written, that is a warning.

    All sources are read before anything is written. A session that the store holds already is refused, unless it is
    stated (options) and what is read is another source: nothing is in a store twice by accident. Raises FormatError,
    ControlError, RecordingError or StoreError; what the store held is untouched by any of them.
    """
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    tables = [controls] if isinstance(controls, str | Path) else list(controls)
    _require_pairs(several, tables, mapping, bool(times or shift))
    found = []
    for index, source in enumerate(several):
        opened = open_recordings(source, reader, options)
        if tables and len(opened) != 1:
            raise SettingsError(f"{source}: holds {len(opened)} recordings; one CSV file cannot control them all")
        for ds in opened:
            if not allow_nan:
                _refuse_nan(ds)
            found.append(attach_controls(ds, tables[index], mapping, times, shift) if tables else ds)
    if tables:
        found = _with_common_bounds(found, mapping)
    _refuse_repeats(found, Path(out), stated=bool((options or {}).get("session")))
    lag = estimate_lag(found) if tables else None
    if lag is not None:
        note = lag.summary()
        found = [ds.assign_attrs(history=f"{ds.attrs['history']}; {note}") for ds in found]
    store = Store.create(out)
    parts = store.append(found)
    warnings = [] if lag is None else [*(doubt for ds in found for doubt in doubts(ds)), *lag.warnings()]
    figure = None if lag is None else _picture(lag, store.path, warnings)
    return Summary(
        store=store.path,
        parts=tuple(parts),
        recordings=len(found),
        frames=sum(ds.sizes["time"] for ds in found),
        lag=lag,
        figure=figure,
        histories=tuple(ds.attrs["history"] for ds in found),
        warnings=tuple(warnings),
    )


def ingest_entry(name: str, out: str | Path, allow_nan: bool = False) -> Summary:
    """Fetch a data set of the catalogue and ingest its frames, under its licence and citation.

    Raises CatalogError, also for a generated data set, which is a store already; and what `ingest` raises.
    """
    entry = catalog.get(name)
    paths = catalog.fetch(name)
    if isinstance(paths, Path):
        raise CatalogError(f"'{name}' is a store already, at {paths}; use it as it is")
    frames = [path for path, file in zip(paths, entry.files, strict=True) if file.role == "frames"]
    options = {"licence": entry.licence, "citation": entry.citation}
    if entry.together:
        options["session"] = entry.name
    return ingest(
        [frames] if entry.together else frames, out, reader=entry.reader, allow_nan=allow_nan, options=options
    )


def _require_pairs(several: list[Any], tables: list[Any], mapping: str, moved: bool) -> None:
    """Raise SettingsError unless there are sources, and a CSV file for each or none at all."""
    if not several:
        raise SettingsError("ingest: no sources; name at least one file")
    if tables and (len(tables) != len(several) or not mapping):
        raise SettingsError(
            f"ingest: {len(several)} sources, {len(tables)} CSV files, map '{mapping}'; give one CSV file for each "
            "source, and a map such as 'x=beam_x:A,y=beam_y:A,dwell=t:s'"
        )
    if not tables and (mapping or moved):
        raise SettingsError("ingest: a map, times or a shift without controls; name the CSV file with the controls")


def _refuse_nan(ds: xr.Dataset) -> None:
    for name in recording.cameras(ds):
        frames = ds[name].values
        if frames.dtype.kind != "f":
            continue
        bad = ~np.isfinite(frames).reshape(len(frames), -1).all(axis=1)
        if bad.any():
            listed = ", ".join(map(str, np.flatnonzero(bad)[:10]))
            raise RecordingError(
                f"{ds.attrs['source']}: {int(bad.sum())} frames of '{name}' hold pixels that are not finite "
                f"({listed}); drop these frames, or keep them with allow_nan"
            )


def _with_common_bounds(found: list[xr.Dataset], mapping: str) -> list[xr.Dataset]:
    """Recordings whose controls have the widest of their bounds, so that a store keeps them together."""
    stated = {control.name for control in parse_map(mapping) if control.low is not None}
    tables = [recording.control_table(ds) for ds in found]
    columns = []
    for column in tables[0]:
        bounds = [(table[column.name].low, table[column.name].high) for table in tables]
        lows = [low for low, _ in bounds if low is not None]
        highs = [high for _, high in bounds if high is not None]
        if column.name not in stated and lows:
            column = replace(column, low=min(lows), high=max(highs))
        columns.append(column)
    text = ColumnTable(tuple(columns)).to_json()
    return [ds.assign(controls=ds["controls"].assign_attrs(columns=text)) for ds in found]


def _refuse_repeats(found: list[xr.Dataset], out: Path, stated: bool) -> None:
    """No recording is of a session in the store; where the user stated the session, of a session and source."""
    if not (out / "zarr.json").is_file():
        return
    store = Store.open(out)
    held = set(zip(store.sessions(), store.sources(), strict=True))
    for ds in found:
        session, source = ds.attrs["session"], ds.attrs["source"]
        if (session, source) in held if stated else session in store.sessions():
            raise RecordingError(
                f"{source}: session '{session}' is in the store {out} already; choose a new --out, or give --session "
                "if it is another one"
            )


def _picture(lag: Lag, store: Path, warnings: list[str]) -> Path | None:
    """Write the picture of the lag beside the store. The recordings are in the store by now: no failure undoes that."""
    store = store.resolve()
    path = store.parent / f"{store.name}-lag.html"
    try:
        lag.figure().write_html(path, include_plotlyjs="directory")
    except OSError as error:
        warnings.append(f"{path}: the picture of the lag cannot be written ({error}); the store is complete")
        return None
    return path
