"""What recorded frames tell of the place that they show: how the car moved, how far things are, where sky is.

None of it is measured: it is good enough to let fog thicken with distance, and rain pass by about as fast as the road.
The road is a plane, what stands beside it a corridor, and where no sky is seen it has a ceiling: inverse depth grows
with the distance from the vanishing point. Way and turn are those under which one frame looks like the next.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from sciworld.config import real, require
from sciworld.errors import RecordingError
from sciworld.kernels.film_motion import AHEAD, UNKNOWNS, follow

COLUMNS = 128  # of the picture that is followed, at most; large ones are made coarser
BEGINS = np.array([np.nan, 0.0, 0.2, 0.5, 1.0, 2.0])  # ways in heights of the camera, to search from; NaN as before
FAR = 250.0  # m, to which nothing is drawn nearer
CORRIDOR = 8.0  # heights of the camera to what stands beside the road: 11 m, for a car
CEILING = 4.0  # heights of the camera, above it, where there is no sky
LEAST_WAY, SHARPEST = 0.02, 0.1  # m a step and 1/m, between which bends are believed
SMOOTH = 9  # steps over which ways and bends are a median
SKY_CONTRAST = 1.15  # times as bright as the ground is what lies above the horizon, where it is sky


@dataclass(frozen=True)
class Optics:
    """How a camera is mounted, and what is known beforehand.

    Parameters
    ----------
    field_of_view : degrees along the columns. height : m above the ground. horizon : row in pixels; None for the middle
        row. sky : whether any is seen; None for what the frames tell. speed : m/s; None for what was recorded, or else
        for what the frames tell.
    """

    field_of_view: float = 70.0
    height: float = 1.4
    horizon: float | None = None
    sky: bool | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        real(self.field_of_view, "field_of_view", 10.0, 150.0, " degrees")
        real(self.height, "height", 0.01, 100.0, " m")
        if self.horizon is not None:
            real(self.horizon, "horizon", -1e4, 1e4, " pixels")
        if self.speed is not None:
            real(self.speed, "speed", 0.0, 150.0, " m/s")
        require(self.sky is None or isinstance(self.sky, bool), f"sky is {self.sky!r:.80}; use True, False or None")

    def focal(self, columns: int) -> float:
        """Focal length in pixels."""
        return 0.5 * columns / math.tan(math.radians(0.5 * self.field_of_view))


@dataclass(frozen=True, eq=False)
class Scene:
    """What weather is drawn into.

    depth : (time, y, x) or (1, y, x) float32 m along the optical axis. sky : (time, y, x) float32, how much of a pixel
    is sky; `open` whether there is any. pose : (time, 3) x, y in m and yaw in rad, to the left, since the first frame.
    focal, horizon : pixels. height : m. told : what was found and how.
    """

    depth: np.ndarray
    sky: np.ndarray
    open: bool
    pose: np.ndarray
    focal: float
    horizon: float
    height: float
    told: str

    @property
    def bends(self) -> np.ndarray:
        """Of the car's way : (time,) 1/m, to the left; 0 where it hardly moves."""
        if len(self.pose) < 2:
            return np.zeros(len(self.pose))
        way, turn = np.linalg.norm(np.diff(self.pose[:, :2], axis=0), axis=1), np.diff(self.pose[:, 2])
        found = np.where(way > LEAST_WAY, turn / np.maximum(way, LEAST_WAY), 0.0).clip(-SHARPEST, SHARPEST)
        return running_median(np.append(found, found[-1]))

    def take(self, part: slice) -> Scene:
        """Of some of the frames."""
        depth = self.depth if len(self.depth) == 1 else self.depth[part]
        return dataclasses.replace(self, depth=depth, sky=self.sky[part], pose=self.pose[part])


def find_scene(
    grey: np.ndarray,
    time: np.ndarray,
    optics: Optics | None = None,
    depth: np.ndarray | None = None,
    speed: np.ndarray | None = None,
) -> Scene:
    """The scene of grey frames (time, y, x) in [0, 1], at time (time,) s.

    depth : (time, y, x) or (y, x) m, where it is known. speed : (time,) m/s, where it was measured. Raises
    RecordingError for times that do not grow, or depth of another size.
    """
    optics = optics or Optics()
    t, rows, columns = grey.shape
    if len(time) != t or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise RecordingError("frames have no times that grow, and rain falls by seconds: give the time of each frame")
    focal = optics.focal(columns)
    row = 0.5 * (rows - 1) if optics.horizon is None else optics.horizon
    require(-rows <= row <= 2 * rows, f"horizon is row {row:g} of frames of {rows} rows; give the row where roads end")
    told = [f"horizon at row {row:.0f} ({'middle' if optics.horizon is None else 'given'})"]
    known, source = _speed(time, optics.speed, speed)
    way, turn = ways(grey, focal, row, None if known is None else known * np.diff(time) / optics.height)
    driven = way * optics.height / np.diff(time)
    told.append(f"speed {driven.mean() if t > 1 else 0.0:.1f} m/s ({source})")
    sky = find_sky(grey, row, optics.sky)
    told.append(f"sky in {sky.mean():.0%} of the picture")
    told.append("depth of a corridor" if depth is None else "depth given")
    is_open, shape = bool(sky.any()), grey.shape
    deep = _corridor(rows, columns, row, focal, optics.height, is_open) if depth is None else _given(depth, shape)
    pose = _driven(way * optics.height, turn, AHEAD * optics.height)
    return Scene(deep, sky, is_open, pose, focal, float(row), optics.height, ", ".join(told))


def ways(grey: np.ndarray, focal: float, row: float, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Of every step of grey frames (time, y, x) the way in heights of the camera and the turn in rad : (time - 1,).

    known : (time - 1,) ways, where somebody measured them. Where the road is too smooth to tell, what stands beside it
    does, as far away as a corridor is wide. The turn is found by the way: in a bend the lines of a road look as if they
    stood still.
    """
    k = max(1, -(-grey.shape[2] // COLUMNS))
    fine = _coarser(grey, k)
    found = np.zeros((max(len(grey) - 1, 0), UNKNOWNS))
    way = np.full(len(found), np.nan) if known is None else np.asarray(known, dtype=np.float64)
    if not len(found) or min(fine.shape[1:]) < 8:
        return np.nan_to_num(way), found[:, 2]
    pictures = (fine, _coarser(fine, 2), focal / k, (row + 0.5) / k - 0.5)
    same = np.full(len(BEGINS), np.nan)
    if known is None:
        follow(*pictures, np.column_stack([BEGINS, same]), way, found)
        way = running_median(np.maximum(found[:, 0], CORRIDOR * found[:, 1]).clip(min=0.0))
    follow(*pictures, np.column_stack([same, BEGINS / CORRIDOR]), way, found)
    return way, found[:, 2]


def _coarser(grey: np.ndarray, k: int) -> np.ndarray:
    """Means over k x k pixels : float32."""
    t, rows, columns = grey.shape
    tiles = grey[:, : rows // k * k, : columns // k * k].reshape(t, rows // k, k, columns // k, k)
    return np.ascontiguousarray(tiles.mean(axis=(2, 4)), dtype=np.float32)


def running_median(series: np.ndarray) -> np.ndarray:
    """Of SMOOTH steps around each."""
    if not len(series):
        return series
    wide = np.pad(series, SMOOTH // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(wide, SMOOTH), axis=-1)


def _speed(time: np.ndarray, given: float | None, recorded: np.ndarray | None) -> tuple[np.ndarray | None, str]:
    """m/s of every step where it is known, and where it is from."""
    if given is not None:
        return np.full(len(time) - 1, given), "given"
    known = np.zeros(0) if recorded is None else np.isfinite(recorded)
    if recorded is not None and known.any():
        return np.abs(np.interp(time[:-1], time[known], recorded[known])), "recorded"
    return None, "from the motion of the frames"


def _driven(way: np.ndarray, turn: np.ndarray, ahead: float) -> np.ndarray:
    """Where a camera gets that is so far ahead of the axle that goes these ways : (step + 1, 3) x, y in m and yaw in
    rad, to the left."""
    yaw = np.concatenate([[0.0], np.cumsum(turn)])
    middle = 0.5 * (yaw[1:] + yaw[:-1])
    x = np.concatenate([[0.0], np.cumsum(way * np.cos(middle))]) + ahead * (np.cos(yaw) - 1.0)
    y = np.concatenate([[0.0], np.cumsum(way * np.sin(middle))]) + ahead * np.sin(yaw)
    return np.column_stack([x, y, yaw])


def _corridor(rows: int, columns: int, row: float, focal: float, height: float, is_open: bool) -> np.ndarray:
    """m along the optical axis : (1, y, x)."""
    v = (np.arange(rows)[:, None] - row) / focal
    u = np.abs(np.arange(columns)[None, :] - 0.5 * (columns - 1)) / focal
    inverse = np.maximum(u / CORRIDOR, v if is_open else np.maximum(v, -v / CEILING)) / height
    return (1.0 / np.maximum(inverse, 1.0 / FAR)).astype(np.float32)[None]


def _given(depth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Depth as a scene has it. Raises RecordingError."""
    depth = np.asarray(depth, dtype=np.float32)
    depth = depth[None] if depth.ndim == 2 else depth
    if depth.shape not in (shape, (1, *shape[1:])):
        raise RecordingError(f"depth is {depth.shape}; the frames need {shape} or {shape[1:]}, in m")
    if not (depth > 0).all():
        raise RecordingError("depth has pixels at 0 m or none that is known; give m along the optical axis")
    return depth


def find_sky(grey: np.ndarray, row: float, wanted: bool | None = None) -> np.ndarray:
    """How much of each pixel of grey frames (time, y, x) is sky : float32, of the same shape.

    It is what is bright above the horizon, if most that lies there is brighter than the ground; by the levels of all
    frames, so that it does not flicker. wanted : whether there is any; None for what the frames tell.
    """
    top = int(np.clip(round(row), 0, grey.shape[1]))
    share = np.zeros(grey.shape, dtype=np.float32)
    if wanted is False or top < 2:
        return share
    above, below = grey[:, : max(1, top // 2)], grey[:, min(top + 1, grey.shape[1] - 1) :]
    bright, ground = float(np.quantile(above, 0.75)), float(np.median(below))
    if wanted is None and bright < SKY_CONTRAST * ground:
        return share
    # Where hardly anything stands before the sky, its own clouds are the darkest above the horizon.
    dark = min(float(np.quantile(above, 0.02)), ground)
    low, high = dark + 0.55 * (bright - dark), dark + 0.8 * (bright - dark)
    part = np.clip((grey[:, :top] - low) / max(high - low, 1e-6), 0.0, 1.0)
    share[:, :top] = part * part * (3.0 - 2.0 * part)
    return share
