"""Laws for the jets of a wake, searched on a surrogate, against direct search in the trusted simulator.

Both search the same three gains of feedback, from the same beginnings: wakes that were stirred by jets that no training
saw. J is what the second half of an episode of 40 D/U costs, in % of the drag without control; a fraction is the J of
the law found on the surrogate over that of direct search.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run

SIZES = (12, 20, 60)  # trusted rollouts that a surrogate learns from; the first figures take the last
DIRECT = 200  # evaluations of direct search
VERIFIED = 10  # laws of the surrogate that are tried in the trusted simulator
STARTS = 5
STIRRED = 12  # actions before a beginning
POPULATION = 8  # of direct search: few evaluations, many generations


def fractions(run: Run) -> dict[str, Figure]:
    """Medians over the beginnings; spread is the least and the greatest. Seconds are the trusted simulator's."""
    found = _measured(run)
    rows, largest = found["rows"], max(row["size"] for row in found["rows"])
    best = [row for row in rows if row["size"] == largest]
    figures = {
        "fluid_fraction_verified": _median([row["verified"] / row["direct"] for row in best], "1", best),
        "fluid_fraction_top1": _median([row["first"] / row["direct"] for row in best], "1", best),
    }
    # As many trusted rollouts as the data took, the verified ones of the surrogate counted on both sides.
    equal = {
        size: float(np.median([row["verified"] / row["equal"] for row in rows if row["size"] == size]))
        for size in sorted({row["size"] for row in rows})
    }
    figures["fluid_equal_budget"] = Figure(
        min(equal.values()), "x", rows=[{"size": k, "ratio": v} for k, v in equal.items()]
    )
    cost = found["seconds"]
    saved = cost["direct"] - cost["verified"]
    figures["fluid_break_even"] = Figure(cost["data"] / saved if saved > 0 else np.inf, "searches", rows=[cost])
    return figures


def _median(values: list[float], unit: str, rows: list[Any]) -> Figure:
    return Figure(float(np.median(values)), unit, (min(values), max(values)), rows)


def _measured(run: Run) -> dict[str, Any]:
    sizes = (6,) if run.quick else SIZES
    settings = {"sizes": sizes, "direct": 8 if run.quick else DIRECT, "starts": 2 if run.quick else STARTS}
    settings |= {"steps": 20 if run.quick else 3000, "generations": 2 if run.quick else 8, "stirred": STIRRED}
    found: dict[str, Any] = run.cached("flow-fractions", settings, lambda: _measure(run, **settings))
    return found


def _measure(
    run: Run, sizes: tuple[int, ...], direct: int, starts: int, steps: int, generations: int, stirred: int
) -> dict[str, Any]:
    from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator

    simulator = CylinderSimulator(CylinderSettings(cells=10))
    simulator.start(1, np.random.default_rng(0))  # the developed wake is made once, for both
    begun = [_stirred(simulator, seed, stirred) for seed in range(starts)]
    clock = time.perf_counter()
    laws = [_searched(simulator, *one, direct, seed) for seed, one in enumerate(begun)]
    seconds = {"direct": (time.perf_counter() - clock) / starts}
    rows = []
    for size in sizes:
        clock = time.perf_counter()
        store = _data(run, size)
        seconds["data"] = time.perf_counter() - clock
        surrogate, cost = _trained(run, store, size, steps)
        for seed, one in enumerate(begun):
            chosen = _on_surrogate(surrogate, cost, simulator, one[1], generations, seed)
            clock = time.perf_counter()
            true = [_true(simulator, *one, gains) for gains in chosen]
            seconds["verified"] = time.perf_counter() - clock
            few = _searched(simulator, *one, size + VERIFIED, 100 + seed)
            row = {"size": size, "start": seed, "laws": chosen.tolist(), "true": true}
            row |= {"first": true[0], "verified": min(true), "direct": laws[seed], "equal": few}
            rows.append(row)
    return {"rows": rows, "seconds": seconds}


def _stirred(simulator: Any, seed: int, actions: int) -> tuple[Any, Any]:
    """A wake and its first frame, after random jets."""
    rng = np.random.default_rng([seed, 77])
    state, most = simulator.start(1, rng), simulator.settings.most
    for _ in range(actions):
        seen, state = simulator.step(state, rng.uniform(-most, most, (1, 1)), rng)
    return state, seen


def _true(simulator: Any, state: Any, seen: Any, gains: np.ndarray) -> float:
    """J of a law from there."""
    from sciworld.domains.fluid.controllers import feedback
    from sciworld.domains.fluid.simulator import CylinderState
    from sciworld.simulator import rollout
    from sciworld.tasks.calming import EPISODE, cost_of

    law, rng = feedback(gains[None], simulator.settings), np.random.default_rng(0)
    done = rollout(simulator, state, seen, law, EPISODE, rng, keep_states=CylinderState.without_flow)
    return float(cost_of(simulator, done, EPISODE // 2, EPISODE).total[0])


def _searched(simulator: Any, state: Any, seen: Any, evaluations: int, seed: int) -> float:
    """J of the best law of direct search in the trusted simulator."""
    from sciworld.domains.fluid.controllers import LAGS, feedback
    from sciworld.domains.fluid.simulator import CylinderState
    from sciworld.search.law import search_law
    from sciworld.search.optimizers import cem
    from sciworld.tasks.calming import EPISODE, cost_of

    def start(index: np.ndarray) -> tuple[Any, Any]:
        many = np.zeros(len(index), dtype=np.int64)
        return state.take(many), seen.take(many)

    ones = np.ones(len(LAGS))
    law = search_law(
        simulator, start, lambda gains: feedback(gains, simulator.settings),
        lambda done: -cost_of(simulator, done, EPISODE // 2, EPISODE).total, -ones, ones,
        starts=1, steps=EPISODE, generations=max(1, evaluations // POPULATION), rng=np.random.default_rng(seed),
        settings=cem.Settings(population=POPULATION, elite=0.25, smoothing=0.8), guess=0 * ones,
        keep_states=CylinderState.without_flow,
    )  # fmt: skip
    return -law.promise


def _data(run: Run, size: int) -> Any:
    """Recordings of so many rollouts, as long as an episode of direct search."""
    from sciworld.domains.fluid.generate import generate
    from sciworld.tasks.calming import EPISODE

    folder = run.cache / f"flow-data-{size}"
    shutil.rmtree(folder, ignore_errors=True)
    return generate(folder, 1, episodes=size, actions=EPISODE, cells=10)


def _trained(run: Run, store: Any, size: int, steps: int) -> tuple[Any, Any]:
    from sciworld.domains.fluid.imagined import fit_cost
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    folder: Path = run.cache / f"flow-run-{size}-{steps}"
    shutil.rmtree(folder, ignore_errors=True)
    made = train(
        store, folder, FitSettings(steps=steps, batch=8, threads=1), preset="certain", domain="fluid", progress=False
    )
    return Surrogate(made.model(), evaluations=1), fit_cost(store)


def _on_surrogate(surrogate: Any, cost: Any, simulator: Any, seen: Any, generations: int, seed: int) -> np.ndarray:
    """The best laws (law, lag) by what the surrogate imagines from there, best first."""
    from sciworld.tasks.calming import laws_from

    law = laws_from(surrogate, cost, simulator.settings, seen, generations, np.random.default_rng([seed, 9]))
    tried, scores = law.tried.reshape(-1, law.tried.shape[-1]), law.scores.ravel()
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    # Laws that differ by less than what anybody could tell are one.
    laws = law.parameters[None]
    for gains in tried[order]:
        if len(laws) < VERIFIED and np.abs(gains - laws).max(axis=1).min() > 0.05:
            laws = np.concatenate([laws, gains[None]])
    return laws
