"""Calming the wake of a cylinder: a search on a surrogate, and the law that it found among rivals before the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from sciworld.domains.fluid.controllers import LAGS, Feedback, feedback
from sciworld.domains.fluid.imagined import ImaginedCost
from sciworld.domains.fluid.objectives import WakeCost, wake_cost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator, CylinderState
from sciworld.evaluate.decisions import table_of
from sciworld.evaluate.verdict import Verdict
from sciworld.search import optimizers
from sciworld.search.law import Law, search_law
from sciworld.simulator import Controller, Observation, Trajectory, rollout
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate

PLANNED, DIRECT, IDLE, CHANCE = "searched on the surrogate", "direct search's law", "no control", "random law"
# Gains that 200 evaluations of direct search in the trusted simulator once found at Reynolds 100
# (benchmarks/simulators.json), in units of the bound over the mean speed: what the search on the surrogate is to match.
DIRECT_GAINS = {"jets": (0.72, 0.50, -0.09), "rotation": (0.66, -0.33, 0.23)}
AHEAD, SETTLE = 80, 40  # actions that the surrogate looks ahead, of which the first do not count: later it drifts
EPISODE = 160  # actions, 40 D/U, of which the second half counts
EFFORT = 10.0  # % that jets at their bound cost while a law is searched: what needs them is far from what was recorded
GENERATIONS, STARTS = 8, 4  # of the search, of 32 laws each; frames from which each law is imagined
PESSIMISM = 1.0  # standard deviations over the starts: a law that fails from one of them is none
SAVED = 1.0  # %: an episode that saves as much, lift charged, has succeeded
OPTIMIZER = optimizers.named("cem").Settings(population=32, elite=0.2, smoothing=0.8)


@dataclass(frozen=True)
class LawSearch:
    """How a law is searched on a surrogate.

    Parameters
    ----------
    generations : of the search, of 32 laws each.
    ahead : actions that are imagined, of which the first `settle` do not count.
    effort : % that jets at their bound cost while laws are compared; 0 where laws from all over the bounds were
        recorded.
    pessimism : standard deviations over the starts by which laws are compared.
    """

    generations: int
    ahead: int
    settle: int
    effort: float
    pessimism: float


@dataclass(frozen=True, eq=False)
class Episodes:
    """The trusted simulator, and the beginnings that every controller gets alike."""

    simulator: CylinderSimulator
    state: CylinderState
    first: Observation

    @classmethod
    def draw(cls, simulator: CylinderSimulator, n: int, seed: int) -> Episodes:
        """n developed wakes."""
        rng = np.random.default_rng(seed)
        state = simulator.start(n, rng)
        return cls(simulator, state, simulator.image(state, rng))

    def law(self, gains: np.ndarray) -> Feedback:
        """The controllers of gains (episode, lag), in units of the bound over the mean speed."""
        return feedback(gains, self.simulator.settings)

    def run(self, controller: Controller) -> Trajectory:
        """The episodes of a controller, with the truth after every action."""
        rng = np.random.default_rng(0)  # of nothing: flows and laws are deterministic
        return rollout(
            self.simulator, self.state, self.first, controller, EPISODE, rng, keep_states=CylinderState.without_flow
        )

    def settled(self, run: Trajectory) -> WakeCost:
        """What the second half of each episode cost."""
        return self.cost(run, EPISODE // 2, EPISODE)

    def cost(self, run: Trajectory, begin: int, end: int) -> WakeCost:
        """What actions from `begin` to `end` of each episode cost."""
        return cost_of(self.simulator, run, begin, end)

    def judge(self, run: Trajectory, name: str, promise: float, made_training_data: bool | None) -> Verdict:
        """The verdict on a controller's episodes. promise : of what it saves, -J in %; NaN where none was made.

        The outcome is of the same actions as the promise; success is decided by the second half of the episode.
        """
        cost, n = self.settled(run), len(self.first)
        return Verdict(
            controller=name,
            judge=self.simulator.judge,
            made_training_data=made_training_data,
            success=-cost.total > SAVED,
            actions=run.length,
            seconds=run.states[-1].seconds - run.states[0].seconds,
            dose=cost.energy,
            promise=np.full((n, 1), promise),
            outcome=-self.cost(run, SETTLE, AHEAD).total[:, None],
            promise_units="%",
            dose_name="effort",
            goal=f"more than {SAVED:g} % saved in the second half",
        )


def cost_of(simulator: CylinderSimulator, run: Trajectory, begin: int, end: int) -> WakeCost:
    """What actions from `begin` to `end` of episodes that kept their states cost, by the solver's own forces."""
    baseline, most = simulator.baseline, simulator.settings.most
    coefficients = np.stack([state.coefficients for state in run.states[1 + begin : 1 + end]], axis=1)
    return wake_cost(coefficients, run.controls[:, begin:end, 0], most, baseline.drag, baseline.lift_rms)


def plan(
    surrogate: Surrogate,
    store: Store,
    cost: ImaginedCost,
    wake: CylinderSettings,
    generations: int,
    starts: int,
    seed: int,
) -> Law:
    """The law whose imagined wakes cost least, from frames of the store: it sees frames, controls and the surrogate.

    wake : settings of the wake, of which its bound, its speed and its cylinder's place are used. generations : of the
    search, of 32 laws each. starts : frames from which each law is imagined.
    """
    rng = np.random.default_rng([seed, 3])
    chosen = rng.choice(len(store), starts, replace=starts > len(store))
    seen = [store.lazily(int(index)).isel(time=slice(0, 1)) for index in chosen]  # where wakes are still undisturbed
    frames, view = (np.concatenate([ds[name].values for ds in seen]) for name in ("frames", "view"))
    search = LawSearch(generations, AHEAD, SETTLE, EFFORT, PESSIMISM)
    return laws_from(surrogate, cost, wake, Observation(frames, np.zeros(starts), view), rng, search)


def laws_from(
    surrogate: Surrogate,
    cost: ImaginedCost,
    wake: CylinderSettings,
    present: Observation,
    rng: np.random.Generator,
    search: LawSearch,
) -> Law:
    """The law whose imagined wakes cost least, from the frames in `present`, one row a start; see `plan`.

    The members of an ensemble imagine in turn: give each frame once for each of them, and pessimism minds what they
    disagree on, too.
    """
    starts = len(present)

    def start(index: np.ndarray) -> tuple[Any, Observation]:
        observation = present.take(index)
        return surrogate.start(observation), observation

    def score(episodes: Trajectory) -> np.ndarray:
        imagined = np.stack([one.frames for one in episodes.observations[1 + search.settle :]], axis=1)
        return -cost(imagined, episodes.controls[:, search.settle :, 0], wake.most)

    def price(episodes: Trajectory) -> np.ndarray:
        return np.asarray(search.effort * (episodes.controls[:, :, 0] ** 2).mean(axis=1) / wake.most**2)

    size = len(LAGS)
    return search_law(
        surrogate, start, lambda gains: feedback(gains, wake), score, -np.ones(size), np.ones(size),
        starts=starts, steps=search.ahead, generations=search.generations, rng=rng, settings=OPTIMIZER,
        guess=np.zeros(size), price=price, pessimism=search.pessimism,
    )  # fmt: skip


def choices(episodes: Episodes, surrogate: Surrogate, cost: ImaginedCost, laws: int, seed: int) -> xr.Dataset:
    """Random laws as candidates from the episodes' starts, see `decisions.table_of`: scores are what they save, in %.

    Both sides count the same actions: imagined wakes by what is read from their frames, true ones by the solver's own
    forces.
    """
    n, most = len(episodes.first), episodes.simulator.settings.most
    gains = np.repeat(np.random.default_rng([seed, 5]).uniform(-1, 1, (laws, len(LAGS))), n, axis=0)
    many, law = np.tile(np.arange(n), laws), episodes.law(gains)
    first, rng = episodes.first.take(many), np.random.default_rng(seed)
    imagined = rollout(surrogate, surrogate.start(first), first, law, AHEAD, rng)
    frames = np.stack([one.frames for one in imagined.observations[1 + SETTLE :]], axis=1)
    promised = -cost(frames, imagined.controls[:, SETTLE:, 0], most)
    state = episodes.state.take(many)
    run = rollout(episodes.simulator, state, first, law, AHEAD, rng, keep_states=CylinderState.without_flow)
    true = -cost_of(episodes.simulator, run, SETTLE, AHEAD).total
    # What leaves the recorded velocities costs NaN, the worst: nobody would choose it.
    promised = np.where(np.isnan(promised), np.nanmin(promised, initial=-100.0), promised)
    return table_of(promised.reshape(laws, n).T, true.reshape(laws, n).T, "%")


def contest(
    episodes: Episodes,
    law: Law,
    seed: int,
    made_training_data: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Trajectory], dict[str, Verdict]]:
    """Episodes and verdicts of the law that was found, of the one by direct search, of none, and of random ones.

    made_training_data : of the surrogate on which the law was found. progress : laws that were played, of how many.
    """
    n, known = len(episodes.first), DIRECT_GAINS[episodes.simulator.settings.actuator]
    chance = np.random.default_rng(seed).uniform(-1, 1, (n, len(LAGS)))
    laws = {PLANNED: law.parameters, DIRECT: np.array(known), IDLE: np.zeros(len(LAGS)), CHANCE: chance}
    runs, verdicts = {}, {}
    for name, gains in laws.items():
        runs[name] = episodes.run(episodes.law(np.broadcast_to(gains, (n, len(LAGS)))))
        told = (law.promise, made_training_data) if name == PLANNED else (np.nan, None)
        verdicts[name] = episodes.judge(runs[name], name, *told)
        if progress is not None:
            progress(len(runs), len(laws))
    return runs, verdicts
