"""What a search found, and what it promises of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciworld.config import array, finite_json
from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import FormatError, SciworldError

_NUMBERS = (int, float, type(None))  # null is NaN
_ARRAYS = ("controls", "promise", "uncertainty", "trace", "failed", "amounts")


@dataclass(frozen=True)
class Kept:
    """A constraint, as it is reported: an amount must not be above a limit, in units."""

    name: str
    limit: float
    units: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Controls that a search found, and what it promises of them.

    Parameters
    ----------
    space : what the controls are.
    controls : (problem, step, control) float64, in the units of the space.
    promise : (problem,) mean score that the surrogate gives them, unpenalised.
    uncertainty : (problem,) standard deviation of the score over samples; NaN where there was one.
    evaluations : model evaluations used for each problem.
    stopped : why the search stopped: "budget", "converged", "no better" or "time".
    trace : (generation, problem) best merit so far; NaN before anything scored.
    failed : (problem,) int, candidates whose score was no number, and why : what the first of them raised, if any did.
    constraints : what the plan must keep to, and amounts : (problem, constraint), what it has of each.
    """

    space: ControlSpace
    controls: np.ndarray
    promise: np.ndarray
    uncertainty: np.ndarray
    evaluations: int
    stopped: str
    trace: np.ndarray
    failed: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    why: str = ""
    constraints: tuple[Kept, ...] = ()
    amounts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        n = len(self.promise)
        object.__setattr__(self, "failed", np.resize(self.failed, n) if not len(self.failed) else self.failed)
        if not self.constraints:
            object.__setattr__(self, "amounts", np.zeros((n, 0)))

    @property
    def satisfied(self) -> np.ndarray:
        """Whether each constraint is kept to : (problem, constraint) bool."""
        limits = np.array([one.limit for one in self.constraints])
        kept: np.ndarray = self.amounts <= limits + 1e-9 * np.abs(limits)
        return kept

    def warnings(self) -> list[str]:
        """What a reader must not overlook."""
        found = []
        if self.failed.any():
            many = int(self.failed.sum())
            what = f"{many} candidate{'s' if many > 1 else ''} got no score"
            found.append(f"{what}{f' ({self.why})' if self.why else ''}")
        for k, one in enumerate(self.constraints):
            broken = np.flatnonzero(~self.satisfied[:, k])
            if len(broken):
                most = self.amounts[broken, k].max()
                found.append(
                    f"{one.name}: {most:.4g} {one.units}, above its limit of {one.limit:.4g}, in {len(broken)} of "
                    f"{len(self.promise)} problems"
                )
        return found

    def to_json(self) -> str:
        """The plan as JSON, its controls with their names and units; NaN is null. Raises FormatError for what is
        infinite."""
        fields: dict[str, Any] = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        fields["space"] = json.loads(self.space.table.to_json())
        fields["constraints"] = [dataclasses.asdict(one) for one in self.constraints]
        for name in _ARRAYS:
            values = fields[name].astype(object)
            values[fields[name] != fields[name]] = None
            fields[name] = values.tolist()
        return finite_json(fields, "plan")

    @classmethod
    def from_json(cls, text: str, where: str = "plan") -> Plan:
        """Read what `to_json` wrote. Raises FormatError, naming `where`, for anything else."""
        try:
            fields = json.loads(text)
            space = ControlSpace(ColumnTable.from_json(json.dumps(fields["space"]), where))
            promise, uncertainty, trace = (array(fields[name], _NUMBERS, np.float64) for name in _ARRAYS[1:4])
            controls = array(fields["controls"], (int, float), np.float64)
            n, used, stopped = len(promise), fields["evaluations"], fields["stopped"]
            trace = trace.reshape(-1, n)
            if controls.ndim != 3 or len(controls) != n or promise.shape != (n,) or uncertainty.shape != (n,):
                raise ValueError(f"controls {controls.shape}, promise {promise.shape}, uncertainty {uncertainty.shape}")
            if type(used) is not int or type(stopped) is not str:
                raise TypeError(f"evaluations {used!r:.40}, stopped {stopped!r:.40}")
            return cls(
                space, space.check(controls), promise, uncertainty, used, stopped, trace, **_later(fields, n)
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, SciworldError) as error:
            raise FormatError(f"{where}: not a plan ({error!r}); write it with Plan.to_json") from error


def _later(fields: dict[str, Any], n: int) -> dict[str, Any]:
    """What older plans do not say, of n problems."""
    failed = array(fields.get("failed", [0] * n), (int,), np.int64)
    constraints = tuple(Kept(**one) for one in fields.get("constraints", []))
    amounts = array(fields.get("amounts", [[]] * n), _NUMBERS, np.float64).reshape(n, -1)
    why = fields.get("why", "")
    if failed.shape != (n,) or amounts.shape != (n, len(constraints)) or type(why) is not str:
        raise ValueError(f"failed {failed.shape}, amounts {amounts.shape}, why {why!r:.40}")
    if any(not isinstance(one.limit, int | float) or type(one.name + one.units) is not str for one in constraints):
        raise TypeError("a constraint without a name, a limit or units")
    return {"failed": failed, "constraints": constraints, "amounts": amounts, "why": why}
