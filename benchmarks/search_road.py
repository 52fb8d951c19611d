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
TRAINING, READING, EPISODES, SEED = 20_000, 4000, 40, 7
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
    from sciworld.tasks import manoeuvre_episodes, manoeuvres, road_reader

    constants = {
        f"{module.__name__}.{name}": repr(value)
        for module in (manoeuvres, road_reader, manoeuvre_episodes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    weights = hashlib.sha256((_trained(run) / "model.safetensors").read_bytes()).hexdigest()
    return {
        "kind": kind,
        "episodes": 2 if run.quick else EPISODES,
        "seed": SEED,
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


def _drawn(run: Run, kind: str) -> Any:
    """The episodes of a manoeuvre."""
    from sciworld.tasks.manoeuvre_episodes import Episodes

    draw = Episodes.lane_changes if kind == KINDS[0] else Episodes.stops
    return draw(_learned(run)[2], 2 if run.quick else EPISODES, SEED)


def _driven(run: Run, kind: str) -> list[dict[str, Any]]:
    """One row an episode: the search's success, promise and truth, the rivals' successes, and facts of the start."""
    from sciworld.tasks.manoeuvre_episodes import EXPERT, IDLE, PLANNED, RANDOM

    (surrogate, reader, simulator), drawn = _learned(run), _drawn(run, kind)
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
        for i in range(len(planned))
    ]  # fmt: skip


def promises(run: Run) -> list[dict[str, Any]]:
    """What was promised of held controls, what these bring, and what the best and the mean of all held ones do."""
    rows = []
    for within in (0.0, 1.0):
        each = [
            run.cached(f"road-promises-{kind.replace(' ', '-')}", {**_settings(run, kind), "within": within},
                       lambda kind=kind, within=within: _decided(run, kind, within))
            for kind in KINDS
        ]  # fmt: skip
        for kind, found in zip(KINDS, each, strict=True):
            search = f"{kind}, {f'pessimism {within:g} over 4 samples' if within else 'posterior mean'}"
            rows.append({"domain": "road", "search": search, "default": within == 0, **found})
    return rows


def _decided(run: Run, kind: str, within: float) -> dict[str, list[float]]:
    """Every third decision of the episodes of road_success, from the first one on that was searched."""
    from sciworld.search.risk import Risk
    from sciworld.simulator import rollout
    from sciworld.tasks.manoeuvre_episodes import Road
    from sciworld.tasks.manoeuvres import planner

    (surrogate, reader, simulator), drawn = _learned(run), _drawn(run, kind)
    step = simulator.settings.step
    controller = planner(surrogate, reader, drawn.manoeuvre, step, risk=Risk(within=within), samples=4 if within else 0)
    road, rng = Road(simulator, drawn.manoeuvre), np.random.default_rng(1)
    done = rollout(road, drawn.state, drawn.first, controller, drawn.steps, rng, keep_states=True)
    found: dict[str, list[float]] = {name: [] for name in ("promise", "outcome", "best", "chance")}
    for promise in done.memory.promises[controller.context - 1 :: 3]:
        state = done.states[promise.step]
        rows = np.flatnonzero(~np.isnan(promise.value) & ~state.lost)
        here, played = drawn.take(rows), done.controls[rows, promise.step : promise.step + 1]
        all_worths = here.worth(state.take(rows), here.grid(len(rows)))
        found["promise"] += promise.value[rows].tolist()
        found["outcome"] += here.worth(state.take(rows), played)[:, 0].tolist()
        found["best"] += all_worths.max(axis=1).tolist()
        found["chance"] += all_worths.mean(axis=1).tolist()
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Success by manoeuvre and by what is known of the starts, in terciles where it is a number, as Markdown."""
    lines = ["| manoeuvre | covariate | range | success | expert | nothing | random |", "|---|---|---|---|---|---|---|"]
    for kind in KINDS:
        own = [row for row in rows if row["manoeuvre"] == kind]
        lines.append(_line(kind, "all", "", own))
        for name in TOLD:
            known = [row for row in own if name in row]
            for where, part in _parts(known, name):
                lines.append(_line(kind, name, where, part))
    return "\n".join(lines)


def _parts(rows: list[dict[str, Any]], name: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows that differ in a fact of their start, and what they have of it."""
    values = np.array([row[name] for row in rows])
    if not rows:
        return []
    if name == "direction":
        return [(where, [row for row in rows if row[name] == way]) for where, way in (("left", 1), ("right", -1))]
    edges = np.unique(np.quantile(values, [0, 1 / 3, 2 / 3, 1]))
    which = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [
        (f"{low:.3g} .. {high:.3g}", [row for row, part in zip(rows, which, strict=True) if part == k])
        for k, (low, high) in enumerate(pairwise(edges))
    ]


def _line(kind: str, name: str, where: str, rows: list[dict[str, Any]]) -> str:
    counts = [f"{sum(row[who] for row in rows)} of {len(rows)}" for who in ("success", "expert", "nothing", "random")]
    return f"| {kind} | {name} | {where} | {' | '.join(counts)} |"
