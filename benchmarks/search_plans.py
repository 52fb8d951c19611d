"""How many decisions a second, of what worth, beside the searches of two other packages on the same surrogate.

One beam for one frame of silicon, by the surrogate of stem.py with the preset tiny. What a decision is worth is its
expectation by the truth, beside that of the best beam. The peers are found where PEERS_PATH names a folder in which
their wheels are unpacked; they need torchvision, which their searches do not use.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import stem_entrants as entrants
from harness import Figure, Run

OWN = "sciworld"
SEED = 61  # of the decisions, which no other figure has
DECISIONS = 40
REGRET = 0.05  # that a decision may cost, of the best there is, on average
Decide = Callable[[Any, np.random.Generator], np.ndarray]


def plans(run: Run) -> Figure:
    """Decisions a second by their median, each made alone; rows are those who decide, with regret as a share of the
    best there is.

    spread : quartiles over the decisions. NaN where the regret is above 0.05.
    """
    from sciworld.domains.stem.simulator import random_goals
    from sciworld.measures.intervals import ratio_of_sums
    from sciworld.tasks.steering import Episodes

    simulator, state, present = entrants.unseen(4 if run.quick else DECISIONS, SEED)
    goals = random_goals(state, 10.0, np.random.default_rng(SEED))
    episodes = Episodes(simulator, state, present, goals)
    best = episodes.best_per_second(state, np.arange(len(goals)), 1)
    rows = []
    for name, decide in _deciders(run).items():
        seconds, controls = [], []
        for index in range(-1, len(goals)):  # the first is for compilers, and not counted
            one = episodes.take(np.array([max(index, 0)]))
            begin = time.perf_counter()
            chosen = decide(one, np.random.default_rng([SEED, index + 1]))
            if index >= 0:
                seconds.append(time.perf_counter() - begin)
                controls.append(chosen)
        worth = episodes.expected_per_second(state, state, np.stack(controls)[:, None])
        regret = ratio_of_sums(best - worth, best)
        rows.append({"name": name, "per_second": 1 / float(np.median(seconds)), "regret": list(regret),
                     "seconds": seconds, "worth": worth.tolist(), "best": best.tolist()})  # fmt: skip
        print(f"{name}: {rows[-1]['per_second']:.3g} plans/s, regret {regret.value:.3f}", flush=True)
    own = rows[0]
    low, high = np.quantile(own["seconds"], [0.25, 0.75])
    value = own["per_second"] if own["regret"][0] <= REGRET else np.nan
    return Figure(value, "1/s", (float(1 / high), float(1 / low)), rows)


def _deciders(run: Run) -> dict[str, Decide]:
    """Who decides, by name: (one episode, random numbers) -> controls (3,)."""
    from sciworld.tasks.steering import plan_action

    own = Run(run.quick, run.cache.parent / "stem")
    surrogate, looks = entrants.surrogate_of(own, "all"), entrants.appearance(own)
    budget = entrants.Scale(run.quick).budget

    def ours(one: Any, rng: np.random.Generator) -> np.ndarray:
        plan = plan_action(surrogate, looks, [one.first], one.goals[0], rng, budget=budget)
        return np.asarray(plan.controls[0, 0])

    deciders: dict[str, Decide] = {OWN: ours}
    folder = os.environ.get("PEERS_PATH")
    for name, find in (("simulusion", _simulusion), ("stable-worldmodel", _stable_worldmodel)):
        with contextlib.suppress(ImportError):
            if folder:
                deciders[name] = find(folder, lambda one: _Costs(surrogate, looks, one))
    return deciders


class _Costs:
    """What the planner minimises, of beams in units of the searched square : (n, 3), each from -1 to 1."""

    def __init__(self, surrogate: Any, looks: Any, one: Any) -> None:
        from sciworld.domains.stem.objectives import Steer
        from sciworld.tasks.steering import beam_space, idle_frames, problem

        aim = Steer(one.goals, looks, None, lambda seen: idle_frames(surrogate, seen))(one.first)
        self.problem = problem(aim, beam_space(surrogate))
        self.surrogate, self.state = surrogate, surrogate.start([one.first])
        self.low, self.high = (limit[0] for limit in self.problem.bounds(1))

    def controls(self, unit: np.ndarray) -> np.ndarray:
        """Beams : (n, 3) in the laboratory."""
        found: np.ndarray = self.low + (np.clip(unit, -1, 1) + 1) / 2 * (self.high - self.low)
        return found

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        """Scores (n,), by the posterior mean, larger is better."""
        controls = self.controls(unit)[None, :, None]
        futures = self.surrogate.futures(self.state, controls, 0, np.random.default_rng(0))
        scores: np.ndarray = self.problem.score(futures, controls)[0, :, 0]
        return scores


def _simulusion(folder: str, costs: Callable[[Any], _Costs]) -> Decide:
    """CEMPlanner of simulusion with its own settings, a step ahead."""
    import torch

    sys.path.append(folder)
    from simulusion.agents.planning import CEMPlanner

    def decide(one: Any, rng: np.random.Generator) -> np.ndarray:
        cost = costs(one)
        torch.manual_seed(int(rng.integers(2**31)))

        class Planner(CEMPlanner):  # type: ignore[misc]
            """With what is imagined by another model than its own kind."""

            def _returns(self, model: Any, batch: Any, samples: Any, weights: Any) -> Any:
                return torch.from_numpy(cost(samples[:, 0].numpy()))

        action = types.SimpleNamespace(kind="continuous", n=3, low=-1.0, high=1.0)
        spec = types.SimpleNamespace(has_reward=True, action=action, family="")
        model = types.SimpleNamespace(spec=spec, device="cpu")
        state = {"frame": torch.zeros(1, 1)}
        return cost.controls(Planner(horizon=1).plan(model, state).numpy()[None])[0]

    return decide


def _stable_worldmodel(folder: str, costs: Callable[[Any], _Costs]) -> Decide:
    """CEMSolver of stable-worldmodel with its own settings, a step ahead."""
    import torch
    from gymnasium.spaces import Box

    # The package itself imports torchvision, its solver does not; nor does it need to log.
    package = types.ModuleType("stable_worldmodel")
    package.__path__ = [str(Path(folder) / "stable_worldmodel")]
    sys.modules.setdefault("stable_worldmodel", package)
    log = types.ModuleType("loguru")
    log.logger = types.SimpleNamespace(warning=print)  # type: ignore[attr-defined]
    sys.modules.setdefault("loguru", log)
    from stable_worldmodel.solver.cem import CEMSolver

    def decide(one: Any, rng: np.random.Generator) -> np.ndarray:
        cost = costs(one)

        class Model:
            """The surrogate, as the solver asks it."""

            def get_cost(self, known: Any, candidates: Any) -> Any:
                return -torch.from_numpy(cost(candidates[0, :, 0].numpy()))[None].float()

        solver = CEMSolver(Model(), seed=int(rng.integers(2**31)))
        config = types.SimpleNamespace(horizon=1, action_block=1)
        solver.configure(action_space=Box(-1, 1, (1, 3)), n_envs=1, config=config)
        with contextlib.redirect_stdout(io.StringIO()):
            found = solver.solve({"frame": torch.zeros(1, 1)})
        return cost.controls(found["actions"][0, :1].numpy())[0]

    return decide
