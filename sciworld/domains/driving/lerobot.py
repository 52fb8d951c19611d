"""LeRobot data sets, v3.0 and v2: one recording an episode, its frames still in the videos or among the rows.

Layout as of huggingface/lerobot, src/lerobot/datasets. In v3.0 a file of rows and a video hold many episodes, numbered
apart; a row's `timestamp` counts from its episode's `from_timestamp` in the video. In v2 each episode has its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.base import reading
from sciworld.domains.driving.lerobot_cameras import Pictures, Videos, declared
from sciworld.domains.driving.lerobot_features import (
    Gathered,
    Words,
    codes,
    features_of,
    is_view,
    numbers,
    words,
)
from sciworld.domains.driving.lerobot_meta import Episode, Meta, read_table
from sciworld.errors import FormatError, SettingsError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

SHOWN = 200  # characters of free text in a history


def is_lerobot(path: Path) -> bool:
    """Whether a folder is a LeRobot data set."""
    return (path / "meta" / "info.json").is_file()


def read_lerobot(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """One recording an episode, in their order. Raises FormatError naming the file, the episode and what is wrong."""
    if settings.frame_seconds is not None:
        raise SettingsError(f"{path}: states its times; leave out frame_seconds")
    data = _DataSet(path.absolute())  # its name is needed, also if it is '.'
    found = [data.recording(episode) for episode in data.meta.episodes]
    loose = data.videos.loose()
    return [ds.assign_attrs(history="; ".join([ds.attrs["history"], *loose])) for ds in found]


class _DataSet:
    """What all episodes share: the meta folder, the levels of words, and the files that are open."""

    def __init__(self, root: Path) -> None:
        self.meta = Meta(root)
        self.root, self.where, self.fps, self.tasks = root, self.meta.where, self.meta.fps, self.meta.tasks
        self.features, odd = features_of(self.meta.features, self.where)
        self.notes = [f"left out, of kinds that are not read: {', '.join(odd)}"] * bool(odd) + self.meta.notes
        self.licence = _licence(root / "README.md")
        self.videos, self.pictures = Videos(), Pictures(root)
        self._table: tuple[Path, pa.Table] | None = None
        self.words = self._levels([key for key, spec in self.meta.features.items() if spec["dtype"] == "string"])

    def recording(self, episode: Episode) -> xr.Dataset:
        """The recording of one episode."""
        where = f"{episode.rows}: episode {episode.index}"
        first, table = self._rows(episode)
        stamps = self._series(table, "timestamp", where)
        if not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
            raise FormatError(f"{where}: 'timestamp' is not finite and increasing; copy the file anew")
        notes = [
            f"read {self.root.name} as episode {episode.index} of LeRobot {self.meta.version}, "
            f"{self.fps:g} frames a second",
            *self.notes,
        ]
        off = float(np.abs(stamps - np.arange(len(stamps)) / self.fps).max())
        if off > 0.5 / self.fps:
            notes.append(f"timestamps are up to {off:.3g} s away from frames at {self.fps:g} a second: they are used")
        cameras = self._frames(episode, first, stamps, notes)
        time, parts, wide = self._parts(table, stamps, where)
        views = self._views(table, where)
        parts |= self._said(table, parts, where, notes)
        texts = episode.texts
        name, frames = next(iter(cameras.items()))
        history = [*([texts["history"]] if texts.get("history") else []), notes[0], f"frames are '{name}'", *notes[1:]]
        ds = recording.make(
            frames,
            time,
            channels=colours(frames.shape[-1]),
            session=texts.get("session") or f"{self.root.name}/episode_{episode.index:06d}",
            source=texts.get("source") or f"{self.root.name}/{episode.rows.relative_to(self.root).as_posix()}",
            licence=texts.get("licence") or self.licence,
            citation=texts.get("citation", ""),
            description=texts.get("description", ""),
            history="; ".join(history),
            view=views["view"][0] if "view" in views else None,
            view_units=views["view"][1]["units"] if "view" in views else "",
            **parts,
        )
        for name, frames in list(cameras.items())[1:]:
            ds = ds.assign(_camera(_called(name), frames, len(time)))
        for name in set(views) & set(ds.variables):
            ds[name] = (("time", "affine"), *views[name])
        return recording.check(ds.assign(wide), where)

    def _views(self, table: pa.Table, where: str) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
        """The views that an export of ours states, by the names of their variables : (row, 6), and their attributes."""
        found = {}
        for key, spec in self.meta.features.items():
            if is_view(key, spec):
                attributes = {name: str(spec.get(name, "")) for name in ("units", "row_direction")}
                values = numbers(_column(table, key, where), (6,), f"{where}: '{key}'")
                found[key.removeprefix("recording.")] = values, attributes
        return found

    def _levels(self, keys: list[str]) -> list[Words]:
        """The words of the whole data set, and of its tasks if there are several."""
        gathered = [Gathered(key, key.rpartition(".")[2]) for key in keys]
        columns = [column.name for feature in self.features for column in feature.columns]
        names = [*columns, *(one.name for one in gathered)]
        for one in gathered:
            if names.count(one.name) > 1 or one.name == "task":
                one.name = one.key
        if len(self.tasks) > 1 and "task" not in columns:
            gathered.append(Gathered("task_index", "task"))
        for episode in self.meta.episodes if gathered else ():
            _, table = self._rows(episode)
            for one in gathered:
                one.add(self._words(table, one.key, f"{episode.rows}: episode {episode.index}"))
        return [one.words() for one in gathered]

    def _words(self, table: pa.Table, key: str, where: str) -> list[str | None]:
        if key != "task_index":
            return words(_column(table, key, where), f"{where}: '{key}'")
        places = self._series(table, key, where)
        odd = [place for place in places if place not in self.tasks]
        if odd:
            raise FormatError(f"{where}: task_index is {odd[0]:g}, which the file of tasks in meta does not list")
        return [self.tasks[int(place)] for place in places]

    def _rows(self, episode: Episode) -> tuple[int, pa.Table]:
        """Where an episode starts among the rows of its file, and its rows without pictures."""
        path, where = episode.rows, f"{episode.rows}: episode {episode.index}"
        if self._table is None or self._table[0] != path:
            with reading(path, "rows in Parquet"):
                self._table = path, read_table(path, without=tuple(self.meta.cameras))
        table = self._table[1]
        mine = np.flatnonzero(self._series(table, "episode_index", where) == episode.index)
        if len(mine) != episode.length:
            raise FormatError(f"{where} has {len(mine)} rows, meta promises {episode.length}; copy the file anew")
        first = int(mine[0])
        part = table.slice(first, episode.length)
        counted = self._series(part, "frame_index", where)
        if mine[-1] - first + 1 != episode.length or not np.array_equal(counted, np.arange(episode.length)):
            raise FormatError(f"{where}: its rows are not in order, 'frame_index' is not 0, 1, 2, ...; sort them")
        return first, part

    def _series(self, table: pa.Table, key: str, where: str) -> np.ndarray:
        return numbers(_column(table, key, where), (1,), f"{where}: '{key}'")[:, 0]

    def _frames(self, episode: Episode, first: int, stamps: np.ndarray, notes: list[str]) -> dict[str, Any]:
        """The frames of each camera, lazily."""
        found: dict[str, Any] = {}
        for key, spec in self.meta.cameras.items():
            if spec["dtype"] == "image":
                found[key] = self.pictures.frames(episode.rows, key, first, len(stamps))
            else:
                path, start, stop = episode.videos[key]
                found[key], said = self.videos.frames(path, start + stamps, self.fps, episode.index)
                notes += [f"'{key}' {note}" for note in said]
                if abs(stop - start - len(stamps) / self.fps) > 0.5 / self.fps:
                    notes.append(f"'{key}' is {stop - start:g} s long by meta, with {len(stamps)} rows: rows are used")
            size = declared(spec)
            if size is not None and size != found[key].shape[1:3]:
                notes.append(
                    f"'{key}' has {size[0]} x {size[1]} pixels by info.json, {found[key].shape[1:3]} are there"
                )
        names = [_called(key) for key in list(found)[1:]]
        if len(set(names)) < len(names):
            raise FormatError(
                f"{self.where}: two cameras would both be called {max(names, key=names.count)}; rename one"
            )
        return found

    def _parts(
        self, table: pa.Table, stamps: np.ndarray, where: str
    ) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
        """Time, the arrays and tables for `recording.make`, and variables of integers that float64 cannot hold."""
        values: dict[str, list[np.ndarray]] = {}
        columns: dict[str, list[Column]] = {}
        wide: dict[str, Any] = {}
        for feature in self.features:
            found = numbers(_column(table, feature.key, where), feature.shape, f"{where}: '{feature.key}'")
            if found.dtype == np.int64:
                wide[feature.key] = (("time", f"{feature.key}_number"), found)
            else:
                values.setdefault(feature.part, []).append(found)
                columns.setdefault(feature.part, []).extend(feature.columns)
        arrays = {part: np.concatenate(found, axis=1) for part, found in values.items()}
        parts: dict[str, Any] = {}
        for part, name in (("states", "state_table"), ("rewards", "reward_table")):
            if part in arrays:
                parts |= {part: arrays[part], name: ColumnTable(tuple(columns[part]))}
        if "covariates" in arrays:
            parts |= _facts(arrays["covariates"], columns["covariates"], where)
        time = arrays["time"][:, 0] if "time" in arrays else stamps
        if "controls" in arrays:
            parts |= _controls(arrays["controls"], columns["controls"], time)
        return time, parts, wide

    def _said(self, table: pa.Table, parts: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
        """Words as covariates where they are constant in all episodes, as states where not; free text in the notes."""
        facts = dict(parts.get("covariates") or {})
        columns = list(parts.get("covariate_table") or ())
        states, state_columns = [parts["states"]] if "states" in parts else [], list(parts.get("state_table") or ())
        for one in self.words:
            found = self._words(table, one.key, where)
            if one.levels is None:
                notes += [f"{one.name}: {'; '.join(_distinct(found))[:SHOWN]}"] * any(found)
            elif one.constant:
                facts[one.name] = codes(found, one.levels)[0]
                columns.append(Column(one.name, "1", kind="categorical", levels=one.levels, role="measured"))
            else:
                states.append(codes(found, one.levels)[:, None])
                state_columns.append(Column(one.name, "1", kind="categorical", levels=one.levels, role="measured"))
        if len(self.tasks) == 1:
            notes.append(f"task: {next(iter(self.tasks.values()))[:SHOWN]}")
        more: dict[str, Any] = {}
        if facts:
            more |= {"covariates": facts, "covariate_table": ColumnTable(tuple(columns))}
        if states:
            more |= {"states": np.concatenate(states, axis=1), "state_table": ColumnTable(tuple(state_columns))}
        return more


def _facts(values: np.ndarray, columns: Sequence[Column], where: str) -> dict[str, Any]:
    """Covariates from rows that all say the same : (row, covariate)."""
    if not np.array_equal(values, np.broadcast_to(values[0], values.shape), equal_nan=True):
        raise FormatError(
            f"{where}: 'covariates' changes within the episode; facts of a run are constant: mend the rows"
        )
    names = [column.name for column in columns]
    return {
        "covariates": dict(zip(names, values[0].tolist(), strict=True)),
        "covariate_table": ColumnTable(tuple(columns)),
    }


def _controls(values: np.ndarray, columns: Sequence[Column], time: np.ndarray) -> dict[str, Any]:
    """Controls with their last row unknown, for it acts after the last frame; what the file says of it is logged."""
    table, last = ColumnTable(tuple(columns)), values[-1].copy()
    values[-1] = [np.nan if column.acts == "between" else value for column, value in zip(columns, last, strict=True)]
    logs = (np.full(len(last), time[-1]), np.arange(len(last)), last)
    return {"controls": values, "control_table": table, "logs": logs, "log_table": table}


def _called(key: str) -> str:
    """A further camera's name in the names of variables and dimensions."""
    return re.sub(r"\W+", "_", re.sub(r"^(observation\.)?(images?\.)?", "", key))


def _camera(name: str, frames: Any, rows: int) -> dict[str, Any]:
    """The variables of a further camera, whose laboratory is its pixel grid."""
    dims = ("time", *(f"{axis}_{name}" for axis in ("y", "x", "channel")))
    view = np.tile(recording.PIXELS, (rows, 1))
    return {
        f"frames_{name}": (dims, frames, {"columns": colours(frames.shape[-1]).to_json()}),
        f"view_{name}": (("time", "affine"), view, {"units": "pixel", "row_direction": "down"}),
    }


def _column(table: pa.Table, key: str, where: str) -> Any:
    if key not in table.column_names:
        raise FormatError(f"{where}: no column '{key}', which info.json promises; copy the file anew")
    return table[key]


def _distinct(values: Sequence[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _licence(readme: Path) -> str:
    """The licence that the card of the data set states in its head; "" if it does not."""
    if not readme.is_file():
        return ""
    with reading(readme, "the card of a data set"):
        head = re.match(r"---\n(.*?)\n---", readme.read_text(encoding="utf-8"), re.DOTALL)
    stated = re.search(r"^license: *(\S.*?) *$", head[1], re.MULTILINE) if head else None
    return stated[1] if stated else ""
