"""The main job on silicon in graphene: record, train, search, replay, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from sciworld.config import LARGEST, require, whole
from sciworld.demos import stem_report
from sciworld.demos.folder import workplace
from sciworld.demos.hop_map import HopMap, beams, hop_map
from sciworld.demos.steering import STEPS, Episodes, chance, planner
from sciworld.domains.stem.appearance import Appearance, appearance_of
from sciworld.domains.stem.greedy import BEST, Greedy
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.evaluate.verdict import Verdict, to_json
from sciworld.simulator import Controller, Trajectory, rollout
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

DATA = "si-graphene-sim-small"
PLANNED, GREEDY = "planned on the surrogate", "greedy with known rates"
DWELLS = (2.0, 5.0, 8.0)  # s, of the maps


@dataclass(frozen=True)
class DemoSettings:
    """How long the main job takes.

    Parameters
    ----------
    steps : of training: counted in steps, not in seconds, so that the demo can be repeated. episodes : of closed-loop
    steering per controller. contexts : unseen atoms whose hop map is drawn and measured. within : A, how far the goals
    are. seed : of everything.
    """

    steps: int = 5000
    episodes: int = 30
    contexts: int = 4
    within: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "episodes", "contexts"):
            whole(getattr(self, name), name, 1)
        require(0 < self.within < np.inf, f"within is {self.within} A; it must be above 0")
        whole(self.seed, "seed", 0, LARGEST)


def run(out: str | Path, settings: DemoSettings | None = None, data: str | Path | None = None) -> Path:
    """Do the whole job in the folder `out`, anew; the path of its report.

    data : a store of recordings; by default the catalogue's simulated silicon in graphene, made once and kept.
    """
    settings = settings or DemoSettings()
    fitting = FitSettings(steps=settings.steps, seed=settings.seed)
    console, began = Console(soft_wrap=True), time.perf_counter()
    console.print("1/5  recordings")
    with workplace(out, data, DATA, appearance_of) as (folder, store, appearance):
        console.print(f"     {store!r}")
        console.print("2/5  training")
        trained = train(store, folder / "run", fitting, domain="stem")
        surrogate = Surrogate(trained.model(), seconds=("dwell", StemSettings().frame_time))
        console.print("3/5  hop-probability maps of unseen atoms")
        simulator = StemSimulator()
        maps = maps_of(surrogate, simulator, appearance, settings.contexts, settings.seed)
        console.print(f"     correlation {maps.correlation:.3f}, mean absolute difference {maps.absolute_error:.3f}")
        console.print("4/5  steering in the trusted simulator")
        episodes = Episodes.draw(simulator, settings.episodes, settings.within, settings.seed + 1)
        verdicts = contest(episodes, surrogate, appearance, settings.seed + 2)
        console.print(stem_report.verdict_table(verdicts).fit(console.width))
        console.print("5/5  report")
        path, goal = one_path(episodes, surrogate, appearance, settings.seed + 2)
        material = stem_report.Material(
            run=trained,
            maps=maps,
            verdicts=verdicts,
            dream=stem_report.dream(surrogate, simulator, settings.seed + 3),
            path=path,
            goal=goal,
        )
        report = stem_report.write(folder / "report.html", material)
        (folder / "verdicts.json").write_text(to_json(verdicts))
    console.print(f"     {report.resolve()}, after {time.perf_counter() - began:.0f} s")
    return report


def maps_of(surrogate: Surrogate, simulator: StemSimulator, appearance: Appearance, contexts: int, seed: int) -> HopMap:
    """Hop maps of atoms that no training saw: 21 x 21 beams within 2 A, three dwells."""
    rng = np.random.default_rng([seed, 77])
    state = simulator.start(contexts, rng)
    present, state = simulator.expose(state, rng)
    return hop_map(surrogate, simulator, appearance, state, present, beams(), np.array(DWELLS), rng)


def contest(
    episodes: Episodes,
    surrogate: Surrogate,
    appearance: Appearance,
    seed: int,
    made_training_data: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Verdict]:
    """The verdicts on the planner, on greedy that knows the rates, and on chance, from the same starts and goals.

    Nobody knows the rates of a mixture, which differ from atom to atom: there is no greedy then.
    """
    rivals: dict[str, Controller] = {PLANNED: planner(surrogate, appearance, episodes.goals)}
    rates = episodes.simulator.settings.rates
    if rates in BEST:
        rivals[GREEDY] = Greedy(episodes.goals, *BEST[rates])
    rivals["random"] = chance(episodes.simulator)
    return {
        name: episodes.judge(rival, name, seed, made_training_data if name == PLANNED else None, progress=progress)
        for name, rival in rivals.items()
    }


def one_path(
    episodes: Episodes, surrogate: Surrogate, appearance: Appearance, seed: int
) -> tuple[Trajectory, np.ndarray]:
    """The planner on the episode whose goal is farthest, with the truth after every step; and that goal (2,) in A."""
    far = np.linalg.norm(episodes.state.silicon - episodes.goals, axis=1).argmax()
    one = episodes.take(np.array([far]))
    trajectory = rollout(
        one.simulator,
        one.state,
        one.first,
        planner(surrogate, appearance, one.goals),
        STEPS,
        np.random.default_rng(seed),
        one.reached,
        keep_states=True,
    )
    return trajectory, one.goals[0]
