"""What the figures of stem.py are measured on: recordings, surrogates and verdicts, each made once and kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Run

SIZES = (200, 1000, 5000)  # recorded transitions; "all" is 22,000
BEST_DWELL = 4.0  # s: fewest mean seconds of greedy under `prior`, of 2, 3, 4, 5, 6 s (see greedy_best_dwell)


class Scale:
    """How much of everything, by --quick or not."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.transitions = 440 if quick else 22_000
        self.steps = 20 if quick else 5000  # of training, as the demo
        self.half_steps = 20 if quick else 3000
        self.few_steps = 20 if quick else 1500  # of training on fewer transitions
        self.contexts = 2 if quick else 32
        self.samples = 4 if quick else 24
        self.decisions = 4 if quick else 170
        self.episodes = 3 if quick else 100
        self.few_episodes = 2 if quick else 30
        self.budget = 32 if quick else 160
        self.few_budget = 32 if quick else 96


def store_of(run: Run, name: str, seed: int, **settings: Any) -> Any:
    """A store of simulated recordings, made once."""
    from sciworld.domains.stem.generate import generate
    from sciworld.store import Store

    scale = Scale(run.quick)
    path = run.cache / f"{name}-{scale.transitions}"
    if not path.is_dir():
        staged = path.with_suffix(".part")
        shutil.rmtree(staged, ignore_errors=True)
        generate(staged, seed, transitions=scale.transitions, **settings)
        staged.rename(path)
    return Store.open(path)


def shuffled_store(run: Run, store: Any) -> Any:
    """The same recordings with the known rows of their controls in another order."""
    from sciworld.store import Store

    path = run.cache / f"shuffled-{Scale(run.quick).transitions}"
    if not path.is_dir():
        staged = path.with_suffix(".part")
        shutil.rmtree(staged, ignore_errors=True)
        rng = np.random.default_rng(99)
        recordings = []
        for recording in store:
            rows = recording["controls"].values.copy()
            rows[:-1] = rows[:-1][rng.permutation(len(rows) - 1)]
            recordings.append(recording.assign(controls=recording["controls"].copy(data=rows)))
        Store.create(staged).append(recordings)
        staged.rename(path)
    return Store.open(path)


def trained(
    run: Run, name: str, store: Any, steps: int, transitions: int | None = None, start: str | None = None
) -> Any:
    """The surrogate of a model trained once; on the first `transitions` of the store, from a trained model or anew."""
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.run import Run as TrainingRun
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    folder = run.cache / f"run-{name}{'-quick' if run.quick else ''}"
    if not (folder / "model.safetensors").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        recordings = None if transitions is None else np.arange(-(-transitions // 22))
        settings = FitSettings(steps=steps, learning_rate=2e-3 if start is None else 1e-3)
        train(store, folder, settings, domain="stem", recordings=recordings, start_from=start, progress=False)
    return Surrogate(TrainingRun(folder).model(), seconds=("dwell", 2.0))


def main_surrogate(run: Run) -> tuple[Any, Any]:
    """The surrogate of the demo's training, and how atoms look in its recordings."""
    from sciworld.demos.stem import appearance_of

    store = store_of(run, "prior", seed=1)
    return trained(run, "all", store, Scale(run.quick).steps), appearance_of(store)


def unseen(contexts: int, seed: int) -> tuple[Any, Any, Any]:
    """Simulator, states and first images of atoms that no training saw."""
    from sciworld.domains.stem.simulator import StemSimulator

    simulator = StemSimulator()
    rng = np.random.default_rng([seed, 4242])
    state = simulator.start(contexts, rng)
    present, state = simulator.expose(state, rng)
    return simulator, state, present


def verdict(run: Run, entrant: str, settings: dict[str, Any], measure: Callable[[], Any]) -> Any:
    """A verdict that took long, kept."""
    from sciworld.evaluate.verdict import Verdict

    return Verdict.from_json(run.cached(entrant, settings, lambda: measure().to_json()))


def planned(
    run: Run,
    name: str,
    surrogate: Any,
    appearance: Any,
    rates: str = "prior",
    few: bool = False,
    judge_made: bool = True,
) -> Any:
    """The verdict on planning with a surrogate; the first episodes of the hundred where `few` suffice."""
    from sciworld.demos.steering import planner

    scale = Scale(run.quick)
    episodes = episodes_of(run, rates, few)
    budget = scale.few_budget if few else scale.budget
    settings = {"rates": rates, "episodes": len(episodes.goals), "budget": budget}
    return verdict(
        run,
        f"planned-{name}",
        settings,
        lambda: episodes.judge(
            planner(surrogate, appearance, episodes.goals, budget=budget), name, 11, rates == "prior"
        ),
    )


def episodes_of(run: Run, rates: str = "prior", few: bool = False) -> Any:
    """Starts and goals within 10 A: the same for every controller."""
    from sciworld.demos.steering import Episodes
    from sciworld.domains.stem.simulator import StemSettings, StemSimulator

    scale = Scale(run.quick)
    episodes = Episodes.draw(StemSimulator(StemSettings(rates=rates)), scale.episodes, 10.0, 5)
    return episodes.take(np.arange(scale.few_episodes)) if few else episodes


def rivals(run: Run, rates: str = "prior", few: bool = False) -> tuple[Any, Any]:
    """The verdicts on greedy that knows the rates, with the best fixed dwell, and on chance."""
    from sciworld.demos.steering import BEST_OFFSET, chance
    from sciworld.domains.stem.greedy import Greedy

    episodes = episodes_of(run, rates, few)
    settings = {"rates": rates, "episodes": len(episodes.goals)}
    greedy = Greedy(episodes.goals, BEST_OFFSET[rates], BEST_DWELL if rates == "prior" else 1.5)
    return (
        verdict(run, "greedy", settings, lambda: episodes.judge(greedy, "greedy with known rates", 11, False)),
        verdict(run, "random", settings, lambda: episodes.judge(chance(episodes.simulator), "random", 11, False)),
    )
