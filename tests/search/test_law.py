"""A search for a law finds what is best over whole episodes, on a simulator whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import SearchError
from sciworld.search import optimizers
from sciworld.search.law import search_law
from sciworld.simulator import Observation

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
    return search_law(Drift(), start, Proportional, near, np.array([-4.0]), np.array([4.0]), **given | changes)


def test_the_best_gain_is_found_and_promised():
    law = search()
    assert law.parameters[0] == pytest.approx(-2.0, abs=0.05)
    assert law.promise == pytest.approx(0, abs=0.01) and law.uncertainty < 0.02
    assert law.episodes == 12 * 24 * 3 and law.tried.shape == (12, 24, 1) and law.scores.shape == (12, 24)
    assert law.promise == law.scores.max() and (np.diff(law.trace) >= 0).all()
    again = search()
    np.testing.assert_array_equal(again.parameters, law.parameters)


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


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(SearchError, match="0 generations; use at least 1"):
        search(generations=0)
    with pytest.raises(SearchError, match=r"score returned \(\); it must return \(72,\)"):
        search_law(
            Drift(), start, Proportional, lambda run: 0.0, np.array([-4.0]), np.array([4.0]), starts=3, steps=2,
            generations=1, rng=np.random.default_rng(0), settings=optimizers.named("cem").Settings(population=24),
        )  # fmt: skip
    with pytest.raises(SearchError, match="no episode got a score"):
        search_law(
            Drift(), start, Proportional, lambda run: np.full(len(run.length), np.nan), np.array([-4.0]),
            np.array([4.0]), starts=1, steps=2, generations=2, rng=np.random.default_rng(0),
        )  # fmt: skip
