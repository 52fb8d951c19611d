"""Objectives that a scientist writes in a notebook, on xarray: futures and controls with names, units and times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from sciworld.controls import ColumnTable
from sciworld.errors import SearchError

FUTURES = ("candidate", "sample", "time", "y", "x", "channel")
CONTROLS = ("candidate", "time", "control")

OfArrays = Callable[[xr.DataArray, xr.DataArray], Any]


class OnArrays:
    """An objective, or the amount of a constraint, that is written on DataArrays.

    Parameters
    ----------
    function : futures (candidate, sample, time, y, x, channel) and controls (candidate, time, control) -> (candidate,
        sample), in any order, or (candidate,) alone. Larger is better.
    channels, controls : what the frames' channels and the controls are; they name the coordinates.
    seconds : that a step lasts, by which futures have times; None for steps, which are counted from 1.
    view : (6,), the affine map of the present, whose axes give x and y where they are those of the laboratory.
    view_units : of these. linear : whether the function is linear in the frame, see `Objective`.
    """

    def __init__(
        self,
        function: OfArrays,
        channels: ColumnTable,
        controls: ColumnTable,
        seconds: float | None = None,
        view: np.ndarray | None = None,
        view_units: str = "",
        linear: bool = False,
    ) -> None:
        self.function, self.channels, self.controls, self.linear = function, channels, controls, linear
        self.seconds, self.view, self.view_units = seconds, view, view_units

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample). Raises SearchError for what the function cannot have meant."""
        return scored(self.function(self.of_futures(futures), self.of_controls(controls)), futures.shape[:2])

    def of_futures(self, futures: np.ndarray) -> xr.DataArray:
        """Futures (candidate, sample, time, y, x, channel) with names, units and times."""
        coordinates: dict[str, Any] = {"time": self._times(futures.shape[2]), **_names("channel", self.channels)}
        if self.view is not None and self.view[1] == self.view[3] == 0:
            for axis, size, (scale, offset) in zip(
                "yx", futures.shape[3:5], (self.view[4:], self.view[[0, 2]]), strict=True
            ):
                coordinates[axis] = (axis, scale * np.arange(size) + offset, {"units": self.view_units})
        units = {column.units for column in self.channels}
        attributes = {"units": units.pop()} if len(units) == 1 else {}
        return xr.DataArray(futures, dims=FUTURES, coords=coordinates, attrs=attributes, name="futures")

    def of_controls(self, controls: np.ndarray) -> xr.DataArray:
        """Controls (candidate, time, control); each acts on the way to the frame of its time."""
        coordinates = {"time": self._times(controls.shape[1]), **_names("control", self.controls)}
        return xr.DataArray(controls, dims=CONTROLS, coords=coordinates, name="controls")

    def _times(self, steps: int) -> tuple[str, np.ndarray, dict[str, str]]:
        counted = np.arange(1, steps + 1)
        return ("time", counted, {"units": "1"}) if self.seconds is None else (
            "time", counted * self.seconds, {"units": "s"}
        )  # fmt: skip


def scored(found: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a function of DataArrays made of (candidate, sample) `shape`. Raises SearchError for other axes."""
    if not isinstance(found, xr.DataArray):
        return np.asarray(found)
    odd = [str(name) for name in found.dims if name not in ("candidate", "sample")]
    if odd or "candidate" not in found.dims:
        have = ", ".join(map(str, found.dims)) or "none"
        raise SearchError(
            f"the objective returned the axes {have}; reduce {', '.join(odd) or 'fewer'}, and keep (candidate, sample)"
        )
    if "sample" not in found.dims:
        found = found.expand_dims(sample=shape[1])
    return np.asarray(found.transpose("candidate", "sample").values)


def _names(axis: str, columns: ColumnTable) -> dict[str, Any]:
    """Names along an axis, and the units of each."""
    units = [column.units for column in columns]
    return {axis: (axis, list(columns.names)), f"{axis}_units": (axis, units)}
