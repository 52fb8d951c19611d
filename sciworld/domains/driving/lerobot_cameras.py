"""Cameras of LeRobot episodes: videos that hold many episodes, and pictures among the rows, read when they are used."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from xarray.core import indexing

from sciworld.domains.base import reading
from sciworld.domains.driving.paths import inside
from sciworld.domains.media import Video, open_video, read_image
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

TOLERANCE = 1e-4  # seconds that LeRobot itself lets the times of rows and of video frames differ


class Videos:
    """The video files of a data set, each opened once, and which of their frames are an episode's by now."""

    def __init__(self) -> None:
        self._open: dict[Path, Video] = {}
        self._owner: dict[Path, np.ndarray] = {}

    def frames(self, path: Path, time: np.ndarray, fps: float, episode: int) -> tuple[Any, list[str]]:
        """The frames shown at `time` : (row,) s of the file, lazily, and what is to be said of them.

        Each row takes the frame nearest in time, by the file's own times: counting frames would be off by one
        unnoticed. Raises FormatError if it is half a frame away, if two rows would share it, or if it is another
        episode's.
        """
        if path not in self._open:
            with reading(path, "a video"):
                self._open[path] = open_video(path)
            self._owner[path] = np.full(len(self._open[path].time), -1)
        video, owner = self._open[path], self._owner[path]
        chosen = _nearest(path, video.time, time, fps, episode)
        taken = owner[chosen]
        if (taken >= 0).any():
            at = int(np.argmax(taken >= 0))
            raise FormatError(
                f"{path}: frame {chosen[at]} is of episode {taken[at]} and of {episode}; from_timestamp of one is wrong"
            )
        owner[chosen] = episode
        notes = [video.note]
        worst = float(np.abs(video.time[chosen] - time).max())
        if worst > TOLERANCE:
            notes.append(f"rows and frames of {path.name} are up to {worst:.2g} s apart")
        rows: Any = slice(int(chosen[0]), int(chosen[-1]) + 1)
        if len(chosen) != rows.stop - rows.start:
            notes.append(f"{path.name} has frames between those of the rows, which are left out")
            rest = tuple(np.arange(size) for size in video.frames.shape[1:])
            return video.frames[indexing.OuterIndexer((chosen, *rest))], notes
        return video.frames[indexing.BasicIndexer((rows, slice(None), slice(None), slice(None)))], notes

    def loose(self) -> list[str]:
        """What is to be said of frames that are no episode's."""
        counts = {path: int((owner < 0).sum()) for path, owner in self._owner.items()}
        return [f"{count} frames of {path.name} belong to no episode" for path, count in counts.items() if count]


def _nearest(path: Path, shown: np.ndarray, wanted: np.ndarray, fps: float, episode: int) -> np.ndarray:
    """The number of the frame nearest to each time : (row,) int64. shown, wanted : (frame,), (row,) s."""
    after = np.clip(np.searchsorted(shown, wanted), 1, max(1, len(shown) - 1))
    before = after - 1
    after = np.minimum(after, len(shown) - 1)
    chosen = np.where(wanted - shown[before] <= shown[after] - wanted, before, after)
    # Just below half a frame: at a half, which of two frames is meant is nobody's knowledge.
    far = ~(np.abs(shown[chosen] - wanted) < 0.499 / fps)
    if far.any():
        row = int(np.argmax(far))
        raise FormatError(
            f"{path}: no frame at {wanted[row]:.6f} s, where row {row} of episode {episode} is; the nearest is at "
            f"{shown[chosen[row]]:.6f} s, and the file ends at {shown[-1]:.6f} s: copy the video and meta anew"
        )
    if (np.diff(chosen) <= 0).any():
        row = int(np.argmax(np.diff(chosen) <= 0))
        raise FormatError(
            f"{path}: rows {row} and {row + 1} of episode {episode} are both nearest to the frame at "
            f"{shown[chosen[row]]:.6f} s; the video lacks a frame: copy it anew"
        )
    return chosen


class Pictures:
    """The pictures among the rows of a data set; the first of each feature tells what all are."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype]] = {}

    def frames(self, path: Path, key: str, first: int, rows: int) -> Any:
        """The pictures of `rows` rows of a Parquet file from row `first` on, lazily : (time, y, x, channel)."""
        if key not in self._kinds:
            with reading(path, "pictures in Parquet"):
                picture = _read(self._root, path, key, first, (slice(0, 1, 1), *(slice(None),) * 3))
            self._kinds[key] = picture.shape[1:], picture.dtype
        shape, dtype = self._kinds[key]
        return lazy(path, (rows, *shape), dtype, partial(_read, self._root, path, key, first))


def _read(root: Path, path: Path, name: str, first: int, key: Key) -> np.ndarray:
    """A block of the pictures : (time, y, x, channel)."""
    numbers = range(key[0].start, key[0].stop, key[0].step)
    wanted = {first + number: place for place, number in enumerate(numbers)}
    found: dict[int, np.ndarray] = {}
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.metadata.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = [row for row in wanted if start <= row < stop]
            if here:
                facts = path.stat()
                cells = _cells(path, facts.st_mtime_ns, facts.st_size, group, name)
                found |= {wanted[row]: _picture(root, path, cells[row - start], row) for row in here}
            start = stop
    if len(found) < len(wanted):
        raise FormatError(f"{path}: ends at row {start}, where pictures were promised; copy it anew")
    frames = np.stack([found[place] for place in range(len(found))])
    return frames[(slice(None), *key[1:])]


@lru_cache(1)  # blocks of one episode follow each other, and lie in one group
def _cells(path: Path, changed: int, size: int, group: int, name: str) -> Any:
    """A column of a row group, as Arrow has it; changed, size : of the file when it is read."""
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[name]).column(name)


def _picture(root: Path, path: Path, cell: Any, row: int) -> np.ndarray:
    """One picture from its bytes, or from the file that is named instead. Raises FormatError if there is none."""
    value = cell.as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None and isinstance(value, dict) and value.get("path"):
        return read_image(inside(root, str(value["path"]), path))
    if not isinstance(content, bytes) or not content:
        raise FormatError(f"{path}: row {row} has no picture; copy the file anew")
    return read_image(content)


def declared(spec: dict[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of a camera as info.json states them, None if it does not."""
    names, shape = spec.get("names"), spec.get("shape")
    if not (isinstance(names, list) and isinstance(shape, list) and len(names) == len(shape)):
        return None
    sizes = dict(zip(map(str, names), shape, strict=True))
    if not all(isinstance(sizes.get(name), int) and math.isfinite(sizes[name]) for name in ("height", "width")):
        return None
    return sizes["height"], sizes["width"]
