"""What is held against a recording: the futures after some of its frames, by all who guess them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.evaluate.baselines import BLIND, CLIMATOLOGY, LINEAR, PERSISTENCE, Baseline
from sciworld.evaluate.imagine import controls_of, observed, require_kind, steps_ahead
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate

TRUTH, MEAN, ONE, SHUFFLED = "truth", "model", "model, one sample", "model, other controls"
GUESSES = (MEAN, ONE, SHUFFLED, PERSISTENCE, CLIMATOLOGY, BLIND, LINEAR)
SOURCES = (TRUTH, *GUESSES)


@dataclass(frozen=True, eq=False)
class Trial:
    """Starts in a recording, what came after them, and what was guessed.

    Parameters
    ----------
    starts : (start,) int64, frames that were the present. seconds : (start, step) since it. view : (start, 6).
    controls : (start, step, control). present : (start, y, x, channel), truth : (start, step, y, x, channel) float64.
    ensembles : guess -> (sample, start, step, y, x, channel) float64, one sample where nobody is unsure; no other
        controls where there is one start.
    """

    starts: np.ndarray
    seconds: np.ndarray
    view: np.ndarray
    controls: np.ndarray
    present: np.ndarray
    truth: np.ndarray
    ensembles: dict[str, np.ndarray]

    def of(self, source: str) -> np.ndarray:
        """Futures (sample, start, step, y, x, channel) of the truth or a guess."""
        return self.truth[None] if source == TRUTH else self.ensembles[source]

    @property
    def sources(self) -> tuple[str, ...]:
        """The truth, and all that guessed."""
        return (TRUTH, *self.ensembles)


def hold(
    surrogate: Surrogate,
    ds: xr.Dataset,
    rivals: Mapping[str, Baseline],
    steps: int,
    starts: int,
    samples: int,
    rng: np.random.Generator,
) -> Trial | None:
    """Futures of `steps` after at most `starts` frames of a recording, evenly; None where it has no such frame.

    Raises ControlError or RecordingError for a recording of another kind than the model's.
    """
    require_kind(surrogate, ds)
    chosen = _starts(ds, surrogate.model.context, steps, starts)
    if not len(chosen):
        return None
    history = _together([observed(ds, int(start), surrogate.model.context) for start in chosen])
    window = chosen[:, None] + np.arange(steps)
    controls, time = controls_of(ds)[window], ds["time"].values
    truth = np.stack([ds["frames"][start + 1 : start + 1 + steps].values for start in chosen]).astype(np.float64)
    present = history[-1].frames.astype(np.float64)
    state = surrogate.start(history)

    def futures(controls: np.ndarray) -> np.ndarray:
        found = surrogate.futures(state, controls[:, None], samples, rng)[:, 0]
        return np.moveaxis(found, 1, 0).astype(np.float64)

    own = futures(controls)
    ensembles = {MEAN: own, ONE: own[:1]}
    if len(chosen) > 1:
        ensembles[SHUFFLED] = futures(np.roll(controls, 1, axis=0))
    ensembles |= {name: rival.futures(present, controls)[None] for name, rival in rivals.items()}
    seconds = time[window + 1] - time[chosen][:, None]
    return Trial(chosen, seconds, history[-1].view, controls, present, truth, ensembles)


def _starts(ds: xr.Dataset, context: int, steps: int, starts: int) -> np.ndarray:
    """Frames from which so many steps can be compared, the model's context behind them where that can be."""
    possible = np.flatnonzero(steps_ahead(ds) >= steps)
    if not len(possible):
        return possible
    possible = possible[possible >= min(context - 1, possible[-1])]
    return np.unique(possible[np.linspace(0, len(possible) - 1, starts).round().astype(int)])


def _together(histories: list[list[Observation]]) -> list[Observation]:
    """Histories of several starts as one, the shorter ones filled up with their oldest frame."""
    longest = max(map(len, histories))
    filled = [[history[0]] * (longest - len(history)) + history for history in histories]
    return [
        Observation(*(np.concatenate([getattr(seen, name) for seen in row]) for name in ("frames", "time", "view")))
        for row in zip(*filled, strict=True)
    ]
