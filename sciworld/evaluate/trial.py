"""What is held against a recording: the futures after some of its frames, by all who guess them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.evaluate.baselines import BLIND, CLIMATOLOGY, LINEAR, PERSISTENCE, Baseline
from sciworld.evaluate.imagine import controls_of, covariates_of, observed, steps_ahead
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate

TRUTH, MEAN, ONE, SHUFFLED = "truth", "model", "model, one sample", "model, other controls"
GUESSES = (MEAN, ONE, SHUFFLED, PERSISTENCE, CLIMATOLOGY, BLIND, LINEAR)
SOURCES = (TRUTH, *GUESSES)
TRIES = 64  # controls of others that are looked at, for such as differ


@dataclass(frozen=True)
class Span:
    """Which stretches of a recording are looked at.

    steps : of each. starts : at most, evenly. context : frames before a start, where the recording has as many.
    """

    steps: int
    starts: int
    context: int

    def starts_of(self, ds: xr.Dataset) -> np.ndarray:
        """Frames from which so many steps can be compared : (start,) int64."""
        possible = np.flatnonzero(steps_ahead(ds) >= self.steps)
        if not len(possible):
            return possible
        possible = possible[possible >= min(self.context - 1, possible[-1])]
        return np.unique(possible[np.linspace(0, len(possible) - 1, self.starts).round().astype(int)])

    def controls_of(self, ds: xr.Dataset) -> np.ndarray:
        """What led away from the starts : (start, step, control)."""
        return controls_of(ds)[self.starts_of(ds)[:, None] + np.arange(self.steps)]


@dataclass(frozen=True, eq=False)
class Trial:
    """Starts in a recording, what came after them, and what was guessed.

    Parameters
    ----------
    starts : (start,) int64, frames that were the present. seconds : (start, step) since it. view : (start, 6).
    controls : (start, step, control). present : (start, y, x, channel), truth : (start, step, y, x, channel) float64.
    ensembles : guess -> (sample, start, step, y, x, channel) float64, one sample where nobody is unsure; no guess under
        other controls where no others are known.
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


class Others:
    """The controls of all recordings, from which a recording is given those of another."""

    def __init__(self, recordings: Iterable[xr.Dataset], span: Span) -> None:
        self._rows = [span.controls_of(ds) for ds in recordings]

    def of(self, place: int, rng: np.random.Generator) -> np.ndarray | None:
        """Controls (start, step, control) in place of those of recording number `place`, each unlike its own.

        Of other recordings if there are any, else from other starts of its own; None where all are alike.
        """
        own = self._rows[place]
        others = [row for k, row in enumerate(self._rows) if k != place and len(row)] or [own]
        chosen = []
        for row in own:
            for _ in range(TRIES):
                several = others[rng.integers(len(others))]
                other = several[rng.integers(len(several))]
                if not np.array_equal(other, row):
                    chosen.append(other)
                    break
            else:
                return None
        return np.stack(chosen) if chosen else None


def forecast(
    surrogate: Surrogate,
    ds: xr.Dataset,
    rivals: Mapping[str, Baseline],
    span: Span,
    samples: int,
    others: np.ndarray | None,
    rng: np.random.Generator,
) -> Trial | None:
    """Futures after the starts of a recording; None where it has none.

    ds : of the model's kind, see `imagine.require_kind`. others : controls (start, step, control) that were not, or
    None.
    """
    starts = span.starts_of(ds)
    if not len(starts):
        return None
    history = _together([observed(ds, int(start), surrogate.model.context) for start in starts])
    controls, time = span.controls_of(ds), ds["time"].values
    frames = ds["frames"]
    truth = _known(np.stack([frames[start + 1 : start + 1 + span.steps].values for start in starts]))
    present = _known(history[-1].frames)
    state = surrogate.start(history, covariates_of(surrogate, ds), ds.attrs.get("description"))

    def futures(controls: np.ndarray) -> np.ndarray:
        found = surrogate.futures(state, controls[:, None], samples, rng)[:, 0]
        return _known(np.moveaxis(found, 1, 0))

    own = futures(controls)
    ensembles = {MEAN: own, ONE: own[:1]}
    if others is not None:
        ensembles[SHUFFLED] = futures(others)
    ensembles |= {name: _known(rival.futures(present, controls))[None] for name, rival in rivals.items()}
    seconds = time[starts[:, None] + 1 + np.arange(span.steps)] - time[starts][:, None]
    return Trial(starts, seconds, history[-1].view, controls, present, truth, ensembles)


def _known(frames: np.ndarray) -> np.ndarray:
    """As float64; what is not finite is unknown."""
    frames = frames.astype(np.float64)
    return np.where(np.isfinite(frames), frames, np.nan)


def _together(histories: list[list[Observation]]) -> list[Observation]:
    """Histories of several starts as one, the shorter ones filled up with their oldest frame."""
    longest = max(map(len, histories))
    filled = [[history[0]] * (longest - len(history)) + history for history in histories]
    return [
        Observation(*(np.concatenate([getattr(seen, name) for seen in row]) for name in ("frames", "time", "view")))
        for row in zip(*filled, strict=True)
    ]
