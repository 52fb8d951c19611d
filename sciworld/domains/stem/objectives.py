"""What a microscopist wants of a beam: the silicon at a site, or progress toward a goal per second or per electron."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.domains.stem.appearance import Appearance, site_readers
from sciworld.domains.stem.constants import BOND, ELECTRONS_PER_NA
from sciworld.domains.stem.locate import locate
from sciworld.simulator import Objective, Observation
from sciworld.tensors import constant, functions

REACHED = 0.5 * BOND  # A: nearer to the goal than to any other site


class AtSite:
    """Probability that the silicon ends at one neighbouring site; linear in the frame.

    Parameters
    ----------
    reader : (y, x), the row of that site in `site_readers`: the sum of reader * expected image is the probability.
    idle : (y, x) image expected if the beam does nothing. Where it is given, only what differs from it is read: a
        forecaster that sees the silicon a few pm off, in every future alike, then errs no more by that.
    """

    linear = differentiable = True

    def __init__(self, reader: np.ndarray, idle: np.ndarray | None = None) -> None:
        self.reader = reader
        self.offset = 0.0 if idle is None else float((reader * idle).sum())

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample) of futures (candidate, sample, time, y, x, channel): of their last frame."""
        last, reader = futures[:, :, -1, :, :, 0], constant(self.reader, futures)
        scores: np.ndarray = functions(futures).einsum("csyx,yx->cs", last, reader) - self.offset
        return scores


class ProgressRate:
    """Expected approach to a goal per second, or per electron; linear in the frame.

    The expected approach is the sum over the present site and its neighbours of P(site) (distance to the goal now
    - distance from the site); it is divided by what the action costs: its dwell and one image. Actions that are
    chosen to maximise it reach a distant goal soonest (renewal-reward theorem).

    Parameters
    ----------
    readers : (4, y, x) of `site_readers`. gains : (4,) A, the approach that each site means. idle : as in `AtSite`.
    overhead : s that an image takes. dwell : which control is the dwell. per_second : units of the cost that pass in
        a second: 1 for seconds, the beam's electrons per second for dose.
    """

    linear = differentiable = True

    def __init__(
        self,
        readers: np.ndarray,
        gains: np.ndarray,
        overhead: float,
        idle: np.ndarray | None = None,
        dwell: int = 2,
        per_second: float = 1.0,
    ) -> None:
        self.approach = AtSite(np.einsum("kyx,k->yx", readers, gains), idle)
        self.overhead = overhead
        self.dwell = dwell
        self.per_second = per_second

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample), A per s or A per electron; controls (candidate, step, control)."""
        approach = self.approach(futures, controls)
        seconds = controls[:, :, self.dwell].sum(axis=1) + self.overhead * controls.shape[1]
        return approach / (seconds * self.per_second)[:, None]


@dataclass(frozen=True)
class SteerSettings:
    """How the silicon is steered from frame to frame.

    Parameters
    ----------
    reach : A, half the side of the square around the silicon in which beams are searched.
    low_dwell, high_dwell : s. frame_time : s for one image.
    aim : progress (approach per second) | dose (approach per electron) | site (probability at the next site).
    current : nA, for the dose.
    """

    reach: float = 2.2
    low_dwell: float = 1.0
    high_dwell: float = 10.0
    frame_time: float = 2.0
    aim: str = "progress"
    current: float = 0.1

    def __post_init__(self) -> None:
        require(self.aim in ("progress", "dose", "site"), f"aim is {self.aim!r}; use progress, dose or site")
        require(self.reach > 0, f"reach is {self.reach} A; it must be positive")
        require(0 < self.low_dwell <= self.high_dwell, f"dwell {self.low_dwell} to {self.high_dwell} s is no range")


@dataclass(frozen=True)
class Aim:
    """What to search for in each of n present frames, and where.

    objectives : one a frame. low, high : (n, control), beam_x, beam_y in A and dwell in s. active : (n,) bool, whether
    the silicon is seen and its goal still ahead; elsewhere low = high, a beam that does next to nothing. target : (n,)
    index of the neighbour that lies nearest to the goal.
    """

    objectives: list[Objective]
    low: np.ndarray
    high: np.ndarray
    active: np.ndarray
    target: np.ndarray


class Steer:
    """Reads from each frame where the silicon is, and says what would bring it nearer to its goal.

    Sees pixels, the view, and what a forecaster expects of a beam that does nothing.

    Parameters
    ----------
    goals : (n, 2) A, laboratory frame, one for each of the n frames.
    idle : observation -> frames (n, y, x, channel) expected if nothing is done, see `AtSite`.
    """

    def __init__(
        self,
        goals: np.ndarray,
        appearance: Appearance,
        settings: SteerSettings | None = None,
        idle: Callable[[Observation], np.ndarray] | None = None,
    ) -> None:
        self.goals = np.asarray(goals, dtype=np.float64)
        self.appearance = appearance
        self.settings = settings or SteerSettings()
        self.idle = idle

    def __call__(self, observation: Observation) -> Aim:
        """The aim of each frame in `observation`, whose rows are those of `goals`."""
        settings = self.settings
        located = locate(observation.frames, observation.view)
        low, high = region(located.silicon, observation, settings)
        lost = ~np.isfinite(located.silicon).all(axis=1)
        now = np.linalg.norm(located.silicon - self.goals, axis=1)
        after = np.linalg.norm(located.neighbours - self.goals[:, None], axis=2)
        target = after.argmin(axis=1)
        active = ~lost & (now >= REACHED)
        low[~active] = high[~active] = rest(located.silicon, observation, settings)[~active]
        readers = np.zeros((len(now), 4, *observation.frames.shape[1:3]), dtype=np.float32)
        seen = np.flatnonzero(~lost)
        if len(seen):
            readers[seen] = site_readers(
                located.take(seen), observation.view[seen], observation.frames.shape[1:3], self.appearance
            )
        idle = [None] * len(now) if self.idle is None else list(self.idle(observation)[..., 0])
        if settings.aim == "site":
            objectives: list[Objective] = [AtSite(readers[i, 1 + k], idle[i]) for i, k in enumerate(target)]
        else:
            gains = np.concatenate([np.zeros((len(now), 1)), now[:, None] - after], axis=1)
            per_second = ELECTRONS_PER_NA * settings.current if settings.aim == "dose" else 1.0
            objectives = [
                ProgressRate(readers[i], gains[i], settings.frame_time, idle[i], per_second=per_second)
                for i in range(len(now))
            ]
        return Aim(objectives, low, high, active, target)


def region(
    silicon: np.ndarray, observation: Observation, settings: SteerSettings | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where beams are searched: low, high : (n, 3), a square around the silicon (n, 2) cut to the field of view.

    Where no silicon was found (NaN) the square lies around the middle of the field.
    """
    settings = settings or SteerSettings()
    least, most = _field(observation)
    silicon = np.where(np.isfinite(silicon), silicon, (least + most) / 2)
    low = np.column_stack([np.clip(silicon - settings.reach, least, most), np.full(len(silicon), settings.low_dwell)])
    high = np.column_stack([np.clip(silicon + settings.reach, least, most), np.full(len(silicon), settings.high_dwell)])
    return low, high


def rest(silicon: np.ndarray, observation: Observation, settings: SteerSettings | None = None) -> np.ndarray:
    """The control (n, 3) that does least: the shortest dwell in the corner of the field that is farthest from it."""
    settings = settings or SteerSettings()
    least, most = _field(observation)
    silicon = np.where(np.isfinite(silicon), silicon, (least + most) / 2)
    far = np.where(most - silicon > silicon - least, most, least)
    return np.column_stack([far, np.full(len(far), settings.low_dwell)])


def _field(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest x, y : (n, 2) A of the pixels' centres."""
    rows, cols = observation.frames.shape[1:3]
    v = observation.view
    corners = np.stack(
        [
            np.stack([v[:, 0] * c + v[:, 1] * r + v[:, 2], v[:, 3] * c + v[:, 4] * r + v[:, 5]], axis=1)
            for c in (0, cols - 1)
            for r in (0, rows - 1)
        ]
    )
    return corners.min(axis=0), corners.max(axis=0)
