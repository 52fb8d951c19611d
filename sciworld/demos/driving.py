"""The main job on a road: record, train, search, replay, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from sciworld import recording
from sciworld.config import LARGEST, from_dict, require, whole
from sciworld.controls import ControlSpace
from sciworld.demos import driving_report, measures
from sciworld.demos.folder import workplace
from sciworld.domains.driving.road.generate import SOURCE
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.generated import made_with
from sciworld.domains.reader import Reader
from sciworld.evaluate.verdict import compare, to_json
from sciworld.simulator import Trajectory, rollout
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import RANDOM, Episodes, Road, contest, fit_lane, region, rivals
from sciworld.tasks.lane_response import response
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

# A small camera, five frames a second, no traffic: what a driver does in 0.2 s shows in the next frame.
DATA, CONDITIONS = "road-sim-lane", "clear_noon"


@dataclass(frozen=True)
class DemoSettings:
    """How long the main job takes.

    Parameters
    ----------
    steps : of training: counted in steps, not in seconds, so that the demo can be repeated. episodes : of closed-loop
    driving per controller. seconds : that the lane is to be kept. contexts : unseen places at which the answer to the
    steering is measured. seed : of everything.
    """

    steps: int = 2000
    episodes: int = 12
    seconds: float = 8.0
    contexts: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "episodes", "contexts"):
            whole(getattr(self, name), name, 1)
        require(0 < self.seconds <= 60, f"seconds is {self.seconds}; use above 0, at most 60: roads end")
        whole(self.seed, "seed", 0, LARGEST)


def run(out: str | Path, settings: DemoSettings | None = None, data: str | Path | None = None) -> Path:
    """Do the whole job in the folder `out`, anew; the path of its report.

    data : a store of recordings of the road simulator; by default the catalogue's.
    """
    settings = settings or DemoSettings()
    fitting = FitSettings(steps=settings.steps, batch=32, seed=settings.seed)
    console, began = Console(soft_wrap=True), time.perf_counter()
    console.print("1/6  recordings")
    with workplace(out, data, DATA, readied) as (folder, store, (reader, simulator)):
        console.print(f"     {store!r}")
        console.print("2/6  training")
        trained = train(store, folder / "run", fitting, domain="driving")
        surrogate = Surrogate(trained.model())
        console.print("3/6  the answer to the steering at unseen places")
        answer = response(surrogate, reader, simulator, settings.contexts, settings.seed)
        console.print(f"     {answer.summary()}")
        console.print("4/6  driving in the trusted simulator")
        episodes = Episodes.draw(simulator, settings.episodes, settings.seconds, settings.seed + 1)
        verdicts = contest(episodes, surrogate, reader, settings.seed + 2)
        console.print(compare(verdicts).fit(console.width))
        console.print("5/6  measures on recordings that training did not see")
        parts = measures.parts(trained, surrogate, store, "driving", settings.seed, folder)
        console.print("6/6  report")
        material = driving_report.Material(
            run=trained,
            response=answer,
            verdicts=verdicts,
            dream=driving_report.dream(surrogate, simulator, settings.seed + 3),
            paths=paths(episodes, surrogate, reader, settings.seed + 2),
            seconds=settings.seconds,
            measures=parts,
        )
        report = driving_report.write(folder / "report.html", material)
        (folder / "verdicts.json").write_text(to_json(verdicts))
    console.print(f"     {report}, after {time.perf_counter() - began:.0f} s")
    return report


def readied(store: Store) -> tuple[Reader, RoadSimulator]:
    """What reads the lane from frames such as the store's, and the simulator that made them, which judges.

    It judges at noon, wherever the recordings' weather came from. Raises RecordingError, ControlError where the
    recordings are of no such drives, SettingsError where other simulators made them, or several.
    """
    region(ControlSpace(recording.control_table(store.lazily(0))))
    settings = from_dict(RoadSettings, made_with(store, SOURCE), str(store.path))
    return fit_lane(store), RoadSimulator(settings, CONDITIONS)


def paths(episodes: Episodes, surrogate: Surrogate, reader: Reader, seed: int) -> dict[str, Trajectory]:
    """Planner, expert and no steering on the first episode, with the truth after every step."""
    one = episodes.take(np.array([0]))
    found = {}
    for name, rival in rivals(one, surrogate, reader).items():
        if name != RANDOM:
            rng = np.random.default_rng(seed)
            found[name] = rollout(Road(one.simulator), one.state, one.first, rival, one.steps, rng, keep_states=True)
    return found
