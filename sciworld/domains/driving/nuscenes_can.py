"""Steering from the CAN bus expansion of nuScenes: one file a scene, about 100 readings a second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciworld import config
from sciworld.domains.base import reading
from sciworld.domains.driving.paths import inside
from sciworld.errors import FormatError

LEAST = 0.3  # of the correlation with the yaw rate, by which the sign is told


@dataclass(frozen=True)
class Steering:
    """Readings of the steering wheel, as they came.

    Parameters
    ----------
    time : (log,) s since the first frame, increasing.
    angle : (log,) rad, with the sign of the file.
    """

    time: np.ndarray
    angle: np.ndarray


def read_steering(folder: Path, scene: str, start: int, stated_in: Path) -> Steering | None:
    """The steering of a scene, None if there is no file of it: some scenes have none.

    start : microseconds of the first frame. stated_in : the table that names the scene. Raises FormatError.
    """
    path = inside(folder, f"{scene}_steeranglefeedback.json", stated_in)
    if not path.is_file():
        return None
    with reading(path, "messages of the CAN bus"):
        rows = json.loads(path.read_text(encoding="utf-8"))
        time = config.array([row["utime"] for row in rows], (int,), np.int64)
        angle = config.array([row["value"] for row in rows], (int, float), np.float64)
    if not len(time):
        return None
    if (np.diff(time) <= 0).any() or not np.isfinite(angle).all():
        raise FormatError(f"{path}: utime does not increase, or a value is not finite; copy it anew")
    return Steering((time - start) * 1e-6, angle)


def with_sign(steering: Steering | None, time: np.ndarray, yaw_rate: np.ndarray) -> tuple[np.ndarray, str]:
    """The steering at each frame : (time,) rad, positive to the left; the last is NaN. And what is to be said of it.

    Between readings it is interpolated, outside them unknown. Its sign differs between revisions of the CAN bus: it is
    that which correlates with the yaw rate, which is positive to the left.
    time, yaw_rate : (time,) s, rad/s.
    """
    if steering is None:
        return np.full(len(time), np.nan), "no steering on the CAN bus of this scene: unknown"
    angle = np.interp(time, steering.time, steering.angle, left=np.nan, right=np.nan)
    angle[-1] = np.nan
    known = np.isfinite(angle) & np.isfinite(yaw_rate)
    varied = known.sum() > 2 and angle[known].std() > 0 and yaw_rate[known].std() > 0
    r = float(np.corrcoef(angle[known], yaw_rate[known])[0, 1]) if varied else 0.0
    if abs(r) < LEAST:
        return angle, f"steering has the sign of the CAN bus, for the yaw rate does not tell it (r = {r:.2f})"
    left, turned = (-angle, "turned") if r < 0 else (angle, "kept")
    return left, f"steering is positive to the left, its sign {turned} by the yaw rate (r = {r:.2f})"
