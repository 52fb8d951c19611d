"""The main job on silicon in graphene over seeds, rate models and amounts of data: one cell, and the whole sweep."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld.config import require
from sciworld.domains.stem.appearance import appearance_of
from sciworld.domains.stem.generate import STEPS, generate
from sciworld.domains.stem.simulator import RATES, StemSettings, StemSimulator
from sciworld.evaluate.table import Table, number
from sciworld.surrogate.surrogate import Surrogate
from sciworld.sweep.rows import DONE
from sciworld.sweep.space import Value
from sciworld.sweep.sweep import sweep
from sciworld.tasks.hop_map import maps_of
from sciworld.tasks.steering import Episodes, planner
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

WITHIN = 10.0  # A, how far the goals are
SHOWN = {"hop_correlation": "1", "hop_error": "1", "success": "share", "mean_seconds": "s", "loss": "1"}


@dataclass(frozen=True)
class CellSettings:
    """What every cell of the sweep does alike.

    Parameters
    ----------
    steps : of training. episodes : of steering. contexts : unseen atoms whose hop map is measured. budget : model
    evaluations a decision.
    """

    steps: int = 2500
    episodes: int = 20
    contexts: int = 4
    budget: int = 96

    def __post_init__(self) -> None:
        for name in ("steps", "episodes", "contexts", "budget"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; use at least 1")


def run_cell(seed: int, rates: str, transitions: int, settings: CellSettings) -> dict[str, float]:
    """Record, train, map, steer: how well a surrogate of `transitions` recorded transitions does.

    hop_correlation, hop_error : of the learned with the true hop probabilities. success : share of the episodes.
    mean_seconds : of all episodes. promise, outcome : A/s, means over decisions. loss : of the last step.
    """
    simulator = StemSimulator(StemSettings(rates=rates))
    with tempfile.TemporaryDirectory(prefix="sciworld-stem-") as folder:
        store = generate(Path(folder) / "store", seed, transitions, rates=rates)
        fitting = FitSettings(steps=settings.steps, batch=32, seed=seed)
        run = train(store, Path(folder) / "run", fitting, domain="stem", progress=False)
        surrogate = Surrogate(run.model(), seconds=("dwell", simulator.settings.frame_time))
        appearance, loss = appearance_of(store), run.log()[-1]["loss"]
    maps = maps_of(surrogate, simulator, appearance, settings.contexts, seed)
    episodes = Episodes.draw(simulator, settings.episodes, WITHIN, seed + 1)
    controller = planner(surrogate, appearance, episodes.goals, budget=settings.budget)
    verdict = episodes.judge(controller, "planned", seed + 2, made_training_data=True)
    return {
        "hop_correlation": maps.correlation,
        "hop_error": maps.absolute_error,
        "success": float(verdict.success.mean()),
        "mean_seconds": float(verdict.seconds.mean()),
        "promise": _mean(verdict.promise),
        "outcome": _mean(verdict.outcome),
        "loss": float(loss),
    }


def run(
    out: str | Path,
    seeds: tuple[int, ...],
    rates: tuple[str, ...],
    transitions: tuple[int, ...],
    settings: CellSettings | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    retry_failed: bool = False,
) -> xr.Dataset:
    """The sweep over all combinations, in the folder `out`; what is there is kept. Raises what `sweep` raises."""
    require(all(seed >= 0 for seed in seeds), "seeds must be at least 0")
    unknown = [name for name in rates if name not in RATES]
    require(not unknown, f"rates are {', '.join(unknown)}; use some of {', '.join(RATES)}")
    least = 2 * STEPS  # two sessions: one is held out
    require(all(n >= least for n in transitions), f"a cell needs at least {least} transitions, which is two recordings")
    cell = functools.partial(run_cell, settings=settings or CellSettings())
    space: dict[str, Sequence[Value]] = {"seed": seeds, "rates": rates, "transitions": transitions}
    return sweep(cell, space, out=out, workers=workers, client=scheduler, retry_failed=retry_failed)


def summary(ds: xr.Dataset) -> Table:
    """Means over the seeds, one line for each rate model and size; how many cells are done."""
    rows = []
    for rates in ds["rates"].values.tolist():
        for size in ds["transitions"].values.tolist():
            cells = ds.sel(rates=rates, transitions=size)
            done = cells["status"].values == DONE
            means = [_mean(cells[name].values[done]) if name in ds else float("nan") for name in SHOWN]
            rows.append((str(rates), str(size), f"{done.sum()} of {done.size}", *map(number, means)))
    headings = [f"{name.replace('_', ' ')} ({units})" for name, units in SHOWN.items()]
    return Table(("rates", "transitions", "seeds done", *headings), tuple(rows), "means over seeds")


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
