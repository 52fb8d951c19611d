"""The main job on silicon in graphene: record, train, search, replay, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from sciworld.config import LARGEST, require, whole
from sciworld.demos import measures, stem_report
from sciworld.demos.folder import workplace
from sciworld.domains.stem.appearance import appearance_of
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.evaluate.verdict import to_json
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.hop_map import maps_of
from sciworld.tasks.steering import Episodes, contest, one_path
from sciworld.tasks.stem_run import simulated
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

DATA = "si-graphene-sim-small"


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
    fitting = FitSettings(steps=settings.steps, batch=32, seed=settings.seed)
    console, began = Console(soft_wrap=True), time.perf_counter()
    console.print("1/6  recordings")
    with workplace(out, data, DATA, appearance_of) as (folder, store, appearance):
        console.print(f"     {store!r}")
        console.print("2/6  training")
        trained = train(store, folder / "run", fitting, domain="stem")
        surrogate = Surrogate(trained.model(), seconds=("dwell", StemSettings().frame_time))
        console.print("3/6  hop-probability maps of unseen atoms")
        simulator = StemSimulator()
        maps = maps_of(surrogate, simulator, appearance, settings.contexts, settings.seed)
        console.print(f"     correlation {maps.correlation:.3f}, mean absolute difference {maps.absolute_error:.3f}")
        console.print("4/6  steering in the trusted simulator")
        episodes = Episodes.draw(simulator, settings.episodes, settings.within, settings.seed + 1)
        verdicts = contest(episodes, surrogate, appearance, settings.seed + 2, simulated(trained))
        console.print(stem_report.verdict_table(verdicts).fit(console.width))
        console.print("5/6  measures on recordings that training did not see")
        parts = measures.parts(trained, surrogate, store, "stem", settings.seed, folder)
        console.print("6/6  report")
        path, goal = one_path(episodes, surrogate, appearance, settings.seed + 2)
        material = stem_report.Material(
            run=trained,
            maps=maps,
            verdicts=verdicts,
            dream=stem_report.dream(surrogate, simulator, settings.seed + 3),
            path=path,
            goal=goal,
            measures=parts,
        )
        report = stem_report.write(folder / "report.html", material)
        (folder / "verdicts.json").write_text(to_json(verdicts))
    console.print(f"     {report.resolve()}, after {time.perf_counter() - began:.0f} s")
    return report
