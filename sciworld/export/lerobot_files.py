"""The files of a LeRobot v3.0 data set: rows in Parquet, videos that hold many episodes, tables of meta."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sciworld.domains.driving.lerobot_features import INDEX

CHUNK = 1000  # files in a folder; this and the sizes are LeRobot's own
ROWS_MB, VIDEO_MB = 100, 500
ROWS_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
INDEX_DTYPES = {key: "float32" if key == "timestamp" else "int64" for key in INDEX}
# The encoder in FFmpeg and its options. A key frame every second frame, as LeRobot has it, makes single frames cheap.
CODECS = {
    "h264": ("libx264", {"crf": "18", "g": "2"}),
    "av1": ("libsvtav1", {"crf": "30", "g": "2", "preset": "8"}),
}


@dataclass(frozen=True)
class Place:
    """Which file of a kind: they are numbered within folders."""

    number: int = 0

    @property
    def fields(self) -> dict[str, int]:
        """The fields of the templates of paths."""
        return {"chunk_index": self.number // CHUNK, "file_index": self.number % CHUNK}

    def next(self) -> Place:
        """The file after this one."""
        return replace(self, number=self.number + 1)


class Rows:
    """The files of rows: an episode is one row group, and all of it is in one file."""

    def __init__(self, root: Path) -> None:
        self._root, self.place = root, Place()
        self._writer: pq.ParquetWriter | None = None
        self._path = root

    def write(self, table: pa.Table) -> dict[str, int]:
        """Write an episode; which file it is in."""
        if self._writer is not None and self._path.stat().st_size >= ROWS_MB << 20:
            self.close()
            self.place = self.place.next()
        if self._writer is None:
            self._path = self._root / ROWS_PATH.format(**self.place.fields)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        return self.place.fields

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class VideoFiles:
    """The videos of one camera : frames (y, x, 3) uint8 one after another, at `rate` frames a second."""

    def __init__(self, root: Path, key: str, rate: Fraction, codec: str) -> None:
        self._root, self._key, self._rate, self._codec = root, key, rate, codec
        self.place, self.frames = Place(), 0
        self._container: Any = None
        self._stream: Any = None
        self._path = root

    def start(self) -> None:
        """Start an episode, in a new file if the last is full."""
        # The file appears when the encoder gives its first packet.
        if self._container is not None and self._path.is_file() and self._path.stat().st_size >= VIDEO_MB << 20:
            self.close()
            self.place, self.frames = self.place.next(), 0

    def write(self, pixels: np.ndarray) -> None:
        """Add frames : (time, y, x, 3) uint8."""
        for picture in pixels:
            if self._container is None:
                self._open(*picture.shape[:2])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.frames, 1 / self._rate
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds, and end the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None

    def _open(self, height: int, width: int) -> None:
        self._path = self._root / VIDEO_PATH.format(video_key=self._key, **self.place.fields)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        encoder, options = CODECS[self._codec]
        self._container = av.open(str(self._path), mode="w")
        self._stream = self._container.add_stream(encoder, rate=self._rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.time_base = 1 / self._rate


def row_table(
    values: dict[str, np.ndarray], pictures: dict[str, list[bytes]], index: dict[str, np.ndarray]
) -> pa.Table:
    """The rows of an episode: numbers (row, number), pictures as files' contents, and by what they are found."""
    columns: dict[str, pa.Array] = {}
    for key, cells in pictures.items():
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns[key] = pa.array([{"bytes": cell, "path": None} for cell in cells], type=kind)
    for key, array in values.items():
        one = array.shape[1] == 1
        columns[key] = pa.array(array[:, 0] if one else list(array), pa.float64() if one else pa.list_(pa.float64()))
    for key, array in index.items():
        columns[key] = pa.array(array.astype(INDEX_DTYPES[key]))
    return pa.table(columns)


def write_tasks(root: Path, tasks: list[str]) -> None:
    """meta/tasks.parquet: the numbers of tasks by their text, which pandas takes as the index of the table."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    known = {"index_columns": ["task"], "column_indexes": [], "columns": [{**number, "metadata": None}, index]}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(known)}), root / "meta" / "tasks.parquet")


def write_json(path: Path, content: Any) -> None:
    """A file of meta."""
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
