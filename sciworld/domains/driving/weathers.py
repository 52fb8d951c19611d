"""Which conditions variants of a drive are drawn under: named ones, ranges, and those where a policy is worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sciworld.config import real, require, whole
from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions, conditions_array, preset

APART = (("precipitation", "snow"), ("dust_storm", "precipitation"), ("dust_storm", "snow"), ("dust_storm", "wetness"))
SPAN = np.array([high - low for low, high in RANGES.values()])
BREADTH = 0.25  # of the ranges, over which what a policy is worth under one weather tells of others
TRIED = 64  # conditions that an adversary looks at for each that it draws


def require_possible(conditions: RoadConditions) -> RoadConditions:
    """The conditions, or SettingsError for what no weather has at once."""
    for one, other in APART:
        values = getattr(conditions, one), getattr(conditions, other)
        require(
            min(values) == 0.0,
            f"conditions: {one} {values[0]:g} and {other} {values[1]:g} contradict each other; set one of them to 0",
        )
    return conditions


class Curriculum(Protocol):
    """What draws conditions, and may be told how a policy did under them."""

    def draw(self, n: int, rng: np.random.Generator) -> list[RoadConditions]:
        """n conditions."""
        ...

    def tell(self, conditions: Sequence[RoadConditions], scores: np.ndarray) -> None:
        """What a policy scored under conditions : (condition,), larger is better; NaN is not known."""
        ...


@dataclass(frozen=True)
class Weathers:
    """Conditions drawn evenly: a preset, in which some quantities are drawn from ranges. A `Curriculum` that never
    learns.

    Parameters
    ----------
    presets : names, each drawn as often as the others. ranges : name of a quantity -> (low, high), in its units.
    """

    presets: tuple[str, ...] = tuple(PRESETS)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(len(self.presets) > 0, f"no presets; give one or more of {', '.join(PRESETS)}")
        object.__setattr__(self, "presets", tuple(self.presets))
        named = [preset(name) for name in self.presets]
        checked = {}
        for name, ends in dict(self.ranges).items():
            require(name in RANGES, f"conditions: unknown {name!r:.80}; known are {', '.join(RANGES)}")
            pair = isinstance(ends, tuple | list) and len(ends) == 2
            require(pair, f"conditions: {name} is {ends!r:.80}; give its low and high end")
            low, high = (real(end, f"conditions: {name}", *RANGES[name]) for end in ends)
            require(low <= high, f"conditions: {name} goes from {low:g} to {high:g}; swap them")
            checked[name] = (low, high)
        object.__setattr__(self, "ranges", checked)
        for one in named:
            require_possible(one.replace(**{name: high for name, (_, high) in checked.items()}))

    @classmethod
    def of(cls, given: Any) -> Weathers:
        """From a `Weathers`, or words: presets and ranges with commas, 'rain_night,fog_density=20..80', or "any".

        Raises SettingsError.
        """
        if isinstance(given, Weathers):
            return given
        known = isinstance(given, str)
        require(known, f"conditions are {given!r:.80}; write names of presets, and ranges such as 'fog_density=20..80'")
        names, ranges = [], {}
        for word in (word.strip() for word in given.split(",")):
            name, equals, ends = word.partition("=")
            if not equals:
                names.append(name)
                continue
            require(name not in ranges, f"conditions: {name} has two ranges; give one")
            low, _, high = ends.partition("..")
            ranges[name] = (_number(low, word), _number(high or low, word))
        return cls(tuple(PRESETS) if names == ["any"] else tuple(names) or ("clear_noon",), ranges)

    def draw(self, n: int, rng: np.random.Generator) -> list[RoadConditions]:
        """See `Curriculum.draw`. The first of many are those of few, and each few fill the ranges evenly (Roberts 2018,
        "The unreasonable effectiveness of quasirandom sequences")."""
        parts = (rng.uniform(0, 1, len(self.ranges)) + np.outer(np.arange(n), _strides(len(self.ranges)))) % 1.0
        turns = [rng.permutation(len(self.presets)) for _ in range(-(-n // len(self.presets)))]
        which = np.concatenate([*turns, np.zeros(0, dtype=int)])[:n].astype(int)
        low, high = np.array(list(self.ranges.values())).reshape(-1, 2).T
        values = low + (high - low) * parts
        return [
            preset(self.presets[k]).replace(**dict(zip(self.ranges, row, strict=True)))
            for k, row in zip(which, values.tolist(), strict=True)
        ]

    def tell(self, conditions: Sequence[RoadConditions], scores: np.ndarray) -> None:
        """Nothing is learned from it."""


def _number(text: str, word: str) -> float:
    try:
        return float(text)
    except ValueError:
        require(False, f"conditions: {word!r:.80} is no range; write name=low..high")
        raise


def _strides(n: int) -> np.ndarray:
    """Of a sequence that fills the unit cube of n dimensions evenly : (n,)."""
    root = 2.0
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / (n + 1))
    return np.asarray(root ** -np.arange(1.0, n + 1.0))


class Adversarial:
    """Draws conditions under which a policy is worst, as far as it was told.

    What it would score under others is guessed from the nearest ones (Nadaraya and Watson 1964); of TRIED conditions
    that `weathers` draws the one is taken that would score least. A share is drawn evenly: who is never tried is never
    found.

    Parameters
    ----------
    weathers : that it draws from. even : share that is drawn as `weathers` draws.
    """

    def __init__(self, weathers: Weathers | str = "any", even: float = 0.2) -> None:
        self.weathers = Weathers.of(weathers)
        self.even = real(even, "even", 0.0, 1.0)
        self.known = np.zeros((0, len(RANGES)))
        self.scores = np.zeros(0)

    def draw(self, n: int, rng: np.random.Generator) -> list[RoadConditions]:
        """See `Curriculum.draw`."""
        n = whole(n, "n", 0)
        plain = self.weathers.draw(n, rng)
        if not len(self.scores):
            return plain
        found = []
        for one, chance in zip(plain, rng.uniform(0, 1, n), strict=True):
            tried = self.weathers.draw(TRIED, rng)
            found.append(one if chance < self.even else tried[int(np.argmin(self.guess(tried)))])
        return found

    def tell(self, conditions: Sequence[RoadConditions], scores: np.ndarray) -> None:
        """See `Curriculum.tell`."""
        scores = np.asarray(scores, dtype=np.float64)
        require(scores.shape == (len(conditions),), f"{scores.shape} scores for {len(conditions)} conditions")
        known = np.isfinite(scores)
        rows = conditions_array(list(conditions), len(conditions)) / SPAN if len(conditions) else self.known[:0]
        self.known = np.concatenate([self.known, rows[known]])
        self.scores = np.concatenate([self.scores, scores[known]])

    def guess(self, conditions: Sequence[RoadConditions]) -> np.ndarray:
        """What the policy would score : (condition,)."""
        rows = conditions_array(list(conditions), len(conditions)) / SPAN
        apart = ((rows[:, None] - self.known) ** 2).sum(axis=2)
        weights = np.exp(-0.5 * (apart - apart.min(axis=1, keepdims=True)) / BREADTH**2)
        found: np.ndarray = (weights * self.scores).sum(axis=1) / weights.sum(axis=1)
        return found
