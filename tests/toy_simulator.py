"""A trusted simulator of the toy domain: it knows where the blob is, its camera shows a frame every second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import toy

from sciworld.simulator import Observation

SECONDS = 1.0  # a step


@dataclass(frozen=True)
class ToyState:
    """The truth about n blobs: position (candidate, 2) mm, size (candidate,) mm, seconds and dose (candidate,)."""

    position: np.ndarray
    size: np.ndarray
    seconds: np.ndarray
    dose: np.ndarray


class ToySimulator:
    """Blobs under a fan; a dose of 1 for every second in which the fan is on."""

    space = toy.SPACE

    def start(self, n: int, rng: np.random.Generator) -> tuple[ToyState, Observation]:
        """n blobs in the left half of the frame, and their first frames."""
        position = rng.uniform([0.5, 0.5], [0.4 * toy.WIDTH, toy.HEIGHT - 0.5], (n, 2))
        state = ToyState(position, rng.uniform(0.7, 1.3, n), np.zeros(n), np.zeros(n))
        return state, self.image(state)

    def image(self, state: ToyState) -> Observation:
        n = len(state.seconds)
        return Observation(toy.render(state.position, state.size), state.seconds, np.tile(toy.VIEW, (n, 1)))

    def step(self, state: ToyState, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, ToyState]:
        controls = np.asarray(self.space.check(controls))
        moved = toy.advance(state.position, controls, SECONDS)
        dose = state.dose + SECONDS * (controls[:, 2] > 0)
        state = ToyState(moved, state.size, state.seconds + SECONDS, dose)
        return self.image(state), state

    def observe(self, state: ToyState, observation: Observation) -> ToyState:
        return state
