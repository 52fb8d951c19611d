"""Steering by hand: sliders for the controls, and below them what a surrogate imagines and what is true."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from sciworld.config import whole
from sciworld.controls import Column, ControlSpace
from sciworld.errors import ControlError, MissingDependencyError, SettingsError
from sciworld.search import problem
from sciworld.search.arrays import OfArrays
from sciworld.simulator import Objective, Observation, Simulator, State
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.find_controls import as_objective
from sciworld.widgets.compare import Compared, compare

WHOLE_NAME = {"description_width": "initial"}  # of a control, however long


def steer(
    surrogate: Surrogate,
    present: Observation | Sequence[Observation],
    horizon: int = 8,
    samples: int = 8,
    trusted: Simulator | None = None,
    state: State = None,
    objective: OfArrays | Objective | None = None,
    seed: int = 0,
    channel: str | None = None,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Any:
    """A view for notebooks: move the controls, and see the futures that they lead to.

    Controls are held over all steps, and begin at 0, or the bound nearest to it; a position in the middle. Every look
    is by the same seed, so that controls moved back show the same futures. An error is shown in place of new futures.

    Parameters
    ----------
    present : what was seen, of one row; or a history, oldest first.
    horizon : steps ahead. samples : futures of each look.
    trusted, state : what tells the truth, and its own state at the present; see `compare`.
    objective : whose scores are drawn over time, futures and controls as DataArrays or, of one that says whether it is
        `linear`, as arrays: see `find_controls`; without one, the mean of the frame.
    channel : the one that is shown; see `Compared.figure`.
    low, high : (control,), between which controls can be moved; by default the bounds of the surrogate's space, and of
        positions those of the present field of view.

    Returns an ipywidgets VBox, whose attribute `compared` is the Compared that it shows. Raises as `compare`;
    ControlError for controls without bounds, MissingDependencyError without the extra `notebook`.
    """
    whole(horizon, "horizon", 1)
    history = [present] if isinstance(present, Observation) else list(present)
    if not history:
        raise SettingsError("steer: the history is empty; give at least the present observation")
    low, high = _region(surrogate.space, history[-1], low, high)

    def look(controls: Sequence[float] | np.ndarray) -> Compared:
        held = np.tile(np.asarray(controls, dtype=np.float64), (horizon, 1))
        wish = _wish(objective, surrogate, history[-1], held[0])
        return compare(surrogate, history, held, samples, np.random.default_rng(seed), trusted, state, wish)

    table = surrogate.space.table
    begin = np.where([column.is_position for column in table], (low + high) / 2, np.clip(0.0, low, high))
    begin = problem.whole(surrogate.space, begin, low, high)
    first = look(begin)
    try:
        import ipywidgets as widgets

        canvas = go.FigureWidget(first.figure(horizon, channel))
    except ImportError as error:
        raise MissingDependencyError(
            f"steer: the view is made of ipywidgets and anywidget ({error}); pip install 'sciworld[notebook]'"
        ) from error
    sliders = [_slider(widgets, *each) for each in zip(table, low, high, begin, strict=True)]
    step = widgets.IntSlider(horizon, 1, horizon, description="step", style=WHOLE_NAME)
    message = widgets.HTML()
    box = widgets.VBox([*sliders, step, message, canvas])
    box.compared = first

    def redraw(change: Any = None) -> None:
        fresh = box.compared.figure(step.value, channel)
        with canvas.batch_update():
            # Not to_dict, whose arrays are texts for the browser.
            canvas.update(data=[trace.to_plotly_json() for trace in fresh.data], layout=fresh.layout.to_plotly_json())

    def again(change: Any = None) -> None:
        message.value = "imagining …"
        try:
            box.compared = look([slider.value for slider in sliders])
            message.value = ""
        except Exception as error:  # an objective is a scientist's code, which may raise anything
            said = html.escape(f"{type(error).__name__}: {error}")
            message.value = f"<b>The figure is of the controls before.</b> {said}"
        redraw()

    step.observe(redraw, "value")
    for slider in sliders:
        slider.observe(again, "value")
    return box


def _wish(
    objective: OfArrays | Objective | None, surrogate: Surrogate, present: Observation, controls: np.ndarray
) -> Objective | None:
    """The objective on arrays, of steps that all last as long, since controls (control,) are held."""
    if objective is None:
        return None
    return as_objective(objective, surrogate, present, seconds=float(surrogate.lasts(controls)))[0]


def _region(
    space: ControlSpace, present: Observation, low: np.ndarray | None, high: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Between which values controls can be moved : low and high, (control,) each."""
    found = []
    for name, given, seen in zip(("low", "high"), (low, high), _in_view(space, present), strict=True):
        limit = np.asarray(seen if given is None else given, dtype=np.float64)
        if limit.shape != (len(space),):
            raise SettingsError(f"steer: {name} is {limit.shape}; give ({len(space)},): {', '.join(space.names)}")
        for column, value in zip(space.table, limit, strict=True):
            if np.isinf(value):
                raise ControlError(
                    f"steer: control '{column.name}' has no bounds; give low and high, between which it can be moved"
                )
        found.append(np.asarray(space.check(limit, f"steer: {name}")))
    for column, least, most in zip(space.table, *found, strict=True):
        if least > most:
            raise SettingsError(f"steer: '{column.name}' has low {least:g} above high {most:g}; swap them")
    return found[0], found[1]


def _in_view(space: ControlSpace, present: Observation) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of the space, of positions those of the field of view within them : low and high, (control,) each."""
    low, high, v = space.low, space.high, present.view[0]
    _, y, x, _ = present.frames.shape
    columns, rows = np.array([0, x - 1, 0, x - 1]), np.array([0, 0, y - 1, y - 1])  # of the corners
    for ix, iy in space.table.positions().values():
        if space.table.columns[ix].frame == "lab":
            corners = (v[0] * columns + v[1] * rows + v[2], v[3] * columns + v[4] * rows + v[5])
        else:
            corners = (columns, rows)
        for place, corner in zip((ix, iy), corners, strict=True):
            low[place], high[place] = np.clip([corner.min(), corner.max()], low[place], high[place])
    return low, high


def _slider(widgets: Any, column: Column, low: float, high: float, begin: float) -> Any:
    """What moves a control: a list of levels, whole numbers, or any number between its bounds."""
    said: dict[str, Any] = {"description": column.label, "style": WHOLE_NAME}
    if column.levels:
        named = [(level, float(i)) for i, level in enumerate(column.levels) if low <= i <= high]
        return widgets.Dropdown(options=named, value=begin, **said)
    said |= {"continuous_update": False, "layout": {"width": "480px"}}
    if column.is_whole:
        return widgets.IntSlider(int(begin), math.ceil(low), math.floor(high), **said)
    # A hundredth of the range or less, in a round number.
    step = 10.0 ** math.floor(math.log10((high - low) / 100)) if high > low else 1.0
    return widgets.FloatSlider(begin, min=low, max=high, step=step, readout_format=".4g", **said)
