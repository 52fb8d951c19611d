"""How many frames the images lag behind the controls: a shift of one frame is the commonest silent fault there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable
from sciworld.errors import RecordingError, SettingsError
from sciworld.ingest.changes import Changes, changes_of
from sciworld.plots import COLOURS

FAMILY_ERROR = 0.01  # chance that controls without any effect are called significant, over all that is looked at
FEATURES = (
    "how much changed",
    "how much changed, by its own step",
    "brightness moved along the columns",
    "brightness moved along the rows",
    "the image moved along the columns",
    "the image moved along the rows",
)
WAY = "the way brightness moved"
LEAD = 2.5  # standard errors by which the best lag must beat its rival to be called measured


@dataclass(frozen=True)
class Lag:
    """Correlation of each control with how the images change, at each lag.

    Lag k pairs the change between frames t and t+1 with the control of row t-k: 0 where frames and controls fit, and
    k > 0 where the images answer k frames late (attach the controls with shift=k).

    Parameters
    ----------
    controls : names of the controls, or of positions.
    lags : (lag,) int64, frames.
    correlation : (control, lag) float64 in [-1, 1]: for a position, of the way from where the image changed to the
        control with the way that brightness moved; for any other, with what in the change it correlates most.
    feature : what each control was correlated with.
    threshold : (control,) float64, correlations within it are chance; 1 where there are too few changes.
    pairs : (control,) int64, how many independent numbers were correlated.
    """

    controls: tuple[str, ...]
    lags: np.ndarray
    correlation: np.ndarray
    feature: tuple[str, ...]
    threshold: np.ndarray
    pairs: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """The lag of the largest correlation of each control : (control,) int64."""
        return self.lags[np.abs(self.correlation).argmax(axis=1)]

    @property
    def significant(self) -> np.ndarray:
        """Whether each control's largest correlation is beyond chance and well ahead : (control,) bool.

        Ahead of lag 0, unless it is at 0: a control that changes slowly correlates at neighbouring lags too. That of a
        position must be ahead of all others, since places near the middle are towards where most things move.
        """
        size = np.abs(self.correlation)
        zero = np.where(self.best == 0, 0.0, size[:, np.flatnonzero(self.lags == 0)[0]])
        rival = np.where(np.array(self.feature) == WAY, np.sort(size, axis=1)[:, -2], zero)
        lead = np.arctanh(np.minimum(size.max(axis=1), 0.9999)) - np.arctanh(np.minimum(rival, 0.9999))
        ahead = lead * np.sqrt(np.maximum(self.pairs - 3, 0) / 2.0) > LEAD
        return (size.max(axis=1) > self.threshold) & ahead

    @property
    def measured(self) -> float:
        """The lag, in frames, of the control that tells most surely; NaN if none does."""
        sure = np.where(self.significant, np.abs(self.correlation).max(axis=1) / self.threshold, -1.0)
        return float(self.best[sure.argmax()]) if len(sure) and sure.max() > 0 else math.nan

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each control whose best lag is significant and is not 0."""
        return tuple(
            f"the images seem to answer '{name}' at lag {lag:+d} (correlation {values[self.lags == lag][0]:.2f}; "
            f"{values[self.lags == 0][0]:.2f} at lag 0): check the clocks, and if it is so, attach the "
            f"controls with a shift of {lag:+d} frames more, into a new store (--shift, and a new --out)"
            for name, lag, values, sure in zip(
                self.controls, self.best, self.correlation, self.significant, strict=True
            )
            if lag and sure
        )

    def summary(self) -> str:
        """One clause a control, for a history or a terminal."""
        clauses = []
        most = self.correlation[np.arange(len(self.controls)), np.abs(self.correlation).argmax(axis=1)]
        for name, lag, value, sure in zip(self.controls, self.best, most, self.significant, strict=True):
            found = f"{lag:+d} frames (correlation {value:.2f})" if sure else "not measurable (no lag stands out)"
            clauses.append(f"'{name}' {found}")
        return "measured lag: " + ", ".join(clauses)

    def figure(self) -> go.Figure:
        """The correlation of each control against lag; what lies in the grey band is chance."""
        return go.Figure(self._drawing())  # in one go: plotly checks anew what is added later

    def write(self, path: Path) -> None:
        """Write the figure as a page, with plotly's script in plotly.min.js beside it. Raises OSError."""
        drawing = self._drawing()
        # Not by way of `figure`: to check the template takes plotly ten times as long as to write the page.
        drawing["layout"]["template"] = pio.templates[drawing["layout"]["template"]].to_plotly_json()
        pio.write_html(drawing, path, include_plotlyjs="directory", validate=False)

    def _drawing(self) -> dict[str, Any]:
        lines = [
            {
                "type": "scatter", "mode": "lines+markers", "name": f"{name} with {feature}",
                "x": self.lags, "y": values, "line": {"color": colour},
                "marker": {"size": np.where(np.abs(values) == np.abs(values).max(), 13, 6)},
            }
            for name, feature, values, colour in zip(self.controls, self.feature, self.correlation, cycle(COLOURS))
        ]  # fmt: skip
        band = float(self.threshold.max(initial=0.0))
        chance = {
            "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": -band, "y1": band,
            "fillcolor": "#7b8794", "opacity": 0.15, "line": {"width": 0},
        }  # fmt: skip
        dots = {"color": "#7b8794", "dash": "dot"}
        zero = {"type": "line", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": dots}
        layout = {
            "template": "plotly_white",
            "title": {"text": "Do frames and controls fit? The large marks should be at 0"},
            "xaxis": {"title": {"text": "lag of the images behind the controls (frames)"}, "dtick": 1},
            "yaxis": {"title": {"text": "correlation"}, "range": [-1, 1]},
            "shapes": [chance, zero],
        }
        return {"data": lines, "layout": layout}


def estimate_lag(recordings: xr.Dataset | Sequence[xr.Dataset], reach: int = 5) -> Lag:
    """Measure the lag of the images behind the controls, over all recordings together.

    recordings : one or several, with the same controls. Lags from -reach to reach are looked at. Changes across which
    the field of view moved are left out, as are unknown controls. Raises RecordingError if nothing is controlled.
    """
    several = [recordings] if isinstance(recordings, xr.Dataset) else list(recordings)
    return lag_of([(ds, changes_of(ds)) for ds in several], reach)


def lag_of(measured: Sequence[tuple[xr.Dataset, Changes]], reach: int = 5) -> Lag:
    """The lag from changes that were measured already; see `estimate_lag`."""
    if reach < 1:
        raise SettingsError(f"lag: reach is {reach}; use at least 1")
    tables = [recording.control_table(ds) for ds, _ in measured]
    if not tables or not len(tables[0]):
        raise RecordingError("lag: there are no controls to compare the images with; attach them first")
    if any(table.names != tables[0].names for table in tables):
        raise RecordingError("lag: recordings with different controls; measure each kind by itself")
    changes = [change for _, change in measured]
    controls = [ds["controls"].values[:-1] for ds, _ in measured]
    lags = np.arange(-reach, reach + 1)
    groups = _groups(tables[0])
    found = [
        _position(tables[0].columns[columns[0]].frame, columns, controls, changes, lags)
        if len(columns) == 2
        else _scalar(columns[0], controls, changes, lags)
        for columns in groups.values()
    ]
    # Every lag, control and feature is a chance to be fooled.
    chances = len(lags) * sum(1 if len(columns) == 2 else len(FEATURES) for columns in groups.values())
    deviation = NormalDist().inv_cdf(1.0 - FAMILY_ERROR / (2.0 * chances))
    pairs = np.array([count for *_, count in found])
    threshold = np.array([math.tanh(deviation / math.sqrt(n - 3)) if n > 4 else 1.0 for n in pairs])
    return Lag(
        controls=tuple(groups),
        lags=lags,
        correlation=np.stack([values for values, _, _ in found]),
        feature=tuple(feature for _, feature, _ in found),
        threshold=threshold,
        pairs=pairs,
    )


def _groups(table: ColumnTable) -> dict[str, tuple[int, ...]]:
    """Positions by their group, all other controls by their name, each with its columns."""
    groups: dict[str, tuple[int, ...]] = dict(table.positions())
    for index, column in enumerate(table):
        if not column.is_position:
            groups[column.name] = (index,)
    return groups


def _position(
    frame: str, columns: tuple[int, ...], controls: list[np.ndarray], changes: list[Changes], lags: np.ndarray
) -> tuple[np.ndarray, str, int]:
    """Mean cosine between the way brightness moved, and the way from where it left to the position, at each lag."""
    values, counts = np.zeros(len(lags)), np.zeros(len(lags), dtype=np.int64)
    ends = [(change.left[frame], change.arrived[frame]) for change in changes]
    for k, lag in enumerate(lags):
        cosines = []
        for rows, (left, arrived) in zip(controls, ends, strict=True):
            toward, way = _shifted(rows[:, columns], lag) - left, arrived - left
            norm = np.linalg.norm(toward, axis=1) * np.linalg.norm(way, axis=1)
            cosine = (toward * way).sum(axis=1) / np.where(norm > 0, norm, np.nan)
            cosines.append(cosine[np.isfinite(cosine)])
        pooled = np.concatenate(cosines)
        # Two components a change: a random direction's cosine has variance 1/2.
        values[k], counts[k] = (pooled.mean() if len(pooled) else 0.0), 2 * len(pooled)
    return values, WAY, int(counts[np.abs(values).argmax()])


def _scalar(
    column: int, controls: list[np.ndarray], changes: list[Changes], lags: np.ndarray
) -> tuple[np.ndarray, str, int]:
    """Correlation of a control with what in the change it correlates most, at each lag."""
    largest = max(float(np.abs(rows[:, column][np.isfinite(rows[:, column])]).max(initial=0.0)) for rows in controls)
    # Correlations know no scale; squares of the largest numbers would be infinite.
    series = [rows[:, column] / (largest or 1.0) for rows in controls]
    steps = [np.abs(np.diff(rows, prepend=np.nan)) for rows in series]
    energy = [change.energy for change in changes]
    ways = [change.arrived["pixel"] - change.left["pixel"] for change in changes]
    moves = [change.moved for change in changes]
    best = (np.zeros(len(lags)), FEATURES[0], 0)
    for name, mine, theirs in zip(
        FEATURES,
        (series, steps, series, series, series, series),
        (energy, energy, *([way[:, axis] for way in them] for them in (ways, moves) for axis in (0, 1))),
        strict=True,
    ):
        found = [_pearson([_shifted(one, lag) for one in mine], theirs) for lag in lags]
        values = np.array([value for value, _ in found])
        pairs = found[int(np.abs(values).argmax())][1]  # at a long lag there are fewer
        if pairs > 4 and np.abs(values).max() * math.sqrt(pairs) > np.abs(best[0]).max() * math.sqrt(best[2]):
            best = values, name, pairs
    return best


def _shifted(rows: np.ndarray, lag: int) -> np.ndarray:
    """Row t - lag in place of row t; NaN where there is none."""
    moved = np.full_like(rows, np.nan)
    n = len(rows)
    lag = max(-n, min(n, lag))
    moved[max(lag, 0) : n + min(lag, 0)] = rows[max(-lag, 0) : n - max(lag, 0)]
    return moved


def _pearson(mine: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[float, int]:
    """Correlation about the means of each recording, and how many independent pairs it is worth."""
    pairs = []
    for a, b in zip(mine, theirs, strict=True):
        known = np.isfinite(a) & np.isfinite(b)
        if known.sum() > 1:
            pairs.append((a[known] - a[known].mean(), b[known] - b[known].mean()))
    if not pairs:
        return 0.0, 0
    a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    if scale == 0.0:
        return 0.0, 0
    # Series that remember their past are worth fewer pairs (Bartlett, for memory of one step).
    memory = float(np.clip((a[1:] @ a[:-1]) / (a @ a) * (b[1:] @ b[:-1]) / (b @ b), 0.0, 0.99))
    return float(a @ b) / scale, int(len(a) * (1.0 - memory) / (1.0 + memory))
