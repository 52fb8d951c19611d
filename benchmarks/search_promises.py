"""What promises were worth, domain by domain: optimism and regret, with pessimism and without.

Both are shares of what the best choice has over doing nothing (silicon, wakes) or over a choice by chance (roads):
optimism of what was promised beyond what came, regret of what the best would have brought beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import search_flow
import search_road
import search_stem
from harness import Figure, Run
from stem_entrants import appearance, made_once, store_of, unseen

FEW = 200  # transitions of silicon from which an ensemble learns that has much to be wrong about
MEMBERS, STEPS = 2, 1000
DECISIONS = 200
SEED = 71


def promises(run: Run) -> dict[str, Figure]:
    """The worst domain's, of what each has by default; rows are all that were tried, with their sums."""
    rows = [*_stem(run), *search_flow.promises(run), *search_road.promises(run)]
    for row in rows:
        row["optimism"] = float(np.sum(row["promise"]) - np.sum(row["outcome"])) / _scope(row)
        row["regret"] = float(np.sum(row["best"]) - np.sum(row["outcome"])) / _scope(row)
        print(f"{row['domain']}, {row['search']}: optimism {row['optimism']:.3f}, regret {row['regret']:.3f}")
    default = [row for row in rows if row["default"]]
    return {name: Figure(max(row[name] for row in default), "1", None, rows) for name in ("optimism", "regret")}


def _scope(row: dict[str, Any]) -> float:
    """What the best has over nothing, or over chance."""
    return float(np.sum(row["best"]) - np.sum(row.get("chance", 0.0)))


def _stem(run: Run) -> list[dict[str, Any]]:
    """The episodes of stem_success; and single decisions by two members that learned from few transitions."""
    planned, _ = search_stem.verdicts(run)
    known = ~np.isnan(planned.promise + planned.outcome)
    sums = {name: getattr(planned, name)[known].tolist() for name in ("promise", "outcome", "best")}
    rows = [{"domain": "stem", "search": "14,000 steps, posterior mean", "default": True, **sums}]
    for between in (0.0, 1.0):
        settings = {"few": FEW, "members": MEMBERS, "steps": _steps(run), "decisions": _decisions(run), "seed": SEED}
        settings["between"] = between
        found = run.cached(f"stem-pessimism-{between:g}", settings, lambda between=between: _decided(run, between))
        search = f"two members, {FEW} transitions, {f'pessimism {between:g}' if between else 'no pessimism'}"
        rows.append({"domain": "stem", "search": search, "default": False, **found})
    return rows


def _steps(run: Run) -> int:
    return 5 if run.quick else STEPS


def _decisions(run: Run) -> int:
    return 4 if run.quick else DECISIONS


def _decided(run: Run, between: float) -> dict[str, list[float]]:
    """Decisions from frames that no training saw: what was promised, what they bring on average, and the best."""
    from sciworld.domains.stem.simulator import random_goals
    from sciworld.search.risk import Risk
    from sciworld.tasks.steering import Episodes, planner

    own = Run(run.quick, run.cache.parent / "stem")
    simulator, state, present = unseen(_decisions(run), SEED)
    episodes = Episodes(simulator, state, present, random_goals(state, 10.0, np.random.default_rng(SEED)))
    rng = np.random.default_rng(SEED)
    controller = planner(_ensemble(run), appearance(own), episodes.goals, budget=320, risk=Risk(between=between))
    controls, memory = controller.act(controller.start(len(present), rng), present)
    outcome = episodes.expected_per_second(state, state, controls[:, None])
    best = episodes.best_per_second(state, np.arange(len(present)), 1)
    known = ~np.isnan(memory.promises[0].value + outcome)
    return {
        "promise": memory.promises[0].value[known].tolist(),
        "outcome": outcome[known].tolist(),
        "best": best[known].tolist(),
    }


def _ensemble(run: Run) -> Any:
    """Two members that learned from the first few transitions, from seeds of their own."""
    from sciworld.surrogate.ensemble import Ensemble
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    own = Run(run.quick, run.cache.parent / "stem")
    store, recordings = store_of(own, "prior"), np.arange(-(-FEW // 22))

    def make(folder: Any) -> None:
        for member in range(MEMBERS):
            fit = FitSettings(steps=_steps(run), batch=32, learning_rate=2e-3, seed=member, threads=1)
            train(store, folder / f"member-{member}", fit, domain="stem", recordings=recordings, progress=False)

    return Ensemble.load(made_once(run.cache / f"stem-few-{_steps(run)}", make), seconds=("dwell", 2.0))
