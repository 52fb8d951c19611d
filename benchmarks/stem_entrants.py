"""What the figures of stem.py are measured on: recordings, surrogates and verdicts, each made once and kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import Run

SIZES = (200, 1000, 5000)  # recorded transitions; all are 22,000
STEPS_A_RECORDING = 22


class Scale:
    """How much of everything, by --quick or not."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.transitions = 440 if quick else 22_000
        self.steps = 20 if quick else 14_000  # of training
        self.half_steps = 20 if quick else 2500
        self.few_steps = 20 if quick else 1000  # of training on fewer transitions
        self.contexts = 2 if quick else 32
        self.samples = 4 if quick else 24
        self.decisions = 4 if quick else 170
        self.episodes = 3 if quick else 100
        self.few_episodes = 2 if quick else 30
        self.budget = 32 if quick else 160
        self.few_budget = 32 if quick else 96


def made_once(path: Path, make: Callable[[Path], Any]) -> Path:
    """`path`, made whole by `make` if it is not there."""
    if not path.is_dir():
        staged = path.with_suffix(".part")
        shutil.rmtree(staged, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(staged)
        staged.rename(path)
    return path


def store_of(run: Run, rates: str) -> Any:
    """A store of simulated recordings under `rates`."""
    from sciworld.domains.stem.generate import generate
    from sciworld.store import Store

    transitions = Scale(run.quick).transitions
    seed = {"prior": 1, "mixture": 2}[rates]
    make = partial(generate, seed=seed, transitions=transitions, rates=rates)
    return Store.open(made_once(run.cache / f"{rates}-{transitions}", make))


def shuffled_store(run: Run) -> Any:
    """The same recordings, with dwells and beams (as offsets from the silicon) exchanged among all transitions.

    Exchanged within each recording they would not do: one transition in 22 keeps its own by chance, and that is enough
    for a search to find its way.
    """
    from sciworld.store import Store

    def make(path: Path) -> None:
        recordings = list(store_of(run, "prior"))
        silicon = np.stack([recording["states"].values[:-1, :2] for recording in recordings])
        controls = np.stack([recording["controls"].values[:-1] for recording in recordings])
        controls[..., :2] -= silicon
        flat = controls.reshape(-1, 3)
        controls = flat[np.random.default_rng(99).permutation(len(flat))].reshape(controls.shape)
        controls[..., :2] += silicon
        shuffled = []
        for recording, rows in zip(recordings, controls, strict=True):
            known = recording["controls"].copy(data=np.concatenate([rows, np.full((1, 3), np.nan)]))
            shuffled.append(recording.assign(controls=known))
        Store.create(path).append(shuffled)

    return Store.open(made_once(run.cache / f"shuffled-{Scale(run.quick).transitions}", make))


def folder_of(run: Run, name: str) -> Path:
    """The run folder of an entrant: all | shuffled | mixture | success_N | pretrained_success_N, N transitions."""
    folder = run.cache / f"run-{name}{'-quick' if run.quick else ''}"
    if (folder / "model.safetensors").is_file():
        return folder
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    scale = Scale(run.quick)
    shutil.rmtree(folder, ignore_errors=True)
    store, steps, recordings, start = store_of(run, "prior"), scale.few_steps, None, None
    if name == "all":
        steps = scale.steps
    elif name == "shuffled":
        store, steps = shuffled_store(run), scale.half_steps
    elif name == "mixture":
        store, steps = store_of(run, "mixture"), scale.half_steps
    else:
        size = min(int(name.rpartition("_")[2]), scale.transitions)
        recordings = np.arange(-(-size // STEPS_A_RECORDING))
        start = folder_of(run, "mixture") / "model.safetensors" if name.startswith("pretrained") else None
    settings = FitSettings(steps=steps, batch=32, learning_rate=2e-3 if start is None else 1e-3)
    train(store, folder, settings, domain="stem", recordings=recordings, start_from=start, progress=False)
    return folder


def surrogate_of(run: Run, name: str) -> Any:
    """The surrogate of an entrant."""
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.run import Run as TrainingRun

    return Surrogate(TrainingRun(folder_of(run, name)).model(), seconds=("dwell", 2.0))


def appearance(run: Run) -> Any:
    """How atoms look in the recordings."""
    from sciworld.domains.stem.appearance import appearance_of

    return appearance_of(store_of(run, "prior"))


def unseen(contexts: int, seed: int) -> tuple[Any, Any, Any]:
    """Simulator, states and first images of atoms that no training saw."""
    from sciworld.domains.stem.simulator import StemSimulator

    simulator = StemSimulator()
    rng = np.random.default_rng([seed, 4242])
    state = simulator.start(contexts, rng)
    present, state = simulator.expose(state, rng)
    return simulator, state, present


def episodes_of(run: Run, rates: str = "prior", few: bool = False) -> Any:
    """Starts and goals within 10 A: the same for every controller; the first of them where `few` suffice."""
    from sciworld.domains.stem.simulator import StemSettings, StemSimulator
    from sciworld.tasks.steering import Episodes

    scale = Scale(run.quick)
    episodes = Episodes.draw(StemSimulator(StemSettings(rates=rates)), scale.episodes, 10.0, 5)
    return episodes.take(np.arange(scale.few_episodes)) if few else episodes


def planned(run: Run, name: str, rates: str = "prior", few: bool = False) -> Any:
    """The verdict on planning with an entrant's surrogate."""
    from sciworld.tasks.steering import planner

    scale = Scale(run.quick)
    budget = scale.few_budget if few else scale.budget
    weights = hashlib.sha256((folder_of(run, name) / "model.safetensors").read_bytes()).hexdigest()

    def measure(episodes: Any) -> Any:
        controller = planner(surrogate_of(run, name), appearance(run), episodes.goals, budget=budget)
        return episodes.judge(controller, name, 11, made_training_data=rates == "prior")

    return _verdict(run, f"planned-{name}", rates, few, {"budget": budget, "weights": weights}, measure)


def greedy(run: Run, rates: str = "prior", few: bool = False) -> Any:
    """The verdict on greedy that knows the rates, with the best fixed dwell."""
    from sciworld.domains.stem.greedy import BEST, Greedy

    offset, dwell = BEST[rates]

    def measure(episodes: Any) -> Any:
        return episodes.judge(Greedy(episodes.goals, offset, dwell), "greedy with known rates", 11, False)

    return _verdict(run, "greedy", rates, few, {"offset": offset, "dwell": dwell}, measure)


def random(run: Run, rates: str = "prior", few: bool = False) -> Any:
    """The verdict on chance."""
    from sciworld.tasks.steering import chance

    def measure(episodes: Any) -> Any:
        return episodes.judge(chance(episodes.simulator), "random", 11, False)

    return _verdict(run, "random", rates, few, {}, measure)


def _verdict(
    run: Run, entrant: str, rates: str, few: bool, settings: dict[str, Any], measure: Callable[[Any], Any]
) -> Any:
    """A verdict that takes long, kept under all that it depends on."""
    from sciworld.evaluate.verdict import Verdict

    episodes = episodes_of(run, rates, few)
    settings = {"rates": rates, "episodes": len(episodes.goals), **settings}
    return Verdict.from_json(run.cached(entrant, settings, lambda: measure(episodes).to_json()))
