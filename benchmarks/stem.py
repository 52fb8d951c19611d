"""Figures of the main job: silicon steered through graphene, from recordings to a verdict. Two CPU cores, no GPU.

Trained models are kept in benchmarks/cache/stem and used again; delete a folder there to train it anew. The longer
report, with the surrogate trained on shuffled controls, rates that no training saw, and success against the number
of recorded transitions, is written to benchmarks/cache/stem/report.html.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import stem_entrants as entrants
from harness import HERE, Benchmark, Figure, Run, alternate, mean, median
from stem_entrants import SIZES, Scale, unseen

bench = Benchmark("stem", __doc__)
REPOSITORY = HERE.parent


@bench.figure("import_seconds", "help_seconds")
def start_up(run: Run) -> dict[str, Figure]:
    """Seconds of `import sciworld` and of `sciworld --help`, less nothing: the interpreter's start counts."""
    program = Path(sys.executable).with_name("sciworld")
    calls: dict[str, Callable[[], Any]] = {
        "import_seconds": lambda: subprocess.run([sys.executable, "-c", "import sciworld"], check=True),
        "help_seconds": lambda: subprocess.run([program, "--help"], check=True, capture_output=True),
    }
    seconds = alternate(calls, repeats=3 if run.quick else 15)
    return {name: median(rows, "s") for name, rows in seconds.items()}


@bench.figure("kmc_speedup")
def kmc(run: Run) -> Figure:
    """The kernel over its NumPy twin, both on 4,096 candidates with one dwell of 5 s beside the silicon."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from twins import hop as twin

    from sciworld.domains.stem.simulator import StemSimulator
    from sciworld.kernels import stem as kernels

    simulator = StemSimulator()
    rng = np.random.default_rng(0)
    n = 4096
    state = simulator.start(n, rng)
    beams = state.silicon + rng.uniform(-2, 2, (n, 2))
    dwells, currents = np.full(n, 5.0), np.ones(n)
    seeds = rng.integers(0, 2**64, n, dtype=np.uint64)

    def call(function: Any) -> Callable[[], Any]:
        def run_it() -> np.ndarray:
            sites, hops = state.site.copy(), np.zeros(n, np.int64)
            function(sites, state.lattice, state.terms, beams, dwells, currents, seeds, hops)
            return sites

        return run_it

    entrants = {"numba": call(kernels.hop), "numpy": call(twin)}
    assert np.array_equal(entrants["numba"](), entrants["numpy"]()), "the twin disagrees with the kernel"
    seconds = alternate(entrants, repeats=3 if run.quick else 15)
    return median([slow / fast for slow, fast in zip(seconds["numpy"], seconds["numba"], strict=True)], "x")


@bench.figure("real_si_found", "real_si_pm")
def real_movie(run: Run) -> dict[str, Figure]:
    """The silicon in the 25 real frames, against their labels."""
    import h5py

    from sciworld import catalog
    from sciworld.domains.stem.locate import locate
    from sciworld.ingest.open import open_recording

    paths = catalog.fetch("si-graphene-movie")
    recording = open_recording(paths)
    found = locate(recording["frames"].values, recording["view"].values)
    pixel = float(recording["view"].values[0, 0])
    distances = []
    for index, path in enumerate(sorted(paths)):
        with h5py.File(path) as file:
            labels = next(np.asarray(file[key]) for key in file if key.startswith("defect_coord"))
        silicon = [row for row in labels if b"Si" in bytes(str(row[2]), "ascii")]
        xy = np.array([[float(row[0]), float(row[1])] for row in silicon])
        distances.append(float(np.linalg.norm(xy - found.pixel[index], axis=1).min() * pixel * 100))
    share = [float(distance < 50) for distance in distances]
    return {"real_si_found": mean(share, "1"), "real_si_pm": median(distances, "pm")}


@bench.figure("hop_map_correlation", "hop_map_mae", "brier_excess", "candidate_evaluations_per_second")
def maps(run: Run) -> dict[str, Figure]:
    """21 x 21 beams within 2 A, dwells 2, 5, 8 s, unseen contexts, posterior mean; spread over contexts."""
    from sciworld.tasks.hop_map import HopMap, beams, hop_map

    scale = Scale(run.quick)
    surrogate, appearance = entrants.surrogate_of(run, "all"), entrants.appearance(run)
    simulator, state, present = unseen(scale.contexts, 1)
    grid, dwells, rng = beams(), np.array([2.0, 5.0, 8.0]), np.random.default_rng(0)
    found = hop_map(surrogate, simulator, appearance, state, present, grid, dwells, rng)
    seen = surrogate.start(present.take(np.zeros(1, dtype=np.int64)))
    controls = np.column_stack([np.repeat(grid, 2, axis=0), np.full(2 * len(grid), 5.0)])[None, :, None]
    seconds = alternate({"futures": lambda: surrogate.futures(seen, controls, 0, rng)}, 3)["futures"]
    each = [
        HopMap(found.offsets, found.dwells, found.learned[i : i + 1], found.true[i : i + 1])
        for i in range(scale.contexts)
    ]

    def figure(value: float, rows: list[float]) -> Figure:
        low, high = np.quantile(rows, [0.25, 0.75])
        return Figure(value, "1", (float(low), float(high)), rows)

    return {
        "hop_map_correlation": figure(found.correlation, [one.correlation for one in each]),
        "hop_map_mae": figure(found.absolute_error, [one.absolute_error for one in each]),
        "brier_excess": figure(found.brier_excess, [one.brier_excess for one in each]),
        "candidate_evaluations_per_second": median([2 * len(grid) / t for t in seconds], "1/s"),
    }


@bench.figure("sampled_hop_map_mae")
def sampled_maps(run: Run) -> Figure:
    """Every fourth beam of the grid in both directions, the same contexts and dwells, 4-evaluation samples."""
    from sciworld.tasks.hop_map import beams, hop_map

    scale = Scale(run.quick)
    surrogate, appearance = entrants.surrogate_of(run, "all"), entrants.appearance(run)
    simulator, state, present = unseen(scale.contexts, 1)
    grid = beams().reshape(21, 21, 2)[::4, ::4].reshape(-1, 2)
    dwells, rng = np.array([2.0, 5.0, 8.0]), np.random.default_rng(0)
    found = hop_map(surrogate, simulator, appearance, state, present, grid, dwells, rng, samples=scale.samples)
    return mean(np.abs(found.learned - found.true).mean(axis=(1, 2, 3)).tolist(), "1")


@bench.figure("one_silicon_step1", "one_silicon_step10")
def one_silicon_kept(run: Run) -> dict[str, Figure]:
    """Sampled rollouts under random beams near the imagined silicon; spread is Wilson's interval."""
    from sciworld.domains.stem.checks import one_silicon
    from sciworld.measures.intervals import wilson
    from sciworld.simulator import rollout
    from sciworld.tasks.steering import chance

    surrogate = entrants.surrogate_of(run, "all")
    simulator, _, present = unseen(8 if run.quick else 512, 2)
    dreamt = rollout(
        surrogate, surrogate.start(present), present, chance(simulator), 10, np.random.default_rng(0)
    ).observations
    figures = {}
    for step in (1, 10):
        good = one_silicon(dreamt[step].frames, dreamt[step].view)
        found = wilson(int(good.sum()), len(good))
        figures[f"one_silicon_step{step}"] = Figure(
            found.value, "1", (found.low, found.high), good.astype(int).tolist()
        )
    return figures


@bench.figure("decision_quality")
def decisions(run: Run) -> Figure:
    """Three decisions a context, dwell 5 s: true success of the chosen beams over that of the best ones."""
    from sciworld.measures.intervals import ratio_of_sums
    from sciworld.tasks.hop_map import decide

    scale = Scale(run.quick)
    surrogate, appearance = entrants.surrogate_of(run, "all"), entrants.appearance(run)
    simulator, state, present = unseen(scale.decisions, 3)
    chosen, best = decide(
        surrogate, simulator, appearance, state, present, 5.0, np.random.default_rng(0), budget=scale.budget
    )
    found = ratio_of_sums(chosen.ravel(), best.ravel())
    rows = np.stack([chosen.ravel(), best.ravel()], axis=1).tolist()
    return Figure(found.value, "1", (found.low, found.high), rows)


@bench.figure("greedy_best_dwell")
def greedy_dwell(run: Run) -> Figure:
    """The fixed dwell with which greedy is fastest, on episodes of its own; rows are (dwell, mean seconds)."""
    from sciworld.domains.stem.simulator import StemSimulator
    from sciworld.tasks.steering import best_greedy

    best, seconds = best_greedy(StemSimulator(), 7, episodes=10 if run.quick else 400)
    return Figure(best, "s", rows=[[dwell, value] for dwell, value in seconds.items()])


def rows_of(found: Any) -> list[dict[str, Any]]:
    """One row an episode."""
    return [
        {"success": bool(s), "actions": int(a), "seconds": float(t), "dose": float(d)}
        for s, a, t, d in zip(found.success, found.actions, found.seconds, found.dose, strict=True)
    ]


def success(found: Any) -> Figure:
    """Share of successes with Wilson's interval."""
    share = found.summary()["success"]
    return Figure(share.value, "1", (share.low, share.high), rows_of(found))


@bench.figure("loop_success", "loop_seconds_ratio", "greedy_success", "random_success")
def loop(run: Run) -> dict[str, Figure]:
    """Closed loop in the trusted simulator; the ratio is of the seconds of all episodes, paired with greedy's."""
    found, greedy = entrants.planned(run, "all"), entrants.greedy(run)
    return {
        "loop_success": success(found),
        "loop_seconds_ratio": ratio(found, greedy),
        "greedy_success": success(greedy),
        "random_success": success(entrants.random(run)),
    }


def ratio(found: Any, reference: Any) -> Figure:
    """Seconds of all episodes, failures with the seconds until they were given up, over the reference's."""
    from sciworld.measures.intervals import ratio_of_sums

    interval = ratio_of_sums(found.seconds, reference.seconds)
    pairs = np.stack([found.seconds, reference.seconds], axis=1).tolist()
    return Figure(interval.value, "x", (interval.low, interval.high), pairs)


@bench.figure("shuffled_success", "shuffled_random_success")
def shuffled(run: Run) -> dict[str, Figure]:
    """The surrogate trained on shuffled controls must fall into the interval of random on the same episodes."""
    found, chance = entrants.planned(run, "shuffled", few=True), entrants.random(run, few=True)
    return {"shuffled_success": success(found), "shuffled_random_success": success(chance)}


@bench.figure("unseen_rates_success", "unseen_rates_seconds_ratio")
def unseen_rates(run: Run) -> dict[str, Figure]:
    """Trained under `prior`, judged under `simple`: the judge did not make the training data."""
    found, greedy = entrants.planned(run, "all", "simple", few=True), entrants.greedy(run, "simple", few=True)
    return {"unseen_rates_success": success(found), "unseen_rates_seconds_ratio": ratio(found, greedy)}


@bench.figure(*(f"{kind}_{size}" for kind in ("success", "pretrained_success") for size in SIZES), "success_all")
def sizes(run: Run) -> dict[str, Figure]:
    """Success against the number of recorded transitions, anew and after pre-training on `mixture` rates."""
    names = [f"{kind}_{size}" for kind in ("success", "pretrained_success") for size in SIZES]
    figures = {name: success(entrants.planned(run, name, few=True)) for name in names}
    return {**figures, "success_all": success(entrants.planned(run, "all", few=True))}


@bench.figure("demo_seconds", "demo_peak_gb")
def demo(run: Run) -> dict[str, Figure]:
    """`make demo` from an existing environment, with a cache folder of its own: seconds, and peak resident memory."""
    import os
    import resource

    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "SCIWORLD_CACHE": scratch}
        command = [str(Path(sys.executable).with_name("sciworld")), "demo", "stem", "--out", f"{scratch}/demo"]
        command = [*command, "--steps", "20", "--episodes", "2"] if run.quick else ["make", "-s", "demo"]
        began = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {"demo_seconds": Figure(seconds, "s"), "demo_peak_gb": Figure(peak, "GB")}


def report(run: Run) -> None:
    """The longer report, from all that was measured."""
    from stem_report import write_long_report

    print(f"report: {write_long_report(run)}")


if __name__ == "__main__":
    bench.main(finish=report)
