"""What a plan must keep to, beside scoring well: a dose, a distance, how fast an actuator moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.controls import ControlSpace
from sciworld.errors import SearchError

# futures (candidate, sample, time, y, x, channel), controls (candidate, step, control) -> (candidate, sample)
Amount = Callable[[np.ndarray, np.ndarray], np.ndarray]
# low, high (control,) of the region searched, and the horizon -> the least that any plan in it can have
Least = Callable[[np.ndarray, np.ndarray, int], float]

FIRM = 10.0  # a first penalty this heavy: a search that narrows as it goes must not narrow beyond its limits


@dataclass(frozen=True, eq=False)
class Constraint:
    """An amount that must not be above a limit, in the mean over samples.

    Parameters
    ----------
    name : as it is reported. limit : in `units`, as amounts are.
    amount : written as an objective is: futures and controls to (candidate, sample).
    least : the least amount that any plan in a region has, where that can be told beforehand; a search whose region has
        none that keeps to the limit is refused at once.
    """

    name: str
    limit: float
    amount: Amount
    units: str = "1"
    least: Least | None = None

    def __post_init__(self) -> None:
        require(bool(np.isfinite(self.limit)), f"constraint '{self.name}': limit is {self.limit}; use a number")

    def require_possible(self, low: np.ndarray, high: np.ndarray, horizon: int) -> None:
        """Raise SearchError where no plan in the region (control,) can keep to the limit."""
        if self.least is None:
            return
        least = self.least(low, high, horizon)
        if least > self.limit:
            raise SearchError(
                f"constraint '{self.name}': every plan in the region has at least {least:.4g} {self.units}, the limit "
                f"is {self.limit:.4g}; raise the limit, widen the region, or shorten the horizon"
            )


def total(space: ControlSpace, control: str, limit: float, rate: float = 1.0, units: str | None = None) -> Constraint:
    """The sum of a control over a plan, times `rate`: the seconds of all dwells, or, with the beam's electrons a second
    for `rate`, the dose.

    limit : in `units`, which are the control's unless given. A `rate` changes them: raises SettingsError for one other
    than 1 without `units`.
    """
    require(
        rate == 1 or units is not None,
        f"constraint 'total {control}': a rate of {rate} changes the units, which are no longer "
        f"{space.table[control].units}; give units",
    )
    place = space.table.index(control)

    def amount(futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        each = rate * controls[:, :, place].sum(axis=1)
        return np.repeat(each[:, None], futures.shape[1], axis=1)

    amount.linear = True  # type: ignore[attr-defined]  # it is of arrays, and of no frame

    def least(low: np.ndarray, high: np.ndarray, horizon: int) -> float:
        return float(horizon * min(rate * low[place], rate * high[place]))

    return Constraint(f"total {control}", limit, amount, units or space.table[control].units, least)


def effort(space: ControlSpace, control: str, limit: float) -> Constraint:
    """The root of the mean square of a control over a plan."""
    place = space.table.index(control)

    def amount(futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        each = np.sqrt(np.square(controls[:, :, place]).mean(axis=1))
        return np.repeat(each[:, None], futures.shape[1], axis=1)

    amount.linear = True  # type: ignore[attr-defined]

    def least(low: np.ndarray, high: np.ndarray, horizon: int) -> float:
        return float(max(low[place], -high[place], 0.0))

    return Constraint(f"effort of {control}", limit, amount, space.table[control].units, least)


@dataclass(frozen=True, eq=False)
class Multipliers:
    """The augmented Lagrangian of a search, for inequalities (Nocedal and Wright 2006, Numerical Optimization,
    equations 17.54 and 17.58, with the sign of a maximum), problem by problem.

    Parameters
    ----------
    price : (problem, constraint), Lagrange multipliers, of score a unit of the constraint's. weight : (problem,
    constraint), the penalty's, NaN before a generation told scales. before : (problem, constraint), the last violation.
    """

    price: np.ndarray
    weight: np.ndarray
    before: np.ndarray

    @classmethod
    def start(cls, problems: int, constraints: int) -> Multipliers:
        """Before the first generation."""
        shape = (problems, constraints)
        return cls(np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.inf))

    def scaled(self, scores: np.ndarray, above: np.ndarray) -> Multipliers:
        """With weights where there are none yet: FIRM times the range of merits (problem, candidate) over the square
        of that of amounts above their limits (problem, candidate, constraint)."""
        if not self.price.shape[1]:
            return self
        known = np.isfinite(scores)
        spread, wide = _range(scores, known), _range(above, np.isfinite(above) & known[..., None])
        with np.errstate(all="ignore"):
            weight = np.where(wide > 0, FIRM * np.maximum(spread, 1e-12)[:, None] / wide**2, 1.0)
        weight = np.where(np.isfinite(weight) & (weight > 0), weight, 1.0)
        return Multipliers(self.price, np.where(np.isnan(self.weight), weight, self.weight), self.before)

    def penalty(self, above: np.ndarray) -> np.ndarray:
        """What merits lose : (problem, candidate), of amounts above their limits (problem, candidate, constraint)."""
        price, weight = self.price[:, None], self.weight[:, None]
        pressed = np.maximum(price + weight * above, 0.0)
        found: np.ndarray = ((pressed**2 - price**2) / (2 * weight)).sum(axis=-1)
        return found

    def updated(self, above: np.ndarray) -> Multipliers:
        """After a generation whose best has amounts (problem, constraint) above their limits, NaN where there is none.

        A weight grows where the violation has not fallen to three quarters of what it was.
        """
        known = np.isfinite(above)
        above = np.where(known, above, 0.0)
        violated = np.maximum(above, 0.0)
        price = np.where(known, np.maximum(self.price + self.weight * above, 0.0), self.price)
        slow = known & (violated > 0.75 * self.before) & (violated > 0)
        return Multipliers(price, np.where(slow, 2 * self.weight, self.weight), np.where(known, violated, self.before))


def _range(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Largest less smallest of the known along the second axis, -inf of none."""
    found: np.ndarray = values.max(axis=1, where=known, initial=-np.inf) - values.min(
        axis=1, where=known, initial=np.inf
    )
    return found
