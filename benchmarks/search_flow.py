"""Laws for the jets of a wake, searched on a surrogate, against direct search in the trusted simulator.

Both search the same three gains of feedback, from the same beginnings: wakes that were stirred by jets that no training
saw. The surrogate learns from jets that were chosen blindly is what the second
half of an episode of 40 D/U costs, in % of the drag without control; a fraction is the J of the law found on the
surrogate over that of direct search. The surrogate imagines the whole episode, and promises what its second half saves:
in principal modes (the preset `modes`) it does not drift away.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run

SIZES = (12, 20, 60)  # trusted rollouts that a surrogate learns from; the first figures take the last
BLIND = ("law", "held", "law", "smooth")
DIRECT = 200  # evaluations of direct search
REPEATS = 3  # of direct search from each beginning, of which the mean counts
VERIFIED = 10  # laws of the surrogate that are tried in the trusted simulator
APART = 0.15  # that these differ by, in one gain at least
STARTS = 5
UNSURE = 20  # rollouts, of which two members disagree enough for pessimism to have something to say
STIRRED = 12  # actions before a beginning
PRESET = "modes"
POPULATION = 8  # of direct search: few evaluations, many generations


def fractions(run: Run) -> dict[str, Figure]:
    """Medians over the beginnings; spread is the least and the greatest. Seconds are the trusted simulator's."""
    found = _measured(run)
    rows, largest = found["rows"], max(row["size"] for row in found["rows"])
    best = [row for row in rows if row["size"] == largest]
    figures = {
        f"fluid_fraction_{name}": _median([row[key] / row["direct"][-1] for row in best], "1", best)
        for name, key in (("verified", "verified"), ("top1", "first"))
    }
    equal = [_equal(rows, size) for size in sorted({row["size"] for row in rows})]
    figures["fluid_equal_budget"] = Figure(min(one["ratio"] for one in equal), "x", rows=equal)
    cost = found["seconds"]
    saved = cost["direct"] - cost["verified"]
    figures["fluid_break_even"] = Figure(cost["data"] / saved if saved > 0 else np.inf, "searches", rows=[cost])
    return figures


def promises(run: Run) -> list[dict[str, Any]]:
    """Of the first choices: what was promised and what came, beside the best that anybody found."""
    found = _measured(run)
    sizes = sorted({row["size"] for row in found["rows"]})
    rows = [_worth(f"{size} rollouts", [row for row in found["rows"] if row["size"] == size], size == sizes[-1])
            for size in sizes]  # fmt: skip
    size = sizes[0] if run.quick else UNSURE
    for pessimism in (0.0, 1.0):
        kept = {**_settings(run), "unsure": size, "pessimism": pessimism}
        pair = run.cached("flow-pessimism", kept, lambda pessimism=pessimism: _pair(run, size, pessimism))
        direct = [row["direct"] for row in found["rows"] if row["size"] == size]
        each = [{**row, "direct": known} for row, known in zip(pair, direct, strict=True)]
        name = f"pessimism {pessimism:g}" if pessimism else "no pessimism"
        rows.append(_worth(f"two members, {size} rollouts, {name}", each, False))
    return rows


def _worth(search: str, rows: list[Any], default: bool) -> dict[str, Any]:
    sums = {"promise": [row["promise"] for row in rows], "outcome": [-row["first"] for row in rows]}
    sums |= {"best": [-min(row["direct"][-1], *row["true"]) for row in rows]}
    return {"domain": "wake", "search": search, "default": default, **sums}


def _equal(rows: list[Any], size: int) -> dict[str, Any]:
    """Against direct search with as many rollouts as the data took, and with as many more as were verified."""
    own = [row for row in rows if row["size"] == size]

    def ratio(evaluations: int) -> float:
        return float(
            np.median([row["verified"] / row["direct"][min(evaluations, len(row["direct"])) - 1] for row in own])
        )

    return {"size": size, "ratio": ratio(size), "ratio_with_verified": ratio(size + VERIFIED)}


def _median(values: list[float], unit: str, rows: list[Any]) -> Figure:
    return Figure(float(np.median(values)), unit, (min(values), max(values)), rows)


def _settings(run: Run) -> dict[str, Any]:
    sizes = (6,) if run.quick else SIZES
    settings = {"sizes": sizes, "direct": 8 if run.quick else DIRECT, "starts": 2 if run.quick else STARTS}
    settings |= {"steps": 200 if run.quick else 3000, "generations": 2 if run.quick else 8, "stirred": STIRRED}
    return settings | {"repeats": 1 if run.quick else REPEATS}


def _measured(run: Run) -> dict[str, Any]:
    settings = _settings(run)
    # How the laws are chosen and tried is in the key, too.
    kept = {**settings, "apart": APART, "verified": VERIFIED, "population": POPULATION, "blind": BLIND}
    kept |= {"preset": PRESET}
    found: dict[str, Any] = run.cached("flow-fractions", kept, lambda: _measure(run, **settings))
    return found


def _begun(starts: int, stirred: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """The simulator, and the beginnings."""
    from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator

    simulator = CylinderSimulator(CylinderSettings(cells=10))
    simulator.start(1, np.random.default_rng(0))  # the developed wake is made once, for both
    return simulator, [_stirred(simulator, seed, stirred) for seed in range(starts)]


def _measure(
    run: Run, sizes: tuple[int, ...], direct: int, starts: int, steps: int, generations: int, stirred: int, repeats: int
) -> dict[str, Any]:
    simulator, begun = _begun(starts, stirred)
    clock = time.perf_counter()
    traces = [
        np.mean([_searched(simulator, *one, direct, [seed, k]) for k in range(repeats)], axis=0).tolist()
        for seed, one in enumerate(begun)
    ]
    seconds = {"direct": (time.perf_counter() - clock) / (starts * repeats)}
    rows = []
    for size in sizes:
        clock = time.perf_counter()
        store = _data(run, size)
        seconds["data"] = time.perf_counter() - clock
        surrogate, cost = _trained(run, store, size, steps)
        for seed, one in enumerate(begun):
            law, chosen = _on_surrogate(surrogate, cost, simulator, one[1], generations, seed)
            clock = time.perf_counter()
            row = {"size": size, "start": seed, "direct": traces[seed], **_tried(simulator, one, law, chosen)}
            seconds["verified"] = time.perf_counter() - clock
            print(f"wake, {size} rollouts, start {seed}: {row['first']:.2f}, {row['verified']:.2f}, "
                  f"direct {traces[seed][-1]:.2f}", flush=True)  # fmt: skip
            rows.append(row)
    return {"rows": rows, "seconds": seconds}


def _pair(run: Run, size: int, pessimism: float) -> list[dict[str, Any]]:
    """What two members find, each imagining every law from the same present."""
    from sciworld.surrogate.ensemble import Ensemble

    settings = _settings(run)
    simulator, begun = _begun(settings["starts"], settings["stirred"])
    store, members = _data(run, size), []
    for seed in range(2):
        member, cost = _trained(run, store, size, settings["steps"], seed)
        members.append(member)
    rows = []
    for seed, one in enumerate(begun):
        present = one[1].take(np.zeros(len(members), dtype=np.int64))
        law, chosen = _on_surrogate(
            Ensemble(members), cost, simulator, present, settings["generations"], seed, pessimism
        )
        rows.append({"start": seed, **_tried(simulator, one, law, chosen[:1])})
        print(f"wake, two members, pessimism {pessimism:g}: {law.promise:.2f}, {-rows[-1]['first']:.2f}", flush=True)
    return rows


def _tried(simulator: Any, beginning: tuple[Any, Any], law: Any, chosen: np.ndarray) -> dict[str, Any]:
    """Laws in the trusted simulator."""
    true = [_true(simulator, *beginning, gains) for gains in chosen]
    return {"laws": chosen.tolist(), "true": true, "first": true[0], "verified": min(true), "promise": law.promise}


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


def _searched(simulator: Any, state: Any, seen: Any, evaluations: int, seed: list[int]) -> np.ndarray:
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
        starts=1, steps=EPISODE, generations=-(-evaluations // POPULATION), rng=np.random.default_rng(seed),
        optimizer="cmaes", settings=cmaes.Settings(population=POPULATION), keep_states=CylinderState.without_flow,
    )  # fmt: skip
    # No control at all is known to cost nothing: nobody keeps a law that does worse.
    best: np.ndarray = np.minimum(np.minimum.accumulate(-law.scores.ravel()), -1e-9)
    return best[:evaluations]


def _data(run: Run, size: int) -> Any:
    """Recordings of so many rollouts, as long as an episode of direct search."""
    from sciworld.domains.fluid.generate import generate
    from sciworld.tasks.calming import EPISODE

    folder = run.cache / f"flow-data-{size}"
    shutil.rmtree(folder, ignore_errors=True)
    return generate(folder, 1, episodes=size, actions=EPISODE, controls=BLIND, cells=10)


def _trained(run: Run, store: Any, size: int, steps: int, seed: int = 0) -> tuple[Any, Any]:
    from sciworld.domains.fluid.imagined import fit_cost
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    folder: Path = run.cache / f"flow-run-{size}-{steps}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    fit = FitSettings(steps=steps, batch=32, threads=1, seed=seed)
    made = train(store, folder, fit, preset=PRESET, domain="fluid", progress=False)
    return Surrogate(made.model(), evaluations=1), fit_cost(store)


def _on_surrogate(
    surrogate: Any, cost: Any, simulator: Any, seen: Any, generations: int, seed: int, pessimism: float = 0.0
) -> tuple[Any, np.ndarray]:
    """What was found by what the surrogate imagines from there, and the best laws (law, lag), best first."""
    from sciworld.tasks.calming import EPISODE, laws_from

    rng = np.random.default_rng([seed, 9])
    ahead, settle = EPISODE, EPISODE // 2
    law = laws_from(surrogate, cost, simulator.settings, seen, generations, rng, pessimism, ahead, settle, effort=0.0)
    tried, scores = law.tried.reshape(-1, law.tried.shape[-1]), law.scores.ravel()
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    laws = law.parameters[None]
    for gains in tried[order]:
        if len(laws) < VERIFIED and np.abs(gains - laws).max(axis=1).min() > APART:
            laws = np.concatenate([laws, gains[None]])
    return law, laws
