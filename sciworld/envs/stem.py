"""Steering a silicon atom in graphene to a goal with the beam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.config import from_dict, require
from sciworld.controls import ControlSpace
from sciworld.domains.stem.constants import LATTICE
from sciworld.domains.stem.objectives import REACHED
from sciworld.domains.stem.simulator import StemSettings, StemSimulator, StemState, places_about, random_goals
from sciworld.envs.faces import Moment, Outcome, no_options, split
from sciworld.together import join

TIME_COST = 0.01  # A/s: a mean hop of 1.42 A pays for 142 s
# reach : A, which is less than the simulator's own, so that beams at random fall near the sample that is seen.
DEFAULTS = {"radius": 6.0, "goal": None, "reach": 20.0}


class StemFace:
    """Reward: A that the silicon came nearer to its goal, less TIME_COST for each second; over when it is there.

    Settings are those of StemSettings, and radius : A within which goals are drawn, goal : (x, y) A in the laboratory
    frame, whose nearest lattice site all episodes have as their goal; `reset(options={"goal": (x, y)})` sets that of
    one. A beam outside the field of view stands at its edge: no scan reaches further. Where the silicon has taken the
    field of view beyond the bounds of the beam, it is lost and the episode over.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        task, rest = split(settings, DEFAULTS)
        rest["reach"] = task["reach"]
        self.simulator = StemSimulator(from_dict(StemSettings, rest, "sciworld/StemSilicon-v0", DEFAULTS))
        self.radius, self.goal = task["radius"], _place(task["goal"])
        require(math.isfinite(self.radius) and self.radius >= LATTICE, f"radius is {self.radius} A; use {LATTICE} on")
        one = self.simulator.settings
        self.frame = spaces.Box(0, 65535, (one.rows, one.columns, 1), np.uint16)
        self.fps = 1.0 / one.frame_time
        self.units = {
            "silicon_x": "A", "silicon_y": "A", "goal_x": "A", "goal_y": "A", "distance": "A", "field_x": "A",
            "field_y": "A", "hops": "1", "dose": "e", "time": "s",
        }  # fmt: skip

    @property
    def space(self) -> ControlSpace:
        """beam_x, beam_y and dwell."""
        return self.simulator.space

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Moment:
        """An atom and its goal."""
        no_options(options, ("goal",))
        goal = _place(options.get("goal", self.goal))
        state = self.simulator.start(1, rng)
        drawn = random_goals(state, self.radius, rng)  # also where it is given, so that all else stays as it was
        return Moment(state, drawn if goal is None else nearest_site(state, goal))

    def look(self, moment: Moment, rng: np.random.Generator) -> tuple[np.ndarray, Moment]:
        """The first image, whose time passes."""
        observation, state = self.simulator.expose(moment.truth, rng)
        return observation.frames, Moment(state, moment.memory)

    def step(self, moment: Moment, controls: np.ndarray, rng: np.random.Generator) -> Outcome:
        """Park the beam, then take an image."""
        before, simulator = moment.truth, self.simulator
        half = simulator.settings.half_field
        controls = controls.copy()
        controls[:, :2] = simulator.space.clip(
            np.column_stack([np.clip(controls[:, :2], before.centre - half, before.centre + half), controls[:, 2]])
        )[:, :2]
        observation, after = simulator.step(before, controls, rng)
        far = _distance(after, moment.memory)
        nearer = _distance(before, moment.memory) - far
        reward = nearer - TIME_COST * (after.seconds - before.seconds)
        return Outcome(observation.frames, Moment(after, moment.memory), reward, (far < REACHED) | self.lost(after))

    def lost(self, state: StemState) -> np.ndarray:
        """Whether no beam within its bounds falls into the field of view : (run,) bool."""
        nearest = np.abs(state.centre) - self.simulator.settings.half_field
        return np.asarray((nearest >= self.simulator.settings.reach).any(axis=1))

    def facts(self, moment: Moment) -> dict[str, np.ndarray]:
        """Where the silicon, its goal and the middle of the field of view are, and what it took so far."""
        state, goal = moment.truth, moment.memory
        values = [*state.silicon.T, *goal.T, _distance(state, goal), *state.centre.T]
        return dict(zip(self.units, [*values, state.hops, state.dose, state.seconds], strict=True))

    def join(self, truths: Sequence[StemState]) -> StemState:
        """Atoms of several states."""
        return join(truths)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """Grey, from no counts to the most."""
        grey = np.round(255.0 * (frame / max(int(frame.max()), 1)))
        return np.repeat(grey.astype(np.uint8), 3, axis=2)


def nearest_site(state: StemState, place: np.ndarray) -> np.ndarray:
    """The lattice site nearest to place : (2,) A, of each of n atoms : (n, 2) A."""
    goals = np.empty((len(state.seconds), 2))
    for c, silicon in enumerate(state.silicon):
        reach = int(np.linalg.norm(place - silicon) / (LATTICE * 0.866)) + 2
        places = places_about(state, c, reach)
        goals[c] = places[np.linalg.norm(places - place, axis=1).argmin()]
    return goals


def _distance(state: StemState, goals: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(state.silicon - goals, axis=1))


def _place(value: Any) -> np.ndarray | None:
    if value is None:
        return None
    try:
        place = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        place = np.empty(0)
    require(place.shape == (2,) and bool((np.abs(place) <= 1000).all()), f"goal is {value!r:.80}; give x and y in A")
    return place
