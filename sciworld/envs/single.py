"""One environment: a batch of one run."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from sciworld.config import LARGEST, flag, whole
from sciworld.envs.faces import face as face_of
from sciworld.envs.runs import Runs, action_box, require_mode
from sciworld.errors import ControlError


class Environment(gymnasium.Env):
    """A trusted simulator as a Gymnasium environment.

    Parameters
    ----------
    face : a name in `faces.FACES`. render_mode : None or "rgb_array". clip : whether actions outside the bounds are
        moved into them; else they raise ControlError, as NaN always does.
    settings : of the task and of its simulator, see the faces.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, face: str, render_mode: str | None = None, clip: bool = False, **settings: Any) -> None:
        self.render_mode = require_mode(render_mode)
        self.face = face_of(face, settings)
        self._runs = Runs(self.face, 1, flag(clip, "clip"))
        self.observation_space, self.action_space = self.face.frame, action_box(self.face.space)
        self.metadata = {**self.metadata, "render_fps": self.face.fps}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start anew; the frame and the truth. The seed decides all that follows."""
        super().reset(seed=None if seed is None else whole(seed, "seed", 0, LARGEST))
        self._runs.reset([self.np_random], options)
        return self._runs.frames[0].copy(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply an action : (control,), in the units of the controls. Raises ControlError, SimulatorError."""
        controls = np.asarray(action)
        if controls.shape != self.action_space.shape:
            raise ControlError(f"action: shape {controls.shape}; expected {self.action_space.shape}")
        reward, terminated = self._runs.step(controls[None], [self.np_random], np.zeros(1, dtype=bool))
        return self._runs.frames[0].copy(), float(reward[0]), bool(terminated[0]), False, self._info()

    def render(self) -> Any:
        """The present frame as an image : (y, x, 3) uint8, or None without a render_mode."""
        if self.render_mode is None or self._runs.moment is None:
            return None
        return self.face.picture(self._runs.frames[0]).copy()

    def _info(self) -> dict[str, Any]:
        facts: dict[str, Any] = {name: float(values[0]) for name, values in self._runs.facts().items()}
        return {**facts, "units": dict(self.face.units)}
