"""A surrogate as an environment: an agent of any library may be trained in what was learned from recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.controls import ControlSpace
from sciworld.envs.faces import Moment, Outcome, no_options
from sciworld.errors import SettingsError
from sciworld.simulator import Objective, Observation

GIVEN = ("surrogate", "starts", "objective")


class ImaginedFace:
    """Reward: what an objective makes of the imagined frame; nothing ends an episode but its length, or `terminated`.

    Runs of a vector are sampled together: what one imagines depends on how many there are.

    Settings : surrogate. starts : the observations (oldest first, one row a start) of which an episode begins at one by
    chance, or that which `reset(options={"start": row})` names. objective : an `Objective`, whose futures have one
    step; one of DataArrays through `tasks.find_controls.on_arrays`.
    terminated : optional, observation -> (run,) bool. The memory of a run : (run,), the row that it began at.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        missing = [name for name in GIVEN if name not in settings]
        odd = [name for name in settings if name not in (*GIVEN, "terminated")]
        if missing or odd:
            raise SettingsError(f"sciworld/Imagined-v0: lacks {missing}, does not know {odd}; give {', '.join(GIVEN)}")
        starts = settings["starts"]
        self.surrogate = settings["surrogate"]
        self.starts: list[Observation] = [starts] if isinstance(starts, Observation) else list(starts)
        if not self.starts or not all(isinstance(one, Observation) for one in self.starts):
            raise SettingsError(
                f"sciworld/Imagined-v0: starts is {type(starts).__name__} of {type(self.starts[0]).__name__}; give "
                "Observations, oldest first, such as evaluate.imagine.observed(recording, frame, context)"
                if self.starts
                else "sciworld/Imagined-v0: starts is empty; give one Observation or more"
            )
        self.objective: Objective = settings["objective"]
        self.terminated: Callable[[Observation], np.ndarray] | None = settings.get("terminated")
        self.frame = spaces.Box(-np.inf, np.inf, self.starts[-1].frames.shape[1:], np.float32)
        self.units = {"start": "1", "time": "s"}
        seconds = self.surrogate.seconds
        self.fps = 1.0 / (seconds if isinstance(seconds, int | float) else 1.0)

    @property
    def space(self) -> ControlSpace:
        """The surrogate's."""
        space: ControlSpace = self.surrogate.space
        return space

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Moment:
        """One of the starts."""
        no_options(options, ("start",))
        many = len(self.starts[-1])
        row = options.get("start", None)
        row = int(rng.integers(many)) if row is None else row
        if not (isinstance(row, int | np.integer) and 0 <= row < many):
            raise SettingsError(f"reset: start is {row!r:.40}; there are the rows 0 to {many - 1}")
        state = self.surrogate.start([one.take(np.array([row])) for one in self.starts])
        return Moment(_Present(self.surrogate, state), np.array([float(row)]))

    def look(self, moment: Moment, rng: np.random.Generator) -> tuple[np.ndarray, Moment]:
        """The last frame that was recorded."""
        return moment.truth.state.observation.frames.astype(np.float32), moment

    def step(self, moment: Moment, controls: np.ndarray, rng: np.random.Generator) -> Outcome:
        """A sample of the surrogate's next frame."""
        drawn = np.random.default_rng(np.asarray(rng.integers(2**62, size=len(controls))))
        observation, state = self.surrogate.step(moment.truth.state, controls, drawn)
        reward = np.asarray(self.objective(observation.frames[:, None, None], controls[:, None]), dtype=np.float64)
        over = np.zeros(len(controls), dtype=bool) if self.terminated is None else self.terminated(observation)
        return Outcome(observation.frames, Moment(_Present(self.surrogate, state), moment.memory), reward[:, 0], over)

    def facts(self, moment: Moment) -> dict[str, np.ndarray]:
        """Where it began, and the imagined time."""
        return {"start": moment.memory, "time": moment.truth.state.observation.time}

    def join(self, truths: Sequence[Any]) -> Any:
        """Presents of several runs as those of one batch."""
        return _Present(self.surrogate, self.surrogate.joined([one.state for one in truths]))

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """Its first channel in grey, or its first three as colours, over the range of the recorded starts."""
        seen = self.starts[-1].frames
        low, high = seen.min(axis=(0, 1, 2)), seen.max(axis=(0, 1, 2))
        share = np.clip((frame - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        colours = share[..., :3] if share.shape[-1] >= 3 else np.repeat(share[..., :1], 3, axis=-1)
        return np.ascontiguousarray(np.round(255 * colours).astype(np.uint8))


class _Present:
    """A surrogate's state, of which rows can be taken."""

    def __init__(self, surrogate: Any, state: Any) -> None:
        self.surrogate, self.state = surrogate, state

    def take(self, index: np.ndarray) -> _Present:
        return _Present(self.surrogate, self.surrogate.take(self.state, index))
