"""A blob that is pushed about a frame: the smallest world in which the best control is known in closed form.

Frames are 5 x 7 pixels of 1 mm with one channel. A step moves the blob by push * gear / 2, inside the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.simulator import Observation

Y, X = 5, 7
WIDTH = 1.2  # mm, of the blob
SPACE = ControlSpace(
    ColumnTable(
        (
            Column("push_x", "mm", -2.0, 2.0),
            Column("push_y", "mm", -1.0, 1.0),
            Column("gear", "1", 0, 2, kind="integer"),
        )
    )
)


def move(position: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Blob positions : (..., 2) x, y in mm after one step of controls : (..., 3)."""
    return np.clip(position + controls[..., :2] * controls[..., 2:] / 2, 0.0, [X - 1, Y - 1])


def render(position: np.ndarray) -> np.ndarray:
    """Frames : (..., y, x, channel) float32 of blobs at position : (..., 2)."""
    dx = np.arange(X) - position[..., 0, None]
    dy = np.arange(Y) - position[..., 1, None]
    image = np.exp(-(dy[..., :, None] ** 2 + dx[..., None, :] ** 2) / (2 * WIDTH**2))
    return image[..., None].astype(np.float32)


CATALOGUE = np.stack(np.meshgrid(np.arange(0, X - 0.9, 0.25), np.arange(0, Y - 0.9, 0.25)), axis=-1).reshape(-1, 2)
IMAGES = render(CATALOGUE).reshape(len(CATALOGUE), -1)


def locate(frames: np.ndarray) -> np.ndarray:
    """Where the blob is, to 0.25 mm : (..., 2), from frames (..., y, x, channel)."""
    flat = np.asarray(frames, dtype=float).reshape(*frames.shape[:-3], -1)
    return CATALOGUE[(flat @ IMAGES.T - 0.5 * (IMAGES**2).sum(axis=1)).argmax(axis=-1)]


def observation(position: np.ndarray, time: float = 0.0) -> Observation:
    """What a camera gives of blobs at position : (candidate, 2)."""
    n = len(position)
    return Observation(render(position), np.full(n, time), np.tile([1.0, 0, 0, 0, 1, 0], (n, 1)))


@dataclass(frozen=True)
class BlobState:
    """The truth: position (candidate, 2) mm, seconds and dose (candidate,)."""

    position: np.ndarray
    seconds: np.ndarray
    dose: np.ndarray


@dataclass(frozen=True)
class Blob:
    """The trusted simulator; each step takes 2 s and a dose equal to the gear. noise : mm, of every move."""

    noise: float = 0.0
    space = SPACE

    def start(self, position: np.ndarray) -> tuple[BlobState, Observation]:
        position = np.asarray(position, dtype=float)
        n = len(position)
        return BlobState(position, np.zeros(n), np.zeros(n)), observation(position)

    def step(self, state: BlobState, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, BlobState]:
        self.space.check(controls)
        moved = move(state.position, controls) + self.noise * rng.standard_normal(state.position.shape)
        after = BlobState(np.clip(moved, 0, [X - 1, Y - 1]), state.seconds + 2.0, state.dose + controls[:, 2])
        return observation(after.position, float(after.seconds[0])), after

    def observe(self, state: BlobState, observation: Observation) -> BlobState:
        return state


@dataclass
class BlobForecaster:
    """A surrogate that sees frames alone; sampled futures are blurred by `noise` mm. Counts its own evaluations."""

    noise: float = 0.0
    imagined: int = 0
    largest: int = 0
    space = SPACE

    def start(self, history: Sequence[Observation]) -> np.ndarray:
        return locate(history[-1].frames)

    def futures(self, state: np.ndarray, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        p, n, t, _ = controls.shape
        position = np.broadcast_to(state[:, None, None], (p, n, max(samples, 1), 2))
        seen = []
        for step in range(t):
            position = move(position, controls[:, :, None, step])
            if samples:
                position = position + self.noise * rng.standard_normal(position.shape)
            seen.append(render(position))
        self.imagined += self.evaluations(n, t, samples)
        self.largest = max(self.largest, p * n * max(samples, 1))
        return np.stack(seen, axis=3)

    def evaluations(self, candidates: int, steps: int, samples: int) -> int:
        return candidates * steps * max(samples, 1)


@dataclass(frozen=True)
class Brightness:
    """Linear in the frame: how bright the last one is at pixel (x, y)."""

    x: int
    y: int
    linear = True

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        return futures[:, :, -1, self.y, self.x, 0]


@dataclass(frozen=True)
class Nearness:
    """Not linear: minus the distance in mm of the located blob from (x, y), at the last step. Says nothing of
    linearity, as a scientist's function would not."""

    x: float
    y: float

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        return -np.linalg.norm(locate(futures[:, :, -1]) - [self.x, self.y], axis=-1)
