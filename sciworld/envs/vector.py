"""Many environments that the simulator steps as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sciworld.config import flag, whole
from sciworld.envs.faces import face as face_of
from sciworld.envs.runs import Runs, action_box, require_mode, seeds_of
from sciworld.errors import ControlError


class Environments(VectorEnv):
    """n environments, each of which does what `Environment` would do alone, with the same seed.

    A run that ended is started anew in the next step, whose action for it is not looked at (AutoresetMode.NEXT_STEP).

    Parameters
    ----------
    face, render_mode, clip, settings : as in `Environment`. max_episode_steps : after which a run is truncated.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        face: str,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        clip: bool = False,
        **settings: Any,
    ) -> None:
        self.num_envs = whole(num_envs, "num_envs", 1)
        self.limit = None if max_episode_steps is None else whole(max_episode_steps, "max_episode_steps", 1)
        self.render_mode = require_mode(render_mode)
        self.face = face_of(face, settings)
        self._runs = Runs(self.face, self.num_envs, flag(clip, "clip"))
        self.single_observation_space, self.single_action_space = self.face.frame, action_box(self.face.space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {**self.metadata, "render_fps": self.face.fps}
        self._generators = [seeding.np_random(None)[0] for _ in range(self.num_envs)]
        self._steps, self._over = np.zeros(self.num_envs, dtype=np.int64), np.zeros(self.num_envs, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all anew. seed : of each, or of the first; the others then have the numbers that follow."""
        for k, one in enumerate(seeds_of(seed, self.num_envs)):
            if one is not None:
                self._generators[k] = seeding.np_random(one)[0]
        self._runs.reset(self._generators, options)
        self._steps[:], self._over[:] = 0, False
        return self._runs.frames.copy(), self._infos()

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Apply actions : (environment, control). Raises ControlError, SimulatorError."""
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ControlError(f"actions: shape {actions.shape}; expected {self.action_space.shape}")
        anew = self._over.copy()
        reward, terminated = self._runs.step(actions, self._generators, anew)
        self._steps = np.where(anew, 0, self._steps + 1)
        truncated = np.zeros_like(anew) if self.limit is None else self._steps >= self.limit
        self._over = terminated | truncated
        return self._runs.frames.copy(), reward, terminated, truncated, self._infos()

    def render(self) -> Any:
        """The present frames as images (y, x, 3) uint8, or None without a render_mode."""
        if self.render_mode is None:
            return None
        return tuple(self.face.picture(frame).copy() for frame in self._runs.frames)

    def _infos(self) -> dict[str, Any]:
        """The truth as Gymnasium's vectors have it: numbers (environment,), and of each name whether it is there."""
        there, units = np.ones(self.num_envs, dtype=bool), self.face.units
        facts = {name: values.astype(np.float64) for name, values in self._runs.facts().items()}
        texts: dict[str, Any] = {}
        for name, unit in units.items():
            texts[name] = np.full(self.num_envs, unit, dtype=object)
            texts[f"_{name}"] = there.copy()
        masks = {f"_{name}": there.copy() for name in [*facts, "units"]}
        return {**facts, "units": texts, **masks}
