"""Transitions that a planner needs: recorded by chance, or where the members of an ensemble disagree.

Silicon in graphene, `prior` rates, goals within 10 A. Both arms are the same loop with the same beginning, warm starts
and training steps; they differ in what chooses the beams of the recordings that are added. An episode has succeeded if
the silicon arrives within twice the time that greedy takes on average, which knows the rates: who is given minutes
arrives with next to any surrogate.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run
from sciworld.domains.stem.generate import DWELL, REACH, generate
from sciworld.domains.stem.greedy import BEST, Greedy
from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.objectives import SteerSettings, region
from sciworld.domains.stem.simulator import StemSimulator
from sciworld.loop import LoopSettings, improve
from sciworld.search.receding import RandomController
from sciworld.simulator import Controller, Observation
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.tasks.steering import Episodes
from sciworld.tasks.stem_experiment import StemExperiment
from sciworld.training.trainer import FitSettings
from stem_entrants import made_once

ARMS = ("random", "active")
SUCCESS = 0.95
WITHIN, IN_TIME = 10.0, 2.0  # A, of the goals; times greedy's mean seconds in which an episode has to succeed
GREEDY, SEED = 200, 5  # greedy's episodes, which no arm has
BEGIN = 16  # transitions that both arms begin with, recorded by chance
SHORT = 2  # transitions a recording: many atoms, few beams on each


@dataclass(frozen=True)
class Blind(StemExperiment):
    """Beams uniform near the silicon, dwells uniform, as `generate` records."""

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        wide = SteerSettings(reach=REACH, low_dwell=DWELL[0], high_dwell=DWELL[1])
        return RandomController(self.space, lambda seen: region(locate(seen.frames, seen.view).silicon, seen, wide))


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    seeds: int = 4
    rounds: int = 7
    steps: int = 500  # of training, of each member in each round
    episodes: int = 24
    candidates: int = 64
    members: int = 2


def active(run: Run) -> Figure:
    """Transitions for a success of 0.95, by chance over actively, each from the mean curve of the seeds.

    Between two sizes the curve is a line over the logarithm of the size. spread : quartiles of the ratio when seeds
    are drawn with replacement. rows : of each arm, seed and number of transitions the seconds of every episode (null
    where it did not arrive in 600 s) and the share in time.
    """
    scale = Scale(seeds=1, rounds=2, steps=10, episodes=1) if run.quick else Scale()
    limit = IN_TIME * _greedy_seconds()
    rows = [
        {**row, "limit": limit, "success": float(np.mean(np.array(row["seconds"], dtype=float) <= limit))}
        for seed in range(scale.seeds)
        for arm in ARMS
        for row in _measured(run, scale, arm, seed)
    ]
    rng, every = np.random.default_rng(0), np.arange(scale.seeds)
    drawn = [_gain(rows, rng.choice(every, len(every))) for _ in range(200)]
    low, high = np.quantile(drawn, [0.25, 0.75])
    return Figure(_gain(rows, every), "x", (float(low), float(high)), rows)


def _greedy_seconds() -> float:
    """What greedy, which knows the rates and has the best fixed dwell, takes on average."""
    drawn = Episodes.draw(StemSimulator(), GREEDY, WITHIN, SEED)
    return float(drawn.judge(Greedy(drawn.goals, *BEST["prior"]), "greedy", SEED + 1, None).seconds.mean())


def _measured(run: Run, scale: Scale, arm: str, seed: int) -> list[dict[str, Any]]:
    """The curve of one arm from one beginning, whose first round both arms share."""
    settings = LoopSettings(
        rounds=scale.rounds, recordings=BEGIN // SHORT, growth=2.0, members=scale.members, episodes=scale.episodes,
        target=None, seed=1000 + seed,  # other streams than those of the recordings
    )  # fmt: skip
    kind = {"random": Blind, "active": StemExperiment}[arm]
    experiment = kind(steps=SHORT, candidates=scale.candidates, per_second=False, within=WITHIN)
    fit = FitSettings(steps=scale.steps, batch=16, warmup=20, seed=100 * seed, threads=1)

    def begin(folder: Path) -> None:
        store = generate(folder / "store", seed, BEGIN, SHORT)
        improve(store, folder / "loop", experiment, fit, dataclasses.replace(settings, rounds=1), progress=print)

    known = {**vars(scale), "seeds": seed, "begin": BEGIN, "short": SHORT, "quick": run.quick}
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]

    def measure() -> list[dict[str, Any]]:
        began = made_once(run.cache / f"active-begin-{digest}", begin)
        # A copy that was begun is gone on with: so does the loop.
        folder = made_once(run.cache / f"active-{arm}-{digest}", lambda path: shutil.copytree(began, path))
        found = improve(Store.open(folder / "store"), folder / "loop", experiment, fit, settings, progress=print)
        return [
            {"arm": arm, "seed": seed, "transitions": one.transitions,
             "seconds": [float(s) if won else None
                         for won, s in zip(one.verdict.success, one.verdict.seconds, strict=True)]}
            for one in found.rounds
        ]  # fmt: skip

    found: list[dict[str, Any]] = run.cached(f"active-seconds-{arm}-{seed}", {"arm": arm, **known}, measure)
    return found


def _gain(rows: list[dict[str, Any]], seeds: np.ndarray) -> float:
    """Transitions of the first arm over those of the second, of the mean curves over `seeds`.

    Where the first never comes to it, the gain is at least that of coming to it with the most; where the second never
    does, it is 0.
    """
    curves = [_curve(rows, arm, seeds) for arm in ARMS]
    first, second = (needed(*curve) for curve in curves)
    most = float(curves[0][0].max())
    return 0.0 if np.isnan(second) else (most if np.isnan(first) else first) / second


def _curve(rows: list[dict[str, Any]], arm: str, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Transitions, and the mean success there."""
    known = {(row["seed"], row["transitions"]): row["success"] for row in rows if row["arm"] == arm}
    sizes = np.unique([size for _, size in known])
    return sizes, np.array([np.mean([known[seed, size] for seed in seeds]) for size in sizes])


def needed(transitions: np.ndarray, success: np.ndarray) -> float:
    """Where the curve first comes to a success of 0.95; NaN where it never does."""
    above = np.flatnonzero(success >= SUCCESS)
    if not len(above):
        return float("nan")
    k = int(above[0])
    if k == 0:
        return float(transitions[0])
    share = (SUCCESS - success[k - 1]) / (success[k] - success[k - 1])
    return float(np.exp((1 - share) * np.log(transitions[k - 1]) + share * np.log(transitions[k])))
