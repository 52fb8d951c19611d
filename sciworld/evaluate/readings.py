"""What a domain reads from guessed frames, what fails its checks, and what is read back of the controls."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable
from sciworld.domains.base import Physics
from sciworld.domains.reader import block_means
from sciworld.evaluate.imagine import controls_of
from sciworld.evaluate.trial import SOURCES, TRUTH, Trial
from sciworld.measures import known
from sciworld.measures.control import InverseModel, fit_inverse, recoverability, spearman

PAIRS = 1000  # of frames that follow each other, at most, from which controls are learned to be read back
VALUES = 4096  # of a frame that they are read from, at most: larger frames are averaged over blocks


def physics_of(trial: Trial, physics: Physics) -> tuple[np.ndarray, np.ndarray]:
    """What is read from each source, and the share of its samples that fails : both (source, start, step, quantity).

    Of a guess with several samples what is read is their mean, so that an event becomes a probability. A sample fails
    where a quantity lies outside of its bounds, or cannot be read though the truth's can; NaN where that has none.
    """
    starts, steps = trial.truth.shape[:2]
    table = list(physics.quantities)
    low, high = (np.array([np.nan if (v := getattr(c, end)) is None else v for c in table]) for end in ("low", "high"))
    bounded = ~(np.isnan(low) & np.isnan(high))
    values = np.full((len(SOURCES), starts, steps, len(table)), np.nan)
    fails = np.full_like(values, np.nan)
    readable = np.zeros(values.shape[1:], dtype=bool)
    for source in trial.sources:
        ensemble, place = trial.of(source), SOURCES.index(source)
        read = np.stack([_read(trial, frames, physics) for frames in ensemble])
        if source == TRUTH:
            readable = ~np.isnan(read[0])
        values[place] = known.mean(read)
        out = (read < low) | (read > high) | np.isnan(read)
        fails[place] = np.where(bounded & readable, out.mean(axis=0), np.nan)
    return values, fails


def measured(ds: xr.Dataset, trial: Trial, physics: Physics) -> np.ndarray:
    """What instrument or solver measured of the quantities, as states of these names : (start, step, quantity)."""
    steps = trial.truth.shape[1]
    found = np.full((len(trial.starts), steps, len(physics.quantities)), np.nan)
    if "states" in ds:
        names, rows = recording.table(ds, "states").names, trial.starts[:, None] + 1 + np.arange(steps)
        for place, name in enumerate(physics.quantities.names):
            if name in names:
                found[..., place] = ds["states"].values[rows, names.index(name)]
    return found


def _read(trial: Trial, frames: np.ndarray, physics: Physics) -> np.ndarray:
    """Of futures (start, step, y, x, channel) : (start, step, quantity)."""
    return physics(np.concatenate([trial.present[:, None], frames], axis=1), trial.view, trial.controls)


def responses(values: np.ndarray, controls: np.ndarray, table: ColumnTable) -> np.ndarray:
    """Spearman's correlation of each control with each quantity over all steps : (source, control, quantity).

    values : (source, recording, start, step, quantity), controls : (recording, start, step, control), table : what they
    are. NaN where either never changes, and for categories and angles, which have no order.
    """
    rows, given = values.reshape(len(values), -1, values.shape[-1]), controls.reshape(-1, controls.shape[-1])
    ordered = np.array([column.kind not in ("categorical", "angle") for column in table], dtype=bool)
    given = np.where(ordered, given, np.nan)
    return np.array([[[spearman(column, one) for one in source.T] for column in given.T] for source in rows]).reshape(
        len(values), given.shape[1], values.shape[-1]
    )


@dataclass(frozen=True, eq=False)
class ControlReader:
    """Reads controls back from frames that follow each other.

    Parameters
    ----------
    model : reads numbers, see `ColumnTable.encoded`. table : the controls. mean : (y, x, channel), in place of unknown
        pixels.
    """

    model: InverseModel
    table: ColumnTable
    mean: np.ndarray

    @classmethod
    def fit(cls, recordings: Iterable[xr.Dataset]) -> ControlReader | None:
        """Fit on pairs of true frames, drawn evenly; None where nothing was controlled, or hardly ever known."""
        every = max(1, -(-sum(ds.sizes["time"] for ds in recordings) // PAIRS))
        table = ColumnTable(())
        before: list[np.ndarray] = []
        after: list[np.ndarray] = []
        controls: list[np.ndarray] = []
        place = 0
        for ds in recordings:
            table = recording.control_table(ds)
            given, frames, view = table.encoded(controls_of(ds))[0], ds["frames"], ds["view"].values
            for row in range(-place % every, ds.sizes["time"] - 1, every):
                if not np.isnan(given[row]).any() and (view[row] == view[row + 1]).all():
                    pair = _small(frames[row : row + 2].values.astype(np.float64))
                    before.append(pair[0])
                    after.append(pair[1])
                    controls.append(given[row])
            place += ds.sizes["time"]
        if len(controls) < 2 or not controls[0].size:
            return None
        both = np.stack([*before, *after])
        mean = np.nan_to_num(known.mean(both, 0, np.isfinite(both)))
        filled = np.where(np.isfinite(both), both, mean)
        half = len(controls)
        return cls(fit_inverse(filled[:half], filled[half:], np.stack(controls)), table, mean)

    def __call__(self, trial: Trial, source: str) -> np.ndarray:
        """What the mean of a source's samples shows of the controls, as numbers : (start * step, number)."""
        seen = _small(np.concatenate([trial.present[:, None], trial.of(source).mean(axis=0)], axis=1))
        seen = np.where(np.isfinite(seen), seen, self.mean)
        shape = (-1, *seen.shape[2:])
        return self.model(seen[:, :-1].reshape(shape), seen[:, 1:].reshape(shape))


def recovered(controls: np.ndarray, table: ColumnTable, read: dict[str, np.ndarray]) -> np.ndarray:
    """Share of each control's variance that is read back : (source, control), NaN of who did not guess.

    controls : (pair, control), what `table` says. read : source -> (pair, number), in the same order, NaN where it did
    not guess. Of a category or angle it is the share of the variance of all its numbers.
    """
    found = np.full((len(SOURCES), len(table)), np.nan)
    numbers, owner = table.encoded(controls)
    for source, values in read.items():
        seen = ~np.isnan(values).any(axis=1)
        if not seen.any():
            continue
        share, weight = recoverability(numbers[seen], values[seen]), numbers[seen].var(axis=0)
        for control in range(len(table)):
            mine = (owner == control) & ~np.isnan(share)
            if mine.any():
                found[SOURCES.index(source), control] = np.average(share[mine], weights=weight[mine])
    return found


def _small(frames: np.ndarray) -> np.ndarray:
    """Frames (..., y, x, channel), averaged over blocks if they are large; what is left over at the end is left out."""
    y, x, channels = frames.shape[-3:]
    size = max(1, math.ceil(math.sqrt(y * x * channels / VALUES)))
    return block_means(frames, min(size, y), min(size, x))
