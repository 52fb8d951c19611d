"""Chosen controls, imagined: sampled futures, and beside them what a trusted simulator shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from sciworld.config import whole
from sciworld.controls import ColumnTable
from sciworld.errors import ControlError, SettingsError, SimulatorError
from sciworld.search.problem import Problem
from sciworld.simulator import Objective, Observation, Simulator, State
from sciworld.surrogate.surrogate import Surrogate
from sciworld.widgets.figure import draw


@dataclass(frozen=True, eq=False)
class Compared:
    """Futures under chosen controls, and the one that a trusted simulator went through, if one was asked.

    Parameters
    ----------
    present : of one row, what all futures begin from.
    controls : (step, control). times : (step,) s since the present, as the surrogate has it.
    samples : (sample, step, y, x, channel) float64, in the recordings' units.
    scores : (sample, step), what the objective says of a future up to each step, or None.
    truth : (step, y, x, channel) float64, or None; still : (step,) whether it shows the present's field of view.
    truth_scores : (step,) or None.
    channels, columns : what the frames' channels and the controls are.
    """

    present: Observation
    controls: np.ndarray
    times: np.ndarray
    samples: np.ndarray
    scores: np.ndarray | None
    truth: np.ndarray | None
    still: np.ndarray
    truth_scores: np.ndarray | None
    channels: ColumnTable
    columns: ColumnTable

    @property
    def mean(self) -> np.ndarray:
        """Over samples : (step, y, x, channel)."""
        found: np.ndarray = self.samples.mean(axis=0)
        return found

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over samples : (step, y, x, channel); NaN of a single one."""
        if len(self.samples) == 1:
            return np.full(self.samples.shape[1:], np.nan)
        found: np.ndarray = self.samples.std(axis=0, ddof=1)
        return found

    @property
    def difference(self) -> np.ndarray | None:
        """Mean less truth : (step, y, x, channel); NaN once the trusted simulator's field of view has moved."""
        if self.truth is None:
            return None
        return np.where(self.still[:, None, None, None], self.mean - self.truth, np.nan)

    def figure(self, step: int, channel: str | None = None) -> go.Figure:
        """Pictures of one step, from 1 on, and below them the scores of all steps, or without any the frames' means.

        channel : which one; by default the only one or the first, and red, green and blue bytes together in colour.
        Raises SettingsError for a step, ControlError for a channel that there is none of.
        """
        whole(step, "step", 1, len(self.times))
        return draw(self, step, channel)

    def to_xarray(self) -> xr.Dataset:
        """All of it as a Dataset with units."""
        frame = ("step", "y", "x", "channel")
        variables = {
            "present": (frame[1:], self.present.frames[0].astype(np.float64)),
            "samples": (("sample", *frame), self.samples),
            "mean": (frame, self.mean),
            "spread": (frame, self.spread),
            "controls": (("step", "control"), self.controls),
        }
        if self.scores is not None:
            variables["scores"] = (("sample", "step"), self.scores)
        if self.truth is not None:
            variables["truth"] = (frame, self.truth)
        if self.truth_scores is not None:
            variables["truth_scores"] = (("step",), self.truth_scores)
        coordinates = {
            "step": np.arange(1, len(self.times) + 1),
            "time": ("step", self.times, {"units": "s"}),
            "channel": list(self.channels.names),
            "channel_units": ("channel", [column.units for column in self.channels]),
            "control": list(self.columns.names),
            "control_units": ("control", [column.units for column in self.columns]),
        }
        return xr.Dataset(variables, coordinates)


def compare(
    surrogate: Surrogate,
    history: Observation | Sequence[Observation],
    controls: np.ndarray,
    samples: int,
    rng: np.random.Generator,
    trusted: Simulator | None = None,
    state: State = None,
    objective: Objective | None = None,
) -> Compared:
    """Imagine what controls : (step, control) lead to, and play them in a trusted simulator, if one is given.

    history : what was seen, of one row, oldest first, all that the surrogate is told; the last is the present.
    trusted, state : what tells the truth, and its own state at the present, of one candidate. Its chance is drawn apart
    from the surrogate's, so that it is the same beside every surrogate. Raises SettingsError, ControlError outside the
    bounds, ModelError where the frames do not fit the surrogate, SimulatorError where the truth's are of another shape.
    """
    history = [history] if isinstance(history, Observation) else list(history)
    for seen in history:
        if len(seen) != 1:
            raise SettingsError(
                f"compare: an observation of {len(seen)} rows; show one, as observation.take(np.array([0]))"
            )
    if (trusted is None) != (state is None):
        raise SettingsError("compare: a trusted simulator begins from its own state; give both trusted and state")
    controls = np.asarray(surrogate.space.check(controls, "compare: controls"), dtype=np.float64)
    if controls.ndim != 2 or not len(controls):
        raise ControlError(f"compare: controls are {controls.shape}; give (step, {len(surrogate.space)})")
    imagining, playing = rng.spawn(2)
    began = surrogate.start(history)
    futures = surrogate.futures(began, controls[None, None], whole(samples, "samples", 1), imagining)[0, 0]
    truth, still, truth_scores = None, np.ones(len(controls), dtype=bool), None
    if trusted is not None:
        surrogate.space.require_same(trusted.space, "compare: the trusted simulator")
        truth, still = _played(trusted, state, controls, playing, history[-1])
        if objective is not None:
            truth_scores = _scores(objective, surrogate, truth[None], controls)[0]
    return Compared(
        present=history[-1],
        controls=controls,
        times=np.cumsum(surrogate.lasts(controls)),
        samples=futures.astype(np.float64),
        scores=None if objective is None else _scores(objective, surrogate, futures, controls),
        truth=truth,
        still=still,
        truth_scores=truth_scores,
        channels=surrogate.model.signature.channels,
        columns=surrogate.space.table,
    )


def _played(
    trusted: Simulator, state: State, controls: np.ndarray, rng: np.random.Generator, present: Observation
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (step, y, x, channel) float64 of the trusted simulator, and whether each shows the present's view."""
    frames, still = [], []
    for row in controls:
        seen, state = trusted.step(state, row[None], rng)
        if seen.frames.shape != present.frames.shape:
            raise SimulatorError(
                f"compare: trusted frames are {seen.frames.shape}, the present is {present.frames.shape}; give "
                "the state of one candidate, of a simulator set as it was when the present was recorded"
            )
        frames.append(seen.frames[0])
        still.append(np.array_equal(seen.view, present.view))
    return np.stack(frames).astype(np.float64), np.array(still)


def _scores(objective: Objective, surrogate: Surrogate, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """What an objective says of futures (sample, step, y, x, channel) up to each step : (sample, step)."""
    found = [
        Problem(objective, k, surrogate.space).score(futures[None, None, :, :k], controls[None, None, :k])[0, 0]
        for k in range(1, len(controls) + 1)
    ]
    return np.stack(found, axis=1)
