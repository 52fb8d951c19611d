"""Keeping a lane as an experiment of the active loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.chance import seed_of
from sciworld.config import from_dict, require, to_dict, whole
from sciworld.controls import ControlSpace
from sciworld.domains.driving.road import generate
from sciworld.domains.driving.road.conditions import RANGES, RoadConditions
from sciworld.domains.driving.road.manoeuvres import STATES as MORE
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.generated import made_with
from sciworld.errors import RecordingError
from sciworld.evaluate.verdict import Verdict
from sciworld.search.explore import Explorer, Mixed
from sciworld.search.receding import RecedingHorizon
from sciworld.simulator import Controller, Observation, rollout
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.tasks.lane_keeping import CANDIDATES, OPTIMIZER, PLANNED, Episodes, fit_lane, planner, region

STEPS = 60  # a recording


@dataclass(frozen=True, eq=False)
class RoadExperiment:
    """A car that is to keep its lane, in the trusted simulator, which also judges: an `Experiment` of `sciworld.loop`.

    Half of the actions are those of the planner, the other half those on which the members disagree most, all within
    the little steering that the planner searches. Drives have the light and weather of the recorded ones, drawn by
    chance.

    The lane is read from frames by a reader that is fitted on all that the store holds when it is needed, anew in every
    round: so it learns from what was recorded, and a loop that was killed goes on with the same one.

    Parameters
    ----------
    store : what the loop learns from, with the measured places in the lane. settings : of the trusted simulator, which
    made it. steps : of a recording, which ends sooner where the car hits something or has left the road. lasting : s
    for which the lane is to be kept. candidates : plans, 16 or more, that the planner looks at for a decision.
    compared : controls that are compared where members disagree.
    """

    store: Store
    settings: RoadSettings
    steps: int = STEPS
    lasting: float = 8.0
    candidates: int = CANDIDATES
    compared: int = 32

    domain = "driving"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("candidates", OPTIMIZER.population), ("compared", 1)):
            whole(getattr(self, name), name, least)
        require(0 < self.lasting <= 60, f"lasting is {self.lasting} s; use above 0, at most 60: roads end")

    @classmethod
    def of(cls, store: Store, steps: int = STEPS) -> Self:
        """In the simulator that made the store.

        Raises SettingsError where another one made it, or several; RecordingError where the lane was not measured.
        """
        made = cls(store, from_dict(RoadSettings, made_with(store, generate.SOURCE), str(store.path)), steps)
        fit_lane(store)  # what cannot be read is said before anything is trained
        _ = made.conditions
        return made

    @property
    def space(self) -> ControlSpace:
        """The simulator's."""
        return RoadSimulator(self.settings).space

    @property
    def facts(self) -> dict[str, Any]:
        """See `Experiment.facts`."""
        own = {name: getattr(self, name) for name in ("steps", "lasting", "candidates", "compared")}
        return {"domain": self.domain, "simulator": to_dict(self.settings), **own}

    @property
    def seconds(self) -> float:
        """From one frame to the next."""
        return self.settings.step

    @cached_property
    def conditions(self) -> np.ndarray:
        """Light and weather of the recordings, each once : (n, 13), ordered as `RANGES`.

        Drives that were explored have those of others, so that they are the same in every round.
        """
        return np.unique([_conditions(self.store.lazily(i)) for i in range(len(self.store))], axis=0)

    def simulator(self, n: int, rng: np.random.Generator) -> RoadSimulator:
        """The trusted one for n drives, each under conditions that are drawn."""
        rows = self.conditions[rng.integers(len(self.conditions), size=n)]
        return RoadSimulator(self.settings, [RoadConditions(*row.tolist()) for row in rows])

    def planner(self, surrogate: Ensemble) -> RecedingHorizon:
        """What keeps the lane."""
        return planner(surrogate, fit_lane(self.store), self.candidates)

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        """See `Experiment.explore`."""
        searched = region(surrogate.space)
        return Mixed([Explorer(surrogate, lambda seen: searched, candidates=self.compared), self.planner(surrogate)])

    def run(
        self, explore: Callable[[Observation], Controller], sessions: list[str], rng: np.random.Generator
    ) -> list[xr.Dataset]:
        """See `Experiment.run`: a drive a session, on a road of its own, with the states of the store's drives."""
        simulator = self.simulator(len(sessions), rng)
        state = simulator.start(len(sessions), rng)
        first = simulator.image(state, rng)
        done = rollout(simulator, state, first, explore(first), self.steps, rng, keep_states=True)
        more = set(MORE.names) <= set(recording.table(self.store.lazily(0), "states").names)
        seen = [
            generate.seen_of(simulator, after, one.frames, more)
            for after, one in zip(done.states, done.observations, strict=True)
        ]
        return [
            generate.recording_of(simulator, session, "explored", k, state, seen, done.controls)
            for k, session in enumerate(sessions)
        ]

    def judge(self, surrogate: Ensemble, episodes: int, seed: int) -> Verdict:
        """See `Experiment.judge`: as many drives whose lane the planner keeps."""
        simulator = self.simulator(episodes, np.random.default_rng([seed, 13]))
        # What happens on the way is not drawn from the stream that starts were drawn from.
        drawn = Episodes.draw(simulator, episodes, self.lasting, seed)
        return drawn.judge(self.planner(surrogate), PLANNED, seed_of(seed, "replayed"), True)


def _conditions(ds: xr.Dataset) -> np.ndarray:
    """Light and weather of a recorded drive : (13,). Raises RecordingError where they are not known."""
    names = recording.covariate_table(ds).names
    known = {name: float(ds["covariates"].values[names.index(name)]) for name in RANGES if name in names}
    missing = [name for name in RANGES if not np.isfinite(known.get(name, np.nan))]
    if missing:
        raise RecordingError(f"{ds.attrs['source']}: no covariate '{missing[0]}', under which it was driven; state it")
    return np.array([known[name] for name in RANGES])
