"""What a wake costs as its frames tell: for futures that no solver made, whose forces nobody measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.domains.fluid.objectives import wake_cost
from sciworld.domains.fluid.reader import NAMES, fit_reader
from sciworld.domains.reader import Reader, measured
from sciworld.errors import RecordingError
from sciworld.tensors import constant, functions

BEYOND = 0.05  # of the recorded range of velocities, that imagined ones may leave it by
SHARES = (0.001, 0.999)  # of the recorded drags and lifts, between which those that are read are believed


@dataclass(frozen=True, eq=False)
class ImaginedCost:
    """Cost of wakes from frames alone, by a reader that was fitted on recordings.

    A model that is led to where it saw nothing imagines flows that no fluid makes, and a search would choose them for
    the drag that they seem to save. So velocities beyond those that were recorded cost NaN, the worst; drag and lift
    count at most as far as they were measured.

    Parameters
    ----------
    reader : of drag and lift. slowest, fastest : (2,) m/s of the recorded velocities. low, high : (2,) of the recorded
        drag and lift. drag, lift_rms : without control.
    """

    reader: Reader
    slowest: np.ndarray
    fastest: np.ndarray
    low: np.ndarray
    high: np.ndarray
    drag: float
    lift_rms: float

    def __call__(self, frames: np.ndarray, controls: np.ndarray, most: float) -> np.ndarray:
        """J in % (episode,), see `objectives.wake_cost`, of frames (episode, time, y, x, 2) and controls
        (episode, time)."""
        xp, read = functions(frames), self.reader(frames)
        coefficients = xp.clip(read, constant(self.low, read), constant(self.high, read))
        drag, lift = coefficients[..., 0], coefficients[..., 1]
        cost = wake_cost(xp.stack([drag, lift, lift**2], axis=-1), controls, most, self.drag, self.lift_rms)
        slack = BEYOND * (self.fastest - self.slowest)
        slowest, fastest = constant(self.slowest - slack, frames), constant(self.fastest + slack, frames)
        outside = (frames < slowest) | (frames > fastest)
        found: np.ndarray = xp.where(outside.any(axis=(1, 2, 3, 4)), np.nan, cost.total)
        return found


def fit_cost(recordings: Iterable[xr.Dataset]) -> ImaginedCost:
    """Fit on recordings with the states `drag` and `lift` and the covariates `baseline_drag` and `baseline_lift_rms`.

    Raises RecordingError where they lack one of them.
    """
    held = list(recordings)
    reader = fit_reader(held)
    frames = [ds["frames"].values for ds in held]
    slowest = np.min([one.min(axis=(0, 1, 2)) for one in frames], axis=0)
    fastest = np.max([one.max(axis=(0, 1, 2)) for one in frames], axis=0)
    low, high = np.nanquantile(np.concatenate([measured(ds, NAMES) for ds in held]), SHARES, axis=0)
    return ImaginedCost(reader, slowest, fastest, low, high, _fact(held[0], "drag"), _fact(held[0], "lift_rms"))


def _fact(ds: xr.Dataset, name: str) -> float:
    """A covariate of the wake without control."""
    table, name = recording.covariate_table(ds), f"baseline_{name}"
    if name not in table.names:
        raise RecordingError(f"{ds.attrs['source']}: no covariate '{name}', what a wake without control has; state it")
    return float(ds["covariates"].values[table.index(name)])
