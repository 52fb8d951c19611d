"""What the active loop needs of each field, by the name of its domain."""

from __future__ import annotations

from typing import Any

from sciworld.config import require
from sciworld.store import Store
from sciworld.tasks.fluid_experiment import FluidExperiment
from sciworld.tasks.road_experiment import RoadExperiment
from sciworld.tasks.stem_experiment import StemExperiment

Known = StemExperiment | FluidExperiment | RoadExperiment
EXPERIMENTS: dict[str, Any] = {one.domain: one for one in (StemExperiment, FluidExperiment, RoadExperiment)}


def experiment(domain: str, store: Store, rates: str | None = None, steps: int | None = None) -> Known:
    """The experiment of a domain, in the simulator that made the store's recordings, or is set as they were taken.

    rates : of simulated silicon, prior if not said. steps : actions a recording; as many as the domain's experiment
    takes if not said. Raises SettingsError for a domain that has none, and where the store holds nothing or others
    made it; ControlError where its controls are another domain's; RecordingError where it lacks what the domain's
    readers learn from.
    """
    require(domain in EXPERIMENTS, f"domain is {domain!r:.80}; an experiment is known of: {', '.join(EXPERIMENTS)}")
    require(len(store) > 0, f"{store.path}: holds nothing that tells how frames are taken; record something first")
    given = {name: value for name, value in (("rates", rates), ("steps", steps)) if value is not None}
    require("rates" not in given or domain == "stem", f"rates are of silicon in graphene; leave them out of {domain}")
    made: Known = EXPERIMENTS[domain].of(store, **given)
    return made
