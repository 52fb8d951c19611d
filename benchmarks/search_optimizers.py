"""Figures of the optimizers themselves: what asking and telling costs, and how many evaluations finding takes.

Peers are cmaes (CyberAgent, MIT) and cma (Hansen, BSD-3-Clause), both in the extra `dev`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness import Figure, Run, alternate, median
from sciworld.search.optimizers import cem, cmaes, mppi

DIMENSION, POPULATION, GENERATIONS = 40, 64, 100  # of a search whose overhead is timed
MANY, WIDE = 4096, 32  # candidates and dimensions of the twins
BOUND, TARGET = 5.0, 1e-8
SEEDS, DIMENSIONS = 20, (10, 40)
MOST = 1_000_000  # evaluations


def sphere(x: np.ndarray) -> np.ndarray:
    return (x**2).sum(axis=-1)


def ellipsoid(x: np.ndarray) -> np.ndarray:
    d = x.shape[-1]
    return (10.0 ** (6 * np.arange(d) / (d - 1)) * x**2).sum(axis=-1)


def rosenbrock(x: np.ndarray) -> np.ndarray:
    here, following = x[..., :-1], x[..., 1:]
    return (100 * (following - here**2) ** 2 + (1 - here) ** 2).sum(axis=-1)


def rastrigin(x: np.ndarray) -> np.ndarray:
    return (10 + x**2 - 10 * np.cos(2 * np.pi * x)).sum(axis=-1)


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sphere": sphere, "ellipsoid": ellipsoid, "rosenbrock": rosenbrock, "rastrigin": rastrigin,
}  # fmt: skip


def population(function: str, d: int) -> int:
    """The tutorial's; where there are many valleys, so many that the deepest is found nearly always."""
    return 40 * d if function == "rastrigin" else 4 + int(3 * np.log(d))


def overhead(run: Run) -> dict[str, Figure]:
    """Seconds of a generation of the peer over ours, of 64 candidates in 40 dimensions: evaluations are not counted.

    rows : each repeat, of 100 generations from the same start on an ellipsoid.
    """
    import cma
    import cmaes as peer

    x0, generations = np.full(DIMENSION, 1.0), 5 if run.quick else GENERATIONS

    def ours() -> None:
        low = np.full((1, DIMENSION), -BOUND)
        state = cmaes.start(low, -low, cmaes.Settings(population=POPULATION, guess_spread=0.2), x0[None])
        rng = np.random.default_rng(0)
        for _ in range(generations):
            candidates = cmaes.ask(state, rng)
            state = cmaes.tell(state, candidates, -ellipsoid(candidates))

    def cyberagent() -> None:
        search = peer.CMA(mean=x0, sigma=2.0, population_size=POPULATION, seed=0)
        for _ in range(generations):
            asked = [search.ask() for _ in range(POPULATION)]
            search.tell(list(zip(asked, ellipsoid(np.array(asked)), strict=True)))

    def pycma() -> None:
        search = cma.CMAEvolutionStrategy(x0, 2.0, {"popsize": POPULATION, "seed": 1, "verbose": -9})
        for _ in range(generations):
            asked = search.ask()
            search.tell(asked, list(ellipsoid(np.array(asked))))

    seconds = alternate({"ours": ours, "cmaes": cyberagent, "cma": pycma}, 2 if run.quick else 11)
    return {
        f"cmaes_over_{name}": median([b / a for a, b in zip(seconds["ours"], seconds[name], strict=True)], "x")
        for name in ("cmaes", "cma")
    }


class Drawn:
    """Stands for a generator whose normal numbers were drawn before, so that drawing takes no time."""

    def __init__(self, normals: np.ndarray) -> None:
        self.normals = normals

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        assert shape == self.normals.shape
        return self.normals


def twins(run: Run) -> dict[str, Figure]:
    """Seconds of a vectorised NumPy twin over ours, ask and tell of 4096 candidates in 32 dimensions.

    Normal numbers are drawn before, and scores known. Ten calls of each follow one another, as in a search: whoever
    follows the other finds its memory given back to the system, and pays for that, too.
    """
    rng = np.random.default_rng(0)
    normals, scores = rng.standard_normal((1, MANY, WIDE)), rng.standard_normal((1, MANY))
    low = np.full((1, WIDE), -3.0)
    figures = {}
    for name, method, chosen, twin in (
        ("cem", cem, cem.Settings(population=MANY), cem_twin),
        ("mppi", mppi, mppi.Settings(population=MANY), mppi_twin),
    ):
        state: Any = method.start(low, -low, chosen, np.zeros_like(low))
        ours, theirs = _pair(method, state, normals, scores, twin)
        seconds = alternate({"ours": _often(ours), "twin": _often(theirs)}, 3 if run.quick else 60)
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["twin"], strict=True)]
        figures[f"{name}_over_twin"] = median(ratios, "x")
    return figures


def _pair(
    method: ModuleType, state: Any, normals: np.ndarray, scores: np.ndarray, twin: Callable[..., Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    drawn: Any = Drawn(normals)

    def ours() -> Any:
        return method.tell(state, method.ask(state, drawn), scores)

    def theirs() -> Any:
        return twin(normals[0], scores[0], state.mean[0], state.std[0], state.low[0], state.high[0])

    mean, std = theirs()
    after = ours()
    np.testing.assert_allclose(after.mean[0], mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(after.std[0], std, rtol=1e-6)
    return ours, theirs


def _often(call: Callable[[], Any]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(10):
            call()

    return calls


def cem_twin(
    normals: np.ndarray, scores: np.ndarray, mean: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread after a generation."""
    chosen = cem.Settings(population=len(normals))
    candidates = np.clip(mean + std * normals, low, high)
    elite = candidates[np.argpartition(scores, -chosen.elites)[-chosen.elites :]]
    weight = chosen.smoothing
    return weight * elite.mean(axis=0) + (1 - weight) * mean, weight * elite.std(axis=0) + (1 - weight) * std


def mppi_twin(
    normals: np.ndarray, scores: np.ndarray, mean: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread after a generation."""
    candidates = np.clip(mean + std * normals, low, high)
    temperature = mppi.Settings().temperature * (scores.max() - scores.min())
    weights = np.exp((scores - scores.max()) / temperature)
    weights /= weights.sum()
    centre = weights @ candidates
    return centre, np.sqrt(weights @ (candidates - centre) ** 2)


def evaluations(run: Run) -> Figure:
    """Median evaluations to within 1e-8 of the optimum over those of cmaes, from the same starts; the worst function.

    rows : of each function and dimension the evaluations of every seed, infinite where a million did not do.
    """
    tasks = [(name, d) for name in FUNCTIONS for d in ((5,) if run.quick else DIMENSIONS)]
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda task: _counted(run, *task), tasks))
    ratios = [row["ratio"] for row in rows]
    return Figure(max(ratios), "x", (min(ratios), max(ratios)), rows)


def _counted(run: Run, function: str, d: int) -> dict[str, Any]:
    seeds, size = 3 if run.quick else SEEDS, population(function, d)
    job = {"function": function, "dimension": d, "seeds": seeds, "population": size}

    def measure() -> dict[str, Any]:
        command = [sys.executable, str(Path(__file__).resolve())]
        done = subprocess.run(command, input=json.dumps(job), text=True, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    found = {**job, **run.cached(f"evaluations-{function}-{d}", job, measure)}
    ours, theirs = (np.median([np.inf if n is None else n for n in found[name]]) for name in ("ours", "cmaes"))
    return {**found, "ratio": float(ours / theirs)}


def count(function: str, dimension: int, seeds: int, population: int) -> dict[str, list[int | None]]:
    """Evaluations of ours and of cmaes from each of so many starts, None where the target was not reached."""
    found: dict[str, list[int | None]] = {"ours": [], "cmaes": []}
    for seed in range(seeds):
        x0 = np.random.default_rng(seed).uniform(-0.8 * BOUND, 0.8 * BOUND, dimension)
        found["ours"].append(_ours(function, x0, seed, population))
        found["cmaes"].append(_theirs(function, x0, seed, population))
    return found


def _ours(function: str, x0: np.ndarray, seed: int, size: int) -> int | None:
    low = np.full((1, len(x0)), -BOUND)
    chosen = cmaes.Settings(population=size, guess_spread=0.2)
    state, rng, used = cmaes.start(low, -low, chosen, x0[None]), np.random.default_rng(seed), 0
    while used < MOST:
        candidates = cmaes.ask(state, rng)
        values = FUNCTIONS[function](candidates)
        used += values.size
        if values.min() < TARGET:
            return used
        if cmaes.spread(state)[0] < 1e-13:
            return None
        state = cmaes.tell(state, candidates, -values)
    return None


def _theirs(function: str, x0: np.ndarray, seed: int, size: int) -> int | None:
    from cmaes import CMA

    bounds = np.tile([-BOUND, BOUND], (len(x0), 1))
    search, used = CMA(mean=x0, sigma=0.2 * 2 * BOUND, bounds=bounds, population_size=size, seed=seed), 0
    while used < MOST:
        asked = np.array([search.ask() for _ in range(size)])
        values = FUNCTIONS[function](asked)
        used += size
        if values.min() < TARGET:
            return used
        if search.should_stop():
            return None
        search.tell(list(zip(asked, values, strict=True)))
    return None


if __name__ == "__main__":
    print(json.dumps(count(*json.load(sys.stdin).values())))
