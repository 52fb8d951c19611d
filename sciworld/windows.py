"""Windows: slices of consecutive frames with their controls, as the batches that a model is trained on."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.errors import CheckpointError, RecordingError, SettingsError
from sciworld.measures.moments import Moments
from sciworld.parts import FINITE, Part
from sciworld.store import Store

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
    """

    frames: Any
    controls: Any
    time: Any
    view: Any
    covariates: Any
    index: Any

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: Any) -> Batch:
        """The batch as torch tensors on `device`; frames keep their dtype, so cast them there."""
        import torch

        arrays = (getattr(self, field.name) for field in dataclasses.fields(self))
        return Batch(*(torch.as_tensor(array).to(device) for array in arrays))


@dataclass(frozen=True)
class Statistics:
    """How frames and controls are normalised: (value - mean) / scale. A scale is never 0.

    Parameters
    ----------
    mean, scale : one number a channel, in its units.
    control_mean, control_scale : one number a control; 0 and 1 for a categorical one.
    view_step : the median pixel pitch, in the laboratory's units.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    control_mean: tuple[float, ...]
    control_scale: tuple[float, ...]
    view_step: float


class Windows:
    """All windows of context + horizon consecutive frames of the chosen recordings, by number.

    Parameters
    ----------
    stores : one store, or several of the same frames and column tables.
    context, horizon : frames that are given, and frames that follow.
    stride : frames between the starts of neighbouring windows.
    recordings : indices of the recordings to use, as Store.split gives them (for several stores: one array each).
    unknown : also keep windows with unknown (NaN) controls or covariates, or with frames that are not finite.
    moving_view : also keep windows in which `view` changes; frames then do not show the same place.
    memory_bytes : frames that take at most this much are held in memory, larger ones are read as they are needed.

    Raises RecordingError if the stores do not fit together or no window is left, SettingsError, StoreError.
    """

    def __init__(
        self,
        stores: Store | Sequence[Store],
        context: int,
        horizon: int,
        *,
        stride: int = 1,
        recordings: Any = None,
        unknown: bool = False,
        moving_view: bool = False,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        for name, value in (("context", context), ("horizon", horizon), ("stride", stride)):
            if value < 1:
                raise SettingsError(f"windows: {name} is {value}; use at least 1")
        several = [stores] if isinstance(stores, Store) else list(stores)
        one = isinstance(stores, Store)
        chosen = [recordings] if one else [None] * len(several) if recordings is None else list(recordings)
        if len(chosen) != len(several):
            raise SettingsError(f"windows: recordings for {len(chosen)} of {len(several)} stores; give one array each")
        pairs = [pair for store, indices in zip(several, chosen, strict=True) for pair in _chosen(store, indices)]
        if not pairs:
            raise RecordingError("windows: no recordings; append some, or choose others")
        self.context, self.horizon, self.length = context, horizon, context + horizon
        self._parts = [part for part, _ in pairs]
        first = self._parts[0]
        self.channels, self.controls, self.covariates = (_table(first, n) for n in ("frames", "controls", "covariates"))
        for part in self._parts[1:]:
            _require_same(first, part)
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
        self._start, self._recording = self._find(
            np.concatenate([mask for _, mask in pairs]), stride, unknown, moving_view
        )
        frames = [part.array("frames") for part in self._parts]
        total = sum(array.shape[0] for array in frames) * int(np.prod(self.shape)) * self.dtype.itemsize
        self._frames = [array.whole for array in frames] if total <= memory_bytes else frames

    def __len__(self) -> int:
        return len(self._start)

    def batch(self, ids: Any) -> Batch:
        """The windows numbered `ids` : (b,) integers."""
        index = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        if ((index < 0) | (index >= len(self))).any():
            raise IndexError(f"windows: {index.min()}..{index.max()} of {len(self)}")
        start = self._start[index]
        rows = start[:, None] + np.arange(self.length)
        return Batch(
            frames=self._read_frames(start),
            controls=self._rows.controls[rows[:, :-1]],
            time=self._rows.time[rows],
            view=self._rows.view[rows],
            covariates=self._rows.covariates[self._recording[index]],
            index=index,
        )

    def fingerprint(self) -> int:
        """A number that is another one for other windows, or for recordings with other sessions, times or controls."""
        rows = self._rows
        sessions = json.dumps([attributes["session"] for part in self._parts for attributes in part.attributes])
        seen = zlib.crc32(sessions.encode(), self.length)
        for array in (rows.time, rows.controls, rows.view, rows.covariates, self._start):
            seen = zlib.crc32(np.ascontiguousarray(array).tobytes(), seen)
        return seen

    def statistics(self) -> Statistics:
        """Means and scales over all windows, or over evenly spaced ones that take at most 64 MiB to read."""
        window = self.length * int(np.prod(self.shape)) * self.dtype.itemsize
        count = max(1, min(len(self), SAMPLE_BYTES // window))
        ids = np.linspace(0, len(self) - 1, count).astype(np.int64)
        frames, controls, pitches = Moments(len(self.channels)), Moments(len(self.controls)), []
        for part in np.array_split(ids, max(1, count * window // (16 << 20))):
            batch = self.batch(part)
            frames.add(batch.frames)
            controls.add(batch.controls)
            v = batch.view.reshape(-1, 6)
            pitches.append(np.sqrt(np.abs(v[:, 0] * v[:, 4] - v[:, 1] * v[:, 3])))
        mean, scale = frames.normal()
        control_mean, control_scale = controls.normal()
        categorical = np.array([column.kind == "categorical" for column in self.controls], dtype=bool)
        control_mean[categorical], control_scale[categorical] = 0.0, 1.0
        m, s, cm, cs = (tuple(values.tolist()) for values in (mean, scale, control_mean, control_scale))
        return Statistics(m, s, cm, cs, view_step=float(np.median(np.concatenate(pitches))))

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

    def _read_frames(self, start: np.ndarray) -> np.ndarray:
        """Frames : (b, t, y, x, channel) of the windows that begin at the rows `start`."""
        frames = np.empty((len(start), self.length, *self.shape), dtype=self.dtype)
        part = np.searchsorted(self._rows.parts, start, side="right") - 1
        for which in np.unique(part):
            mine = np.flatnonzero(part == which)
            local = start[mine] - self._rows.parts[which]
            source = self._frames[which]
            if isinstance(source, np.ndarray):
                frames[mine] = source[local[:, None] + np.arange(self.length)]
            else:
                windows = source.read([(int(row), int(row) + self.length) for row in local])
                for place, window in zip(mine, windows, strict=True):
                    frames[place] = window
        return frames


class Loader:
    """Batches without end: each epoch is a seeded permutation of the windows, read ahead by threads.

    A batch may begin in one epoch and end in the next, so none is short. `state` and `restore` continue with the very
    same batches.

    Parameters
    ----------
    windows : what to load. batch_size : windows a batch. seed : of the permutations. threads : that read ahead.
    """

    def __init__(self, windows: Windows, batch_size: int, seed: int, threads: int = 2) -> None:
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value < 1:
                raise SettingsError(f"loader: {name} is {value}; use at least 1")
        self.windows, self.batch_size, self.seed, self.threads = windows, batch_size, seed, threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._ahead: deque[Future[Batch]] = deque()
        self._position = 0
        self._permutation = (-1, np.empty(0, dtype=np.int64))

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while len(self._ahead) < 2 * self.threads:
            ids = self._ids(self._position + len(self._ahead))
            self._ahead.append(self._pool.submit(self.windows.batch, ids))
        batch = self._ahead[0].result()
        self._ahead.popleft()
        self._position += 1
        return batch

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def epoch(self) -> float:
        """How often the windows have been gone through."""
        return self._position * self.batch_size / len(self.windows)

    def state(self) -> dict[str, int]:
        """Where the loader stands: JSON-safe."""
        return {"batch": self._position, **self._identity()}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a `state`. Raises CheckpointError if it is of other windows, another seed or batch size."""
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise CheckpointError(
                    f"loader: {name} is {value}, the state was saved with {state.get(name)}; use the same"
                )
        self._ahead.clear()
        self._position = state["batch"]

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(cancel_futures=True)
        self._ahead.clear()

    def _identity(self) -> dict[str, int]:
        return {"seed": self.seed, "batch_size": self.batch_size, "windows": self.windows.fingerprint()}

    def _ids(self, batch: int) -> np.ndarray:
        """The windows of a batch: a stretch of the endless row of permutations."""
        count = len(self.windows)
        place = batch * self.batch_size + np.arange(self.batch_size)
        return np.concatenate(
            [self._epoch(epoch)[place[place // count == epoch] % count] for epoch in np.unique(place // count).tolist()]
        )

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._permutation[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.windows))
            self._permutation = (epoch, order)
        return self._permutation[1]


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

        def joined(name: str, empty: Any, recordings: bool = False) -> np.ndarray:
            lengths = [len(part) for part in parts] if recordings else counts
            have = [
                part.array(name)[:] if name in part.names else empty(n) for part, n in zip(parts, lengths, strict=True)
            ]
            return np.concatenate(have)

        return cls(
            controls=joined("controls", lambda n: np.empty((n, 0))).astype(np.float32),
            time=joined("time", np.zeros),
            view=joined("view", np.zeros),
            finite=joined(FINITE, lambda n: np.ones(n, dtype=bool)),
            covariates=joined("covariates", lambda n: np.empty((n, 0)), recordings=True).astype(np.float32),
            offsets=np.concatenate([*offsets, begins[-1:]]),
            parts=begins,
        )


def _chosen(store: Store, indices: Any) -> list[tuple[Part, np.ndarray]]:
    """The parts with at least one chosen recording, and which of theirs are : (recording,) bool."""
    mask = np.ones(len(store), dtype=bool)
    if indices is not None:
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and not (indices.min() >= 0 and indices.max() < len(store)):
            raise SettingsError(f"windows: recordings {indices.min()}..{indices.max()} of {len(store)} in {store.path}")
        mask = np.isin(np.arange(len(store)), indices)
    ends = np.cumsum([len(part) for part in store.parts])
    pieces = np.split(mask, ends[:-1]) if len(ends) else []
    return [(part, piece) for part, piece in zip(store.parts, pieces, strict=True) if piece.any()]


def _table(part: Part, name: str) -> ColumnTable:
    if name not in part.names:
        return ColumnTable(())
    return ColumnTable.from_json(part.array(name).attributes["columns"], f"{part.folder}: '{name}'")


def _require_same(first: Part, other: Part) -> None:
    """Raise RecordingError unless the parts have the same frames, columns and units of view."""
    facts = []
    for part in (first, other):
        frames = part.array("frames")
        tables = {name: _table(part, name).unbounded() for name in ("frames", "controls", "covariates")}
        fact = {f"table of {name}": table.to_json() for name, table in tables.items()}
        fact |= {"frame shape": str(frames.shape[1:]), "dtype": frames.dtype.name}
        facts.append(fact | {"units of view": part.array("view").attributes["units"]})
    for name, value in facts[0].items():
        if facts[1][name] != value:
            raise RecordingError(
                f"windows: {other.folder} has the {name} {facts[1][name]}, {first.folder} has {value}; "
                "choose recordings of one kind"
            )


def _any_within(flags: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
    """Whether any of flags[start : start + length] is set, for each start."""
    total = np.concatenate([[0], np.cumsum(flags)])
    return total[start + length] > total[start]
