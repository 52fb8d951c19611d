"""Windows: slices of consecutive frames with their controls, as the batches that a model is trained on."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.config import LARGEST, numbers_of, whole
from sciworld.controls import UNTOLD, ColumnTable
from sciworld.crop import Crop
from sciworld.errors import RecordingError, SettingsError
from sciworld.measures.moments import Moments
from sciworld.parts import FINITE, Part
from sciworld.selection import Selection, within
from sciworld.statistics import Statistics
from sciworld.store import Store
from sciworld.stored import StoredArray, held_bytes
from sciworld.words import COUNT, words_of

MEMORY_BYTES = 1 << 30
SAMPLE_BYTES = 64 << 20


@dataclass(frozen=True)
class Batch:
    """b windows of t frames: NumPy arrays, or torch tensors after `to`.

    Parameters
    ----------
    frames : (b, t, y, x, channel), of the dtype and in the units of the recording.
    controls : (b, t - 1, control) float32; row i acts between frames i and i + 1.
    time : (b, t) float64 seconds. view : (b, t, 6) float64, pixel indices to the laboratory frame.
    covariates : (b, covariate) float32. index : (b,) int64, which windows these are.
    words : (b, 16) int64, those of the recordings' descriptions, see `words`; (b, 0) where none has a description.
    """

    frames: Any
    controls: Any
    time: Any
    view: Any
    covariates: Any
    index: Any
    words: Any = None

    def __post_init__(self) -> None:
        if self.words is None:
            object.__setattr__(self, "words", np.zeros((len(self.index), 0), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        arrays = ((name, getattr(self, name)) for name in ("frames", "controls", "covariates"))
        shapes = (f"{name} {str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}" for name, array in arrays)
        return f"Batch of {len(self)} windows: {', '.join(shapes)}"

    def to(self, device: Any) -> Batch:
        """The batch as torch tensors on `device`; frames keep their dtype, so cast them there.

        On the CPU they share the memory of the arrays. To CUDA they are copied from pinned memory while the caller goes
        on; torch's allocator uses that memory again for later batches.
        """
        import torch

        tensors = [torch.as_tensor(getattr(self, field.name)) for field in dataclasses.fields(self)]
        if torch.device(device).type == "cuda":
            return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors))
        return Batch(*(tensor.to(device) for tensor in tensors))


class Windows:
    """All windows of context + horizon consecutive frames of the chosen recordings, by number.

    A crop moves `view` along, so that every pixel keeps its place in the laboratory; positions in pixels, and their
    bounds, are counted from the corner of the crop. A position outside of it stays what it is.

    Parameters
    ----------
    stores : a store or selection, or several of the same frames and column tables.
    context, horizon : frames that are given, and frames that follow.
    stride : frames between the starts of neighbouring windows.
    recordings : indices of the recordings to use, as Store.split gives them (for several stores: one array each).
    unknown : also keep windows with unknown (NaN) controls or covariates, or with frames that are not finite.
    moving_view : also keep windows in which `view` changes; frames then do not show the same place.
    memory_bytes : frames are held in memory if they and all that other windows of this process hold take at most this
        much; else they are read as they are needed.
    crop : (y, x) pixels to cut from all frames of a window at one place; `shape` is then that of the crop.
    crop_at : "random", anew in each epoch of a Loader, or the "centre".

    Raises RecordingError if the stores do not fit together or no window is left, SettingsError, StoreError.
    """

    def __init__(
        self,
        stores: Store | Selection | Sequence[Store | Selection],
        context: int,
        horizon: int,
        *,
        stride: int = 1,
        recordings: Any = None,
        unknown: bool = False,
        moving_view: bool = False,
        memory_bytes: int = MEMORY_BYTES,
        crop: tuple[int, int] | None = None,
        crop_at: str = "random",
    ) -> None:
        self.context, self.horizon = whole(context, "windows: context", 1), whole(horizon, "windows: horizon", 1)
        self.stride, self.length = whole(stride, "windows: stride", 1), self.context + self.horizon
        memory_bytes = whole(memory_bytes, "windows: memory_bytes", 0, LARGEST)
        found = _chosen(stores, recordings)
        self._parts = [part for part, _, _ in found]
        first = self._parts[0]
        self.channels, self.controls, self.covariates = (_table(first, n) for n in ("frames", "controls", "covariates"))
        for part in self._parts[1:]:
            require_same(_kind(first), _kind(part), "windows", "choose recordings of one kind")
            # Bounds that were read off each file's data differ: what was recorded reaches as far as all of them.
            self.channels = self.channels.widened(_table(part, "frames"))
            self.controls = self.controls.widened(_table(part, "controls"))
            self.covariates = self.covariates.widened(_table(part, "covariates"))
        for column in self.controls:
            if column.acts == "during":
                raise RecordingError(
                    f"windows: control '{column.name}' acts during the exposure; windows give controls that act "
                    "between frames: shift it by a frame, and say acts='between'"
                )
        self.shape: tuple[int, ...] = first.array("frames").shape[1:]
        self.dtype = first.array("frames").dtype
        self.view_units: str = first.array("view").attributes["units"]
        self._rows = _Rows.of(self._parts)
        described = [str(each.get("description", "")) for part in self._parts for each in part.attributes]
        width = COUNT if any(described) else 0
        known = {text: words_of(text)[:width] for text in set(described)}
        self._words = np.stack([known[text] for text in described])
        self._start, self._recording = self._find(
            np.concatenate([mask for _, mask, _ in found]), self.stride, unknown, moving_view
        )
        self._numbers = np.concatenate([begin + np.arange(len(mask)) for _, mask, begin in found])
        frames = [part.array("frames") for part in self._parts]
        self._frames: Sequence[np.ndarray | StoredArray]
        self._frames = [array.whole for array in frames] if held_bytes(frames) <= memory_bytes else frames
        self._crop = None if crop is None else Crop.of(crop, crop_at, self.shape)
        if self._crop is not None:
            self.shape = (*self.shape[:-3], *self._crop.size, self.shape[-1])
            self.controls, self.covariates = map(self._crop.move_bounds, (self.controls, self.covariates))

    def __len__(self) -> int:
        return len(self._start)

    @property
    def folder(self) -> Path:
        """The folder of the first part, by which errors name these windows."""
        return self._parts[0].folder

    def __repr__(self) -> str:
        columns = (f"{name} {getattr(self, name).in_line()}" for name in ("channels", "controls", "covariates"))
        frames = f"{' x '.join(map(str, self.shape))} {self.dtype.name}"
        return f"{len(self)} windows of {self.context} + {self.horizon} frames of {frames}: {'; '.join(columns)}"

    def batch(self, ids: Any, draw: Any = 0) -> Batch:
        """The windows numbered `ids` : (b,) integers, one or more.

        draw : an integer in 0..2**64 - 1, or (b,) of them; another one places the random crops elsewhere.
        Raises SettingsError for ids that are no integers, IndexError for those that no window has.
        """
        index = numbers_of(ids, "windows: ids")
        if not len(index) or index.min() < 0 or index.max() >= len(self):
            raise IndexError(f"windows: ids are {ids!r:.80}; use one or more of 0 to {len(self) - 1}")
        start = self._start[index]
        rows = start[:, None] + np.arange(self.length)
        controls, view = self._rows.controls[rows[:, :-1]], self._rows.view[rows]
        covariates = self._rows.covariates[self._recording[index]]
        corners = None
        if self._crop is not None:
            corners = self._crop.corners(index, draw)
            self._crop.move_view(view, corners)
            self._crop.move_positions(controls, self.controls, corners)
            self._crop.move_positions(covariates, self.covariates, corners)
        frames = self._read_frames(start, corners)
        return Batch(
            frames, controls, self._rows.time[rows], view, covariates, index, self._words[self._recording[index]]
        )

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every window the number of its recording in the store, or one store after the other, and its first frame
        there : (window,) int64 each."""
        return self._numbers[self._recording], self._start - self._rows.offsets[self._recording]

    def fingerprint(self) -> int:
        """A number that is another one for windows of another `identity`."""
        return zlib.crc32(json.dumps(self.identity()).encode())

    def identity(self) -> dict[str, Any]:
        """What makes these windows, JSON-safe: settings, and a checksum of their recordings, the same after `compact`.

        Of a recording attributes, columns, times, views, controls and covariates count; of frames shape and dtype.
        """
        rows, crop = self._rows, self._crop
        used, recording = np.unique(self._recording, return_inverse=True)
        mine = np.isin(np.repeat(np.arange(len(rows.covariates)), np.diff(rows.offsets)), used)
        attributes = [each for part in self._parts for each in part.attributes]
        tables = [table.to_json() for table in (self.channels, self.controls, self.covariates)]
        facts = [[attributes[number] for number in used], tables, self.shape, self.dtype.name, self.view_units]
        seen = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
        begins = self._start - rows.offsets[self._recording]
        for array in (rows.time[mine], rows.controls[mine], rows.view[mine], rows.covariates[used], recording, begins):
            seen = zlib.crc32(array.tobytes(), seen)
        settings = {"context": self.context, "horizon": self.horizon, "stride": self.stride}
        return settings | {"crop": None if crop is None else repr(crop), "windows": seen}

    def statistics(self) -> Statistics:
        """Means and scales over all windows, or over evenly spaced ones that take at most 64 MiB to read."""
        frames, controls, covariates, pitches = self.moments()
        pitch = float(np.median(pitches))
        return Statistics.of(frames, (controls, self.controls), (covariates, self.covariates), pitch)

    def moments(self) -> tuple[Moments, Moments, Moments, np.ndarray]:
        """What `statistics` are made of: of frames, controls and covariates, and the pixel pitch of every frame."""
        window = self.length * int(np.prod(self.shape)) * self.dtype.itemsize
        count = max(1, min(len(self), SAMPLE_BYTES // window))
        ids = np.linspace(0, len(self) - 1, count).astype(np.int64)
        frames, controls, pitches = Moments(len(self.channels)), Moments(len(self.controls)), []
        covariates = Moments.of(self._rows.covariates[self._recording[ids]])
        for part in np.array_split(ids, max(1, count * window // (16 << 20))):
            batch = self.batch(part)
            frames.add(batch.frames)
            controls.add(batch.controls)
            v = batch.view.reshape(-1, 6)
            pitches.append(np.sqrt(np.abs(v[:, 0] * v[:, 4] - v[:, 1] * v[:, 3])))
        return frames, controls, covariates, np.concatenate(pitches)

    def _find(self, chosen: np.ndarray, stride: int, unknown: bool, moving: bool) -> tuple[np.ndarray, np.ndarray]:
        """First row and recording of every window that is to be used. chosen : (recording,) bool."""
        rows, length = self._rows, self.length
        begins, ends = rows.offsets[:-1], rows.offsets[1:]
        counts = np.where(chosen, np.maximum(0, (ends - begins - length) // stride + 1), 0)
        recording = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        start = begins[recording] + within * stride
        gap = np.isnan(rows.controls).any(axis=1)
        moves = np.append((rows.view[1:] != rows.view[:-1]).any(axis=1), False)
        bad = {
            "has unknown controls": _any_within(gap, start, length - 1) & (not unknown),
            "has unknown covariates": np.isnan(rows.covariates).any(axis=1)[recording] & (not unknown),
            "has frames that are not finite": _any_within(~rows.finite, start, length) & (not unknown),
            "moves its view": _any_within(moves, start, length - 1) & (not moving),
        }
        good = ~np.any(list(bad.values()), axis=0)
        if not good.any():
            why = ", ".join(f"{int(mask.sum())} {reason}" for reason, mask in bad.items() if mask.any())
            longest = int((ends - begins)[chosen].max(initial=0))
            raise RecordingError(
                f"windows: none of {length} frames in {int(chosen.sum())} recordings of at most {longest} frames"
                + (f" (of {len(start)}: {why})" if why else "")
                + "; shorten context or horizon, or allow unknown or moving_view"
            )
        return start[good], recording[good]

    def _read_frames(self, start: np.ndarray, corners: np.ndarray | None) -> np.ndarray:
        """Frames : (b, t, y, x, channel) of the windows that begin at the rows `start`, cropped at corners : (b, 2)."""
        part = np.searchsorted(self._rows.parts, start, side="right") - 1
        rows = [slice(row, row + self.length) for row in (start - self._rows.parts[part]).tolist()]
        regions: list[tuple[slice, ...]] = [(row,) for row in rows]
        if self._crop is not None and corners is not None:
            places = [self._crop.region(self.shape, corner) for corner in corners.tolist()]
            regions = [(row, *place) for row, place in zip(rows, places, strict=True)]
        used = sorted(set(part.tolist()))
        if len(used) == 1:
            return _regions(self._frames[used[0]], regions)
        frames = np.empty((len(start), self.length, *self.shape), dtype=self.dtype)
        for which in used:
            mine = np.flatnonzero(part == which)
            frames[mine] = _regions(self._frames[which], [regions[place] for place in mine])
        return frames


@dataclass(frozen=True)
class _Rows:
    """All but the frames of some parts, row after row.

    controls : (row, control) float32. time : (row,). view : (row, 6). finite : (row,) bool. covariates : (recording,
    covariate) float32. offsets : (recording + 1,) and parts : (part + 1,), where each begins.
    """

    controls: np.ndarray
    time: np.ndarray
    view: np.ndarray
    finite: np.ndarray
    covariates: np.ndarray
    offsets: np.ndarray
    parts: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Part]) -> _Rows:
        counts = [int(part.offsets()[-1]) for part in parts]
        begins = np.concatenate([[0], np.cumsum(counts)])
        offsets = [part.offsets()[:-1] + begin for part, begin in zip(parts, begins[:-1], strict=True)]

        def joined(name: str, empty: Any) -> np.ndarray:
            have = [
                part.array(name)[:] if name in part.names else empty(n) for part, n in zip(parts, counts, strict=True)
            ]
            return np.concatenate(have)

        return cls(
            controls=joined("controls", lambda n: np.empty((n, 0))).astype(np.float32),
            time=joined("time", np.zeros),
            view=joined("view", np.zeros),
            finite=joined(FINITE, lambda n: np.ones(n, dtype=bool)),
            covariates=np.concatenate([_covariates(part) for part in parts]).astype(np.float32),
            offsets=np.concatenate([*offsets, begins[-1:]]),
            parts=begins,
        )


def _chosen(stores: Any, recordings: Any) -> list[tuple[Part, np.ndarray, int]]:
    """The parts of some stores with at least one chosen recording, which of theirs are : (recording,) bool, and the
    number of the first of them."""
    one = isinstance(stores, Store | Selection)
    several = [stores] if one else list(stores) if isinstance(stores, list | tuple) else []
    if not several or not all(isinstance(store, Store | Selection) for store in several):
        raise SettingsError(f"windows: {stores!r:.80} is no store; open it with Store.open, or give a list of stores")
    listed = not one and isinstance(recordings, list | tuple | np.ndarray)
    chosen = list(recordings) if listed else [recordings] * (len(several) if recordings is None else 1)
    if len(chosen) != len(several):
        raise SettingsError(f"windows: recordings for {len(chosen)} of {len(several)} stores; give one array each")
    pairs, first = [], 0
    for source, which in zip(several, chosen, strict=True):
        store, numbers = within(source, which)
        mask = np.isin(np.arange(len(store)), np.arange(len(store)) if numbers is None else numbers)
        begins = np.cumsum([0, *(len(part) for part in store.parts)]).tolist()
        pieces = np.split(mask, begins[1:-1])  # one, empty, of no parts
        each = zip(store.parts, pieces, begins, strict=False)
        pairs += [(part, piece, first + begin) for part, piece, begin in each if piece.any()]
        first += begins[-1]
    if not pairs:
        raise RecordingError("windows: no recordings; append some, or choose others")
    return pairs


def _table(part: Part, name: str) -> ColumnTable:
    """The columns of a variable, but those that condition no model."""
    return ColumnTable(tuple(column for column in _every_column(part, name) if column.role not in UNTOLD))


def _every_column(part: Part, name: str) -> ColumnTable:
    if name not in part.names:
        return ColumnTable(())
    return ColumnTable.from_json(part.array(name).attributes["columns"], f"{part.folder}: '{name}'")


def _covariates(part: Part) -> np.ndarray:
    """What conditions a model, in the order of the table : (recording, covariate)."""
    columns = _every_column(part, "covariates")
    if not len(columns):
        return np.empty((len(part), 0))
    return part.array("covariates")[:][:, [column.role not in UNTOLD for column in columns]]


def kind_of(folder: Path, shape: tuple[int, ...], dtype: str, units: str, *tables: ColumnTable) -> dict[str, str]:
    """What is read together has in common, but for its folder; tables : of channels, controls and covariates."""
    kind = {"folder": str(folder), "frame shape": str(shape), "dtype": dtype, "units of view": units}
    names = [f"table of {name}" for name in ("channels", "controls", "covariates")]
    return kind | {name: table.unbounded().to_json() for name, table in zip(names, tables, strict=True)}


def require_same(first: dict[str, str], other: dict[str, str], where: str, cure: str) -> None:
    """Raise RecordingError naming the first thing that two kinds have not in common."""
    for name, value in first.items():
        if name != "folder" and other[name] != value:
            found = f"{other['folder']} has the {name} {other[name]}, {first['folder']} has {value}"
            raise RecordingError(f"{where}: {found}; {cure}")


def _kind(part: Part) -> dict[str, str]:
    frames, units = part.array("frames"), part.array("view").attributes["units"]
    tables = (_table(part, name) for name in ("frames", "controls", "covariates"))
    return kind_of(part.folder, frames.shape[1:], frames.dtype.name, units, *tables)


def _any_within(flags: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
    """Whether any of flags[start : start + length] is set, for each start."""
    total = np.concatenate([[0], np.cumsum(flags)])
    return total[start + length] > total[start]


def _regions(source: np.ndarray | StoredArray, regions: Sequence[tuple[slice, ...]]) -> np.ndarray:
    if isinstance(source, np.ndarray):
        return np.stack([source[region] for region in regions])
    return source.read(regions)
