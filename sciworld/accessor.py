"""`import sciworld.accessor`, and every recording shows itself: `ds.sciworld`, in a notebook or by its methods."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import xarray as xr

from sciworld import plots, recording
from sciworld.config import whole
from sciworld.controls import COLOURS, Column
from sciworld.errors import RecordingError

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_CHANNELS = 4  # of a camera that are shown
FIRST = 3  # values of a control that are shown
SHOWN = 6  # frames of a camera in a notebook
MOST_SHOWN = 1000  # of a camera in a figure


@dataclass(frozen=True)
class _Row:
    """Pictures (frame, y, x, 3) uint8 of one channel, or of red, green and blue together; and what they show."""

    label: str
    pictures: np.ndarray
    caption: str


class Windows(Sequence[xr.Dataset]):
    """Windows of a recording: each a recording of its own, whose frames are those of the whole, not copied."""

    def __init__(self, ds: xr.Dataset, starts: np.ndarray, length: int) -> None:
        self._ds, self.starts, self._length = ds, starts, length

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> xr.Dataset: ...

    @overload
    def __getitem__(self, index: slice) -> Windows: ...

    def __getitem__(self, index: int | slice) -> xr.Dataset | Windows:
        if isinstance(index, slice):
            return Windows(self._ds, self.starts[index], self._length)
        start = int(self.starts[index])
        window = self._ds.isel(time=slice(start, start + self._length))
        if "controls" not in window.variables:
            return window
        # What the last frame's controls did is not in the window.
        controls = window.variables["controls"].copy(data=np.array(window.variables["controls"].values))
        between = [column.acts == "between" for column in recording.control_table(window)]
        controls.values[-1, between] = np.nan
        return window.assign(controls=controls)

    def __repr__(self) -> str:
        return f"{len(self)} windows of {self._length} frames"


@xr.register_dataset_accessor("sciworld")
class SciworldAccessor:
    """What a recording is, at a glance. Of frames that lie in a file only those that are shown are read.

    Raises RecordingError for a Dataset without frames along time.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        if not {"time", "frames"} <= ds.variables.keys() or not dict(ds.variables["frames"].sizes).get("time"):
            raise RecordingError(
                "ds.sciworld: no frames along time, so no recording; build one with recording.make, and choose a "
                "single frame as ds.isel(time=[3])"
            )
        self._ds = ds

    @property
    def columns(self) -> Any:
        """What each channel, control, state, reward, covariate and log is: a DataFrame of one row a column."""
        rows = [
            {"variable": str(name), **dataclasses.asdict(column)}
            for name, variable in self._ds.variables.items()
            if "columns" in variable.attrs
            for column in recording.table(self._ds, str(name))
        ]
        fields = ["variable", *(field.name for field in dataclasses.fields(Column))]
        found = {field: [row[field] for row in rows] for field in fields}
        for bound in ("low", "high", "rate_limit"):
            found[bound] = [np.nan if value is None else float(value) for value in found[bound]]
        found["levels"] = [", ".join(levels) for levels in found["levels"]]
        table = xr.Dataset({field: ("column", np.array(values, ndmin=1)) for field, values in found.items()})
        return table.to_dataframe()[fields]

    def windows(
        self, context: int, horizon: int, stride: int = 1, *, unknown: bool = False, moving_view: bool = False
    ) -> Windows:
        """All windows of context + horizon consecutive frames, each a recording; `stride` frames between their starts.

        unknown : also those with unknown (NaN) controls between their frames, or unknown covariates. moving_view :
        also those in which `view` changes. Frames are not read, so those that are not finite are not left out, as a
        store's windows do. Logs stay whole. Raises SettingsError, and RecordingError if no window is left.
        """
        ds = self._ds
        length = whole(context, "windows: context", 1) + whole(horizon, "windows: horizon", 1)
        stride = whole(stride, "windows: stride", 1)
        n = ds.sizes["time"]
        gap = np.zeros(n, dtype=bool)
        if "controls" in ds.variables and not unknown:
            gap |= np.isnan(ds.variables["controls"].values).any(axis=1)
        if "view" in ds.variables and not moving_view:
            view = ds.variables["view"].values
            gap[:-1] |= (view[1:] != view[:-1]).any(axis=1)
        starts = np.arange(0, max(0, n - length + 1), stride)
        broken = np.concatenate([[0], np.cumsum(gap)])  # gaps before each frame
        starts = starts[broken[starts + length - 1] == broken[starts]]
        covariates = ds.variables["covariates"].values if "covariates" in ds.variables else np.zeros(0)
        if not len(starts) or (np.isnan(covariates).any() and not unknown):
            raise RecordingError(
                f"windows: none of {length} of the {n} frames is without unknown controls or covariates and without a "
                "move of the view; shorten context or horizon, or allow unknown or moving_view"
            )
        return Windows(ds, starts, length)

    def strip(self, n: int = 8) -> go.Figure:
        """n frames of every camera, evenly spaced in their number, each channel in its own contrast."""
        rows, numbers = self._rows(n)
        shown = self._ds.variables["time"].values[numbers]
        films, captions = {row.label: row.pictures for row in rows}, {row.label: row.caption for row in rows}
        return plots.film(films, shown, shown, title=self._title, captions=captions)

    def plot(self, n: int = 8) -> go.Figure:
        """Every control over time, in its units and between its bounds, below n frames of every camera."""
        rows, numbers = self._rows(n)
        ds, time = self._ds, self._ds.variables["time"]
        table = recording.control_table(ds)
        values = ds.variables["controls"].values if len(table) else np.empty((len(time), 0))
        lines = [
            plots.Line(column.label, series, column.low, column.high, column.levels)
            for column, series in zip(table, values.T, strict=True)
        ]
        title = f"time (s; {recording.COUNTED})" if recording.is_counted(ds) else "time (s)"
        films, captions = {row.label: row.pictures for row in rows}, {row.label: row.caption for row in rows}
        return plots.film(films, time.values[numbers], time.values, lines, self._title, title, captions)

    def __repr__(self) -> str:
        tables = ((name, recording.table(self._ds, name)) for name in ("controls", "covariates"))
        columns = (f"{name} {table.in_line()}" for name, table in tables)
        return f"Recording {self._title!r}: {self._sizes}; {'; '.join(columns)}"

    def _repr_html_(self) -> str:
        rows, numbers = self._rows(SHOWN)
        shown = self._ds.variables["time"].values[numbers]
        strips = "".join(_strip_html(row, shown) for row in rows)
        facts = "".join(
            f"<tr><th>{name}</th><td>{html.escape(str(self._ds.attrs.get(name, '')) or 'not stated')}</td></tr>"
            for name in recording.TEXTS
        )
        return (
            f"<div><p><b>{html.escape(self._title)}</b><br>{html.escape(self._sizes)}</p>{strips}"
            f"{self._controls_html()}<table>{facts}</table></div>"
        )

    @property
    def _title(self) -> str:
        return str(self._ds.attrs.get("session", ""))

    @property
    def _sizes(self) -> str:
        """Shape and dtype of every camera, and how long the recording is."""
        time = self._ds.variables["time"].values
        cameras = []
        for name in recording.cameras(self._ds):
            variable = self._ds.variables[name]
            sizes = ", ".join(f"{dim} {size}" for dim, size in zip(variable.dims, variable.shape, strict=True))
            cameras.append(f"{name} {variable.dtype} ({sizes})")
        return f"{'; '.join(cameras)}; {time[-1] - time[0]:.4g} s from the first frame to the last"

    def _rows(self, n: int) -> tuple[list[_Row], np.ndarray]:
        """Rows of pictures of all cameras, and which frames they show : (at most n,)."""
        n = whole(n, "how many frames are shown (n)", 1, MOST_SHOWN)
        count = self._ds.sizes["time"]
        numbers = np.unique(np.linspace(0, count - 1, min(n, count)).round().astype(int))
        found: list[_Row] = []
        for name in recording.cameras(self._ds):
            found += _camera_rows(self._ds, name, numbers)
        return found, numbers

    def _controls_html(self) -> str:
        """The controls and covariates as a table: units, bounds, kind, and the first values."""
        cells = []
        for name in ("controls", "covariates"):
            values = np.atleast_2d(self._ds.variables[name].values) if name in self._ds.variables else np.empty((0, 0))
            for k, column in enumerate(recording.table(self._ds, name)):
                bounds = ["" if bound is None else f"{bound:g}" for bound in (column.low, column.high)]
                first = ", ".join(_value(value, column) for value in values[:FIRST, k])
                what = "covariate" if name == "covariates" else column.role
                cells.append((column.name, column.units, *bounds, column.kind, what, first))
        if not cells:
            return "<p>no controls</p>"
        titles = ("control", "units", "low", "high", "kind", "role", "first values")
        head = "".join(f"<th>{title}</th>" for title in titles)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        return f"<table><tr>{head}</tr>{body}</table>"


def _camera_rows(ds: xr.Dataset, name: str, numbers: np.ndarray) -> list[_Row]:
    """The frames `numbers` of a camera, a row a channel; red, green and blue are one. No other frame is read."""
    variable = ds.variables[name]
    columns = recording.table(ds, name).columns
    plane = variable.shape[1] // 2 if variable.ndim == 5 else None
    note = "" if plane is None else f"; plane {plane + 1} of {variable.shape[1]} along {variable.dims[1]}"
    small = []
    for number in numbers.tolist():  # one by one: each may be large
        key = (number,) if plane is None else (number, plane)
        small.append(plots.thumbnail(variable[key].values))
    stack = np.stack(small)
    colour = tuple(column.name for column in columns[:3]) == COLOURS
    rest = columns[3:] if colour else columns
    rows = []
    prefix = "" if name == "frames" else f"{name.removeprefix('frames_')} "
    if colour:
        images, low, high = plots.pictures(stack[..., :3])
        if variable.dtype == np.uint8:
            images, caption = np.round(stack[..., :3]).astype(np.uint8), "as recorded"
        else:
            caption = _contrast(low, high, columns[0].units)
        rows.append(_Row(f"{prefix}colour", images, caption + note))
    for column in rest[: MOST_CHANNELS - len(rows)]:
        channel = stack[..., columns.index(column)]
        images, low, high = plots.pictures(channel)
        odd = "" if np.isfinite(channel).all() else "; red pixels are not finite"
        rows.append(_Row(prefix + column.name, images, _contrast(low, high, column.units) + odd + note))
    hidden = len(rest) - (len(rows) - int(colour))
    if hidden:
        rows[-1] = dataclasses.replace(rows[-1], caption=f"{rows[-1].caption}; {hidden} more channels are not shown")
    return rows


def _contrast(low: float, high: float, units: str) -> str:
    named = "" if units == "1" else f" {units}"
    return f"black is {low:.4g}, white {high:.4g}{named}: 1 % and 99 % of the frames shown"


def _strip_html(row: _Row, shown: np.ndarray) -> str:
    style = "width:110px;image-rendering:pixelated;display:block"
    images = "".join(
        f'<td style="padding:2px;text-align:center"><img style="{style}" alt="" src="{plots.data_uri(picture)}">'
        f"{at:.4g} s</td>"
        for picture, at in zip(row.pictures, shown.tolist(), strict=True)
    )
    text = html.escape(f"{row.label}: {row.caption}")
    return f"<table><tr>{images}</tr></table><p><small>{text}</small></p>"


def _value(value: float, column: Column) -> str:
    if np.isnan(value):
        return "unknown"
    return column.levels[int(value)] if column.levels else f"{value:.4g}"
