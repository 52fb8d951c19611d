"""Silicon in graphene as an experiment of the active loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.chance import seed_of
from sciworld.config import require, to_dict, whole
from sciworld.controls import ControlSpace
from sciworld.domains.stem import generate
from sciworld.domains.stem.appearance import FRAMES, Appearance, measure_appearance
from sciworld.domains.stem.simulator import CHANNELS, StemSettings, StemSimulator
from sciworld.evaluate.verdict import Verdict
from sciworld.search.explore import Explorer, Mixed
from sciworld.search.journal import recordings_of
from sciworld.simulator import Controller, Observation, rollout
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.steering import Episodes, near, planner

FAR = 60.0  # A: a goal that no recording comes to lies in one direction throughout


@dataclass(frozen=True)
class StemExperiment:
    """Silicon in graphene in the trusted simulator, which also judges: an `Experiment` of `sciworld.loop`.

    Half of the actions are those that the planner plays toward a goal far away in a random direction, the other half
    those on which the members disagree most.

    Parameters
    ----------
    simulator : trusted. within : A, how far the goals are that are judged. steps : actions a recording. candidates :
    that the planner looks at for a decision. per_second : whether disagreement is weighed by the seconds that an action
    and its image take; else every action costs the same.
    """

    simulator: StemSimulator = field(default_factory=StemSimulator)
    within: float = 10.0
    steps: int = generate.STEPS
    candidates: int = 96
    per_second: bool = True

    domain = "stem"

    def __post_init__(self) -> None:
        require(0 < self.within < np.inf, f"within is {self.within} A; it must be above 0")
        whole(self.steps, "steps", 1)

    @classmethod
    def of(cls, store: Store, rates: str = "prior", steps: int = generate.STEPS) -> Self:
        """In a simulator that is set as the store's frames were taken. rates : of the simulated silicon.

        Raises ControlError where the store's controls are no beam's.
        """
        ds = store.lazily(0)
        StemSimulator().space.require_same(ControlSpace(recording.control_table(ds)), str(store.path))
        _, rows, columns, _ = ds["frames"].shape
        field_of_view = columns * float(ds["view"].values[0, 0])
        settings = StemSettings(rates, rows=rows, columns=columns, field_of_view=field_of_view)
        return cls(StemSimulator(settings), steps=steps)

    @property
    def space(self) -> ControlSpace:
        """The simulator's."""
        return self.simulator.space

    @property
    def seconds(self) -> tuple[str, float]:
        """A step is a dwell and an image."""
        return "dwell", self.simulator.settings.frame_time

    @property
    def facts(self) -> dict[str, Any]:
        """See `Experiment.facts`."""
        own = {name: getattr(self, name) for name in ("within", "steps", "candidates", "per_second")}
        return {"domain": self.domain, "simulator": to_dict(self.simulator.settings), **own}

    @cached_property
    def appearance(self) -> Appearance:
        """How atoms look under this microscope."""
        rng = np.random.default_rng(0)
        seen, _ = self.simulator.expose(self.simulator.start(FRAMES, rng), rng)
        return measure_appearance(seen.frames, seen.view)

    def planner(self, surrogate: Surrogate, goals: np.ndarray) -> Controller:
        """What steers to goals (n, 2) A."""
        budget = surrogate.evaluations(self.candidates, 1, 0)  # of an ensemble those of every member
        return planner(surrogate, self.appearance, goals, budget=budget)

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        """See `Experiment.explore`."""
        angle = rng.uniform(0, 2 * np.pi, len(present))
        goals = FAR * np.column_stack([np.cos(angle), np.sin(angle)])
        curious = Explorer(surrogate, near, self.cost if self.per_second else None)
        return Mixed([curious, self.planner(surrogate, goals)])

    def cost(self, controls: np.ndarray) -> np.ndarray:
        """Seconds : (...) that actions (..., control) take, with the image after each."""
        seconds: np.ndarray = controls[..., 2] + self.simulator.settings.frame_time
        return seconds

    def run(
        self, explore: Callable[[Observation], Controller], sessions: list[str], rng: np.random.Generator
    ) -> list[xr.Dataset]:
        """See `Experiment.run`: an atom a session."""
        simulator = self.simulator
        first, state = simulator.expose(simulator.start(len(sessions), rng), rng)
        done = rollout(simulator, state, first, explore(first), self.steps, rng)
        source = f"{generate.SOURCE}, explored, {to_dict(simulator.settings)}"
        facts = {"current": simulator.settings.current, "energy": generate.ENERGY}
        return recordings_of(
            done, self.space, CHANNELS, sessions, source, "A", "CC0-1.0", "simulated: one silicon, beams by a search",
            facts, generate.COVARIATES,
        )  # fmt: skip

    def judge(self, surrogate: Ensemble, episodes: int, seed: int) -> Verdict:
        """See `Experiment.judge`: as many atoms are steered to lattice sites."""
        # What happens on the way is not drawn from the stream that starts were drawn from.
        drawn = Episodes.draw(self.simulator, episodes, self.within, seed)
        return drawn.judge(
            self.planner(surrogate, drawn.goals), "planned on the surrogate", seed_of(seed, "replayed"), True
        )
