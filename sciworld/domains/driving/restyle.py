"""Other light and weather on recorded video, which moves with the scene.

What falls is fixed in the air of the place, not on the picture: fog thickens with depth, drops and flakes pass by as
the car drives, puddles and snow lie where they lie. All of it is what the trusted simulator of a road draws with; but
where things are is guessed (`scene`), and shadows stay as they were.
"""

from __future__ import annotations

import numpy as np

from sciworld.domains.driving.road.conditions import RoadConditions, conditions_array
from sciworld.domains.driving.road.light import light_of
from sciworld.domains.driving.scene import Scene
from sciworld.kernels import film_weather
from sciworld.kernels import road_layout as layout

CHANGED = 0.25  # of the sky's light or clouds, from which on all of it is drawn anew


def restyle(
    frames: np.ndarray,
    time: np.ndarray,
    scene: Scene,
    before: RoadConditions,
    after: RoadConditions,
    seed: int,
) -> np.ndarray:
    """Frames (time, y, x, 3) float32 in [0, 1], at time (time,) s, as they would be under other conditions : same
    shape.

    before : the conditions that they were recorded under.
    """
    t = len(frames)
    light = light_of(conditions_array([before, after], 2))
    old, new = np.repeat(light[:1], t, axis=0), np.repeat(light[1:], t, axis=0)
    wind = np.tile([0.25 * light[1, layout.WIND], light[1, layout.WIND]], (t, 1)).astype(np.float64)
    anew = np.full(t, _sky_changed(light[0], light[1]), dtype=np.float32)
    out = np.empty(frames.shape, dtype=np.float32)
    depth = np.broadcast_to(scene.depth, frames.shape[:3])
    film_weather.weather(
        np.ascontiguousarray(frames, dtype=np.float32), depth, scene.sky, not scene.open,
        cameras(scene, frames.shape[1:3]), scene.bends, old, new, anew, wind, time, seed % 2**20, out,
    )  # fmt: skip
    return out


def _sky_changed(before: np.ndarray, after: np.ndarray) -> float:
    """How much of the sky is drawn anew, for how far its light, clouds and colours lie apart : 0 to 1."""
    parts = np.r_[layout.ZENITH : layout.ZENITH + 6, layout.CLOUD, layout.GLOW : layout.GLOW + 3]
    return float(min(1.0, np.abs(before[parts] - after[parts]).max() / CHANGED))


def cameras(scene: Scene, shape: tuple[int, int]) -> np.ndarray:
    """The camera of every frame : (time, 8), see `road_layout`."""
    rows, columns = shape
    middle = 0.5 * (rows - 1)
    cams = np.zeros((len(scene.pose), 8))
    cams[:, layout.CAM_X], cams[:, layout.CAM_Y] = scene.pose[:, 0], scene.pose[:, 1]
    cams[:, layout.CAM_Z], cams[:, layout.CAM_YAW] = scene.height, scene.pose[:, 2]
    cams[:, layout.CAM_PITCH] = np.arctan((scene.horizon - middle) / scene.focal)
    cams[:, layout.CAM_F] = scene.focal
    cams[:, layout.CAM_CX], cams[:, layout.CAM_CY] = 0.5 * (columns - 1), middle
    return cams
