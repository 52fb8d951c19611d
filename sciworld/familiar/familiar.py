"""What was recorded: frames and controls, and how far from those others are.

A planner goes where a surrogate errs in its favour, and a surrogate errs most where nothing was recorded. So a search
refuses presents that look like none of the recordings, and keeps to controls like those that were played.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciworld.config import is_number, require
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import CheckpointError, RecordingError, SciworldError, SearchError
from sciworld.familiar.cloud import Cloud
from sciworld.familiar.looks import LOOKS, looks_of, under
from sciworld.files import replace_file
from sciworld.recording import control_table
from sciworld.simulator import Observation
from sciworld.streamed import Recordings

FILE = "familiar.npz"  # in the folder of a run
KEPT = 3000  # frames, and runs of controls of each length, at most
EACH = 16  # of a recording, at least, where it has so many: they may be of one session
LENGTHS = (1, 2, 4)  # steps of runs of controls that are compared
FARTHEST = 1.25
BEYOND = 0.1  # of the range of what was played, on either side
FIELDS = ("points", "mean", "root", "unit")  # of a Cloud


@dataclass(frozen=True, eq=False)
class Familiar:
    """What was recorded, as frames look and as controls were played.

    Parameters
    ----------
    frames : how they look; 1 is as far as the edge of what was recorded. controls : runs of so many steps, with what
    lies under the positions among them. space : of the controls. farthest : in units of those edges, beyond which a
    search refuses a present, and does not take controls.
    """

    frames: Cloud
    controls: dict[int, Cloud]
    space: ControlSpace
    farthest: float = FARTHEST

    def __post_init__(self) -> None:
        known = is_number(self.farthest) and 1 <= self.farthest < np.inf
        require(known, f"farthest is {self.farthest!r:.80}; 1 is the edge of what was recorded, use at least that")
        require(1 in self.controls, "controls: nothing tells which were played; give runs of one step, at least")

    @classmethod
    def of(cls, recordings: Recordings, space: ControlSpace, farthest: float = FARTHEST, seed: int = 0) -> Familiar:
        """Of recordings, such as a store, whose controls have the names of the space.

        seed : by which frames are drawn where there are more than are kept. Raises RecordingError where no control is
        known, SettingsError for a `farthest` below 1.
        """
        looks, most = _Rows(), max(EACH, -(-KEPT // max(len(recordings), 1)))
        runs = {length: _Rows() for length in LENGTHS}
        sessions: dict[str, int] = {}
        for number in range(len(recordings)):
            ds = recordings[number]
            session = sessions.setdefault(ds.attrs["session"], len(sessions))
            frames, view = ds["frames"].values, ds["view"].values
            controls = ds["controls"].values[:, [control_table(ds).index(name) for name in space.names]]
            whole = np.flatnonzero(np.isfinite(frames).all(axis=(1, 2, 3)))
            if len(whole):
                looks.add(looks_of(frames[_some(whole, most)]), session)
            for length, rows in runs.items():
                if len(controls) < length:
                    continue
                windows = np.lib.stride_tricks.sliding_window_view(controls, length, axis=0).swapaxes(1, 2)
                starts = np.flatnonzero(np.isfinite(windows).all(axis=(1, 2)))
                starts = _some(starts[np.isin(starts, whole)], most)
                if len(starts):
                    rows.add(_runs(space, windows[starts][:, None], frames[starts], view[starts])[:, 0], session)
        if not runs[1].parts:
            raise RecordingError("no recording has a frame whose controls are known; nothing tells what is familiar")
        rng = np.random.default_rng(seed)
        clouds = {length: rows.cloud(rng) for length, rows in runs.items() if rows.parts}
        return cls(looks.cloud(rng), clouds, space, farthest)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as one file, in place of one that stood there. Raises CheckpointError if that cannot be written."""
        clouds = {"frames": self.frames, **{str(length): cloud for length, cloud in self.controls.items()}}
        arrays: dict[str, np.ndarray] = {
            f"{name}.{field}": np.asarray(getattr(cloud, field)) for name, cloud in clouds.items() for field in FIELDS
        }
        arrays["space"] = np.array(self.space.table.to_json())
        arrays["farthest"] = np.array(self.farthest)
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        try:
            replace_file(Path(path), content.getvalue())
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error}); free some space") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Familiar:
        """What `save` wrote, also in the folder of a run. Raises CheckpointError if it is missing or damaged."""
        path = Path(path) / FILE if Path(path).is_dir() else Path(path)
        if not path.exists():
            raise CheckpointError(f"{path}: is not there; make it with Familiar.of(the recordings, the space).save")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                arrays = dict(file)
            lengths = sorted({name.split(".")[0] for name in arrays} - {"frames", "space", "farthest"}, key=int)
            clouds = {
                name: Cloud(**{field: arrays[f"{name}.{field}"] for field in FIELDS}) for name in ("frames", *lengths)
            }
            space = ControlSpace(ColumnTable.from_json(str(arrays["space"]), str(path)))
            frames = clouds.pop("frames")
            return cls(frames, {int(name): one for name, one in clouds.items()}, space, float(arrays["farthest"]))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, SciworldError) as error:
            raise CheckpointError(f"{path}: damaged, or no such file ({error!r:.80}); make it again") from error

    def require(self, observation: Observation) -> None:
        """Raise SearchError for presents that look like nothing that was recorded, and say what to record."""
        away = self.presents(observation)
        far = np.flatnonzero(~(away <= self.farthest))
        if not far.size:
            return
        i = int(away.argmax())
        raise SearchError(
            f"search: the model does not know this region: the present of problem {i} looks unlike all that was "
            f"recorded, {away[i]:.1f} times as far from it as recordings are from each other (most in its "
            f"{self.odd(observation, i)}; {len(far)} such of {len(away)}). Record near it and train on that, or search "
            "without `familiar`"
        )

    def presents(self, observation: Observation) -> np.ndarray:
        """How far each present is from what was recorded, 1 at the edge : (problem,); NaN is infinitely far."""
        whole = np.isfinite(observation.frames).all(axis=(1, 2, 3))
        found = np.full(len(observation), np.inf)
        if whole.any():
            found[whole] = self.frames.distance(looks_of(observation.frames[whole]))
        return found

    def plans(self, observation: Observation, controls: np.ndarray) -> np.ndarray:
        """How far plans (problem, candidate, step, control) are from what was played, 1 at the edge : (problem,
        candidate): that run of a plan's steps which is farthest counts."""
        length = max(known for known in self.controls if known <= controls.shape[2])
        cloud, found = self.controls[length], np.zeros(controls.shape[:2])
        for first in range(controls.shape[2] - length + 1):
            part = controls[:, :, first : first + length]
            found = np.maximum(found, cloud.distance(_runs(self.space, part, observation.frames, observation.view)))
        return found

    def played(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and most of each control that was played, and a tenth of the way beyond : (control,), (control,).

        Not finite where that says nothing: positions, angles, and whole numbers.
        """
        cloud, table = self.controls[1], self.space.table
        features = cloud.points @ np.linalg.inv(cloud.root) + cloud.mean
        low, high = np.full(len(table), -np.inf), np.full(len(table), np.inf)
        places = {place for both in table.positions().values() for place in both}
        # Features of frames under positions come first, see `_runs`.
        at = features.shape[1] - sum(_width(column) for column in table)
        for k, column in enumerate(table):
            if column.kind != "angle" and not column.is_whole and k not in places:
                least, most = features[:, at].min(), features[:, at].max()
                low[k], high[k] = least - BEYOND * (most - least), most + BEYOND * (most - least)
            at += _width(column)
        return low, high

    def odd(self, observation: Observation, i: int) -> str:
        """What of a present is farthest from usual."""
        rows = looks_of(observation.frames[i : i + 1])[0]
        spread = np.linalg.inv(self.frames.root)  # of the features, each by itself
        away = np.abs(rows - self.frames.mean) / np.sqrt(np.square(spread).sum(axis=0) + 1e-300)
        return LOOKS[int(away.argmax()) * len(LOOKS) // len(away)]


def _width(column: Column) -> int:
    """Features that stand for a control in `_runs`."""
    return 2 if column.kind == "angle" else len(column.levels) if column.is_whole and column.levels else 1


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // most))]


class _Rows:
    """Features of many recordings, with their sessions."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.sessions: list[np.ndarray] = []

    def add(self, rows: np.ndarray, session: int) -> None:
        self.parts.append(rows)
        self.sessions.append(np.full(len(rows), session))

    def cloud(self, rng: np.random.Generator) -> Cloud:
        every, sessions = np.concatenate(self.parts), np.concatenate(self.sessions)
        kept = np.sort(rng.permutation(len(every))[:KEPT])
        return Cloud.of(every[kept], sessions[kept])


def _runs(space: ControlSpace, controls: np.ndarray, frames: np.ndarray, view: np.ndarray) -> np.ndarray:
    """What is compared of runs of controls (n, candidate, step, control), each with the present of its row : frames
    (n, y, x, channel), view (n, 6). Returns (n, candidate, feature).

    Positions are compared in pixels, and by what the present shows under them; angles by their cosine and sine, levels
    one by one.
    """
    values, columns = controls.astype(np.float64), []
    for x, y in space.table.positions().values():
        if space.table.columns[x].frame == "lab":
            v = view.T[:, :, None, None]
            dx, dy, determinant = values[..., x] - v[2], values[..., y] - v[5], v[0] * v[4] - v[1] * v[3]
            values[..., x] = (v[4] * dx - v[1] * dy) / determinant
            values[..., y] = (v[0] * dy - v[3] * dx) / determinant
        columns.append(under(frames, values[..., [x, y]]))
    for k, column in enumerate(space.table):
        one = values[..., k]
        if column.kind == "angle":
            columns.append(np.stack([np.cos(one), np.sin(one)], axis=-1))
        elif column.is_whole and column.levels:
            columns.append(np.stack([one == level for level in range(len(column.levels))], axis=-1).astype(np.float64))
        else:
            columns.append(one[..., None])
    each = np.concatenate(columns, axis=-1)
    return each.reshape(*each.shape[:2], -1)
