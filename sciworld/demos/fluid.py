"""The main job on a cylinder's wake: record, train, search a law for its jets, replay, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from sciworld.config import LARGEST, from_dict, whole
from sciworld.demos import fluid_report
from sciworld.demos.folder import made_with, workplace
from sciworld.domains.fluid.controllers import LAGS, Feedback, feedback
from sciworld.domains.fluid.generate import SOURCE
from sciworld.domains.fluid.imagined import ImaginedCost, fit_cost
from sciworld.domains.fluid.objectives import WakeCost, wake_cost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator, CylinderState
from sciworld.evaluate.verdict import Verdict, compare, to_json
from sciworld.search import optimizers
from sciworld.search.law import Law, search_law
from sciworld.simulator import Controller, Observation, Trajectory, rollout
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

DATA = "fluid-cylinder-sim-coarse"
PLANNED, DIRECT, IDLE, CHANCE = "searched on the surrogate", "direct search's law", "no control", "random law"
# Gains that 200 evaluations of direct search in the trusted simulator once found at Reynolds 100
# (benchmarks/simulators.json), in units of the bound over the mean speed: what the search on the surrogate is to match.
DIRECT_GAINS = {"jets": (0.75, 0.49, -0.02), "rotation": (0.63, -0.34, 0.24)}
AHEAD, SETTLE = 80, 40  # actions that the surrogate looks ahead, of which the first do not count: later it drifts
EPISODE = 160  # actions, 40 D/U, of which the second half counts
EFFORT = 10.0  # % that jets at their bound cost while a law is searched: what needs them is far from what was recorded
PESSIMISM = 1.0  # standard deviations over the starts: a law that fails from one of them is none
SAVED = 1.0  # %: an episode that saves as much, lift charged, has succeeded
OPTIMIZER = optimizers.named("cem").Settings(population=32, elite=0.2, smoothing=0.8)


@dataclass(frozen=True)
class DemoSettings:
    """How long the main job takes.

    Parameters
    ----------
    steps : of training. generations : of the search, of 32 laws each. starts : frames from which each law is imagined.
    episodes : in the trusted simulator, for each controller. seed : of everything.
    """

    steps: int = 5000
    generations: int = 8
    starts: int = 4
    episodes: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "generations", "starts", "episodes"):
            whole(getattr(self, name), name, 1)
        whole(self.seed, "seed", 0, LARGEST)


@dataclass(frozen=True, eq=False)
class Wakes:
    """The trusted simulator, and the beginnings that every controller gets alike."""

    simulator: Any
    state: Any
    first: Observation

    @classmethod
    def draw(cls, simulator: Any, n: int, seed: int) -> Wakes:
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
        """What actions from `begin` to `end` of each episode cost, by the solver's own forces."""
        baseline, most = self.simulator.baseline, self.simulator.settings.most
        coefficients = np.stack([state.coefficients for state in run.states[1 + begin : 1 + end]], axis=1)
        return wake_cost(coefficients, run.controls[:, begin:end, 0], most, baseline.drag, baseline.lift_rms)

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


def run(out: str | Path, settings: DemoSettings | None = None, data: str | Path | None = None) -> Path:
    """Do the whole job in the folder `out`, anew; the path of its report.

    data : a store of simulated wakes, all with the same settings; by default the catalogue's, made once and kept.
    """
    settings = settings or DemoSettings()
    fitting = FitSettings(steps=settings.steps, batch=16, seed=settings.seed, threads=1)
    console, began = Console(soft_wrap=True), time.perf_counter()
    console.print("1/5  recordings")
    with workplace(out, data, DATA, readied) as (folder, store, (cost, simulator)):
        console.print(f"     {store!r}")
        console.print("2/5  training")
        trained = train(store, folder / "run", fitting, domain="fluid")
        surrogate = Surrogate(trained.model(), evaluations=1)
        console.print("3/5  search on the surrogate")
        law = search(surrogate, store, cost, simulator.settings, settings)
        gains = np.round(law.parameters, 3)
        console.print(f"     gains {gains}, promise: {law.promise:.2f} % saved, {law.episodes} episodes")
        console.print("4/5  the trusted simulator")
        wakes = Wakes.draw(simulator, settings.episodes, settings.seed + 1)
        runs, verdicts = contest(wakes, law, settings.seed + 2)
        for table in (compare(verdicts), fluid_report.terms(wakes, runs)):
            console.print(table.fit(console.width))
        console.print("5/5  report")
        material = fluid_report.Material(trained, surrogate, cost, law, (SETTLE, AHEAD), wakes, runs, verdicts)
        report = fluid_report.write(folder / "report.html", material)
        (folder / "verdicts.json").write_text(to_json(verdicts))
    console.print(f"     {report}, after {time.perf_counter() - began:.0f} s")
    return report


def readied(store: Store) -> tuple[ImaginedCost, CylinderSimulator]:
    """What reads the cost of a wake from frames such as the store's, and the simulator that made them, which judges.

    Raises RecordingError where the recordings tell no forces, SettingsError where other simulators made them.
    """
    settings = from_dict(CylinderSettings, made_with(store, SOURCE), str(store.path))
    return fit_cost(store), CylinderSimulator(settings)


def search(surrogate: Surrogate, store: Store, cost: ImaginedCost, wake: Any, settings: DemoSettings) -> Law:
    """The law whose imagined wakes cost least, from frames of the store: it sees frames, controls and the surrogate.

    wake : settings of the wake, of which its bound, its speed and its cylinder's place are used.
    """
    rng = np.random.default_rng([settings.seed, 3])
    chosen = rng.choice(len(store), settings.starts, replace=settings.starts > len(store))
    seen = [store.lazily(int(index)).isel(time=slice(0, 1)) for index in chosen]  # where wakes are still undisturbed
    frames, view = (np.concatenate([ds[name].values for ds in seen]) for name in ("frames", "view"))

    def start(index: np.ndarray) -> tuple[Any, Observation]:
        observation = Observation(frames[index], np.zeros(len(index)), view[index])
        return surrogate.start(observation), observation

    def score(episodes: Trajectory) -> np.ndarray:
        imagined = np.stack([one.frames for one in episodes.observations[1 + SETTLE :]], axis=1)
        return -cost(imagined, episodes.controls[:, SETTLE:, 0], wake.most)

    def price(episodes: Trajectory) -> np.ndarray:
        return np.asarray(EFFORT * (episodes.controls[:, :, 0] ** 2).mean(axis=1) / wake.most**2)

    size = len(LAGS)
    return search_law(
        surrogate, start, lambda gains: feedback(gains, wake), score, -np.ones(size), np.ones(size),
        starts=settings.starts, steps=AHEAD, generations=settings.generations, rng=rng, settings=OPTIMIZER,
        guess=np.zeros(size), price=price, pessimism=PESSIMISM,
    )  # fmt: skip


def contest(wakes: Wakes, law: Law, seed: int) -> tuple[dict[str, Trajectory], dict[str, Verdict]]:
    """Episodes and verdicts of the law that was found, of the one by direct search, of none, and of random ones."""
    n, known = len(wakes.first), DIRECT_GAINS[wakes.simulator.settings.actuator]
    chance = np.random.default_rng(seed).uniform(-1, 1, (n, len(LAGS)))
    laws = {PLANNED: law.parameters, DIRECT: np.array(known), IDLE: np.zeros(len(LAGS)), CHANCE: chance}
    runs = {name: wakes.run(wakes.law(np.broadcast_to(gains, (n, len(LAGS))))) for name, gains in laws.items()}
    promises = {PLANNED: law.promise}
    verdicts = {
        name: wakes.judge(done, name, promises.get(name, np.nan), True if name == PLANNED else None)
        for name, done in runs.items()
    }
    return runs, verdicts
