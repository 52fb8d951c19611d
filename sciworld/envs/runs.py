"""What the environment and the vector of environments share: n runs that advance as one batch, each as if alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.config import LARGEST, require, whole
from sciworld.controls import ControlSpace
from sciworld.envs.faces import Face, Moment
from sciworld.errors import ControlError, SimulatorError
from sciworld.together import streams


def action_box(space: ControlSpace) -> spaces.Box:
    """The controls as a Box of float32, whose bounds as float64 are within those of the space."""
    space.require_bounds(space.low, space.high)
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    low = np.where(low < space.low, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > space.high, np.nextafter(high, np.float32(-np.inf)), high)
    return spaces.Box(low, high, dtype=np.float32)


def seeds_of(seed: Any, n: int) -> list[int | None]:
    """The seeds of n environments, None where one goes on : given for each, or as the first of n that follow.

    Raises SettingsError.
    """
    if seed is None:
        return [None] * n
    rows = isinstance(seed, Sequence) and not isinstance(seed, str | bytes)
    several = rows or (isinstance(seed, np.ndarray) and seed.ndim > 0)
    seeds = list(seed) if several else [whole(seed, "seed", 0, LARGEST) + k for k in range(n)]
    require(len(seeds) == n, f"{len(seeds)} seeds for {n} environments; give one each")
    return [None if one is None else whole(one, "seed", 0, LARGEST) for one in seeds]


def require_mode(render_mode: Any) -> str | None:
    """The mode of rendering, or None for none. Raises SettingsError."""
    good = render_mode is None or (isinstance(render_mode, str) and render_mode == "rgb_array")
    require(good, f"render_mode is {render_mode!r:.80}; use 'rgb_array' or None")
    mode: str | None = render_mode
    return mode


class Runs:
    """n runs of a face. The frames (run, y, x, channel) and the moment are those of the present.

    Parameters
    ----------
    clip : whether controls outside the bounds are moved into them; else they are an error, as NaN always is.
    """

    def __init__(self, face: Face, n: int, clip: bool) -> None:
        self.face, self.n, self.clip = face, n, clip
        self.frames: np.ndarray = np.empty((0,))
        self._moment: Moment | None = None

    @property
    def moment(self) -> Moment:
        """Of all runs. Raises SimulatorError before the first reset."""
        if self._moment is None:
            raise SimulatorError("an environment that was not reset; call reset first")
        return self._moment

    def reset(self, generators: Sequence[np.random.Generator], options: Mapping[str, Any] | None) -> None:
        """Start all runs anew, each with its generator. Raises SettingsError for options that the face has not."""
        options = {} if options is None else options
        require(isinstance(options, Mapping), f"reset: options are {options!r:.80}; give a dict, or None")
        self._moment, self.frames = self._begun(generators, options)

    def step(
        self, controls: np.ndarray, generators: Sequence[np.random.Generator], anew: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Advance the runs, but start those anew that the mask (run,) says; reward and terminated : (run,)."""
        reward, terminated = np.zeros(self.n), np.zeros(self.n, dtype=bool)
        going, begun = np.flatnonzero(~anew), np.flatnonzero(anew)
        of_going, of_begun = ([generators[int(k)] for k in which] for which in (going, begun))
        moment, frames = [], []
        if len(going):
            chosen = self._checked(np.asarray(controls)[going])
            before = self.moment if not len(begun) else self.moment.take(going)
            outcome = self.face.step(before, chosen, streams(of_going))
            reward[going], terminated[going] = outcome.reward, outcome.terminated
            moment.append(outcome.moment)
            frames.append(outcome.frames)
        if len(begun):
            fresh, first = self._begun(of_begun, {})
            moment.append(fresh)
            frames.append(first)
        if len(moment) == 1:
            self._moment, self.frames = moment[0], frames[0]
        else:
            order = np.argsort(np.concatenate([going, begun]))
            self._moment = self._joined(moment).take(order)
            self.frames = np.concatenate(frames)[order]
        return reward, terminated

    def facts(self) -> dict[str, np.ndarray]:
        """The truth about all runs in numbers : (run,)."""
        return self.face.facts(self.moment)

    def _begun(
        self, generators: Sequence[np.random.Generator], options: Mapping[str, Any]
    ) -> tuple[Moment, np.ndarray]:
        moment = self._joined([self.face.start(one, options) for one in generators])
        frames, moment = self.face.look(moment, streams(generators))
        return moment, frames

    def _joined(self, moments: Sequence[Moment]) -> Moment:
        if len(moments) == 1:
            return moments[0]
        truth = self.face.join([one.truth for one in moments])
        return Moment(truth, np.concatenate([one.memory for one in moments]))

    def _checked(self, controls: np.ndarray) -> np.ndarray:
        space = self.face.space
        if controls.dtype.kind not in "iuf":
            raise ControlError(f"action: dtype {controls.dtype}; use real numbers")
        controls = controls.astype(np.float64)
        if controls.shape[-1:] == (len(space),):
            # An action is a real number of a box: the nearest level, or whole number, is meant.
            controls = np.where([one.is_whole for one in space.table], np.rint(controls), controls)
        if self.clip and controls.shape[-1:] == (len(space),):
            controls = space.clip(controls)
        # What is a float32 beyond a bound passes the check: it is moved onto it.
        return space.clip(space.check(controls, "action"))
