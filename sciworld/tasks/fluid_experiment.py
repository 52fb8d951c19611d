"""The wake of a cylinder as an experiment of the active loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from sciworld.config import from_dict, to_dict, whole
from sciworld.controls import ControlSpace
from sciworld.domains.fluid import generate
from sciworld.domains.fluid.controllers import LAGS, feedback
from sciworld.domains.fluid.imagined import ImaginedCost, fit_cost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator, CylinderState
from sciworld.domains.generated import made_with
from sciworld.errors import SearchError
from sciworld.evaluate.verdict import Verdict
from sciworld.search.explore import Explorer, Mixed
from sciworld.simulator import Controller, Observation, rollout
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.tasks.calming import PLANNED, Episodes, plan


@dataclass(frozen=True, eq=False)
class FluidExperiment:
    """A wake that jets or rotation calm, in the trusted simulator, which also judges: an `Experiment` of
    `sciworld.loop`.

    For half of the time the law of feedback is played that a search finds on the ensemble, for the other half that on
    which the members disagree most: the ensemble gets to know wakes that are nearly calm, and what disturbs them.

    Drag and lift are read from frames by a reader that is fitted on all that the store holds when it is needed, anew in
    every round: so it learns from what was recorded, and a loop that was killed goes on with the same one.

    Parameters
    ----------
    store : what the loop learns from, with the measured forces. simulator : trusted, which made it. steps : actions a
    recording. hold : actions for which the law or curiosity is kept to: what a wake does of either shows after a period
    of its shedding, 13 or 14 actions. candidates : controls that are compared where members disagree. generations : of
    the search for a law, of 32 laws each. starts : frames, for each member of the ensemble, from which a law is
    imagined, by one model evaluation a step.
    """

    store: Store
    simulator: CylinderSimulator
    steps: int = generate.ACTIONS
    hold: int = 25
    candidates: int = 16
    generations: int = 4
    starts: int = 2

    domain = "fluid"

    def __post_init__(self) -> None:
        for name in ("steps", "hold", "candidates", "generations", "starts"):
            whole(getattr(self, name), name, 1)

    @classmethod
    def of(cls, store: Store, steps: int = generate.ACTIONS) -> Self:
        """In the simulator that made the store.

        Raises SettingsError where another one made it, or several; RecordingError where forces were not measured.
        """
        settings = from_dict(CylinderSettings, made_with(store, generate.SOURCE), str(store.path))
        made = cls(store, generate.simulator_of(settings), steps)
        made.cost()  # what cannot be read is said before anything is trained
        return made

    @property
    def space(self) -> ControlSpace:
        """The simulator's."""
        return self.simulator.space

    @property
    def facts(self) -> dict[str, Any]:
        """See `Experiment.facts`."""
        own = {name: getattr(self, name) for name in ("steps", "hold", "candidates", "generations", "starts")}
        return {"domain": self.domain, "simulator": to_dict(self.simulator.settings), **own}

    @property
    def seconds(self) -> float:
        """From one action to the next."""
        return self.simulator.action_seconds

    def cost(self) -> ImaginedCost:
        """What a wake costs as its frames tell, by all that the store holds now."""
        return fit_cost(self.store.lazily(i) for i in range(len(self.store)))

    def law(self, surrogate: Ensemble, seed: int) -> tuple[np.ndarray, float]:
        """Gains (lag,) of the law whose wakes cost least, as the members imagine them, and what it promises to save.

        Where all that they imagine leaves the recorded velocities there is none: gains of 0, and NaN.
        """
        starts = self.starts * len(surrogate.members)  # every law is imagined by every member
        wake = self.simulator.settings
        try:
            found = plan(surrogate.asking(1), self.store, self.cost(), wake, self.generations, starts, seed)
        except SearchError:
            return np.zeros(len(LAGS)), np.nan
        return found.parameters, found.promise

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        """See `Experiment.explore`."""
        gains, _ = self.law(surrogate, int(rng.integers(2**63)))
        law = feedback(np.tile(gains, (len(present), 1)), self.simulator.settings)
        return Mixed([Explorer(surrogate, candidates=self.candidates), law], self.hold)

    def run(
        self, explore: Callable[[Observation], Controller], sessions: list[str], rng: np.random.Generator
    ) -> list[xr.Dataset]:
        """See `Experiment.run`: a developed wake a session."""
        simulator = self.simulator
        state = simulator.start(len(sessions), rng)
        first = simulator.image(state, rng)
        light = CylinderState.without_flow
        done = rollout(simulator, state, first, explore(first), self.steps, rng, keep_states=light)
        return [
            generate.recording_of(simulator, session, "explored", k, done.observations, done.states, done.controls)
            for k, session in enumerate(sessions)
        ]

    def judge(self, surrogate: Ensemble, episodes: int, seed: int) -> Verdict:
        """See `Experiment.judge`: as many wakes under the law that is found on the ensemble."""
        drawn = Episodes.draw(self.simulator, episodes, seed)
        gains, promise = self.law(surrogate, seed)
        return drawn.judge(drawn.run(drawn.law(np.tile(gains, (episodes, 1)))), PLANNED, promise, True)
