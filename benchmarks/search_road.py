"""Manoeuvres on roads that no training saw, searched on a learned surrogate and judged in the trusted simulator.

The store is the catalogue's, made anew; surrogate and reader are trained by steps, so that all of it can be repeated.
Stores and runs are kept in benchmarks/cache/search; delete a folder there to make it anew.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run

DATA = "road-sim-manoeuvres"
KINDS = ("lane change", "obstacle stop")
TRAINING, READING, EPISODES, SEED = 3000, 2500, 40, 7
TOLD = ("speed", "bend", "direction", "gap")  # facts of starts by which success is told apart


def manoeuvres(run: Run) -> Figure:
    """Share of successes over both manoeuvres, and Wilson's interval; rows are episodes, with the rivals' beside."""
    from sciworld.measures.intervals import wilson

    rows = [row for kind in KINDS for row in run.cached(f"road-{kind.replace(' ', '-')}", _settings(run, kind),
                                                        lambda kind=kind: _driven(run, kind))]  # fmt: skip
    print(table(rows))
    found = wilson(sum(row["success"] for row in rows), len(rows))
    return Figure(found.value, "1", (found.low, found.high), rows)


def _settings(run: Run, kind: str) -> dict[str, Any]:
    from sciworld.tasks import manoeuvres, road_reader

    constants = {name: value for module in (manoeuvres, road_reader) for name, value in vars(module).items()
                 if name.isupper() and isinstance(value, int | float)}  # fmt: skip
    weights = hashlib.sha256((_trained(run) / "model.safetensors").read_bytes()).hexdigest()
    return {
        "kind": kind,
        "episodes": 2 if run.quick else EPISODES,
        "reading": _reading(run),
        "weights": weights,
        **constants,
    }


def _reading(run: Run) -> int:
    return 5 if run.quick else READING


def _store(run: Run) -> Any:
    """The catalogue's recordings, or fewer of them."""
    from sciworld import catalog
    from sciworld.domains.driving.road.generate import generate
    from sciworld.store import Store
    from stem_entrants import made_once

    entry = catalog.get(DATA)
    settings = {**entry.settings, **({"episodes": 8, "steps": 24} if run.quick else {})}
    path = run.cache / f"{DATA}{'-quick' if run.quick else ''}"
    return Store.open(made_once(path, lambda to: generate(to, entry.seed, **settings)))


@cache
def _trained(run: Run) -> Path:
    """The folder of the surrogate's run."""
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    steps = 5 if run.quick else TRAINING
    folder = run.cache / f"road-run-{steps}"
    if not (folder / "model.safetensors").is_file():
        fitting = FitSettings(steps=steps, threads=1)
        changes = {"context": 3}
        train(_store(run), folder, fitting, domain="driving", preset="scene", changes=changes, progress=False)
    return folder


@cache
def _learned(run: Run) -> tuple[Any, Any, Any]:
    """The surrogate, the reader, and the simulator that made what they learned from."""
    from sciworld.domains.driving.road.generate import SOURCE
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator
    from sciworld.domains.generated import settings_of
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.tasks.manoeuvres import HORIZON
    from sciworld.tasks.road_reader import fit_road_reader

    store = _store(run)
    settings = RoadSettings(**settings_of(store.lazily(0).attrs["source"], SOURCE))
    surrogate = Surrogate.load(_trained(run), seconds=settings.step)
    reader = fit_road_reader(store, surrogate, _reading(run), 0, HORIZON)
    print(f"the reader's errors on recordings left out: {np.round(reader.error, 3).tolist()} m, m, m/s")
    return surrogate, reader, RoadSimulator(settings)


def _driven(run: Run, kind: str) -> list[dict[str, Any]]:
    """One row an episode: the search's success, promise and truth, the rivals' successes, and facts of the start."""
    from sciworld.tasks.manoeuvre_episodes import EXPERT, IDLE, PLANNED, RANDOM, Episodes

    (surrogate, reader, simulator), n = _learned(run), 2 if run.quick else EPISODES
    drawn = Episodes.lane_changes(simulator, n, SEED) if kind == KINDS[0] else Episodes.stops(simulator, n, SEED)
    verdicts = {
        name: drawn.judge(rival, name, 1, True if name == PLANNED else None)
        for name, rival in drawn.rivals(surrogate, reader).items()
    }
    planned = verdicts[PLANNED]
    return [
        {
            "manoeuvre": kind,
            "place": simulator.settings.place,
            **{name: float(values[i]) for name, values in drawn.covariates.items()},
            "success": bool(planned.success[i]),
            **{short: bool(verdicts[name].success[i])
               for short, name in (("expert", EXPERT), ("nothing", IDLE), ("random", RANDOM))},
            "promise": float(np.nanmean(planned.promise[i])),
            "outcome": float(np.nanmean(planned.outcome[i])),
            "inverse_ttc": float(planned.dose[i]),
        }
        for i in range(n)
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Success by manoeuvre and by terciles of what is known of the starts, as Markdown."""
    lines = ["| manoeuvre | covariate | range | success | expert | nothing | random |", "|---|---|---|---|---|---|---|"]
    for kind in KINDS:
        own = [row for row in rows if row["manoeuvre"] == kind]
        lines.append(_line(kind, "all", "", own))
        for name in TOLD:
            known = [row for row in own if name in row]
            values = np.array([row[name] for row in known])
            edges = (
                np.unique(values)
                if name == "direction"
                else np.unique(np.quantile(values, [0, 1 / 3, 2 / 3, 1]))
                if known
                else []
            )
            if name == "direction":
                for value in edges:
                    lines.append(_line(kind, name, "left" if value > 0 else "right",
                                       [row for row in known if row[name] == value]))  # fmt: skip
                continue
            for low, high in pairwise(edges):
                part = [row for row in known if low <= row[name] < high or row[name] == high == edges[-1]]
                lines.append(_line(kind, name, f"{low:.3g} .. {high:.3g}", part))
    return "\n".join(lines)


def _line(kind: str, name: str, where: str, rows: list[dict[str, Any]]) -> str:
    counts = [f"{sum(row[who] for row in rows)} of {len(rows)}" for who in ("success", "expert", "nothing", "random")]
    return f"| {kind} | {name} | {where} | {' | '.join(counts)} |"
