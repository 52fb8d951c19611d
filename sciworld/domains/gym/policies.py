"""What acts while an environment is recorded: random, smooth or held actions.

A policy is called as policy(observation, generator) -> action. Those here look at nothing: data for a world model
should cover what controls do, whatever the moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sciworld.domains.gym.spaces import Actions

Policy = Callable[[Any, np.random.Generator], Any]


class Random:
    """A new action every step, uniform in the space."""

    def __init__(self, actions: Actions, rng: np.random.Generator, hold: int) -> None:
        self._actions = actions

    def __call__(self, observation: Any, rng: np.random.Generator) -> Any:
        return self._actions.sample(rng)


class Held:
    """A new action every `hold` steps, uniform in the space."""

    def __init__(self, actions: Actions, rng: np.random.Generator, hold: int) -> None:
        self._actions, self._hold, self._step = actions, hold, 0

    def __call__(self, observation: Any, rng: np.random.Generator) -> Any:
        if self._step % self._hold == 0:
            self._action = self._actions.sample(rng)
        self._step += 1
        return self._action


class Smooth:
    """Continuous columns wander and are correlated over `hold` steps; others keep a value for `hold` steps on average.

    A column with two bounds is a Gaussian random walk that the bounds reflect, so that all values are visited alike;
    its slowest mode decays as exp(-pi^2 s^2 t / 2) with the step s in units of the range. One without is AR(1) with
    unit variance, mirrored at a single bound. Others take a new value at random moments, uniform in the space.
    """

    def __init__(self, actions: Actions, rng: np.random.Generator, hold: int) -> None:
        columns = tuple(actions.table)
        self._actions, self._spell = actions, hold
        self._low, self._high = (
            np.array([infinite if bound is None else bound for bound in bounds])
            for bounds, infinite in (([c.low for c in columns], -np.inf), ([c.high for c in columns], np.inf))
        )
        self._smooth = np.array([column.kind == "continuous" for column in columns], dtype=bool)
        self._walks = np.isfinite(self._low) & np.isfinite(self._high)
        self._step, self._keep = math.sqrt(2.0 / hold) / math.pi, math.exp(-1.0 / hold)
        n = len(columns)
        self._state = np.where(self._walks, rng.uniform(size=n), rng.normal(size=n))
        self._drawn = actions.to_row(actions.sample(rng))

    def __call__(self, observation: Any, rng: np.random.Generator) -> Any:
        row = np.where(self._smooth, self._values(), self._drawn)
        noise = rng.normal(size=len(row))
        wander = self._keep * self._state + math.sqrt(1 - self._keep**2) * noise
        self._state = np.where(self._walks, _reflected(self._state + self._step * noise), wander)
        renew = rng.uniform(size=len(row)) < 1 / self._spell
        if renew[~self._smooth].any():
            self._drawn = np.where(renew, self._actions.to_row(self._actions.sample(rng)), self._drawn)
        return self._actions.to_action(row)

    def _values(self) -> np.ndarray:
        """The state in the columns' bounds : (control,)."""
        low, high = (np.where(np.isfinite(bound), bound, 0.0) for bound in (self._low, self._high))
        # Not (high - low): that overflows where both are the largest floats.
        inside = low * (1 - self._state) + high * self._state
        mirrored = np.where(np.isfinite(self._low), low + abs(self._state), high - abs(self._state))
        free = ~np.isfinite(self._low) & ~np.isfinite(self._high)
        found = np.where(self._walks, inside, np.where(free, self._state, mirrored))
        return np.clip(found, self._low, self._high)


def _reflected(walk: np.ndarray) -> np.ndarray:
    """Numbers folded into [0, 1]."""
    folded = np.mod(walk, 2.0)
    return np.minimum(folded, 2.0 - folded)


POLICIES: dict[str, type[Random] | type[Held] | type[Smooth]] = {"random": Random, "held": Held, "smooth": Smooth}
