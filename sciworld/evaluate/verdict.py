"""What a controller achieved before a judge: the promise beside the truth, with who judged."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from sciworld.config import array, finite_json
from sciworld.errors import FormatError, SettingsError
from sciworld.evaluate.table import DASH, Table, interval
from sciworld.measures.decisions import rank_correlation
from sciworld.measures.intervals import Interval, mean, ratio_of_sums, wilson
from sciworld.plots import COLOURS, GREY

_PER_EPISODE = {"success": bool, "actions": np.int64, "seconds": np.float64, "dose": np.float64}
_PER_DECISION = ("promise", "outcome")
_MAYBE = ("uncertainty", "best")  # per decision, where they are known
LIKELY = 1.645  # standard deviations to either side that hold nine in ten normal outcomes
_LATER = {"promise_units": "1", "dose_name": "dose", "goal": ""}  # what older verdicts do not say
_PLAIN: dict[str, tuple[type, ...]] = dict.fromkeys(("controller", "judge", "dose_units", *_LATER), (str,))
_PLAIN["made_training_data"] = (bool, type(None))
_NUMBERS = (int, float, type(None))
_PROMISED = (*_PER_DECISION, "optimism")
_LEAVES = {"success": (bool,), "actions": (int,), "seconds": _NUMBERS, "dose": _NUMBERS}


@dataclass(frozen=True, eq=False)
class Verdict:
    """The episodes of one controller before one judge.

    Parameters
    ----------
    controller : what was judged.
    judge : who judged: the trusted simulator and its settings, or "not trusted" held-out recordings.
    made_training_data : whether the judge also made the data that the surrogate was trained on; None for a controller
        that was trained on none.
    success : (episode,) bool, whether the goal was reached in time.
    actions : (episode,) int, steps taken.
    seconds, dose : (episode,) spent, whether the goal was reached or not; NaN where the judge does not say.
    promise, outcome : (episode, decision) what the search expected of its choice, and what came of it; NaN where
        nothing was searched, or the episode was over.
    uncertainty : (episode, decision) standard deviation that the search expected of the outcome; NaN where unknown.
    best : (episode, decision) what direct search in the trusted simulator reaches from the same state, which regret is
        counted from; NaN where nobody searched.
    violations : (episode,) share of the moments in which a bound was broken; NaN where there is none.
    dose_units : of the dose. promise_units : of promise, outcome, uncertainty and best. dose_name : what the field
        calls the dose: what is spent, or suffered, beside time. goal : what a success is, in a few words.
    """

    controller: str
    judge: str
    made_training_data: bool | None
    success: np.ndarray
    actions: np.ndarray
    seconds: np.ndarray
    dose: np.ndarray
    promise: np.ndarray
    outcome: np.ndarray
    uncertainty: np.ndarray | None = None
    best: np.ndarray | None = None
    violations: np.ndarray | None = None
    dose_units: str = "1"
    promise_units: str = "1"
    dose_name: str = "dose"
    goal: str = ""

    def __post_init__(self) -> None:
        n = len(self.success)
        for name, kind in _PER_EPISODE.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        for name in _PER_DECISION:
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64).reshape(n, -1))
        for name in _MAYBE:
            value = np.full(self.promise.shape, np.nan) if getattr(self, name) is None else getattr(self, name)
            object.__setattr__(self, name, np.asarray(value, dtype=np.float64).reshape(n, -1))
        broken = np.full(n, np.nan) if self.violations is None else self.violations
        object.__setattr__(self, "violations", np.asarray(broken, dtype=np.float64))
        each, decided = (*_PER_EPISODE, "violations"), (*_PER_DECISION, *_MAYBE)
        shapes = {name: getattr(self, name).shape for name in (*each, *decided)}
        if any(shapes[name] != (n,) for name in each) or len({shapes[name] for name in decided}) > 1:
            raise SettingsError(f"verdict on '{self.controller}': shapes do not fit one set of episodes: {shapes}")

    def __len__(self) -> int:
        return len(self.success)

    def summary(self, seed: int = 0) -> dict[str, Interval]:
        """Share of successes (Wilson), and means over episodes (bootstrap), each with its interval.

        Decisions of one episode depend on each other, so promise, outcome and optimism (promise - outcome) are
        resampled by episodes.
        """
        found = {"success": wilson(int(self.success.sum()), len(self))}
        for name in ("actions", "seconds", "dose"):
            found[name] = mean(getattr(self, name).astype(np.float64), seed)
        assert self.best is not None and self.uncertainty is not None and self.violations is not None
        away = np.abs(self.outcome - self.promise)
        kept = np.where(np.isnan(away - self.uncertainty), np.nan, away <= LIKELY * self.uncertainty)
        decisions = {"promise": self.promise, "outcome": self.outcome, "optimism": self.promise - self.outcome}
        known = {"regret": self.best - self.outcome, "coverage90": kept, "violations": self.violations[:, None]}
        decisions |= {name: values for name, values in known.items() if not np.isnan(values).all()}
        for name, values in decisions.items():
            found[name] = ratio_of_sums(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1), seed)
        return found

    def calibration(self, bins: int = 5) -> xr.Dataset:
        """Promises in order, in so many parts of equal numbers: the mean promise and the mean outcome of each (bin).

        A surrogate that promises what comes true has both alike. `rank_correlation` is Spearman's, of all decisions.
        """
        known = ~np.isnan(self.promise + self.outcome)
        promise, outcome = self.promise[known], self.outcome[known]
        parts = [part for part in np.array_split(np.argsort(promise, kind="stable"), bins) if len(part)]
        means = {
            name: ("bin", np.array([values[part].mean() for part in parts]), {"units": self.promise_units})
            for name, values in (("promise", promise), ("outcome", outcome))
        }
        error = [outcome[part].std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan for part in parts]
        rank = float(rank_correlation(promise, outcome)) if len(promise) > 2 else np.nan
        return xr.Dataset(
            {
                **means,
                "standard_error": ("bin", np.array(error), {"units": self.promise_units}),
                "decisions": ("bin", np.array([len(part) for part in parts])),
                "rank_correlation": ((), rank, {"units": "1"}),
            }
        )

    def figure(self) -> go.Figure:
        """What came of promises, small ones to large ones, beside the line on which they would be kept."""
        found = self.calibration()
        unit = _units(self)
        line = [float(f(found.promise.values, initial=s)) for f, s in ((np.min, np.inf), (np.max, -np.inf))]
        figure = go.Figure(layout={"template": "simple_white", "width": 420, "height": 360})
        figure.add_scatter(x=line, y=line, mode="lines", line={"color": GREY, "dash": "dot"}, name="kept")
        error = {"array": 1.96 * found.standard_error.values, "color": GREY}
        figure.add_scatter(
            x=found.promise.values, y=found.outcome.values, error_y=error, mode="markers", name=self.controller,
            marker={"color": COLOURS[0]},
        )  # fmt: skip
        return figure.update_xaxes(title=f"promise{unit}").update_yaxes(title=f"outcome{unit}")

    def warnings(self) -> list[str]:
        """What a reader must not overlook."""
        found = []
        if self.made_training_data:
            found.append(f"{self.controller}: the judge, {self.judge}, also made the training data")
        optimism = self.summary()["optimism"]
        if optimism.low > 0:
            found.append(
                f"{self.controller}: promises more than comes true, by {interval(optimism)}{_units(self, ' {}')}"
            )
        return found

    def to_table(self) -> Table:
        """The summary, one quantity a row."""
        titles = {"seconds": "seconds (s)", "dose": _dose(self)}
        titles |= {name: name + _units(self) for name in (*_PROMISED, "regret")}
        told = {name: value for name, value in self.summary().items() if name != "dose" or np.isfinite(value.value)}
        rows = tuple((titles.get(name, name), interval(value)) for name, value in told.items())
        goal = f"Success: {self.goal}; " if self.goal else ""
        return Table((self.controller, f"{len(self)} episodes"), rows, f"{goal}{judged(self)}")

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()

    def to_xarray(self) -> xr.Dataset:
        """The episodes as a Dataset with units."""
        units = {"seconds": "s", "dose": self.dose_units}
        variables: dict[str, Any] = {
            name: ("episode", getattr(self, name), {"units": units[name]} if name in units else {})
            for name in _PER_EPISODE
        }
        variables |= {
            name: (("episode", "decision"), getattr(self, name), {"units": self.promise_units})
            for name in (*_PER_DECISION, *_MAYBE)
        }
        variables["violations"] = ("episode", self.violations, {"units": "1"})
        attributes: dict[str, Any] = {"controller": self.controller, "judge": self.judge}
        if self.made_training_data is not None:
            attributes["made_training_data"] = int(self.made_training_data)
        return xr.Dataset(variables, attrs=attributes)

    def to_json(self) -> str:
        """The episodes as JSON; NaN is null. Raises FormatError for what is infinite."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return finite_json({name: _plain(value) for name, value in fields.items()}, "verdict")

    @classmethod
    def from_json(cls, text: str, where: str = "verdict") -> Verdict:
        """Read what `to_json` wrote. Raises FormatError, naming `where`, for anything else."""
        try:
            fields = {**_LATER, **json.loads(text)}
            arrays: dict[str, Any] = {
                name: array(fields[name], _LEAVES[name], kind) for name, kind in _PER_EPISODE.items()
            }
            arrays |= {name: array(fields[name], _NUMBERS, np.float64) for name in _PER_DECISION}
            later = [name for name in (*_MAYBE, "violations") if fields.get(name) is not None]
            arrays |= {name: array(fields[name], _NUMBERS, np.float64) for name in later}
            for name, kinds in _PLAIN.items():
                if type(fields[name]) not in kinds:
                    raise TypeError(f"{name} is {fields[name]!r:.40}")
            return cls(**arrays, **{name: fields[name] for name in _PLAIN})
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise FormatError(f"{where}: not a verdict ({error!r}); write it with Verdict.to_json") from error


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f":
        value = value.astype(object)
        value[value != value] = None
    return value.tolist()


def _units(verdict: Verdict, form: str = " ({})") -> str:
    """The units of its promises, nothing for pure numbers."""
    return "" if verdict.promise_units == "1" else form.format(verdict.promise_units)


def _dose(verdict: Verdict) -> str:
    return f"{verdict.dose_name} ({verdict.dose_units})"


def to_json(verdicts: dict[str, Verdict]) -> str:
    """Verdicts by their names, as one JSON object."""
    return json.dumps({name: json.loads(verdict.to_json()) for name, verdict in verdicts.items()})


def judged(verdict: Verdict) -> str:
    """One line: who judged, and whether the judge made the training data."""
    return (
        f"judged by {verdict.judge}"
        + {
            True: ", which also made the training data",
            False: ", which did not make the training data",
            None: "",
        }[verdict.made_training_data]
    )


def seconds_ratio(verdict: Verdict, reference: Verdict, seed: int = 0) -> tuple[Interval, int]:
    """Seconds that `verdict` spent over those that `reference` spent on the same episodes, and how many episodes.

    Episodes are paired by their order; only those in which both reached the goal count, as the seconds of a
    failure say when patience ended. Raises SettingsError if the numbers of episodes differ.
    """
    if len(verdict) != len(reference):
        raise SettingsError(
            f"'{verdict.controller}' has {len(verdict)} episodes, '{reference.controller}' {len(reference)}; "
            "replay both from the same starts"
        )
    both = verdict.success & reference.success
    return ratio_of_sums(verdict.seconds[both], reference.seconds[both], seed), int(both.sum())


def compare(verdicts: dict[str, Verdict], reference: str | None = None, seed: int = 0) -> Table:
    """Verdicts side by side, one a row; with `reference`, also the paired ratio of seconds to that one.

    A judge that all have in common is named in the caption.
    """
    if not verdicts:
        raise SettingsError("compare: no verdicts; replay at least one controller")
    if reference is not None and reference not in verdicts:
        raise SettingsError(f"compare: no verdict '{reference}'; there are {', '.join(verdicts)}")
    doses = sorted({_dose(verdict) for verdict in verdicts.values()})
    judges = sorted({verdict.judge for verdict in verdicts.values()})
    several = len(judges) > 1
    promised = ", ".join(sorted({_units(verdict) for verdict in verdicts.values()} - {""}))
    headings = ["", "success", "actions", "seconds (s)", " or ".join(doses)]
    headings += [name + promised for name in _PROMISED]
    ratio = [] if reference is None else [f"seconds / {reference}"]
    rows = []
    for name, verdict in verdicts.items():
        found = verdict.summary(seed)
        cells = [name, *(interval(found[column]) for column in ("success", "actions", "seconds", "dose", *_PROMISED))]
        if reference is not None:
            ratio_of, pairs = seconds_ratio(verdict, verdicts[reference], seed)
            cells.append(DASH if name == reference else f"{interval(ratio_of)} in {pairs} pairs")
        judge = [verdict.judge] if several else []
        rows.append((*cells, *judge, {True: "yes", False: "no", None: DASH}[verdict.made_training_data]))
    caption = "Shares with Wilson's 95 % interval, means with a bootstrap over episodes. Optimism is promise - outcome."
    goals = sorted({verdict.goal for verdict in verdicts.values()} - {""})
    if goals:
        caption = f"Success: {'; or '.join(goals)}. {caption}"
    if not several:
        caption = f"Judged by {judges[0]}. {caption}"
    titles = (*headings, *ratio, *(["judge"] if several else []), "judge made the training data")
    return Table(titles, tuple(rows), caption)
