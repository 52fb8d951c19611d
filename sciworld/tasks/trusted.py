"""A trained run before the trusted simulator: what is searched on its surrogate, beside rivals from the same starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sciworld.config import from_dict, require, whole
from sciworld.domains.driving.road import generate as drives
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.fluid import generate as wakes
from sciworld.domains.fluid.imagined import fit_cost
from sciworld.domains.fluid.simulator import CylinderSettings
from sciworld.domains.generated import made_with
from sciworld.domains.stem import generate as silicon
from sciworld.errors import SearchError, SettingsError
from sciworld.evaluate.imagine import require_kind
from sciworld.evaluate.verdict import Verdict
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import calming, lane_keeping, stem_run
from sciworld.tasks.road_experiment import RoadExperiment
from sciworld.training.run import Run

MAKERS = {"stem": silicon.SOURCE, "fluid": wakes.SOURCE, "driving": drives.SOURCE}
EPISODES = {"stem": 20, "fluid": 4, "driving": 12}  # of each rival, where nobody says how many
Progress = Callable[[int, int], None]


def judge(
    run: Run,
    surrogate: Surrogate,
    store: str | Path | None = None,
    episodes: int | None = None,
    within: float | None = None,
    rates: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Verdict]:
    """The verdicts on what is searched on the run's surrogate and on its rivals, by their names.

    store : made by the trusted simulator that judges; what reads drag, lift or the lane from frames learns from it.
    Silicon, which is judged without one too, goes to lattice sites; wakes are calmed; drives keep their lane, under
    light and weather of the store's. episodes : of each rival; 20, 4 and 12 if not said. within, rates : of silicon
    alone, 10 A and prior if not said.

    Raises SettingsError where no trusted simulator, or several, made the store; ControlError or RecordingError where
    its recordings are not of the surrogate's kind, or lack the states that are read from frames; SearchError where the
    surrogate imagines nothing that can be scored.
    """
    domain = _of_run(run) if store is None else ""
    if store is not None:
        stored = Store.open(store)
        domain = domain_of(stored)
        require_kind(surrogate, stored.lazily(0))
    count = EPISODES[domain] if episodes is None else whole(episodes, "episodes", 1)
    if domain == "stem":
        far, kind = 10.0 if within is None else within, "prior" if rates is None else rates
        return stem_run.judge(run, surrogate, count, far, kind, seed, progress)
    whole(seed, "seed", 0)
    require(
        within is None and rates is None, f"within and rates are of silicon in graphene; leave them out of {domain}"
    )
    require(store is not None, f"{run.path}: learned from the simulator of {domain}; name a store of it to be judged")
    made = stem_run.simulated(run, MAKERS[domain])
    return {"fluid": _calmed, "driving": _driven}[domain](surrogate, stored, count, seed, made, progress)


def domain_of(store: Store) -> str:
    """The domain whose trusted simulator made recordings of the store. Raises SettingsError where none did."""
    sources = sorted(set(store.sources()))
    for domain, maker in MAKERS.items():
        if any(source.startswith(f"{maker}, ") for source in sources):
            return domain
    raise SettingsError(
        f"{store.path}: no trusted simulator made its recordings, which are of "
        f"{sources[0] if sources else 'nothing'!s:.200}; give --objective to let recordings judge"
    )


def _of_run(run: Run) -> str:
    """The domain of the simulator that a run learned from; silicon's where no simulator did."""
    found = [domain for domain, maker in MAKERS.items() if "sources" in run.config and stem_run.simulated(run, maker)]
    return found[0] if found else "stem"


def _calmed(
    surrogate: Surrogate, store: Store, episodes: int, seed: int, made: bool, progress: Progress | None
) -> dict[str, Verdict]:
    """The law that is found on the surrogate, that of direct search, none, and random ones."""
    settings = from_dict(CylinderSettings, made_with(store, wakes.SOURCE), str(store.path))
    cost, simulator = fit_cost(store), wakes.simulator_of(settings)
    members = len(surrogate.members) if isinstance(surrogate, Ensemble) else 1
    starts = calming.STARTS * members  # every law is imagined by every member
    try:
        law = calming.plan(surrogate.asking(1), store, cost, settings, calming.GENERATIONS, starts, seed)
    except SearchError as error:
        raise SearchError(
            f"all wakes that the surrogate imagines leave the recorded velocities, so no law can be found; train it "
            f"longer ({error})"
        ) from error
    drawn = calming.Episodes.draw(simulator, episodes, seed + 1)
    return calming.contest(drawn, law, seed + 2, made, progress)[1]


def _driven(
    surrogate: Surrogate, store: Store, episodes: int, seed: int, made: bool, progress: Progress | None
) -> dict[str, Verdict]:
    """The planner that keeps the lane, the expert, no steering, and chance."""
    roads = RoadExperiment(store, from_dict(RoadSettings, made_with(store, drives.SOURCE), str(store.path)))
    reader = lane_keeping.fit_lane(store)
    simulator = roads.simulator(episodes, np.random.default_rng([seed, 13]))
    drawn = lane_keeping.Episodes.draw(simulator, episodes, roads.lasting, seed + 1)
    return lane_keeping.contest(drawn, surrogate, reader, seed + 2, made, progress)
