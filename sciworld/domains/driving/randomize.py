"""One drive in many weathers: variants of a recording that keep its scene, its motion and its controls.

Drives of the trusted simulator are drawn anew, exactly; recorded video gets weather that moves with the scene. Nothing
of the source is altered, and every variant says what it is of: it has the source's session, so that no split parts
them, and as covariates its conditions, its number, that of its source in a store (-1 where there is none), and its
seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sciworld import recording
from sciworld.config import LARGEST, require, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.driving import exact
from sciworld.domains.driving.restyle import restyle
from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions, preset
from sciworld.domains.driving.road.generate import COVARIATES
from sciworld.domains.driving.scene import Optics, Scene, find_scene
from sciworld.domains.driving.weathers import Curriculum, Weathers, require_possible
from sciworld.errors import RecordingError
from sciworld.recording import Recording

METHODS = ("auto", "exact", "video")
TOGETHER = 64  # frames that are drawn into at once
SPEEDS = ("speed", "velocity", "car_speed")  # columns in m/s that tell how fast a car drives
VARIANT = (
    Column("variant", "1", 0.0, kind="integer", role="provenance"),
    Column("variant_of", "1", -1.0, kind="integer", role="provenance"),
    Column("variant_seed", "1", 0.0, kind="integer", role="provenance"),
)
Conditions = RoadConditions | str


class Source(Protocol):
    """What the variants of one recording are drawn from."""

    @property
    def told(self) -> str:
        """How they are drawn, for the history."""
        ...

    def frames(self, ds: Recording, conditions: RoadConditions, seed: int) -> np.ndarray:
        """The recording's frames under other conditions, in the dtype that they have."""
        ...


class Method(Protocol):
    """How variants are drawn: `Randomizing`, or a model that learned it, see `sciworld.tasks.restyler`."""

    def source(self, ds: Recording, depth: np.ndarray | None) -> Source:
        """What a recording's variants are drawn from. Raises RecordingError for one that cannot be."""
        ...


@dataclass(frozen=True)
class Randomizing:
    """How variants are drawn.

    Parameters
    ----------
    method : "exact", drawn anew by the simulator that drew the source; "video", into its frames; "auto", the first
        where it can. filmed : conditions of the recorded video, a preset or RoadConditions; None for what the recording
        says, or else a cloudy noon. optics : of the camera of recorded video.
    """

    method: str = "auto"
    filmed: Conditions | None = None
    optics: Optics = field(default_factory=Optics)

    def __post_init__(self) -> None:
        require(
            self.method in METHODS, f"method is {self.method!r:.80}; use {', '.join(METHODS)}, or learned with a model"
        )
        if self.filmed is not None:
            named(self.filmed)

    def source(self, ds: Recording, depth: np.ndarray | None) -> Source:
        """See `Method.source`."""
        if self.method == "exact" or (self.method == "auto" and exact.is_drawn(ds) and depth is None):
            if not exact.is_drawn(ds):
                raise RecordingError(
                    f"'{ds.attrs['session']}': no simulator of a road drew it; use the method 'video' for what was "
                    "filmed"
                )
            return _Drawn(*exact.states_of(ds))
        return _video(ds, self, depth)


def named(conditions: Conditions) -> RoadConditions:
    """The conditions, by their name or as they are. Raises SettingsError for unknown ones, and such as contradict."""
    found = preset(conditions) if isinstance(conditions, str) else conditions
    odd = not isinstance(found, RoadConditions)
    require(not odd, f"conditions are {found!r:.80}; give RoadConditions, or one of {', '.join(PRESETS)}")
    return require_possible(found)


def randomize(
    ds: Recording,
    n: int,
    conditions: Any = "any",
    seed: int = 0,
    settings: Method | None = None,
    depth: np.ndarray | None = None,
    *,
    only: Collection[int] | None = None,
    of: int = -1,
) -> Iterator[Recording]:
    """n variants of a recording, each made when it is asked for.

    conditions : a `Curriculum` such as `Weathers`, words for one ("rain_night,fog_density=20..80"), or a list of n
        presets or RoadConditions, in that order. seed : of all that is drawn. depth : (time, y, x) or (y, x) m of
        recorded video, where it is known. only : numbers of the variants that are made; all of them by default. of :
        the recording's number in its store.

    The same recording, number and seed give the same variant, however many are made. Raises SettingsError for
    conditions that are unknown or contradict each other, RecordingError for frames that are not three colours, or have
    no times.
    """
    n, seed = whole(n, "n", 1), whole(seed, "seed", 0, LARGEST)
    wanted = drawn_conditions(conditions, n, seed)
    _require_whole(ds)
    source = (settings or Randomizing()).source(ds, depth)
    numbers = range(n) if only is None else sorted(only)
    return (_variant(ds, source, wanted[number], number, seed, of) for number in numbers)


def drawn_conditions(conditions: Any, n: int, seed: int) -> list[RoadConditions]:
    """n conditions as `randomize` draws them."""
    if isinstance(conditions, list | tuple):
        require(len(conditions) == n, f"{len(conditions)} conditions for {n} variants; give one for each, or words")
        return [named(one) for one in conditions]
    curriculum: Curriculum = conditions if hasattr(conditions, "draw") else Weathers.of(conditions)
    return [require_possible(one) for one in curriculum.draw(n, np.random.default_rng([seed, 606]))]


@dataclass(frozen=True, eq=False)
class _Video:
    """Recorded frames and what was found in them."""

    scene: Scene
    before: RoadConditions
    filmed: str
    low: float
    high: float

    def frames(self, ds: Recording, conditions: RoadConditions, seed: int) -> np.ndarray:
        """As they would be under other conditions, in the dtype that they have."""
        stored, time = ds["frames"].values, ds["time"].values
        if conditions == self.before:
            return stored.copy()
        out = np.empty_like(stored)
        for at in range(0, len(stored), TOGETHER):
            part = slice(at, at + TOGETHER)
            light = (stored[part].astype(np.float32) - self.low) / (self.high - self.low)
            found = restyle(light, time[part] - time[0], self.scene.take(part), self.before, conditions, seed)
            counts = self.low + found * (self.high - self.low)
            out[part] = np.rint(counts) if stored.dtype.kind in "iu" else counts
        return out

    @property
    def told(self) -> str:
        """For the history."""
        return f"weather drawn into recorded video: {self.scene.told}, filmed under {self.filmed}"


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A drive that the simulator can draw anew."""

    simulator: Any
    states: Sequence[Any]
    told = "drawn anew by the simulator that drew the source, from the same states"

    def frames(self, ds: Recording, conditions: RoadConditions, seed: int) -> np.ndarray:
        """Of the same states."""
        return exact.drawn(self.simulator, self.states, conditions, seed)


def _require_whole(ds: Recording) -> None:
    """Raise RecordingError for what is no recording, or would be randomized in part."""
    recording.check(ds, "randomize")
    others = recording.cameras(ds)[1:]
    if others:
        raise RecordingError(
            f"'{ds.attrs['session']}': has more cameras, {', '.join(others)}, which would stay in their weather; drop "
            "them first"
        )


def _video(ds: Recording, settings: Randomizing, depth: np.ndarray | None) -> _Video:
    frames = ds["frames"]
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise RecordingError(f"'{ds.attrs['session']}': frames are {frames.shape}; weather needs three colours")
    if recording.is_counted(ds):
        raise RecordingError(
            f"'{ds.attrs['session']}': its file does not say when frames were taken, and rain falls by seconds; ingest "
            "it with --frame-seconds"
        )
    low, high = levels(ds)
    grey = np.stack([frame.mean(axis=-1, dtype=np.float32) for frame in frames.values])
    if not np.isfinite(grey).all():
        raise RecordingError(f"'{ds.attrs['session']}': has pixels that are not finite; fill them first")
    grey = np.clip((grey - low) / (high - low), 0.0, 1.0)
    scene = find_scene(grey, ds["time"].values, settings.optics, depth, _speeds(ds))
    said = settings.filmed if settings.filmed is not None else exact.conditions_of(ds)
    filmed = "a cloudy noon, as nothing says" if said is None else said if isinstance(said, str) else "what it says"
    return _Video(scene, named("cloudy_noon" if said is None else said), filmed, low, high)


def levels(ds: Recording) -> tuple[float, float]:
    """What black and white are in a recording's frames. Raises RecordingError where nothing says it."""
    frames, table = ds["frames"], recording.channel_table(ds)
    lows, highs = {column.low for column in table}, {column.high for column in table}
    if len(lows) == len(highs) == 1 and None not in lows | highs:
        low, high = float(lows.pop()), float(highs.pop())  # type: ignore[arg-type]
    elif frames.dtype.kind == "u":
        low, high = 0.0, float(np.iinfo(frames.dtype).max)
    else:
        raise RecordingError("frames: nothing says what white is; state 'low' and 'high' of the channels")
    if not (np.isfinite([low, high]).all() and low < high):
        raise RecordingError(f"frames: channels go from {low:g} to {high:g}; state numbers that grow")
    return low, high


def _speeds(ds: Recording) -> np.ndarray | None:
    """(time,) m/s as they were measured, or None."""
    for name in ("states", "controls"):
        table = recording.table(ds, name)
        for index, column in enumerate(table):
            if column.name in SPEEDS and column.units == "m/s":
                return np.asarray(ds[name].values[:, index], dtype=np.float64)
    return None


def _variant(ds: Recording, source: Source, conditions: RoadConditions, number: int, seed: int, of: int) -> Recording:
    """One variant."""
    own = variant_seed(seed, number)
    frames = source.frames(ds, conditions, own)
    made = ds.copy(data={**{name: ds[name].values for name in ds.data_vars}, "frames": frames})
    facts = {name: getattr(conditions, name) for name in RANGES}
    values, table = with_facts(ds, {**facts, "variant": number, "variant_of": of, "variant_seed": own})
    made["covariates"] = (("covariate",), values, {"columns": table.to_json()})
    made.attrs["history"] = f"{ds.attrs['history']}; variant {number} with seed {seed}: {source.told}"
    return recording.check(made, "randomize")


def variant_seed(seed: int, number: int) -> int:
    """The seed of one variant, of those of a seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def with_facts(ds: Recording, facts: Mapping[str, float]) -> tuple[np.ndarray, ColumnTable]:
    """The recording's covariates with `facts` in place of or beside its own."""
    old = recording.covariate_table(ds)
    new = {column.name: column for column in (*COVARIATES, *VARIANT)}
    columns = [*(column for column in old if column.name not in facts), *(new[name] for name in facts)]
    known = dict(zip(old.names, ds["covariates"].values, strict=True)) if len(old) else {}
    values = {**{name: float(value) for name, value in known.items()}, **facts}
    return np.array([values[column.name] for column in columns]), ColumnTable(tuple(columns))


def at_dial(conditions: Conditions, name: str, values: Sequence[float]) -> list[RoadConditions]:
    """The conditions at several values of one quantity: a dial."""
    base = named(conditions)
    require(name in RANGES, f"conditions: unknown {name!r:.80}; known are {', '.join(RANGES)}")
    return [dataclasses.replace(base, **{name: float(value)}) for value in values]
