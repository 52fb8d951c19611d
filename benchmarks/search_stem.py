"""Silicon steered in the trusted simulator: whether it arrives, how soon, and what its promises were worth.

The surrogate is that of stem.py, trained on 22,000 transitions for 14,000 steps.
"""

from __future__ import annotations

import hashlib
from typing import Any

import stem_entrants as entrants
from harness import Figure, Run

WITHIN = 15.0  # A, of the goals
SEED = 31  # of the episodes, which no other figure has
BUDGET = 320  # model evaluations a decision: on other decisions 160 have a regret of 0.032, 320 and 640 of 0.027


def steering(run: Run) -> dict[str, Figure]:
    """200 episodes, paired with greedy that knows the rates and has the best fixed dwell; the planner's dwell is free.

    stem_success has Wilson's interval, stem_seconds_ratio that of a bootstrap over pairs; rows are episodes.
    """
    from sciworld.measures.intervals import ratio_of_sums, wilson

    planned, greedy = verdicts(run)
    share = wilson(int(planned.success.sum()), len(planned))
    ratio = ratio_of_sums(planned.seconds, greedy.seconds)
    rows = [
        {"success": bool(won), "seconds": float(own), "greedy_success": bool(won_too), "greedy_seconds": float(other)}
        for won, own, won_too, other in zip(
            planned.success, planned.seconds, greedy.success, greedy.seconds, strict=True
        )
    ]
    return {
        "stem_success": Figure(share.value, "1", (share.low, share.high), rows),
        "stem_seconds_ratio": Figure(ratio.value, "x", (ratio.low, ratio.high), rows),
    }


def verdicts(run: Run) -> tuple[Any, Any]:
    """On the planner and on greedy, from the same starts."""
    from sciworld.domains.stem.greedy import BEST, Greedy
    from sciworld.domains.stem.simulator import StemSimulator
    from sciworld.evaluate.verdict import Verdict
    from sciworld.tasks.steering import Episodes, planner

    own = Run(run.quick, run.cache.parent / "stem")
    n, budget = (3, 32) if run.quick else (200, BUDGET)
    weights = hashlib.sha256((entrants.folder_of(own, "all") / "model.safetensors").read_bytes()).hexdigest()
    settings = {"episodes": n, "within": WITHIN, "seed": SEED}

    def episodes() -> Any:
        return Episodes.draw(StemSimulator(), n, WITHIN, SEED)

    def planned() -> str:
        drawn = episodes()
        surrogate, looks = entrants.surrogate_of(own, "all"), entrants.appearance(own)
        controller = planner(surrogate, looks, drawn.goals, budget=budget)
        return str(drawn.judge(controller, "planned", 41, made_training_data=True, expected=True).to_json())

    def greedy() -> str:
        drawn = episodes()
        return str(drawn.judge(Greedy(drawn.goals, *BEST["prior"]), "greedy", 41, False).to_json())

    asked = {**settings, "budget": budget, "weights": weights}
    return (
        Verdict.from_json(run.cached("stem-planned", asked, planned)),
        Verdict.from_json(run.cached("stem-greedy", {**settings, "best": list(BEST["prior"])}, greedy)),
    )
