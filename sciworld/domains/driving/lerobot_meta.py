"""The meta folder of a LeRobot data set: what info.json states, the tasks, and where each episode is."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sciworld import recording
from sciworld.domains.base import reading
from sciworld.domains.driving.lerobot_features import CAMERAS
from sciworld.domains.driving.paths import filled
from sciworld.errors import FormatError

VERSION = re.compile(r"v?([23])\.\d+")
OWN = "sciworld/"  # before the names of an episode's texts, in our own exports


@dataclass(frozen=True)
class Episode:
    """Where an episode is.

    Parameters
    ----------
    index, length : its number, and of its rows.
    rows : the file that has them.
    videos : of each camera the file, and when in it the episode starts and ends, in s; NaN where that is not stated.
    texts : of its recording, in our own exports.
    """

    index: int
    length: int
    rows: Path
    videos: dict[str, tuple[Path, float, float]]
    texts: dict[str, str]


class Meta:
    """The meta folder, read and checked.

    `features` : what info.json states of each, by key. `cameras` : those that are frames. `tasks` : by number.
    `notes` : what contradicts itself. Raises FormatError.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.where = root, root / "meta" / "info.json"
        with reading(self.where, "info.json"):
            self._info = json.loads(self.where.read_text(encoding="utf-8"))
        if not isinstance(self._info, dict):
            raise FormatError(f"{self.where}: not an object; copy the data set anew")
        self.version = str(self._info.get("codebase_version"))
        version = VERSION.fullmatch(self.version)
        if version is None:
            raise FormatError(
                f"{self.where}: codebase_version is {self.version}; v2 and v3 are read: convert the data set with "
                "LeRobot's own scripts"
            )
        self._chunked = version[1] == "3"
        self.fps = _number(self._info, "fps", self.where)
        if not self.fps > 0:
            raise FormatError(f"{self.where}: fps is {self.fps}; it must be positive")
        features = self._info.get("features")
        if not isinstance(features, dict) or not all(
            isinstance(spec, dict) and isinstance(spec.get("dtype"), str) for spec in features.values()
        ):
            raise FormatError(f"{self.where}: does not state features and the dtype of each; copy the data set anew")
        self.features: dict[str, dict[str, Any]] = features
        self.cameras = {key: spec for key, spec in self.features.items() if spec["dtype"] in CAMERAS}
        if not self.cameras:
            raise FormatError(f"{self.where}: no feature is a video or image; there are no frames to read")
        self.tasks = self._tasks()
        self.episodes = self._episodes()
        self.notes = self._totals()

    def _tasks(self) -> dict[int, str]:
        """The tasks by number; empty if there is no file of tasks."""
        path = self.root / "meta" / ("tasks.parquet" if self._chunked else "tasks.jsonl")
        if not path.is_file():
            return {}
        with reading(path, "tasks"):
            if not self._chunked:
                return {_whole(row, "task_index", path): str(row.get("task", "")) for row in _lines(path)}
            table = read_table(path)
            texts = [
                one.name for one in table.schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)
            ]
            if "task_index" not in table.column_names or len(texts) != 1:
                raise FormatError(f"{path}: has {', '.join(table.column_names)}; expected task_index and the task")
            pairs = zip(table["task_index"].to_pylist(), table[texts[0]].to_pylist(), strict=True)
            return {int(number): str(text) for number, text in pairs}

    def _episodes(self) -> list[Episode]:
        if self._chunked:
            files = sorted((self.root / "meta" / "episodes").glob("*/*.parquet"))
            if not files:
                raise FormatError(
                    f"{self.root}: no meta/episodes/*/*.parquet, which v3.0 has; copy the folder meta anew"
                )
            rows = [(path, row) for path in files for row in _episode_rows(path)]
        else:
            path = self.root / "meta" / "episodes.jsonl"
            with reading(path, "episodes"):
                rows = [(path, row) for row in _lines(path)]
        found = sorted((self._episode(row, path) for path, row in rows), key=lambda episode: episode.index)
        if not found:
            raise FormatError(f"{self.root}: no episodes; copy the folder meta anew")
        for one, two in itertools.pairwise(found):
            if one.index == two.index:
                raise FormatError(f"{self.root}: episode {one.index} is listed twice in meta; drop one")
        return found

    def _episode(self, row: dict[str, Any], where: Path) -> Episode:
        index, length = _whole(row, "episode_index", where), _whole(row, "length", where)
        if not length:
            raise FormatError(f"{where}: episode {index} has no rows; take it out")
        if self._chunked:
            values = {f"{k}_index": _whole(row, f"data/{k}_index", where) for k in ("chunk", "file")}
        else:
            size = self._info.get("chunks_size")
            if type(size) is not int or size < 1:
                raise FormatError(f"{self.where}: chunks_size is {size!r}; expected a positive whole number")
            values = {"episode_chunk": index // size, "episode_index": index}
        videos = {}
        for key, spec in self.cameras.items():
            if spec["dtype"] != "video":
                continue
            start, stop = 0.0, math.nan
            if self._chunked:
                at = f"videos/{key}"
                values_ = {f"{k}_index": _whole(row, f"{at}/{k}_index", where) for k in ("chunk", "file")}
                start, stop = (_number(row, f"{at}/{end}_timestamp", where) for end in ("from", "to"))
            else:
                values_ = values
            path = filled(self.root, self._info.get("video_path"), {**values_, "video_key": key}, self.where)
            videos[key] = (path, start, stop)
        names = (*recording.TEXTS, "description")
        texts = {name: str(row.get(f"{OWN}{name}") or "") for name in names if f"{OWN}{name}" in row}
        return Episode(index, length, filled(self.root, self._info.get("data_path"), values, self.where), videos, texts)

    def _totals(self) -> list[str]:
        """What info.json counts otherwise than its episodes. Raises FormatError if it promises more."""
        notes = []
        held = {"episodes": len(self.episodes), "frames": sum(episode.length for episode in self.episodes)}
        for what, count in held.items():
            stated = self._info.get(f"total_{what}")
            if type(stated) is int and stated > count:
                raise FormatError(f"{self.where}: promises {stated} {what}, meta lists {count}; copy the data set anew")
            if stated is not None and stated != count:
                notes.append(f"info.json states {stated} {what}, there are {count}")
        return notes


def read_table(path: Path, without: tuple[str, ...] = ()) -> pa.Table:
    """All rows of a Parquet file but for some columns. Raises whatever pyarrow does."""
    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if name not in without]
        return file.read(columns=names)


def _episode_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of episodes, without the statistics."""
    with reading(path, "episodes"), pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
        rows: list[dict[str, Any]] = file.read(columns=names).to_pylist()
    return rows


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line. Raises ValueError for anything else."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise FormatError(f"{path}: a line is not an object; copy the file anew")
    return rows


def _whole(row: dict[str, Any], key: str, where: Path) -> int:
    value = row.get(key)
    if type(value) is not int or value < 0:
        raise FormatError(f"{where}: '{key}' is {value!r}; expected a whole number, not negative: copy the file anew")
    return value


def _number(row: dict[str, Any], key: str, where: Path) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FormatError(f"{where}: '{key}' is {value!r}; expected a finite number: copy the file anew")
    return float(value)
