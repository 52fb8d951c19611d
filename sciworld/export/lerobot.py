"""Recordings become a LeRobot data set, v3.0 (huggingface/lerobot, src/lerobot/datasets): one episode each.

Controls are `action`, states `observation.state`, rewards `next.reward`; `covariates` and `recording.time` are features
of ours, all float64 as recorded. Videos hold 8 bits and three colours and lose some: what does not fit is refused
unless the caller says how to scale it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable
from sciworld.domains.driving.lerobot_features import TIME
from sciworld.domains.driving.lerobot_meta import OWN
from sciworld.errors import ControlError, RecordingError, SettingsError, StoreError
from sciworld.export.export import ExportSettings, Tell, controls_to_end
from sciworld.export.lerobot_files import (
    CHUNK,
    CODECS,
    INDEX_DTYPES,
    ROWS_MB,
    ROWS_PATH,
    VIDEO_MB,
    VIDEO_PATH,
    Rows,
    VideoFiles,
    row_table,
    write_json,
    write_tasks,
)
from sciworld.export.lerobot_pixels import Pixels, png, stated
from sciworld.lazy import blocks
from sciworld.measures.moments import Moments

TASK = "recorded run"  # LeRobot wants each row to be of a task
TOLERANCE = 1e-4  # seconds that LeRobot lets times differ from its fixed rate
# The feature of each variable.
FEATURES = {"controls": "action", "states": "observation.state", "rewards": "next.reward", "covariates": "covariates"}


def write_lerobot(recordings: Sequence[xr.Dataset], out: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    """Write recordings of one kind as the data set in the folder `out`; notes, which its README says too.

    Raises SettingsError for what a data set cannot hold, StoreError if an encoder fails.
    """
    if settings.codec not in CODECS:
        raise SettingsError(f"no codec '{settings.codec}'; there are {', '.join(CODECS)}")
    pixels = Pixels(settings.scale, settings.lossless)
    try:
        moved = {name for ds in recordings for name in _moved(ds)}
        with contextlib.closing(_Export(out, settings.task, pixels, settings.codec, moved)) as export:
            for number, ds in enumerate(recordings):
                export.add(ds, f"recording {number}")
                tell(ds.sizes["time"])
        return export.finish()
    except (av.FFmpegError, pa.ArrowException) as error:
        raise StoreError(
            f"{out.name}: cannot be written ({error}); free some space or mend the permissions; if the encoder failed, "
            "use another codec, or lossless"
        ) from error


class _Export:
    """A data set that grows by one episode a recording; the first says what all are. moved : views to be stated."""

    def __init__(self, root: Path, task: str, pixels: Pixels, codec: str, moved: Collection[str]) -> None:
        self._root, self._task, self._pixels, self._codec, self._moved = root, task, pixels, codec, moved
        (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
        self._rows = Rows(root)
        self._videos: dict[str, VideoFiles] = {}
        self._cameras: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._tables: dict[str, ColumnTable] = {}
        self._views: dict[str, dict[str, str]] = {}
        self._fps = 0.0
        self._tasks: list[str] = []
        self._episodes: list[dict[str, Any]] = []
        self._totals: dict[str, Moments] = {}
        self._notes: dict[str, None] = {}  # each once, in their order
        self._repeated = self._clipped = self._index = 0

    def add(self, ds: xr.Dataset, where: str) -> None:
        """Write a recording as the next episode."""
        self._match(ds, where)
        number, length = len(self._episodes), ds.sizes["time"]
        values = self._values(ds)
        moments = {key: Moments.of(array) for key, array in values.items()}
        pictures: dict[str, list[bytes]] = {}
        places: dict[str, Any] = {}
        for name in recording.cameras(ds):
            key = _key(name)
            start = self._begin(key)
            pictures[key], moments[key] = self._write_frames(ds[name], key, f"{where}: '{name}'")
            if not self._pixels.lossless:
                stop = self._videos[key].frames
                at = f"videos/{key}"
                places |= {f"{at}/{field}": index for field, index in self._videos[key].place.fields.items()}
                places |= {f"{at}/from_timestamp": start / self._fps, f"{at}/to_timestamp": stop / self._fps}
        task = self._task_of(ds)
        index = {
            "timestamp": np.arange(length) / self._fps,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(self._index, self._index + length),
            "task_index": np.full(length, self._tasks.index(task)),
        }
        moments |= {key: Moments.of(array[:, None]) for key, array in index.items()}
        placed = self._rows.write(row_table(values, pictures if self._pixels.lossless else {}, index))
        self._index += length
        self._episodes.append(
            {
                "episode_index": number,
                "tasks": [task],
                "length": length,
                **{f"data/{field}": place for field, place in placed.items()},
                "dataset_from_index": self._index - length,
                "dataset_to_index": self._index,
                **places,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                **{f"{OWN}{name}": ds.attrs.get(name, "") for name in (*recording.TEXTS, "description")},
                **{
                    f"stats/{key}/{name}": value
                    for key, found in moments.items()
                    for name, value in self._stated(key, found, length).items()
                },
            }
        )
        for key, found in moments.items():
            self._totals.setdefault(key, Moments(len(found.count))).merge(found)

    def close(self) -> None:
        """End all files of rows and videos."""
        self._rows.close()
        for video in self._videos.values():
            video.close()

    def finish(self) -> list[str]:
        """Write the meta folder and the README; the notes."""
        if not self._episodes:
            raise SettingsError("export: no recordings; give at least one")
        notes = self._all_notes()
        for episode in self._episodes:
            said = "; ".join(["exported to LeRobot v3.0", *notes])
            episode[f"{OWN}history"] = f"{episode[f'{OWN}history']}; {said}".removeprefix("; ")
        meta = self._root / "meta"
        pq.write_table(pa.Table.from_pylist(self._episodes), meta / "episodes" / "chunk-000" / "file-000.parquet")
        write_tasks(self._root, self._tasks)
        write_json(
            meta / "stats.json", {key: self._stated(key, found, self._index) for key, found in self._totals.items()}
        )
        write_json(meta / "info.json", self._info())
        (self._root / "README.md").write_text(self._readme(notes), encoding="utf-8")
        return notes

    def _match(self, ds: xr.Dataset, where: str) -> None:
        """Raise SettingsError unless a recording can be an episode, and is of the kind of those before it."""
        cameras = {_key(name): (ds[name].shape[1:], ds[name].dtype) for name in recording.cameras(ds)}
        tables = {name: recording.table(ds, name) for name in FEATURES if name in ds.variables}
        views = {name: dict(ds[name].attrs) for name in sorted(self._moved) if name in ds.variables}
        time = ds["time"].values
        if not self._episodes:
            for key, (shape, dtype) in cameras.items():
                self._pixels.require_fit(shape, dtype, f"{where}: {key}")
            self._cameras, self._tables, self._views, self._fps = cameras, tables, views, _rate(time, where)
            rate = Fraction(self._fps).limit_denominator(100_000)
            self._videos = (
                {} if self._pixels.lossless else {k: VideoFiles(self._root, k, rate, self._codec) for k in cameras}
            )
        if cameras != self._cameras or views != self._views or set(tables) != set(self._tables):
            raise SettingsError(
                f"{where}: has other cameras, shapes, units of views or variables than the first; export it apart"
            )
        try:
            self._tables = {name: self._tables[name].widened(table) for name, table in tables.items()}
        except ControlError as error:
            raise SettingsError(f"{where}: other columns than the first ({error}); export it apart") from error
        if not _is_even(time, self._fps):
            raise SettingsError(
                f"{where}: its times are not {self._fps:g} a second throughout, and LeRobot knows one fixed rate for "
                "all; resample it, or export it to another format"
            )

    def _values(self, ds: xr.Dataset) -> dict[str, np.ndarray]:
        """The features of numbers : (row, number) float64."""
        length = ds.sizes["time"]
        found = {TIME: ds["time"].values[:, None]}
        for name in self._tables:
            values = self._with_last(controls_to_end(ds)) if name == "controls" else np.array(ds[name].values)
            if name == "covariates":
                values = np.tile(values, (length, 1))
            unknown = int(np.isnan(values).sum())
            if unknown:
                self._note(f"{FEATURES[name]} holds unknown values, as NaN")
            found[FEATURES[name]] = values
        kept = {*recording.cameras(ds), "time", *FEATURES}
        for name in self._views:
            found[f"recording.{name}"] = ds[name].values
        kept |= {name.replace("frames", "view") for name in recording.cameras(ds)}
        left = sorted(str(name) for name in ds.variables if name not in kept)
        if left:
            self._note(f"left out: {', '.join(left)}")
        return found

    def _with_last(self, values: np.ndarray) -> np.ndarray:
        """Controls with an action for the last frame too: where none is known, the one before it again."""
        again = np.isnan(values[-1]) & (~np.isnan(values[-2]) if len(values) > 1 else False)
        if again.any():
            values[-1, again] = values[-2, again]
            self._repeated += 1
        return values

    def _begin(self, key: str) -> int:
        """Start an episode of a camera; the frames before it in its video."""
        if self._pixels.lossless:
            return 0
        self._videos[key].start()
        return self._videos[key].frames

    def _write_frames(self, frames: xr.DataArray, key: str, where: str) -> tuple[list[bytes], Moments]:
        """Write the frames of an episode, or return them as pictures; and their statistics."""
        pictures: list[bytes] = []
        total = Moments(self._written(key)[0][-1])
        for _, block in blocks(frames.variable):
            pixels, clipped = self._pixels.convert(block, where)
            self._clipped += clipped
            total.add(pixels)
            if self._pixels.lossless:
                pictures += [png(picture) for picture in pixels]
            else:
                self._videos[key].write(pixels)
        if not len(frames):
            raise RecordingError(f"{where}: has no frames; leave it out")
        return pictures, total

    def _task_of(self, ds: xr.Dataset) -> str:
        """The task of a recording, by its covariate `task` if it has one."""
        task, table = self._task or TASK, self._tables.get("covariates")
        if table is not None and "task" in table.names and table["task"].kind == "categorical":
            level = ds["covariates"].values[table.index("task")]
            task = task if np.isnan(level) else table["task"].levels[int(level)]
        if task not in self._tasks:
            self._tasks.append(task)
        return task

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _stated(self, key: str, moments: Moments, rows: int) -> dict[str, list[Any]]:
        unit = 255.0 if key in self._cameras and self._written(key)[1] == np.uint8 else 1.0
        return stated(moments, rows, key in self._cameras, unit)

    def _written(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        return self._pixels.written(*self._cameras[key])

    def _all_notes(self) -> list[str]:
        """What is to be known of the data set."""
        notes = list(self._notes)
        if not self._pixels.lossless:
            notes.append(f"video loses some of the frames: {self._codec}, 4:2:0")
        if self._pixels.scale is not None:
            low, high = self._pixels.scale
            notes.append(f"frames were scaled from [{low:g}, {high:g}] to 0 ... 255, {self._clipped} values clipped")
        if self._repeated:
            notes.append(f"the last action of {self._repeated} episodes is unknown: the one before stands there again")
        if self._fps != round(self._fps):
            notes.append(f"the rate is {self._fps:g} frames a second; LeRobot's own are whole numbers")
        return notes

    def _info(self) -> dict[str, Any]:
        """meta/info.json."""
        features: dict[str, Any] = {}
        for key in self._cameras:
            shape, _ = self._written(key)
            kind = "image" if self._pixels.lossless else "video"
            features[key] = {"dtype": kind, "shape": list(shape), "names": ["height", "width", "channels"]}
            if not self._pixels.lossless:
                features[key]["info"] = {
                    **dict(zip(("video.height", "video.width", "video.channels"), shape, strict=True)),
                    "video.codec": self._codec,
                    "video.pix_fmt": "yuv420p",
                    "video.fps": self._fps,
                    "video.is_depth_map": False,
                    "has_audio": False,
                }
            if self._pixels.scale is not None:
                features[key][f"{OWN}scale"] = list(self._pixels.scale)
        for name, table in self._tables.items():
            features[FEATURES[name]] = {
                "dtype": "float64",
                "shape": [len(table)],
                "names": list(table.names),
                "columns": json.loads(table.to_json()),
            }
        for name, attributes in self._views.items():
            features[f"recording.{name}"] = {"dtype": "float64", "shape": [6], "names": None, **attributes}
        features[TIME] = {"dtype": "float64", "shape": [1], "names": None}
        features |= {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in INDEX_DTYPES.items()}
        return {
            "codebase_version": "v3.0",
            "robot_type": None,
            "total_episodes": len(self._episodes),
            "total_frames": self._index,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": ROWS_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": round(self._fps) if self._fps == round(self._fps) else self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": ROWS_PATH,
            "video_path": None if self._pixels.lossless else VIDEO_PATH,
            "features": features,
        }

    def _readme(self, notes: list[str]) -> str:
        """The card of the data set."""
        lines = ["---", "tags:", "- LeRobot", "configs:", "- config_name: default", "  data_files: data/*/*.parquet"]
        lines += ["---", "", "A LeRobot v3.0 data set, exported from recordings.", ""]
        lines += [f"- {note}" for note in notes]
        for name in ("licence", "citation"):
            said = sorted({episode[f"{OWN}{name}"] for episode in self._episodes} - {""})
            lines += [f"- {name}: {text}" for text in said or ["not stated by the recordings"]]
        return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """The feature of a camera."""
    return f"observation.images.{name.removeprefix('frames_')}"


def _moved(ds: xr.Dataset) -> list[str]:
    """The views that are not the pixel grid itself, which every reader takes them for."""
    names = [name.replace("frames", "view", 1) for name in recording.cameras(ds)]
    pixels = {"units": "pixel", "row_direction": "down"}
    return [name for name in names if dict(ds[name].attrs) != pixels or (ds[name].values != recording.PIXELS).any()]


def _rate(time: np.ndarray, where: str) -> float:
    """Frames a second of a recording, a whole number if it is one but for rounding : time (time,) s."""
    if len(time) < 2:
        raise SettingsError(f"{where}: one frame has no rate; begin with a recording of several")
    rate = float((len(time) - 1) / (time[-1] - time[0]))
    whole = float(round(rate))
    return whole if abs(rate - whole) < 1e-5 * rate and _is_even(time, whole) else rate


def _is_even(time: np.ndarray, fps: float) -> bool:
    """Whether times : (time,) s are at a rate, as near as LeRobot and the frames themselves want it."""
    off = np.abs(time - time[0] - np.arange(len(time)) / fps).max()
    return bool(off <= min(TOLERANCE, 0.1 / fps))
