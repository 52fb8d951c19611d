"""A recording's own controls, imagined: the truth beside the futures that a surrogate samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from sciworld import plots, recording
from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate.table import DASH, Table, number
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate

STEPS = 8  # imagined unless said otherwise


@dataclass(frozen=True, eq=False)
class Imagination:
    """A stretch of a recording, and what a surrogate imagines from its first frames under the same controls.

    Parameters
    ----------
    start : which frame of the recording is the present.
    context : (context, y, x, channel), the frames that were given; the last is the present.
    truth : (step, y, x, channel), what was recorded after it. futures : (sample, step, y, x, channel).
    time : (step + 1,) s, of the present and the steps. controls : (step, control).
    channels, columns : what the frames' channels and the controls are.
    """

    start: int
    context: np.ndarray
    truth: np.ndarray
    futures: np.ndarray
    time: np.ndarray
    controls: np.ndarray
    channels: ColumnTable
    columns: ColumnTable

    def to_table(self) -> Table:
        """One row a step: its controls, and for each channel the mean absolute error over pixels.

        "error" is that of the mean future, "of no change" that of the present frame, "spread" the standard deviation
        over futures. Noise of the camera is part of them all.
        """
        headings = ["step", "time (s)", *(f"{column.name} ({column.units})" for column in self.columns)]
        for channel in self.channels:
            unit = f" ({channel.units})"
            headings += [f"{channel.name}: error{unit}", f"of no change{unit}", f"spread{unit}"]
        error, unchanged = (
            np.abs(guess - self.truth).mean(axis=(1, 2)) for guess in (self.futures.mean(axis=0), self.context[-1])
        )
        spread = self.futures.std(axis=0, ddof=1).mean(axis=(1, 2)) if len(self.futures) > 1 else None
        rows = []
        for step, values in enumerate(self.controls):
            row = [str(step + 1), number(self.time[step + 1]), *(number(value) for value in values)]
            for k in range(len(self.channels)):
                row += [number(error[step, k]), number(unchanged[step, k])]
                row.append(DASH if spread is None else number(spread[step, k]))
            rows.append(tuple(row))
        return Table(
            tuple(headings), tuple(rows), "Means over pixels; the noise of the recorded frames is in each error."
        )

    def figures(self) -> list[Figure]:
        """For each channel the context, the truth, and the sampled futures."""
        before = len(self.context) - 1
        found = []
        for k, channel in enumerate(self.channels):

            def after(frames: np.ndarray, k: int = k) -> np.ndarray:
                gap = np.full((before + 1, *frames.shape[1:3]), np.nan)
                return np.concatenate([gap, frames[..., k]])

            rows = {"recorded": np.concatenate([self.context[..., k], self.truth[..., k]])}
            rows |= {f"future {i + 1}": after(future) for i, future in enumerate(self.futures)}
            titles = [*(f"context {i - before}" for i in range(before)), "present"]
            titles += [f"step {i + 1}" for i in range(len(self.truth))]
            found.append(plots.image_strip(rows, titles, title=channel.name, units=channel.units))
        return found


def imagine(
    surrogate: Surrogate,
    ds: xr.Dataset,
    rng: np.random.Generator,
    start: int | None = None,
    steps: int | None = None,
    samples: int = 4,
) -> Imagination:
    """Sample futures of the recording `ds` under its own controls.

    start : the frame that is the present; by default the first from which the most steps can be held against the
    recording. steps : by default as many as can be, at most 8: a step counts while its controls are known and the
    field of view stands still. Raises ControlError or ModelError where the recording is not of the model's kind,
    RecordingError or SettingsError where there are not so many steps.
    """
    if samples < 1:
        raise SettingsError(f"samples is {samples}; use at least 1")
    require_kind(surrogate, ds)
    table = recording.control_table(ds)
    ahead = steps_ahead(ds)
    if start is None:
        first = surrogate.model.context - 1
        first = first if ahead[first:].any() else 0  # rather a short context than none
        start = first + int(np.minimum(ahead[first:], steps or STEPS).argmax())
    if not 0 <= start < len(ahead):
        raise SettingsError(f"start is {start}; the recording has the frames 0 to {len(ahead) - 1}")
    if not ahead[start]:
        raise RecordingError(f"no step can be held against the recording from frame {start}: {_WHY}; start elsewhere")
    steps = min(STEPS, int(ahead[start])) if steps is None else steps
    if not 1 <= steps <= ahead[start]:
        raise SettingsError(f"steps is {steps}; use 1 to {ahead[start]} from frame {start}: {_WHY}")
    history = observed(ds, start, surrogate.model.context)
    controls = controls_of(ds)[start : start + steps]
    state = surrogate.start(history, covariates_of(surrogate, ds), ds.attrs.get("description"))
    futures = surrogate.futures(state, controls[None, None], samples, rng)[0, 0]
    return Imagination(
        start=start,
        context=np.concatenate([seen.frames for seen in history]).astype(np.float64),
        truth=ds["frames"][start + 1 : start + 1 + steps].values.astype(np.float64),
        futures=futures.astype(np.float64),
        time=ds["time"].values[start : start + 1 + steps],
        controls=controls,
        channels=surrogate.model.signature.channels,
        columns=table,
    )


def observed(ds: xr.Dataset, frame: int, context: int) -> list[Observation]:
    """The recording's frame number `frame` and those before it, at most `context` in all, oldest first."""
    seen = slice(max(0, frame + 1 - context), frame + 1)
    frames, time, view = (ds[name][seen].values for name in ("frames", "time", "view"))
    return [Observation(frames[i : i + 1], time[i : i + 1], view[i : i + 1]) for i in range(len(frames))]


def covariates_of(surrogate: Surrogate, ds: xr.Dataset) -> np.ndarray:
    """What the recording says of the covariates that the model was made for : (covariate,) float32, NaN where nothing.

    Raises RecordingError where one is in other units.
    """
    columns = recording.covariate_table(ds)
    values = dict(zip(columns.names, ds["covariates"].values, strict=True)) if len(columns) else {}
    wanted = surrogate.model.signature.covariates
    for column in columns:
        mine = wanted[column.name] if column.name in wanted.names else column
        if (column.units, column.levels) != (mine.units, mine.levels):
            theirs, own = (" ".join((each.units, *each.levels)) for each in (column, mine))
            raise RecordingError(
                f"{ds.attrs['session']}: the covariate '{column.name}' is in {theirs}, the model's in {own}; convert it"
            )
    return np.array([values.get(name, np.nan) for name in wanted.names], dtype=np.float32)


_WHY = "its controls must be known, and its field of view stand still, up to the last step"


def require_kind(surrogate: Surrogate, ds: xr.Dataset) -> None:
    """Raise ControlError or RecordingError unless controls and channels are the model's, by name and in its units."""
    if ds["frames"].ndim != 4:
        raise RecordingError(f"{ds.attrs['session']}: frames have depth, {ds['frames'].dims}; models take one plane")
    surrogate.space.require_same(ControlSpace(recording.control_table(ds)), "the recording")
    tables = recording.channel_table(ds), surrogate.model.signature.channels
    given, wanted = ([f"{column.name} ({column.units})" for column in table] for table in tables)
    if given != wanted:
        raise RecordingError(
            f"{ds.attrs['session']}: channels are {', '.join(given)}, the model's are {', '.join(wanted)}; give "
            "recordings of its channels, in its units and order"
        )


def controls_of(ds: xr.Dataset) -> np.ndarray:
    """(time, control); of nothing where nothing was controlled."""
    found: np.ndarray = ds["controls"].values if "controls" in ds else np.empty((ds.sizes["time"], 0))
    return found


def steps_ahead(ds: xr.Dataset) -> np.ndarray:
    """How many steps from each frame on have known controls and an unmoved view : (time,) int64."""
    view = ds["view"].values
    free = ~np.isnan(controls_of(ds)[:-1]).any(axis=1) & (view[1:] == view[:-1]).all(axis=1)
    number = np.arange(len(free))
    stops = np.minimum.accumulate(np.where(free, len(free), number)[::-1])[::-1]  # the next step that is not free
    return np.append(stops - number, 0)
