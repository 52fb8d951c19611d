"""What a driver wants, read from frames and controls alone: in the lane's middle, smoothly."""

from __future__ import annotations

import math

import numpy as np

from sciworld.domains.driving.road.settings import RoadSettings

NEAREST, FARTHEST = 3.5, 11.0  # m ahead: where lines are looked for
BREADTH = 0.3  # m: beyond this from the middle of a line it is road again, at both sides
CONTRAST, MARGIN = 0.08, 3.0  # paint is brighter than the road at both its sides by this share and these counts
INNER, OUTER = 0.4, 1.75  # of half the lane's width: how far from the car's middle its lines may be


def lane_position(frames: np.ndarray, camera: RoadSettings, lane_width: float = 3.3) -> np.ndarray:
    """How far the car is left of its lane's middle in m, read from frames (..., y, x, channel) : (...).

    Looks in each row right before the car, to the left and to the right, for what stands out most from the road at both
    its sides: the lane's lines. On flat ground a row tells how many m a pixel is. One line is enough where the other is
    a gap between dashes. NaN where neither is seen. camera : its height, pitch and field of view alone are used.
    """
    rows, columns = frames.shape[-3:-1]
    focal = 0.5 * columns / math.tan(math.radians(0.5 * camera.field_of_view))
    horizon = 0.5 * (rows - 1) + focal * math.tan(math.radians(camera.camera_pitch))
    last = min(rows, int(horizon + focal * camera.camera_height / NEAREST) + 1)
    first = min(max(0, math.ceil(horizon + focal * camera.camera_height / FARTHEST)), last - 1)
    half = 0.5 * lane_width
    centres = np.arange(columns) - 0.5 * (columns - 1)
    found = []
    for row in range(first, last):
        pixel = camera.camera_height / max(row - horizon, 0.5)  # m
        grey = np.asarray(frames[..., row, :, :], dtype=np.float32).mean(axis=-1)
        found.append(_middle(_ridge(grey, max(1, round(BREADTH / pixel))), centres * pixel, half))
    places = np.stack(found, axis=-1)
    seen = np.isfinite(places).any(axis=-1)
    return np.where(seen, np.nanmedian(np.where(seen[..., None], places, 0.0), axis=-1), np.nan)


def _ridge(grey: np.ndarray, k: int) -> np.ndarray:
    """How much brighter each pixel of a row grey (..., x) is than both that are k pixels away; 0 where it is not."""
    ridge = np.zeros_like(grey)
    if grey.shape[-1] > 2 * k:
        sides = np.maximum(grey[..., : -2 * k], grey[..., 2 * k :])
        over = grey[..., k:-k] - sides
        ridge[..., k:-k] = np.where(over > CONTRAST * sides + MARGIN, over, 0.0)
    return ridge


def _middle(ridge: np.ndarray, across: np.ndarray, half: float) -> np.ndarray:
    """The lane's middle in m right of the car, from one row's ridge (..., x) at places across (x,) in m; NaN unseen."""
    sides = []
    for way in (-1.0, 1.0):
        inside = (way * across > INNER * half) & (way * across < OUTER * half)
        strength = np.where(inside, ridge, 0.0)
        place = across[strength.argmax(axis=-1)] - way * half
        sides.append(np.where(strength.max(axis=-1) > 0, place, np.nan))
    left, right = sides
    both = 0.5 * (left + right)
    return np.where(np.isfinite(both), both, np.where(np.isfinite(right), right, left))


class KeepLane:
    """Minus the mean squared distance from the lane's middle, minus the cost of steering; larger is better.

    Parameters
    ----------
    camera : whose frames they are, see `lane_position`. target : m left of the middle. effort : weight of the squared
        change of steering, m^2 per rad^2. lost : m that count where no line is seen.
    """

    linear = False

    def __init__(self, camera: RoadSettings, target: float = 0.0, effort: float = 1.0, lost: float = 1.5) -> None:
        self.camera, self.target, self.effort, self.lost = camera, target, effort, lost

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample) of futures (candidate, sample, time, y, x, channel)."""
        place = lane_position(futures, self.camera)
        error = np.where(np.isfinite(place), place - self.target, self.lost)
        change = np.diff(controls[:, :, 0], axis=1)
        return -(error**2).mean(axis=2) - self.effort * (change**2).sum(axis=1)[:, None]
