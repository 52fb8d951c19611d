"""Whether surrogates of a wake rank controls as the trusted simulator does, and how many rollouts they give a second.

The wakes are new: three sines within an octave of the shedding from a seed of their own, first for 5 D/U, so that
what a surrogate starts from is in no recording either, and then for 40 D/U, over which the mean drag coefficient is
ranked. The truth is the force in the trusted simulator. Of a surrogate it is what the domain's reader reads from the
imagined frames; the same of the true frames tells what reading costs. Beside it stands a ridge regression on the
control's spectrum, that never sees the flow.
"""

from __future__ import annotations

import hashlib
import json
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from contest_entrants import Entrant, Options, fitting
from contest_jobs import run_job
from harness import Figure, Run, median
from stem_entrants import made_once

DATA, QUICK = "fluid-cylinder-sim-coarse", "fluid-cylinder-sim-tiny"
WAKES, BEFORE, ACTIONS, SEED = 24, 20, 160, 4007  # four actions in D/U
TOGETHER = 128  # rollouts at a time, for their pace
FREQUENCIES = 16  # of the spectrum
PENALTIES = np.logspace(-4, 3, 15)  # of the ridge regression, in units of a feature's variance
MODEL, PIXELS = "modes", "pixels"
ENTRANTS = {
    MODEL: Entrant("diffusion", preset="modes", evaluations=1, fit={"batch": 32}, stores=("flow",)),
    PIXELS: Entrant("diffusion", preset="certain", evaluations=1, fit={"batch": 4}, stores=("flow",)),
}


class Wakes:
    """The figures of the wake, from entrants that are trained once.

    Parameters
    ----------
    options : seconds of training of each, and threads.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def correlation(self, run: Run) -> Figure:
        """Spearman's rank correlation of the mean drag of held-out controls with the truth; rows : of every guess, and
        every wake's values."""
        from sciworld.measures.control import spearman

        true, guesses = drags(run, self.options)
        rows: list[dict[str, Any]] = [
            {
                "guess": name,
                "spearman": float(spearman(values, true)),
                "rms": float(np.sqrt(np.mean((values - true) ** 2))),
            }
            for name, values in guesses.items()
        ]
        each = {name: values.tolist() for name, values in {"true": true, **guesses}.items()}
        rows += [{"wake": k, **{name: values[k] for name, values in each.items()}} for k in range(len(true))]
        low, high = interval(guesses[MODEL], true)
        return Figure(rows[list(guesses).index(MODEL)]["spearman"], "1", (low, high), rows)

    def pace(self, run: Run) -> Figure:
        """Rollouts of 40 D/U a second, imagined and read; rows : of every repeat also imagining alone."""
        n, actions, repeats = (4, 8, 1) if run.quick else (TOGETHER, ACTIONS, 5)
        import torch

        surrogate, reader = surrogate_of(run, self.options, MODEL), drag_reader(run.quick)
        ds = recordings(run.quick)[0]
        most = surrogate.space.table.columns[0].high
        controls = np.random.default_rng(0).uniform(-most, most, (1, n, actions, 1))
        torch.set_num_threads(self.options.threads)
        state, rows = start(surrogate, [ds], [BEFORE]), []
        for _ in range(1 + repeats):
            begun = time.perf_counter()
            imagined = surrogate.futures(state, controls, 1, np.random.default_rng(0))[0, :, 0]
            middle = time.perf_counter()
            mean_drag(reader, imagined)
            ended = time.perf_counter()
            rows.append({"together": n, "imagined_and_read": n / (ended - begun), "imagined": n / (middle - begun)})
        found = median([row["imagined_and_read"] for row in rows[1:]], "1/s")  # the first one warms up
        return Figure(found.value, found.unit, found.spread, rows[1:])


def drags(run: Run, options: Options) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The true mean drag coefficient of every held-out wake : (wake,), and that of every guess."""
    reader, held, seen = drag_reader(run.quick), held_out(run), recordings(run.quick)
    true = np.array([forces(ds)[BEFORE + 1 :].mean() for ds in held])
    guesses = {}
    for name in ENTRANTS:
        surrogate = surrogate_of(run, options, name)
        controls = np.stack([ds["controls"].values[BEFORE:-1] for ds in held])[:, None]
        imagined = surrogate.futures(
            start(surrogate, held, [BEFORE] * len(held)), controls, 1, np.random.default_rng(0)
        )[:, 0, 0]
        guesses[name] = mean_drag(reader, imagined)
    guesses["true frames, read"] = mean_drag(reader, np.stack([ds["frames"].values[BEFORE + 1 :] for ds in held]))
    blind = fit_spectrum([ds["controls"].values[:-1, 0] for ds in seen], [forces(ds)[1:].mean() for ds in seen])
    guesses["spectrum of the control"] = blind(np.stack([ds["controls"].values[BEFORE:-1, 0] for ds in held]))
    return true, guesses


def fit_spectrum(controls: list[np.ndarray], drag: list[float]) -> Any:
    """What guesses the mean drag from controls (n, action) : (n,), fitted on such as (action,) of one length.

    Ridge regression on the mean square, and at the frequencies of most power on power, cosine and sine; its penalty is
    the one with the least error left out one by one (Allen 1974, Technometrics 16, 125).
    """
    given, y = np.stack(controls), np.asarray(drag)
    cycles = np.fft.rfftfreq(given.shape[1])
    leading = np.sort(np.argsort((np.abs(np.fft.rfft(given)) ** 2).mean(axis=0))[-FREQUENCIES:])
    waves = cycles[leading]

    def features(signals: np.ndarray) -> np.ndarray:
        turns = np.exp(-2j * np.pi * waves[:, None] * np.arange(signals.shape[1]))
        found = signals @ turns.T / signals.shape[1]
        power = np.abs(found) ** 2
        return np.concatenate([power, found.real, found.imag, (signals**2).mean(axis=1, keepdims=True)], axis=1)

    x = features(given)
    middle, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    z, centred = (x - middle) / scale, y - y.mean()
    u, s, v = np.linalg.svd(z, full_matrices=False)

    def left_out(penalty: float) -> float:
        shrunk = s**2 / (s**2 + penalty * len(z))
        leverage = (u**2 * shrunk).sum(axis=1) + 1 / len(z)
        return float((((centred - u @ (shrunk * (u.T @ centred))) / (1 - leverage)) ** 2).mean())

    penalty = min(PENALTIES, key=left_out)
    weights = v.T @ (s / (s**2 + penalty * len(z)) * (u.T @ centred))
    return lambda signals: (features(signals) - middle) / scale @ weights + y.mean()


def interval(guess: np.ndarray, true: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval over wakes of Spearman's correlation (Efron and Tibshirani 1993, chapter 13)."""
    from sciworld.measures.control import spearman

    picks = np.random.default_rng(0).integers(0, len(true), (draws, len(true)))
    low, high = np.nanquantile([spearman(guess[one], true[one]) for one in picks], [0.025, 0.975])
    return float(low), float(high)


def mean_drag(reader: Any, frames: np.ndarray) -> np.ndarray:
    """The mean of what is read of frames (wake, action, y, x, 2) : (wake,).

    What is read is linear in block means of the velocities and their products, so that these may be averaged over the
    actions first: in a tenth of the time.
    """
    import torch

    from sciworld.domains.fluid.reader import BLOCK

    found = []
    for one in torch.from_numpy(frames):
        u, v = one[..., 0].contiguous(), one[..., 1].contiguous()
        terms = torch.stack([term.mean(dim=0) for term in (u, v, u * u, u * v, v * v)]).numpy()
        rows, columns = (size // BLOCK for size in terms.shape[1:])
        blocks = terms[:, : rows * BLOCK, : columns * BLOCK].reshape(5, rows, BLOCK, columns, BLOCK)
        found.append(blocks.mean(axis=(2, 4), dtype=np.float64).ravel())
    return np.asarray((np.stack(found) @ reader.weights + reader.offset)[:, 0])


def start(surrogate: Any, held: list[Any], frames: list[int]) -> Any:
    """The state of recordings, each at one of its frames, after what history all have, as far as the model takes it."""
    from sciworld.evaluate.imagine import covariates_of, observed
    from sciworld.simulator import Observation

    context = min(surrogate.model.context, 1 + min(frames))
    seen = [observed(ds, frame, context) for ds, frame in zip(held, frames, strict=True)]
    together = [
        Observation(*(np.concatenate([getattr(one, name) for one in row]) for name in ("frames", "time", "view")))
        for row in zip(*seen, strict=True)
    ]
    return surrogate.start(together, np.stack([covariates_of(surrogate, ds) for ds in held]))


def forces(ds: Any) -> np.ndarray:
    """The true drag coefficient over the action that led to a frame : (time,)."""
    from sciworld.domains.reader import measured

    return measured(ds, ("drag",))[:, 0]


def store_of(quick: bool) -> Any:
    """What is trained on."""
    from sciworld import catalog
    from sciworld.store import Store

    return Store.open(catalog.fetch(QUICK if quick else DATA))


@cache
def recordings(quick: bool) -> list[Any]:
    """What is trained on, in memory; of the quick run's a few."""
    store = store_of(quick)
    return [store[k] for k in range(min(len(store), 6 if quick else len(store)))]


@cache
def drag_reader(quick: bool) -> Any:
    """What reads drag and lift from frames."""
    from sciworld.domains.fluid.reader import fit_reader

    return fit_reader(recordings(quick))


def held_out(run: Run) -> list[Any]:
    """New wakes by the simulator that made the recordings."""
    from sciworld.domains.fluid.generate import SOURCE, generate
    from sciworld.domains.generated import made_with
    from sciworld.store import Store

    settings = made_with(store_of(run.quick), SOURCE)
    wakes, actions = (4, BEFORE + 8) if run.quick else (WAKES, BEFORE + ACTIONS)
    make = partial(generate, seed=SEED, episodes=wakes, actions=actions, controls="smooth", **settings)
    store = Store.open(made_once(run.cache / f"wakes-{wakes}-{actions}-{SEED}", make))
    return [store[k] for k in range(len(store))]


def surrogate_of(run: Run, options: Options, name: str) -> Any:
    """An entrant, trained on all recordings if it was not."""
    from sciworld.surrogate.surrogate import Surrogate

    entrant = ENTRANTS[name]
    job = {
        "data": QUICK if run.quick else DATA, "family": entrant.family, "settings": entrant.resolved("flow"),
        "fit": fitting(entrant, 0, options, run.quick),
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]

    def make(staged: Path) -> None:
        run_job("train", {**job, "folder": str(staged)}, apart=not run.quick)

    folder = made_once(run.cache / "runs" / f"wake-{name}-{digest}", make)
    return Surrogate.load(folder, evaluations=entrant.evaluations)
