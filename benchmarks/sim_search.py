"""Figures of what direct search in the trusted simulator reaches: the control that a surrogate has to find."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Figure, Run
from sciworld.domains.fluid.controllers import LAGS, Signals, feedback
from sciworld.domains.fluid.objectives import WakeCost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator, CylinderState
from sciworld.search.law import search_law
from sciworld.search.optimizers import cem
from sciworld.simulator import Controller, Observation, Trajectory, rollout
from sciworld.tasks.calming import cost_of

ACTIONS = 160  # 40 D/U, of which the second half counts
EVALUATIONS = {"signals": 72, "feedback": 128}
POPULATION = 8
# Bounds of what is searched: waves as `Signals` has them, amplitudes and gains in units of the control's bound.
WAVES = (np.array([0.0, 0.5, -np.pi, 0.5]), np.array([1.0, 12.0, np.pi, 8.0]))

Make = Callable[[np.ndarray], Controller]


def direct_jets(run: Run) -> Figure:
    """J of the best jets of 200 evaluations with 20 cells across the cylinder, run again with 30."""
    return _direct(run, "jets")


def direct_rotary(run: Run) -> Figure:
    """J of the best rotation of 200 evaluations with 20 cells across the cylinder, run again with 30."""
    return _direct(run, "rotation")


def _direct(run: Run, actuator: str) -> Figure:
    coarse, fine = (10, 20) if run.quick else (20, 30)
    search = CylinderSimulator(CylinderSettings(actuator=actuator, cells=coarse))
    confirm = CylinderSimulator(CylinderSettings(actuator=actuator, cells=fine))
    found = {
        "signals": _search(run, search, "signals", *WAVES, lambda x: signals(search, x)),
        "feedback": _search(run, search, "feedback", *_gains(), lambda x: feedback(x, search.settings)),
    }
    best = min(found, key=lambda kind: found[kind]["best"]["total"])
    parameters = np.array([found[best]["parameters"]])
    law = signals(confirm, parameters) if best == "signals" else feedback(parameters, confirm.settings)
    rows = []
    for phase in (3,) if run.quick else (2, 5, 8, 11):  # of 13, others than the one that was searched from
        rows.append({"cells": fine, "phase": phase} | first(evaluate(confirm, law, 1, phase)))
    values = [row["total"] for row in rows]
    kinds = [{"kind": kind, "chosen": kind == best, **facts} for kind, facts in found.items()]
    baselines = [{"cells": one.settings.cells, **dataclasses.asdict(one.baseline)} for one in (search, confirm)]
    return Figure(float(np.mean(values)), "%", (min(values), max(values)), [*rows, *kinds, *baselines])


def _gains() -> tuple[np.ndarray, np.ndarray]:
    return -np.ones(len(LAGS)), np.ones(len(LAGS))


def signals(simulator: CylinderSimulator, waves: np.ndarray) -> Controller:
    """Controllers of waves : (n, 4), amplitudes in units of the bound."""
    most = simulator.settings.most
    return Signals(waves * [most, 1, 1, 1], simulator.action_seconds, most)


def _search(run: Run, simulator: CylinderSimulator, kind: str, low: Any, high: Any, make: Make) -> dict[str, Any]:
    """The best of a kind by the cross-entropy method; all from one phase of the shedding."""
    settings = cem.Settings(population=POPULATION, elite=0.25, smoothing=0.8)

    def saved(episodes: Trajectory) -> np.ndarray:
        return -_cost(simulator, episodes).total

    law = search_law(
        simulator, lambda index: _start(simulator, len(index), 0), make, saved,
        low, high, starts=1, steps=ACTIONS, generations=2 if run.quick else EVALUATIONS[kind] // POPULATION,
        rng=np.random.default_rng(0), settings=settings, guess=(low + high) / 2,
        keep_states=CylinderState.without_flow,
    )  # fmt: skip
    best = evaluate(simulator, make(law.parameters[None]), 1, 0)
    facts = {"parameters": law.parameters.tolist(), "best": first(best), "evaluations": law.episodes}
    return facts | {"trace": (-law.scores).ravel().tolist()}


def evaluate(simulator: CylinderSimulator, controller: Controller, n: int, phase: int) -> WakeCost:
    """Cost of n episodes of 40 D/U from one phase of the shedding, over the second half."""
    rng = np.random.default_rng(0)
    state, seen = _start(simulator, n, phase)
    return _cost(
        simulator, rollout(simulator, state, seen, controller, ACTIONS, rng, keep_states=CylinderState.without_flow)
    )


def _start(simulator: CylinderSimulator, n: int, phase: int) -> tuple[CylinderState, Observation]:
    state = simulator.at_phases(np.full(n, phase))
    return state, simulator.image(state, np.random.default_rng(0))


def _cost(simulator: CylinderSimulator, episodes: Trajectory) -> WakeCost:
    return cost_of(simulator, episodes, ACTIONS // 2, ACTIONS)


def first(cost: WakeCost, index: int = 0) -> dict[str, float]:
    """One episode's terms."""
    return {name: float(values[index]) for name, values in vars(cost).items()}
