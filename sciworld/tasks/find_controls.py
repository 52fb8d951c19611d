"""Controls for what a scientist wants, from a recorded frame on: an objective on xarray, a surrogate, a search."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from sciworld import plots
from sciworld.config import require
from sciworld.controls import ControlSpace
from sciworld.errors import SearchError
from sciworld.evaluate.imagine import controls_of, covariates_of, observed, require_kind
from sciworld.evaluate.table import Table, number
from sciworld.familiar.familiar import Familiar
from sciworld.search.arrays import OfArrays, OnArrays
from sciworld.search.constraints import Constraint
from sciworld.search.parameters import Parameters
from sciworld.search.plan import Plan
from sciworld.search.problem import Problem
from sciworld.search.risk import Risk
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Objective, Observation
from sciworld.surrogate.surrogate import Surrogate

SAMPLES = 8  # futures of the controls that were found


@dataclass(frozen=True, eq=False)
class Found:
    """Controls that a search found, the futures that it expects of them, and from where.

    Parameters
    ----------
    plan : of one problem. futures : (sample, time, y, x, channel) under its controls, in the recording's units, at
    times in s since the present: those of the surrogate where a control says how long a step lasts, else by the
    recording's median step; without either steps are counted.
    present : (y, x, channel), the frame that was decided from. session, frame : which. objective : what it is called,
    and units : of its scores.
    """

    plan: Plan
    futures: xr.DataArray
    present: np.ndarray
    session: str
    frame: int
    objective: str
    units: str = "1"

    @property
    def controls(self) -> xr.DataArray:
        """What was found : (time, control), with units; each acts until its time, from the time before it on."""
        coordinates = {"time": self.futures["time"], "control": list(self.plan.space.names)}
        units = ("control", [column.units for column in self.plan.space.table])
        return xr.DataArray(self.plan.controls[0], {**coordinates, "control_units": units}, ("time", "control"))

    def to_xarray(self) -> xr.Dataset:
        """Controls, futures, and what is promised of them."""
        plan = self.plan
        facts = {
            "promise": ((), plan.promise[0], {"units": self.units, "long_name": f"expected {self.objective}"}),
            "uncertainty": (
                (),
                plan.uncertainty[0],
                {"units": self.units, "long_name": "standard deviation over futures"},
            ),
            "failed": ((), plan.failed[0], {"long_name": "candidates that got no score"}),
            **{
                f"amount of {one.name}": ((), plan.amounts[0, k], {"units": one.units, "limit": one.limit})
                for k, one in enumerate(plan.constraints)
            },
        }
        asked = {"session": self.session, "frame": self.frame, "objective": self.objective}
        used = {"evaluations": plan.evaluations, "stopped": plan.stopped}
        return xr.Dataset({"controls": self.controls, "futures": self.futures, **facts}, attrs={**asked, **used})

    def to_table(self) -> Table:
        """What was found, step by step, and what it promises."""
        plan = self.plan
        heads = [f"{column.name} ({column.units})" for column in plan.space.table]
        unit = self.futures["time"].attrs["units"]
        first = f"until ({unit})" if unit != "1" else "step"
        rows = [
            (number(time), *(number(value) for value in values))
            for time, values in zip(self.futures["time"].values, plan.controls[0], strict=True)
        ]
        kept = [
            f"{one.name}: {number(plan.amounts[0, k])} {one.units}, "
            + ("kept to" if plan.satisfied[0, k] else f"ABOVE the limit of {number(one.limit)}")
            for k, one in enumerate(plan.constraints)
        ]
        promise = f"Expected {self.objective}: {self._promised()}{' over futures' if self._unsure else ''}"
        many = f"{len(plan.trace)} generation{'s' if len(plan.trace) != 1 else ''}"
        after = f"{plan.evaluations} model evaluations in {many}, stopped: {plan.stopped}"
        caption = "; ".join([promise, *kept, f"from frame {self.frame} of {self.session}", after])
        return Table((first, *heads), tuple(rows), caption)

    def figure(self, channel: str | None = None) -> go.Figure:
        """The present, and under it what is expected, its spread, and one future, step by step."""
        names = self.futures["channel"].values.tolist()
        channel = names[0] if channel is None else channel
        require(channel in names, f"channel is {channel!r}; there are {', '.join(names)}")
        k = names.index(channel)
        futures = self.futures.values[..., k].astype(np.float64)
        gap = np.full((1, *futures.shape[2:]), np.nan)
        rows = {
            "expected": np.concatenate([self.present[None, ..., k], futures.mean(axis=0)]),
            "one future": np.concatenate([gap, futures[0]]),
            "spread": np.concatenate([gap, futures.std(axis=0)]),
        }
        titles = ["present", *(f"step {step + 1}" for step in range(futures.shape[1]))]
        units = self.futures["channel_units"].values.tolist()[k]
        return plots.image_strip(rows, titles, title=f"{channel} under the controls that were found", units=units)

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in self.plan.controls[0].shape)
        where = f"from frame {self.frame} of {self.session}"
        return f"Found({self.objective}: controls {shape} (time x control), promise {self._promised()}, {where})"

    @property
    def _unsure(self) -> bool:
        """Whether more than one future was looked at, so that something says how far off the promise may be."""
        return bool(np.isfinite(self.plan.uncertainty[0]))

    def _promised(self) -> str:
        spread = f" +- {number(self.plan.uncertainty[0])}" if self._unsure else ""
        return f"{number(self.plan.promise[0])}{spread}{'' if self.units == '1' else f' {self.units}'}"

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()

    def to_json(self) -> str:
        """The plan, as `Plan.from_json` reads it, and beside it from where it was found."""
        asked = {"session": self.session, "frame": self.frame, "objective": self.objective, "units": self.units}
        until = {"until": self.futures["time"].values.tolist(), "until_units": self.futures["time"].attrs["units"]}
        return json.dumps({**json.loads(self.plan.to_json()), **until, **asked})

    def warnings(self) -> list[str]:
        """What a reader must not overlook."""
        return self.plan.warnings()


def find_controls(
    surrogate: Surrogate,
    ds: xr.Dataset,
    objective: OfArrays | Objective,
    horizon: int,
    *,
    frame: int = -1,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    constraints: Sequence[Constraint] = (),
    risk: Risk | None = None,
    parameters: Parameters | None = None,
    familiar: Familiar | None = None,
    optimizer: str = "cem",
    settings: SearchSettings | None = None,
    optimizer_settings: Any = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Search the next `horizon` controls from frame number `frame` of a recording, against the surrogate alone.

    An objective is shown the recording's median step as the time of each step, also where a control says how long it
    lasts: only the times of what was found are those.

    Parameters
    ----------
    objective : futures and controls as DataArrays -> (candidate, sample), larger is better, see `OnArrays`; what has an
        attribute `linear` or `differentiable` is given what an `Objective` is, no DataArrays.
    low, high : (control,), what is searched; NaN, or neither, for what was played, see `Familiar.played`, or for all
        that the controls can be, if nothing is familiar.
    familiar : what the surrogate was trained near, such as `Run.familiar()`; without it a search goes anywhere.
    constraints : amounts are functions as the objective is, of DataArrays unless they have an attribute `linear`.
    The rest is that of `Problem` and of `search`; plans keep to the controls' rate limits.

    Raises RecordingError or ControlError where the recording is not of the surrogate's kind, SearchError where the
    frame is not familiar, or nothing scored.
    """
    require_kind(surrogate, ds)
    n, space = ds.sizes["time"], surrogate.space
    require(-n <= frame < n, f"frame is {frame}; the recording has the frames 0 to {n - 1}")
    frame %= n
    history = observed(ds, frame, surrogate.model.context)
    wish, arrays = as_objective(objective, surrogate, ds, frame)
    before = controls_of(ds)[frame - 1] if frame else np.full(len(space), np.nan)
    region = _region(space, low, high, familiar)
    problem = Problem(
        wish,
        horizon,
        space,
        *region,
        constraints=tuple(
            dataclasses.replace(one, amount=as_objective(cast(Objective, one.amount), surrogate, ds, frame)[0])
            for one in constraints
        ),
        risk=risk or Risk(),
        parameters=parameters or Parameters(),
        seconds=arrays.seconds,
        previous=before if np.isfinite(before).all() else None,
        familiar=familiar,
    )
    rng = np.random.default_rng(seed)
    known = surrogate.knowing(covariates_of(surrogate, ds), ds.attrs.get("description"))
    plan = search(known, history, problem, rng, optimizer, settings, optimizer_settings, progress=progress)
    futures = known.futures(known.start(history), plan.controls[:, None], SAMPLES, rng)
    name = getattr(objective, "title", getattr(objective, "__name__", type(objective).__name__))
    shown = arrays.of_futures(futures[0]).isel(candidate=0)
    if isinstance(surrogate.seconds, tuple):
        times = np.cumsum(surrogate.lasts(plan.controls[0]))
        shown = shown.assign_coords(time=("time", times, {"units": "s"}))
    present, units = history[-1].frames[0].astype(np.float64), getattr(objective, "units", "1")
    return Found(plan, shown, present, ds.attrs["session"], frame, name, units)


def _region(
    space: ControlSpace, low: Sequence[float] | None, high: Sequence[float] | None, familiar: Familiar | None
) -> tuple[np.ndarray, np.ndarray]:
    """What is searched : low, high (control,). Raises SearchError or ControlError where that is no region."""
    nothing = np.full(len(space), np.nan)
    asked = [nothing if one is None else np.asarray(one, dtype=np.float64) for one in (low, high)]
    for name, one in zip(("low", "high"), asked, strict=True):
        if one.shape != nothing.shape:
            raise SearchError(f"{name} is {one.shape}; use ({len(space)},), of {', '.join(space.names)}")
    played = (space.low, space.high) if familiar is None else familiar.played()
    least, most = np.fmax(played[0], space.low), np.fmin(played[1], space.high)
    # Who asks for more at one end than was ever played gets it, and what that is worth is said of the plan.
    least, most = np.fmin(least, asked[1]), np.fmax(most, asked[0])
    found = [np.where(np.isnan(one), known, one) for one, known in zip(asked, (least, most), strict=True)]
    space.require_bounds(*found)
    return found[0], found[1]


def as_objective(
    objective: OfArrays | Objective,
    surrogate: Surrogate,
    seen: xr.Dataset | Observation,
    frame: int = 0,
    seconds: float | None = None,
) -> tuple[Objective, OnArrays]:
    """What a search calls: the objective itself where it says whether it is `linear` or `differentiable`, else
    `OnArrays`, which comes along in either case: it names the futures' coordinates.

    seen, frame : as of `on_arrays`. seconds : that a step lasts, by default the median one of a recording.
    """
    if seconds is None and isinstance(seen, xr.Dataset) and seen.sizes["time"] > 1:
        seconds = float(np.median(np.diff(seen["time"].values)))
    arrays = on_arrays(objective, surrogate, seen, frame, seconds)
    itself = hasattr(objective, "linear") or hasattr(objective, "differentiable")
    return cast(Objective, objective) if itself else arrays, arrays


def on_arrays(
    function: Any,
    surrogate: Surrogate,
    seen: xr.Dataset | Observation,
    frame: int = 0,
    seconds: float | None = None,
) -> OnArrays:
    """A function of DataArrays as an objective, or as the amount of a constraint, of what follows on `seen`.

    seen, frame : a recording and which of its frames is the present; or an observation and which of its rows, whose
    view has no units. seconds : that a step lasts; None for steps, which are counted.
    """
    if isinstance(seen, Observation):
        view, units = seen.view[frame], ""
    else:
        view, units = seen["view"].values[frame], seen["view"].attrs.get("units", "")
    return OnArrays(function, surrogate.model.signature.channels, surrogate.space.table, seconds, view, units)


def objective_in(path: str) -> OfArrays:
    """The function that `file.py:name` names. Raises SearchError where there is none."""
    import importlib.util

    file, _, name = path.rpartition(":")
    try:
        spec = importlib.util.spec_from_file_location("objective", file)
        if spec is None or spec.loader is None:
            raise ImportError("no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function: OfArrays = getattr(module, name)
    except Exception as error:  # whatever a user's file raises
        raise SearchError(f"objective {path}: {type(error).__name__}: {error}; give FILE.py:FUNCTION") from error
    if not callable(function):
        raise SearchError(f"objective {path}: '{name}' is no function; give FILE.py:FUNCTION")
    return function
