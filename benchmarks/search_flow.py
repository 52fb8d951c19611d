"""Laws for the jets of a wake, searched on a surrogate, against direct search in the trusted simulator.

Both search the same three gains of feedback, from the same beginnings: wakes that were stirred by jets that no training
saw. What the surrogate learns from was driven blindly: half of the rollouts by laws drawn from all over the bounds, the
others by held or smooth jets. J is what the second half of an episode of 40 D/U costs, in % of the drag without
control; a fraction is the J of the law found on the surrogate over that of direct search. The surrogate imagines the
whole episode: in principal modes (the preset `modes`) it does not drift away.
"""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run
from stem_entrants import made_once

SIZES = (12, 20, 60)  # trusted rollouts that a surrogate learns from; the first figures take the last
BLIND = ("law", "held", "law", "smooth")
DIRECT = 200  # evaluations of direct search
REPEATS = 3  # of direct search from each beginning, of which the mean counts
VERIFIED = 10  # laws of the surrogate that are tried in the trusted simulator
STARTS = 5
UNSURE = 20  # rollouts, of which two members disagree enough for pessimism to have something to say
STIRRED = 12  # actions before a beginning
PRESET = "modes"
POPULATION = 8  # of direct search: few evaluations, many generations


def fractions(run: Run) -> dict[str, Figure]:
    """Medians over the beginnings; spread is the least and the greatest. Seconds are the trusted simulator's."""
    rows = [row for size in _sizes(run) for row in _found(run, size)]
    best = [row for row in rows if row["size"] == _sizes(run)[-1]]
    figures = {
        f"fluid_fraction_{name}": _median([row[key] / row["direct"][-1] for row in best], "1", best)
        for name, key in (("verified", "verified"), ("top1", "first"))
    }
    equal = [_equal(rows, size) for size in _sizes(run)]
    figures["fluid_equal_budget"] = Figure(min(one["ratio"] for one in equal), "x", rows=[*equal, *rows])
    cost = run.cached("flow-seconds", _settings(run), lambda: _seconds(run))
    saved = cost["direct"] - cost["verified"]
    figures["fluid_break_even"] = Figure(cost["data"] / saved if saved > 0 else np.inf, "searches", rows=[cost])
    return figures


def promises(run: Run) -> list[dict[str, Any]]:
    """Of the first choices: what was promised and what came, beside the best that anybody found."""
    sizes = _sizes(run)
    rows = [_worth(f"{size} rollouts", _found(run, size), size == sizes[-1]) for size in sizes]
    size = sizes[0] if run.quick else UNSURE
    for pessimism in (0.0, 1.0):
        name = f"pessimism {pessimism:g}" if pessimism else "no pessimism"
        rows.append(_worth(f"two members, {size} rollouts, {name}", _found(run, size, 2, pessimism), False))
    return rows


def _worth(search: str, rows: list[Any], default: bool) -> dict[str, Any]:
    sums = {"promise": [row["promise"] for row in rows], "outcome": [-row["first"] for row in rows]}
    sums |= {"best": [-min(row["direct"][-1], *row["true"]) for row in rows]}
    return {"domain": "wake", "search": search, "default": default, **sums}


def _equal(rows: list[Any], size: int) -> dict[str, Any]:
    """Against direct search with as many rollouts as the data took, and with as many more as were verified."""
    own = [row for row in rows if row["size"] == size]

    def ratio(evaluations: int) -> float:
        return float(np.median([row["verified"] / row["direct"][:evaluations][-1] for row in own]))

    return {"size": size, "ratio": ratio(size), "ratio_with_verified": ratio(size + VERIFIED)}


def _median(values: list[float], unit: str, rows: list[Any]) -> Figure:
    return Figure(float(np.median(values)), unit, (min(values), max(values)), rows)


def _sizes(run: Run) -> tuple[int, ...]:
    return (6,) if run.quick else SIZES


def _settings(run: Run) -> dict[str, Any]:
    """What the rows depend on."""
    settings = {"direct": 8 if run.quick else DIRECT, "starts": 2 if run.quick else STARTS, "stirred": STIRRED}
    settings |= {"repeats": 1 if run.quick else REPEATS, "population": POPULATION, "verified": VERIFIED}
    settings |= {"steps": 200 if run.quick else 3000, "generations": 2 if run.quick else 8}
    return settings | {"blind": BLIND, "preset": PRESET}


def _found(run: Run, size: int, members: int = 1, pessimism: float = 0.0) -> list[dict[str, Any]]:
    """One row a beginning: laws of a surrogate that learned from `size` rollouts, and direct search's J beside."""
    settings = _settings(run)
    kept = {name: settings[name] for name in ("direct", "starts", "stirred", "repeats", "population")}
    traces = run.cached("flow-direct", kept, lambda: _direct(**kept))
    asked = {**settings, "size": size, "members": members, "pessimism": pessimism}
    rows = run.cached(f"flow-{size}", asked, lambda: _imagined(run, size, members, pessimism))
    return [{**row, "direct": trace} for row, trace in zip(rows, traces, strict=True)]


@cache
def _begun(starts: int, stirred: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """The simulator, and the beginnings."""
    from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator

    simulator = CylinderSimulator(CylinderSettings(cells=10))
    simulator.start(1, np.random.default_rng(0))  # the developed wake is made once, for all
    return simulator, [_stirred(simulator, seed, stirred) for seed in range(starts)]


def _direct(direct: int, starts: int, stirred: int, repeats: int, population: int) -> list[list[float]]:
    """J of the best law so far, by evaluations, from each beginning: mean of the repeats."""
    simulator, begun = _begun(starts, stirred)
    return [
        np.mean([_searched(simulator, *one, direct, population, [seed, k]) for k in range(repeats)], axis=0).tolist()
        for seed, one in enumerate(begun)
    ]


def _imagined(run: Run, size: int, members: int, pessimism: float) -> list[dict[str, Any]]:
    """What is found on surrogates that learned from the same rollouts, and what it is worth in the trusted one.

    Several members imagine every law from the same present.
    """
    from sciworld.domains.fluid.imagined import fit_cost
    from sciworld.store import Store
    from sciworld.surrogate.ensemble import Ensemble

    settings = _settings(run)
    simulator, begun = _begun(settings["starts"], settings["stirred"])
    store = Store.open(made_once(run.cache / f"flow-data-{size}", lambda folder: _data(folder, size)))
    trained = [_trained(run, store, size, settings["steps"], seed) for seed in range(members)]
    surrogate, cost = trained[0] if members == 1 else Ensemble(trained), fit_cost(store)
    rows = []
    for seed, one in enumerate(begun):
        present = one[1].take(np.zeros(members, dtype=np.int64))
        law = _on_surrogate(surrogate, cost, simulator, present, settings["generations"], seed, pessimism)
        laws, true = _verified(simulator, one, law)
        row = {"size": size, "start": seed, "promise": law.promise, "first": true[0], "verified": min(true)}
        print(f"wake, {size} rollouts, start {seed}: {row['first']:.2f}, {row['verified']:.2f}", flush=True)
        rows.append({**row, "laws": laws.tolist(), "true": true})
    return rows


def _verified(simulator: Any, beginning: tuple[Any, Any], law: Any) -> tuple[np.ndarray, list[float]]:
    """Laws (law, lag) that were tried in the trusted simulator, the first choice first, and their J."""
    from sciworld.search.confirm import confirm

    tried = confirm(law, lambda gains: -_true(simulator, *beginning, gains), VERIFIED)
    return tried.parameters, (-tried.scores).tolist()


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


def _searched(simulator: Any, state: Any, seen: Any, evaluations: int, population: int, seed: list[int]) -> np.ndarray:
    """J of the best law so far : (evaluation,), of direct search in the trusted simulator by CMA-ES."""
    from sciworld.domains.fluid.controllers import LAGS, feedback
    from sciworld.domains.fluid.simulator import CylinderState
    from sciworld.search.law import search_law
    from sciworld.search.optimizers import cmaes
    from sciworld.tasks.calming import EPISODE, cost_of

    def start(index: np.ndarray) -> tuple[Any, Any]:
        many = np.zeros(len(index), dtype=np.int64)
        return state.take(many), seen.take(many)

    ones = np.ones(len(LAGS))
    law = search_law(
        simulator, start, lambda gains: feedback(gains, simulator.settings),
        lambda done: -cost_of(simulator, done, EPISODE // 2, EPISODE).total, -ones, ones,
        starts=1, steps=EPISODE, generations=-(-evaluations // population), rng=np.random.default_rng(seed),
        optimizer="cmaes", settings=cmaes.Settings(population=population), keep_states=CylinderState.without_flow,
    )  # fmt: skip
    # No control at all costs nothing: nobody keeps a law that does worse. Not quite 0, by which nothing can be divided.
    best: np.ndarray = np.minimum(np.minimum.accumulate(-law.scores.ravel()), -1e-9)
    return best[:evaluations]


def _data(folder: Path, size: int) -> Any:
    """Recordings of so many rollouts, as long as an episode of direct search."""
    from sciworld.domains.fluid.generate import generate
    from sciworld.tasks.calming import EPISODE

    return generate(folder, 1, episodes=size, actions=EPISODE, controls=BLIND, cells=10)


def _trained(run: Run, store: Any, size: int, steps: int, seed: int) -> Any:
    """The surrogate of a seed, which is kept."""
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.run import Run as TrainingRun
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    fit = FitSettings(steps=steps, batch=32, threads=1, seed=seed)
    folder = made_once(
        run.cache / f"flow-run-{size}-{steps}-{seed}",
        lambda path: train(store, path, fit, preset=PRESET, domain="fluid", progress=False),
    )
    return Surrogate(TrainingRun(folder).model(), evaluations=1)


def _on_surrogate(
    surrogate: Any, cost: Any, simulator: Any, seen: Any, generations: int, seed: int, pessimism: float
) -> Any:
    """The law that is found by what the surrogate imagines from there."""
    from sciworld.tasks.calming import EPISODE, LawSearch, laws_from

    # Laws from all over the bounds were recorded: strong ones need no price.
    search = LawSearch(generations, ahead=EPISODE, settle=EPISODE // 2, effort=0.0, pessimism=pessimism)
    return laws_from(surrogate, cost, simulator.settings, seen, np.random.default_rng([seed, 9]), search)


def _seconds(run: Run) -> dict[str, float]:
    """Of the trusted simulator: the most training data, a direct search, and ten laws that are tried."""
    settings, size = _settings(run), _sizes(run)[-1]
    simulator, begun = _begun(settings["starts"], settings["stirred"])
    with tempfile.TemporaryDirectory() as scratch:
        clock = [time.perf_counter()]
        _data(Path(scratch) / "store", size)
        clock.append(time.perf_counter())
    _searched(simulator, *begun[0], settings["direct"], settings["population"], [0, 0])
    clock.append(time.perf_counter())
    for _ in range(settings["verified"]):
        _true(simulator, *begun[0], np.array([0.7, 0.5, -0.1]))
    clock.append(time.perf_counter())
    return dict(zip(("data", "direct", "verified"), np.diff(clock).tolist(), strict=True))
