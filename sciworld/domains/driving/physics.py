"""What frames of a drive tell, recorded or imagined: the place in the lane, how the car turned, who else drives.

Each quantity is kept only where the recordings show that it can be read. Root mean square errors in drives on roads
that no fit saw, beside the spread of what is true; "-" is left out:

| frames | 24 x 40, every 0.2 s | 48 x 80, every 0.1 s | 24 x 40, every 0.1 s |
|---|---|---|---|
| learned from | 240 drives at noon, country | 160, all places and weathers | 160, all places and weathers |
| lane_offset, m | 0.12 of 0.72 | - | - |
| heading_error, rad | 0.016 of 0.033 | - | - |
| line_offset, m, within 0.9 m | 0.07, in 82 % of all frames | 0.07, in 66 % | 0.11, in 52 % |
| turn, rad | 0.0080 of 0.0142 | 0.0039 of 0.0077 | - |
| turn_error | kept | - | - |

Where weathers and places are many, the lane is read from its lines alone: a linear reader errs by 0.8 of the spread and
more. Lines tell the place in the nearest lane. A turn of one step is half a pixel. The speed, which tells how far a
steering angle turns a car, no frame tells: where speeds differ much, what the steering gives at the usual one is no
better than to stand still, and `turn_error` is left out. Vehicles: see `road.vehicles`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import from_dict, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.base import widened
from sciworld.domains.driving.road.conditions import RANGES
from sciworld.domains.driving.road.generate import SOURCE
from sciworld.domains.driving.road.objectives import lane_position
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.turning import motions
from sciworld.domains.driving.road.vehicles import SURE, VehicleFinder, fit_finder
from sciworld.domains.generated import settings_of
from sciworld.domains.reader import Labelled, Reader, block_means, labelled, measured
from sciworld.errors import RecordingError, SettingsError
from sciworld.measures import objects
from sciworld.streamed import one_kind

LANE = (("lane_offset", "m"), ("heading_error", "rad"))  # states that a frame tells
NEAR = 2.5  # m and rad: frames from farther away say little of the lane, and teach the reader nothing
ROWS = 24  # of a frame that the lane is read from, at least
LANE_RIDGE, TURN_RIDGE = 0.03, 0.01
TOLD = 0.7  # of the spread of a state, that its reading may err by
SEEN = 0.25  # of the recorded frames, in which lines must be found
WORTH = 0.9  # of what the controls do, that reading it may err by: standing still errs by all of it
LEAST = (0.004, 0.008)  # of the pixels, of a vehicle that counts: the first at which counts are right
AGREE = 0.6  # correlation of true and read counts of vehicles, at least
SHARES = (0.001, 0.999)  # of what recordings read as, between which what is read is believed
TINY = 1e-12  # in place of 0, to divide by
PAIR_BYTES = 256 << 20  # of frames in pairs, in memory at once

Read = Callable[[np.ndarray, np.ndarray], np.ndarray]  # frames, controls : (n, step, quantity)


@dataclass(frozen=True)
class PhysicsSettings:
    """How much is learned from.

    frames : recorded, that the lane is learned from, about. pairs : of frames that follow each other, about. scenes :
    that the simulator draws, and steps : of learning to see vehicles in them. seed : of these.
    """

    frames: int = 3000
    pairs: int = 1500
    scenes: int = 1200
    steps: int = 2500
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("pairs", 1), ("scenes", 1), ("steps", 1), ("seed", 0)):
            object.__setattr__(self, name, whole(getattr(self, name), name, least))


@dataclass(frozen=True, eq=False)
class Part:
    """Quantities that are read together."""

    columns: tuple[Column, ...]
    read: Read


@dataclass(frozen=True, eq=False)
class RoadPhysics:
    """What is read from frames of a drive; see `fit`.

    parts : what reads. quantities : of all parts. shape : (y, x, channel) of a frame.
    """

    parts: tuple[Part, ...]
    quantities: ColumnTable
    shape: tuple[int, ...]
    rates: tuple[tuple[str, str], ...] = ()

    def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """The quantities after each step : (n, step, quantity) float64; NaN in steps of which a frame is not finite.

        frames : (n, step + 1, y, x, channel). controls : (n, step, control). Raises RecordingError for frames of
        another shape than those that were fitted.
        """
        if frames.shape[2:] != self.shape:
            raise RecordingError(
                f"driving physics: frames of {frames.shape[2:]} (y, x, channel); it was fitted on {self.shape}: fit it "
                "anew"
            )
        whole_ones = np.isfinite(frames).all(axis=(2, 3, 4))
        frames = frames if whole_ones.all() else np.nan_to_num(frames)
        found = np.concatenate([part.read(frames, controls) for part in self.parts], axis=2)
        found[~(whole_ones[:, :-1] & whole_ones[:, 1:])] = np.nan
        return found


@dataclass(frozen=True, eq=False)
class Pairs:
    """Frames (pair, 2, y, x, channel) of recordings, controls (pair, 1, control) between them, states (pair, 2, state)
    with their names, and which of the recordings each is of : (pair,)."""

    frames: np.ndarray
    controls: np.ndarray
    names: tuple[str, ...]
    states: np.ndarray
    number: np.ndarray
    recordings: int


def fit(recordings: Iterable[xr.Dataset], settings: PhysicsSettings | None = None) -> RoadPhysics:
    """Learn from recordings what frames of their camera tell, and what is usual.

    `lane_offset` (m to the left) and `heading_error` (rad), read as the recorded states were: where these are known.
    Where all are of our road simulator, whose camera and worlds are then known: `lane_seen`, 1 where two lines stand
    out, and `line_offset` (m), the place between them; `turn` (rad to the left) from a frame to the next, and
    `turn_error` (rad), that less what the steering gives at the usual speed; `vehicles`, how many others are seen, and
    `jump` (pixel), how far one is from where any was seen, see `VehicleFinder.jump`. What cannot be read is left out,
    also for want of states, controls or covariates.

    Bounds are what the recordings' own frames read as, all but one in a thousand at either end, widened by a tenth.
    Raises RecordingError where there are no recordings or they are not alike (`one_kind`), and where nothing can be
    read.
    """
    settings = settings or PhysicsSettings()
    first, camera = one_kind(recordings), _camera(recordings)
    parts: list[Part] = []
    if camera is not None or _lane_names(first):
        pairs = _pairs(recordings, first, settings.pairs)
        parts += _lane(recordings, settings.frames, pairs.names)
    if camera is not None:
        parts += _lines(camera, pairs) + _turn(camera, pairs, first) + _vehicles(camera, recordings, settings)
    if not parts:
        raise RecordingError(
            f"{first.attrs['source']}: frames of these recordings tell nothing to be checked; give five or more "
            "whose states have 'lane_offset' (m) and 'heading_error' (rad), or drives of the road simulator"
        )
    known = [_bounded(part, part.read(pairs.frames, pairs.controls)) for part in parts]
    table = ColumnTable(tuple(column for columns in known for column in columns))
    return RoadPhysics(tuple(parts), table, pairs.frames.shape[2:])


def _bounded(part: Part, values: np.ndarray) -> list[Column]:
    """The columns of a part, those that have bounds with what was read from recordings : (n, step, quantity)."""
    found = []
    for k, column in enumerate(part.columns):
        here = values[..., k][np.isfinite(values[..., k])]
        if (column.low is None and column.high is None) or not len(here):
            found.append(replace(column, low=None, high=None))
            continue
        low, high = widened(*(float(one) for one in np.quantile(here, SHARES)))
        found.append(replace(column, low=None if column.low is None else low, high=high))
    return found


def _column(name: str, units: str, low: bool = False, high: bool = False) -> Column:
    """A quantity that is bounded below, above, or not, by what recordings tell."""
    return Column(name, units, 0.0 if low else None, 0.0 if high else None, role="measured")


def _pairs(recordings: Iterable[xr.Dataset], first: xr.Dataset, most: int) -> Pairs:
    """Pairs of frames, evenly from all recordings, of which no more are in memory. Raises RecordingError."""
    lengths = [len(ds["time"]) - 1 for ds in recordings]
    size = 2 * int(np.prod(first["frames"].shape[1:])) * first["frames"].dtype.itemsize
    share = -(-max(1, min(most, PAIR_BYTES // size)) // len(lengths))
    names = recording.table(first, "states").names if "states" in first else ()
    frames, controls, states, number = [], [], [], []
    for index, (ds, length) in enumerate(zip(recordings, lengths, strict=True)):
        told = recording.table(ds, "states").names if "states" in ds else ()
        names = tuple(name for name in names if name in told)
        for row in np.arange(length)[:: max(1, -(-length // share))]:
            frames.append(ds["frames"][row : row + 2].values)
            controls.append(ds["controls"].values[row : row + 1] if "controls" in ds else np.empty((1, 0)))
            states.append({name: ds["states"].values[row : row + 2, told.index(name)] for name in names})
            number.append(index)
    if not frames:
        raise RecordingError(f"{first.attrs['source']}: recordings of one frame; give drives of two frames or more")
    table = np.array([[one[name] for name in names] for one in states]).reshape(len(frames), len(names), 2)
    return Pairs(np.stack(frames), np.stack(controls), names, table.swapaxes(1, 2), np.array(number), len(lengths))


def _camera(recordings: Iterable[xr.Dataset]) -> RoadSettings | None:
    """The settings of the simulator that all recordings are of, or None."""
    sources = {ds.attrs["source"] for ds in recordings}
    try:
        (found,) = (from_dict(RoadSettings, settings_of(source, SOURCE), source) for source in sources)
    except (SettingsError, ValueError):  # of something else, or of several simulators
        return None
    return found


def _lane_names(first: xr.Dataset) -> tuple[str, ...]:
    """The states of the lane that a recording tells."""
    told = recording.table(first, "states").names if "states" in first else ()
    return tuple(name for name, _ in LANE if name in told)


def _lane(recordings: Iterable[xr.Dataset], most: int, names: tuple[str, ...]) -> list[Part]:
    """The states of the lane that are known near it, and that frames tell."""
    asked = tuple(name for name, _ in LANE if name in names)
    if not any((np.abs(measured(ds, asked)) < NEAR).all(axis=1).any() for ds in recordings if asked):
        return []
    told = labelled(recordings, asked, coarse, most, NEAR)
    if told.left().all():
        return []
    reader = told.fit(LANE_RIDGE, alike=True)
    kept = np.flatnonzero(reader.error <= TOLD * told.values.std(axis=0))
    if not len(kept):
        return []
    reader = replace(
        reader, names=tuple(asked[k] for k in kept), weights=reader.weights[:, kept], offset=reader.offset[kept],
        error=reader.error[kept],
    )  # fmt: skip
    columns = tuple(_column(name, units, True, True) for name, units in LANE if name in reader.names)
    return [Part(columns, partial(_read_lane, reader))]


def _read_lane(reader: Reader, frames: np.ndarray, controls: np.ndarray) -> np.ndarray:
    return np.asarray(reader(frames[:, 1:]), dtype=np.float64)


def coarse(frames: np.ndarray) -> np.ndarray:
    """Block means of each channel, less its mean over a frame, in the frame's standard deviation : (..., feature).

    So the light, which changes with the weather and drifts in what is imagined, counts little.
    """
    block = max(1, frames.shape[-3] // ROWS)
    means = block_means(np.asarray(frames, dtype=np.float32), block, block)
    means -= means.mean(axis=(-3, -2), keepdims=True)
    means /= means.std(axis=(-3, -2, -1), keepdims=True) + 1e-3
    return means.reshape(*frames.shape[:-3], -1)


def _lines(camera: RoadSettings, pairs: Pairs) -> list[Part]:
    """The place between the lines, where these are seen often enough."""
    part = Part((_column("lane_seen", "1"), _column("line_offset", "m", True, True)), partial(_read_lines, camera))
    return [part] if part.read(pairs.frames, pairs.controls)[..., 0].mean() >= SEEN else []


def _read_lines(camera: RoadSettings, frames: np.ndarray, controls: np.ndarray) -> np.ndarray:
    place = lane_position(frames[:, 1:], camera)
    return np.stack([np.isfinite(place), place], axis=2)


def _turn(camera: RoadSettings, pairs: Pairs, first: xr.Dataset) -> list[Part]:
    """How the car turned, and how that differs from what it was steered to, where two frames tell."""
    names = recording.control_table(first).names if "controls" in first else ()
    if "steering" not in names or not {"speed", "wheel_angle"} <= set(pairs.names):
        return []
    steering = names.index("steering")
    before, after = (dict(zip(pairs.names, pairs.states[:, k].T, strict=True)) for k in (0, 1))
    true = turned(before["speed"], after["speed"], after["wheel_angle"], camera)
    steered = np.tan(pairs.controls[:, 0, steering])
    known = np.isfinite(true) & np.isfinite(steered)
    if not known.any():
        return []
    true, steered, of = true[known], steered[known], partial(_motions, camera)
    told = Labelled(("turn",), of, of(pairs.frames[known])[:, 0], true[:, None], pairs.number[known], pairs.recordings)
    left = told.left()
    if left.all():
        return []
    reader = told.fit(TURN_RIDGE)
    if not reader.error[0] <= TOLD * true.std():
        return []
    gain = float(true @ steered / max(steered @ steered, TINY))
    wrong = (told.features @ reader.weights + reader.offset)[left, 0] - gain * steered[left]
    checked = np.sqrt((wrong**2).mean()) <= WORTH * np.sqrt(((gain * steered[left]) ** 2).mean())
    columns = [_column("turn", "rad", True, True)] + [_column("turn_error", "rad", True, True)] * bool(checked)
    return [Part(tuple(columns), partial(_read_turn, reader, steering, gain, bool(checked)))]


def turned(before: np.ndarray, after: np.ndarray, wheel_angle: np.ndarray, camera: RoadSettings) -> np.ndarray:
    """How far a bicycle at these speeds in m/s turned to the left in a step : (n,) rad, as far as its tyres held."""
    mean = 0.5 * (before + after)
    most = camera.grip / np.maximum(mean**2, 1e-6)
    return np.asarray(np.clip(np.tan(wheel_angle) / camera.wheelbase, -most, most) * mean * camera.step)


def _motions(camera: RoadSettings, frames: np.ndarray) -> np.ndarray:
    """Features of each pair of frames (n, step + 1, y, x, channel) that follow each other : (n, step, 10)."""
    n, steps = len(frames), frames.shape[1] - 1
    one, other = (frames[:, k : k + steps].reshape(-1, *frames.shape[2:]) for k in (0, 1))
    return motions(one, other, camera).reshape(n, steps, -1)


def _read_turn(
    reader: Reader, steering: int, gain: float, checked: bool, frames: np.ndarray, controls: np.ndarray
) -> np.ndarray:
    turn = reader(frames).astype(np.float64)
    error = turn - gain * np.tan(controls[..., steering : steering + 1])
    return np.concatenate([turn, error], axis=2) if checked else turn


def _vehicles(camera: RoadSettings, recordings: Iterable[xr.Dataset], settings: PhysicsSettings) -> list[Part]:
    """How many others are seen, and how far one jumped, where the simulator's own scenes are read rightly."""
    tables = [(recording.covariate_table(ds).names, ds["covariates"].values) for ds in recordings if "covariates" in ds]
    told = [[values[names.index(name)] for name in RANGES] for names, values in tables if set(RANGES) <= set(names)]
    weather = np.array(told).reshape(-1, len(RANGES))
    weather = weather[np.isfinite(weather).all(axis=1)]
    if not camera.vehicles or not len(weather):
        return []
    finder, likely, there = fit_finder(camera, weather, settings.scenes, settings.steps, settings.seed)
    for share in LEAST:
        finder = replace(finder, least=max(2, round(share * camera.rows * camera.columns)))
        true, read = objects.count(there, SURE, finder.least), finder.count(likely)
        if true.std() > 0 and read.std() > 0 and np.corrcoef(true, read)[0, 1] >= AGREE:
            columns = (_column("vehicles", "1"), _column("jump", "pixel", high=True))
            return [Part(columns, partial(_read_vehicles, finder))]
    return []


def _read_vehicles(finder: VehicleFinder, frames: np.ndarray, controls: np.ndarray) -> np.ndarray:
    n, steps = len(frames), frames.shape[1] - 1
    found = np.empty((n, steps, 2))
    for one, future in zip(found, frames, strict=True):
        likely = finder(future)
        one[:, 0] = finder.count(likely[1:])
        one[:, 1] = [finder.jump(likely[k], likely[k + 1]) for k in range(steps)]
    return found
