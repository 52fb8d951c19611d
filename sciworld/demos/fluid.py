"""The main job on a cylinder's wake: record, train, search a law for its jets, replay, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from sciworld.config import LARGEST, from_dict, whole
from sciworld.demos import fluid_report, measures
from sciworld.demos.folder import workplace
from sciworld.domains.fluid.generate import SOURCE
from sciworld.domains.fluid.imagined import ImaginedCost, fit_cost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator
from sciworld.domains.generated import made_with
from sciworld.evaluate.verdict import compare, to_json
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.calming import GENERATIONS, STARTS, Episodes, choices, contest, plan
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

DATA = "fluid-cylinder-sim-coarse"
LAWS = 10  # random ones, by which the surrogate's promises are held against the truth


@dataclass(frozen=True)
class DemoSettings:
    """How long the main job takes.

    Parameters
    ----------
    steps : of training. generations : of the search, of 32 laws each. starts : frames from which each law is imagined.
    episodes : in the trusted simulator, for each controller. seed : of everything.
    """

    steps: int = 5000
    generations: int = GENERATIONS
    starts: int = STARTS
    episodes: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "generations", "starts", "episodes"):
            whole(getattr(self, name), name, 1)
        whole(self.seed, "seed", 0, LARGEST)


def run(out: str | Path, settings: DemoSettings | None = None, data: str | Path | None = None) -> Path:
    """Do the whole job in the folder `out`, anew; the path of its report.

    data : a store of simulated wakes, all with the same settings; by default the catalogue's, made once and kept.
    """
    settings = settings or DemoSettings()
    fitting = FitSettings(steps=settings.steps, batch=8, seed=settings.seed, threads=1)
    console, began = Console(soft_wrap=True), time.perf_counter()
    console.print("1/6  recordings")
    with workplace(out, data, DATA, readied) as (folder, store, (cost, simulator)):
        console.print(f"     {store!r}")
        console.print("2/6  training")
        trained = train(store, folder / "run", fitting, preset="certain", domain="fluid")
        surrogate = Surrogate(trained.model(), evaluations=1)
        console.print("3/6  search on the surrogate")
        law = plan(surrogate, store, cost, simulator.settings, settings.generations, settings.starts, settings.seed)
        gains = np.round(law.parameters, 3)
        console.print(f"     gains {gains}, promise: {law.promise:.2f} % saved, {law.episodes} episodes")
        console.print("4/6  the trusted simulator")
        episodes = Episodes.draw(simulator, settings.episodes, settings.seed + 1)
        runs, verdicts = contest(episodes, law, settings.seed + 2)
        candidates = choices(episodes, surrogate, cost, LAWS, settings.seed)
        for table in (compare(verdicts), fluid_report.terms(episodes, runs)):
            console.print(table.fit(console.width))
        console.print("5/6  measures on recordings that training did not see")
        parts = measures.parts(trained, surrogate, store, "fluid", settings.seed, folder)
        console.print("6/6  report")
        material = fluid_report.Material(trained, surrogate, cost, law, episodes, runs, verdicts, candidates, parts)
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
