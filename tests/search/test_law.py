"""A search for a law finds what is best over whole episodes, on a simulator whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import SearchError, SettingsError
from sciworld.search import optimizers
from sciworld.search.confirm import confirm
from sciworld.search.law import search_law
from sciworld.simulator import Observation

COUNTS = ("starts", "steps", "generations")
SPACE = ControlSpace(ColumnTable((Column("push", "m/s", -5.0, 5.0),)))


class Drift:
    """A point that doubles its distance from 0 each step, and is pushed: frames show where it is."""

    space = SPACE

    def step(self, state, controls, rng):
        state = 2 * state + controls[:, 0]
        return look(state), state

    def observe(self, state, observation):
        return state


@dataclass
class Proportional:
    gains: np.ndarray

    def start(self, n, rng):
        assert n == len(self.gains)
        return None

    def act(self, state, observation):
        return np.clip(self.gains * observation.frames[:, 0, 0], -5, 5), state


def look(state):
    frames = np.repeat(state[:, None, None, None], 2, axis=2)
    return Observation(frames, np.zeros(len(state)), np.zeros((len(state), 6)))


def start(index):
    state = np.array([0.5, -1.0, 0.25])[index]
    return state, look(state)


def near(run):
    return -np.mean([observation.frames[:, 0, 0, 0] ** 2 for observation in run.observations[1:]], axis=0)


def search(**changes):
    settings = optimizers.named("cem").Settings(population=24)
    given = {"starts": 3, "steps": 4, "generations": 12, "rng": np.random.default_rng(0), "settings": settings}
    given |= {"start": start, "score": near, "low": np.array([-4.0]), "high": np.array([4.0])}
    return search_law(Drift(), make=Proportional, **given | changes)


def test_the_best_gain_is_found_and_promised():
    law = search()
    assert law.parameters[0] == pytest.approx(-2.0, abs=0.05)
    assert law.promise == pytest.approx(0, abs=0.01) and law.uncertainty < 0.02
    assert law.episodes == (12 * 24 + 1) * 3 and law.tried.shape == (12, 24, 1) and law.scores.shape == (12, 24)
    assert law.promise == law.scores.max() and (np.diff(law.trace) >= 0).all()
    again = search()
    np.testing.assert_array_equal(again.parameters, law.parameters)


def test_luck_is_not_promised():
    """The best of many scores that are chance alone is far above their mean, which is all that comes again."""
    chance = np.random.default_rng(1)
    laws = [search(score=lambda run: chance.standard_normal(len(run.length)), generations=4) for _ in range(30)]
    assert np.mean([law.scores.max() for law in laws]) > 1 and abs(np.mean([law.promise for law in laws])) < 0.35


def test_pessimism_prefers_what_never_fails():
    """Gains from -3 to 1: with one, the mean decides; with pessimism, the episodes' differences too."""

    def uneven(run):
        gain = run.controls[:, 0, 0] / run.observations[0].frames[:, 0, 0, 0]
        far = np.abs(run.observations[0].frames[:, 0, 0, 0]) > 0.75
        return np.where(far, -3 * gain, gain)  # rises with the gain from two starts, falls from the third

    found = {}
    for pessimism in (0.0, 2.0):
        settings = optimizers.named("cem").Settings(population=24)
        law = search_law(
            Drift(), start, Proportional, uneven, np.array([-3.0]), np.array([1.0]), starts=3, steps=1,
            generations=10, rng=np.random.default_rng(0), settings=settings, pessimism=pessimism,
        )  # fmt: skip
        found[pessimism] = law.parameters[0]
        assert law.promise == pytest.approx(-law.parameters[0] / 3)
    assert found[0.0] < -2.8 and abs(found[2.0]) < 0.2


def test_a_price_steers_the_search_and_is_not_promised():
    settings = optimizers.named("cem").Settings(population=24)
    law = search_law(
        Drift(), start, Proportional, lambda run: np.ones(len(run.length)), np.array([-4.0]), np.array([4.0]),
        starts=3, steps=2, generations=12, rng=np.random.default_rng(0), settings=settings,
        price=lambda run: (run.controls[:, :, 0] ** 2).mean(axis=1),
    )  # fmt: skip
    assert law.parameters[0] == pytest.approx(0, abs=0.05) and law.promise == 1


def never(index):
    raise AssertionError("an episode was run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: wrong}, f"{name} is {wrong!r}") for name in COUNTS for wrong in (0, 1.5, True, "a")),
        ({"low": np.zeros((2, 3)), "high": np.ones((2, 3))}, r"low \(2, 3\), high \(2, 3\)"),
        ({"low": np.zeros(2)}, r"low \(2,\), high \(1,\); give one number for each parameter"),
        ({"low": -4.0, "high": 4.0}, r"low \(\), high \(\)"),
        ({"guess": [0.0, 1.0]}, r"guess \(2,\)"),
        ({"guess": [9.0]}, "inside the bounds"),
        ({"low": [[0.0], [1.0, 2.0]]}, "low is .*use real numbers"),
        ({"high": ["4"]}, "high is .*use real numbers"),
        ({"high": None}, "high is None"),
        ({"low": [-1e308], "high": [1e308]}, "low has -1e\\+308"),
        ({"high": [np.nan]}, "finite"),
        *(({"settings": wrong}, "settings are .*cem.Settings, or None") for wrong in (5, {}, "cem")),
        *(({"pessimism": wrong}, "pessimism is .*0 or more") for wrong in (np.nan, np.inf, -1.0, True, "1", None)),
    ],
)
def test_what_cannot_be_searched_is_refused_before_it_begins(changes, message):
    with pytest.raises((SearchError, SettingsError), match=message):
        search(start=never, **changes)


def scores(*first):
    """A score of all episodes, the first of them so many values."""
    return lambda run: np.concatenate([np.array(first), np.zeros(len(run.length) - len(first))])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda run: 0.0, r"score returned \(\); it must return \(72,\)"),
        (lambda run: np.full(len(run.length), np.nan), r"none of \d+ episodes got a score"),
        (scores(1.0, np.inf), "score has inf; use numbers from"),
        (scores(-np.inf), "score has -inf"),
        (scores(1e200), "score has 1e\\+200"),
        (scores(1j), "score is .*; use real numbers"),
        (lambda run: np.ma.array(np.zeros(len(run.length)), mask=run.length > 0), "none of them masked"),
        (lambda run: ["1.5"] * len(run.length), "score is .*; use real numbers"),
        (lambda run: [None] * len(run.length), "score is .*; use real numbers"),
    ],
)
def test_scores_that_are_no_numbers_are_refused(made, message):
    with pytest.raises(SearchError, match=message):
        search(generations=2, score=made)
    if "score" in message and "got" not in message:
        with pytest.raises(SearchError, match=message.replace("score", "price")):
            search(generations=2, price=made)


def test_nan_is_the_worst():
    def positive(run):
        gain = run.controls[:, 0, 0] / run.observations[0].frames[:, 0, 0, 0]
        return np.where(gain > 0, -gain, np.nan)

    law = search(score=positive, steps=1)
    assert 0 < law.parameters[0] < 0.5 and np.isnan(law.scores[0]).any()


def test_a_search_that_scores_nothing_gives_up_early():
    ran = []

    def nothing(run):
        ran.append(len(run.length))
        return np.full(len(run.length), np.nan)

    with pytest.raises(SearchError, match="none of 144 episodes got a score"):
        search(score=nothing)
    assert ran == [72, 72]


def test_generations_may_shrink():
    """Those of icem do; what a generation lacks of the first is NaN, and nobody tries it."""
    found = search(settings=None, optimizer="icem")
    gaps = np.isnan(found.scores)
    assert gaps.any() and not gaps[0].any() and np.isnan(found.tried[gaps]).all()
    assert found.episodes == (int((~gaps).sum()) + 1) * 3
    assert np.isfinite(confirm(found, lambda gains: 1.0, 5).parameters).all()


def test_who_climbs_is_refused_before_it_begins():
    with pytest.raises(SearchError, match="'adam' climbs gradients, which episodes have none of"):
        search(settings=None, optimizer="adam")
