"""Controllers that record what a surrogate does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.config import real, require, whole
from sciworld.search.problem import searched
from sciworld.search.problem import whole as rounded
from sciworld.search.receding import Region
from sciworld.simulator import Controller, Observation
from sciworld.surrogate.ensemble import Ensemble

CANDIDATES = 64  # controls that are compared in every episode
TINY = 1e-300  # a disagreement whose logarithm is finite


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a controller of this module remembers: the seed and step of its random numbers, and what others remember."""

    seed: int
    step: int = 0
    others: tuple[Any, ...] = ()

    @property
    def rng(self) -> np.random.Generator:
        """The random numbers of this step."""
        return np.random.default_rng([self.seed, self.step])


class Explorer:
    """Plays controls on whose outcome the members of an ensemble disagree most, for what trying them costs.

    What members that learned from the same recordings agree on was recorded; the rest is worth recording. One of the
    candidates is drawn with a probability that grows as a power of its disagreement over its cost: the best alone would
    be played over and over by episodes that look alike (Kirsch et al. 2021, arXiv:2106.12059, power acquisition).

    Parameters
    ----------
    surrogate : the ensemble.
    region : observation -> low, high, each (episode, control), inside the space; the whole space without it.
    cost : controls (episode, candidate, control) -> (episode, candidate), above 0; all cost alike without it.
    candidates : random controls that are compared. power : 0 is chance, large ones play the best candidate.
    """

    def __init__(
        self,
        surrogate: Ensemble,
        region: Region | None = None,
        cost: Callable[[np.ndarray], np.ndarray] | None = None,
        candidates: int = CANDIDATES,
        power: float = 4.0,
    ) -> None:
        self.surrogate = surrogate
        self.region = region
        self.cost = cost
        self.candidates = whole(candidates, "candidates", 1)
        self.power = real(power, "power", 0, 1e6)

    def start(self, n: int, rng: np.random.Generator) -> Drawn:
        """The memory before the first step of n episodes."""
        return Drawn(int(rng.integers(2**63)))

    def act(self, state: Drawn, observation: Observation) -> tuple[np.ndarray, Drawn]:
        """Controls : (episode, control). Raises ControlError where one has no bounds."""
        space, rng, n = self.surrogate.space, state.rng, len(observation)
        low, high = (space.low, space.high) if self.region is None else self.region(observation)
        space.require_bounds(low, high)
        low, high = (np.broadcast_to(limit, (n, len(space)))[:, None] for limit in (low, high))
        drawn = rng.uniform(*searched(space, low, high), (n, self.candidates, len(space)))
        controls = space.clip(rounded(space, drawn, low, high))
        worth = self.surrogate.disagreement(self.surrogate.start(observation), controls[:, :, None])
        if self.cost is not None:
            worth = worth / self.cost(controls)
        # Gumbel's trick: the largest of log weights and noise is a draw by the weights.
        keys = self.power * np.log(np.maximum(worth, TINY)) + rng.gumbel(size=worth.shape)
        chosen = keys.argmax(axis=1)
        return controls[np.arange(n), chosen], Drawn(state.seed, state.step + 1)


class Mixed:
    """Plays, in every episode, what one of several controllers chooses, drawn by chance anew after `hold` steps."""

    def __init__(self, controllers: Sequence[Controller], hold: int = 1) -> None:
        require(len(controllers) > 0, "no controllers to mix; give one or more")
        self.controllers = tuple(controllers)
        self.hold = whole(hold, "hold", 1)

    def start(self, n: int, rng: np.random.Generator) -> Drawn:
        """The memory before the first step of n episodes."""
        return Drawn(int(rng.integers(2**63)), 0, tuple(one.start(n, rng) for one in self.controllers))

    def act(self, state: Drawn, observation: Observation) -> tuple[np.ndarray, Drawn]:
        """Controls : (episode, control). Every controller sees every step."""
        acted = [one.act(own, observation) for one, own in zip(self.controllers, state.others, strict=True)]
        rng = np.random.default_rng([state.seed, state.step // self.hold])
        which = rng.integers(len(acted), size=len(observation))
        chosen = np.stack([controls for controls, _ in acted])[which, np.arange(len(observation))]
        return chosen, Drawn(state.seed, state.step + 1, tuple(own for _, own in acted))
