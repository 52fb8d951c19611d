"""How far the camera turned from one frame to the next, as the frames alone tell."""

from __future__ import annotations

import math

import numpy as np

from sciworld.domains.driving.road.settings import RoadSettings

SMOOTHED = (1, 3)  # times that frames are smoothed before they are laid over each other
ITERATIONS = 4
RIDGE = 1e-2  # of the diagonal of what is solved, as in Marquardt (1963)
MARGIN = 2  # pixels at the frame's edges that tell nothing
FAR = 20.0  # m, how far away what stands above the horizon is taken to be
# Of motions beyond these nothing is believed: rad, rad, m, m, m.
MOST = np.array([0.03, 0.02, 2.0, 2.0, 0.2], dtype=np.float32)
PIXELS = 1 << 20  # in hand at once


def motions(before: np.ndarray, after: np.ndarray, camera: RoadSettings) -> np.ndarray:
    """What the camera did between two frames : (pair, 10) float32, of frames (pair, y, x, channel).

    Turn to the left and pitch in rad, way ahead by the ground and by what stands on it, and way aside in m: the motions
    whose flow best lays the earlier frame over the later, smoothed little and much. Each is bounded, and none is
    calibrated: what a motion is must be learned from them. Gauss and Newton's steps on brightness, robustly weighed:
    Lucas & Kanade (1981), with the flow of a camera over a plane in place of one shift. camera : its optics and mount
    alone are used.
    """
    batch = max(1, PIXELS // (camera.rows * camera.columns))
    flows = _flows(camera)
    found = [
        _laid(_grey(before[at : at + batch]), _grey(after[at : at + batch]), flows)
        for at in range(0, len(before), batch)
    ]
    return np.concatenate(found) if found else np.empty((0, len(SMOOTHED) * len(MOST)), dtype=np.float32)


def _flows(camera: RoadSettings) -> np.ndarray:
    """Flow in pixels for each motion by one : (motion, 2, y, x), columns and rows."""
    focal = camera.focal
    x = np.arange(camera.columns) - 0.5 * (camera.columns - 1)
    y = (np.arange(camera.rows) - 0.5 * (camera.rows - 1))[:, None]
    x, y = np.broadcast_arrays(x, y)
    below = y - focal * math.tan(math.radians(camera.camera_pitch))
    near = np.maximum(below, 0.0) / focal / camera.camera_height  # 1 / m, of the ground along the optical axis
    up = (below <= 0) / FAR
    turn, pitch = np.stack([focal + x * x / focal, x * y / focal]), np.stack([x * y / focal, focal + y * y / focal])
    ahead, apart = np.stack([x, below]) * near, np.stack([x, below]) * up
    aside = np.stack([focal * near, 0.0 * near])
    return np.stack([turn, pitch, ahead, apart, aside]).astype(np.float32)


def _grey(frames: np.ndarray) -> np.ndarray:
    """Logarithm of brightness, in which light and shadow shift : (pair, y, x) float32."""
    return np.asarray(np.log(np.maximum(np.asarray(frames, dtype=np.float32), 0.0) + 8.0).mean(axis=-1))


def _laid(before: np.ndarray, after: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """The motions by which each pair fits best, bounded : (pair, 10)."""
    found, done = [], 0
    for times in SMOOTHED:
        for _ in range(times - done):
            before, after = _smooth(before), _smooth(after)
        done = times
        motion = np.zeros((len(before), len(flows)), dtype=np.float32)
        slopes = np.gradient(before, axis=(2, 1))
        change = slopes[0][:, None] * flows[:, 0] + slopes[1][:, None] * flows[:, 1]
        for _ in range(ITERATIONS):
            motion -= _step(before, after, motion, flows, change)
        found.append(np.tanh(motion / MOST) * MOST)
    return np.concatenate(found, axis=1)


def _step(
    before: np.ndarray, after: np.ndarray, motion: np.ndarray, flows: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """What to take off the motions : (pair, motion). change : (pair, motion, y, x) of brightness for each by one."""
    _, y, x = before.shape
    flow = np.tensordot(motion, flows, 1)
    columns, rows = np.arange(x) + flow[:, 0], np.arange(y)[:, None] + flow[:, 1]
    inside = (columns > 0) & (columns < x - 1) & (rows > 0) & (rows < y - 1)
    wrong = _at(after, np.clip(rows, 0, y - 1.001), np.clip(columns, 0, x - 1.001)) - before
    spread = 1.5 * np.median(np.abs(wrong), axis=(1, 2), keepdims=True) + 1e-3
    weight = inside / (1.0 + (wrong / spread) ** 2)
    border = np.zeros((y, x), dtype=bool)
    border[MARGIN : y - MARGIN, MARGIN : x - MARGIN] = True
    weight = np.where(border, weight, 0.0).astype(np.float32)
    flat = change.reshape(*change.shape[:2], -1)
    weighed = flat * weight.reshape(len(flat), 1, -1)
    normal = weighed @ flat.swapaxes(1, 2)
    diagonal = np.arange(len(flows))
    normal[:, diagonal, diagonal] *= 1.0 + RIDGE
    normal[:, diagonal, diagonal] += 1e-6
    return np.asarray(np.linalg.solve(normal, weighed @ wrong.reshape(len(flat), -1, 1))[..., 0])


def _at(frames: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Frames (pair, y, x) between their pixels : (pair, y, x) float32, linearly."""
    i, j, pair = rows.astype(np.intp), columns.astype(np.intp), np.arange(len(frames))[:, None, None]
    down, right = (rows - i).astype(np.float32), (columns - j).astype(np.float32)
    top = frames[pair, i, j] * (1 - right) + frames[pair, i, j + 1] * right
    bottom = frames[pair, i + 1, j] * (1 - right) + frames[pair, i + 1, j + 1] * right
    return top * (1 - down) + bottom * down


def _smooth(frames: np.ndarray) -> np.ndarray:
    """Frames (pair, y, x) under the kernel 1 2 1 along rows and columns."""
    frames = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="edge")
    frames = (frames[:, :-2] + 2 * frames[:, 1:-1] + frames[:, 2:]) / 4
    return (frames[:, :, :-2] + 2 * frames[:, :, 1:-1] + frames[:, :, 2:]) / 4
