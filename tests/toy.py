"""The toy domain: a blob is blown about a frame. It shows that what is generic in name is generic in fact.

Frames are not square, there are two channels, time is uneven, the field of view is in millimetres, and of three
controls two are a position (the fan) and one is categorical (the fan blows, pulls, or is off).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.domains.base import Domain

Y, X = 8, 12
PITCH = 0.5  # mm a pixel
VIEW = np.array([PITCH, 0.0, 0.0, 0.0, PITCH, 0.0])
WIDTH, HEIGHT = (X - 1) * PITCH, (Y - 1) * PITCH
SPEED = 0.8  # mm/s at the fan, falling with distance
REACH = 2.0  # mm

CHANNELS = ColumnTable((Column("smoke", "counts", low=0.0), Column("heat", "K")))
CONTROLS = ColumnTable(
    (
        Column("fan_x", "mm", 0.0, WIDTH, group="fan", axis="x", frame="lab"),
        Column("fan_y", "mm", 0.0, HEIGHT, group="fan", axis="y", frame="lab"),
        Column("mode", "1", kind="categorical", levels=("off", "blow", "pull")),
    )
)
COVARIATES = ColumnTable((Column("size", "mm", 0.1, 5.0),))
SPACE = ControlSpace(CONTROLS)


def advance(position: np.ndarray, controls: np.ndarray, seconds: float | np.ndarray) -> np.ndarray:
    """Blob positions : (..., 2) mm after `seconds` under controls : (..., 3): off the fan, toward it, or still."""
    away = position - controls[..., :2]
    distance = np.linalg.norm(away, axis=-1, keepdims=True) + 1e-6
    sign = np.array([0.0, 1.0, -1.0])[controls[..., 2].astype(int)][..., None]
    moved = position + sign * SPEED * np.exp(-distance / REACH) * away / distance * np.asarray(seconds)[..., None]
    return np.clip(moved, 0.0, [WIDTH, HEIGHT])


def render(position: np.ndarray, size: float | np.ndarray) -> np.ndarray:
    """Frames : (..., y, x, channel) float32 of blobs at position : (..., 2) mm with size : (...) mm."""
    x, y = np.arange(X) * PITCH, np.arange(Y) * PITCH
    dx, dy = x - position[..., 0, None], y - position[..., 1, None]
    square = (dy[..., :, None] ** 2 + dx[..., None, :] ** 2) / np.asarray(size, dtype=float)[..., None, None] ** 2
    return np.stack([100.0 * np.exp(-square / 2), 300.0 + np.exp(-square / 8)], axis=-1).astype(np.float32)


def make(frames: int = 11, seed: int = 0, session: str = "") -> xr.Dataset:
    """One recording of `frames` frames under random controls, the same for the same seed."""
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(0.5, 1.5, frames)
    controls = SPACE.sample(rng, (frames,))
    controls[-1] = np.nan
    size = rng.uniform(0.7, 1.3)
    positions = [rng.uniform([0, 0], [WIDTH, HEIGHT])]
    for row in range(frames - 1):
        positions.append(advance(positions[-1], controls[row], seconds[row]))
    return recording.make(
        render(np.stack(positions), np.full(frames, size)),
        np.cumsum(seconds) - seconds[0],
        channels=CHANNELS,
        controls=controls,
        control_table=CONTROLS,
        covariates={"size": size},
        covariate_table=COVARIATES,
        view=VIEW,
        view_units="mm",
        session=session or f"session-{seed}",
        source="toy",
        licence="Apache-2.0",
        citation="none",
        history=f"toy.make(frames={frames}, seed={seed})",
    )


def recordings(count: int, frames: int = 11, seed: int = 0) -> list[xr.Dataset]:
    """`count` recordings in two sessions for every five."""
    return [make(frames, seed + i, f"session-{(seed + i) * 2 // 5}") for i in range(count)]


class Blob:
    """What is read from toy frames: where the blob is, and whether it went far in a step."""

    quantities = ColumnTable(
        (
            Column("blob_x", "mm", 0.0, WIDTH),
            Column("smoke", "counts", low=20.0),
            Column("went", "1", kind="event"),
            Column("fan", "mm"),
        )
    )
    rates = (("fan", "went"),)

    def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
        smoke = np.where(np.isfinite(frames[..., 0]), np.maximum(frames[..., 0], 0), 0)
        total = smoke.sum(axis=(2, 3))
        with np.errstate(invalid="ignore", divide="ignore"):
            x = (smoke.sum(axis=2) * np.arange(smoke.shape[3])).sum(axis=2) / total * view[:, :1]
        went = np.abs(np.diff(x, axis=1)) > 0.1
        away = np.abs(x[:, :-1] - controls[..., 0])
        return np.stack([x[:, 1:], total[:, 1:], np.where(np.isnan(x[:, 1:]), np.nan, went), away], axis=-1)


DOMAIN = Domain("toy", None, (), lambda **settings: None, lambda recordings: Blob())
