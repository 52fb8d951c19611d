"""What variants keep of their source, as the frames alone tell: edges, the car's turns, what controls do, and calm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sciworld import recording
from sciworld.domains.driving.scene import Optics, running_median, ways
from sciworld.errors import RecordingError
from sciworld.measures.control import spearman
from sciworld.recording import Recording

STRONGEST = 0.1  # share of a frame's pixels, those of the strongest edges of the source
ALONG = np.cos(np.radians(45.0))  # of twice the angle: an edge that runs within 22.5 degrees of its own is kept
STEERING = ("steer", "angle", "yaw_rate", "yaw rate")  # what names of controls hold that turn a car
LATE = 8  # frames by which pictures answer steering, at most
LEAST = 20  # frames, with fewer of which turns tell nothing


@dataclass(frozen=True)
class Kept:
    """What one variant keeps.

    Parameters
    ----------
    edges : share of the source's strongest edges that still run as they did; 0.25 of edges that run anyhow. turns :
        correlation of the turns that are read in it with those of the source. heeds, heeded : Spearman correlation of
        turns with steering, in the variant and in the source, where it counts as positive. flicker : difference of
        consecutive frames over the source's. NaN where frames, edges or steering are too few.
    """

    edges: float
    turns: float
    heeds: float
    heeded: float
    flicker: float


def kept(source: Recording, variant: Recording, optics: Optics | None = None) -> Kept:
    """What a variant keeps. Raises RecordingError where it is of another recording."""
    one, other = source["frames"].values, variant["frames"].values
    if one.shape != other.shape:
        raise RecordingError(f"a variant has frames {other.shape}, its source {one.shape}: it is of another recording")
    if one.ndim != 4 or min(one.shape[1:3]) < 2 or not np.isfinite(one).all() or not np.isfinite(other).all():
        raise RecordingError(f"frames {one.shape}: give pictures of 2 x 2 pixels or more, all of them finite")
    way, mine = moved(one, optics or Optics())
    _, theirs = moved(other, optics or Optics(), way)
    steering = _steering(source)
    lag = _lag(steering, mine)
    heeded = _heeds(steering, mine, lag)
    return Kept(
        edges=edges_kept(one, other),
        turns=_correlation(mine, theirs),
        heeds=float(np.sign(heeded)) * _heeds(steering, theirs, lag),
        heeded=abs(heeded),
        flicker=flicker(one, other),
    )


def edges_kept(source: np.ndarray, variant: np.ndarray) -> float:
    """Share of the strongest edges of frames (time, y, x, channel) that run alike in others; of lamps and shadows, too,
    whose one side may become the brighter."""
    found: list[float] = []
    for one, other in zip(source, variant, strict=True):
        (dy, dx), (ey, ex) = (np.gradient(frame.mean(axis=-1, dtype=np.float64)) for frame in (one, other))
        strong = np.hypot(dy, dx)
        picked = strong >= max(float(np.quantile(strong, 1.0 - STRONGEST)), 1e-9)
        if not picked.any():
            continue
        apart = 2.0 * (np.arctan2(dy, dx) - np.arctan2(ey, ex))[picked]
        found.append(((np.cos(apart) >= ALONG) & (np.hypot(ey, ex)[picked] > 0)).mean().item())
    return _mean(found)


def moved(frames: np.ndarray, optics: Optics, way: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Ways of a step in heights of the camera, as they are known or seem, and turns in rad to the left, a running
    median, of frames (time, y, x, channel) : (time - 1,)."""
    grey = frames.mean(axis=-1, dtype=np.float32)
    span = max(float(grey.max() - grey.min()), 1e-6)
    rows, columns = grey.shape[1:]
    row = 0.5 * (rows - 1) if optics.horizon is None else optics.horizon
    way, turn = ways((grey - grey.min()) / span, optics.focal(columns), row, way)
    return way, running_median(turn)


def flicker(source: np.ndarray, variant: np.ndarray) -> float:
    """Mean difference of consecutive frames over that of the source's; NaN where nothing moves in it."""
    moved = [float(np.abs(np.diff(frames.astype(np.float64), axis=0)).mean()) if len(frames) > 1 else 0.0
             for frames in (variant, source)]  # fmt: skip
    return moved[0] / moved[1] if moved[1] > 0 else float("nan")


def diversity(variants: Sequence[np.ndarray], names: Sequence[str]) -> tuple[float, float]:
    """Mean absolute difference between variants (time, y, x, channel) of one recording under other conditions, and
    under the same ones with other seeds; NaN where there are none such."""
    across: list[float] = []
    within: list[float] = []
    for i in range(len(variants)):
        for j in range(i):
            apart = float(np.abs(variants[i].astype(np.float32) - variants[j].astype(np.float32)).mean())
            (within if names[i] == names[j] else across).append(apart)
    return _mean(across), _mean(within)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _steering(ds: Recording) -> np.ndarray | None:
    """(time - 1,) of the first control that steers, by its name, or None."""
    table = recording.control_table(ds)
    for index, column in enumerate(table):
        if any(word in column.name.lower() for word in STEERING):
            return np.asarray(ds["controls"].values[:-1, index], dtype=np.float64)
    return None


def _lag(steering: np.ndarray | None, turned: np.ndarray) -> int:
    """Frames by which turns answer steering best."""
    if steering is None:
        return 0
    found = [abs(_heeds(steering, turned, lag)) for lag in range(LATE + 1)]
    return int(np.nanargmax(found)) if np.isfinite(found).any() else 0


def _heeds(steering: np.ndarray | None, turned: np.ndarray, lag: int) -> float:
    if steering is None or len(steering) < LEAST:
        return float("nan")
    played, seen = steering[: len(steering) - lag], turned[lag:]
    known = np.isfinite(played) & np.isfinite(seen)
    if known.sum() < LEAST or np.ptp(played[known]) == 0 or np.ptp(seen[known]) == 0:
        return float("nan")
    return spearman(played[known], seen[known])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
