"""Gradients through a surrogate: those of finite differences, and searches that climb them."""

from __future__ import annotations

import numpy as np
import pytest
import toy
from blob import SPACE, BlobForecaster, Brightness, observation
from toy_model import batch, tiny

from sciworld.errors import SearchError
from sciworld.search.constraints import total
from sciworld.search.gradient import gradients
from sciworld.search.parameters import Parameters
from sciworld.search.problem import Problem
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Observation
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate


class Warm:
    """The mean of the second channel at the last step, less what the first control costs."""

    differentiable = True

    def __call__(self, futures, controls):
        return futures[:, :, -1, :, :, 1].mean((2, 3)) - 0.5 * (controls[:, :, 0] ** 2).mean(1)[:, None]


def present(n: int = 2) -> Observation:
    return Observation(batch(b=n).frames[:, 0].numpy(), np.zeros(n), np.tile(toy.VIEW, (n, 1)))


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return Surrogate(tiny())


def test_gradients_are_those_of_finite_differences(surrogate):
    problem = Problem(Warm(), 2, toy.SPACE)
    state = surrogate.start(present())
    controls = toy.SPACE.sample(np.random.default_rng(0), (2, 3, 2))
    scores, slopes = gradients(surrogate, state, problem, controls, chunk=4)
    plain = problem.score(surrogate.futures(state, controls, 0, np.random.default_rng(0)), controls)[..., 0]
    np.testing.assert_allclose(scores, plain, rtol=1e-4, atol=1e-4)
    step = 1e-2
    for t in range(2):
        moved = [controls.copy(), controls.copy()]
        moved[0][:, :, t, 0] += step
        moved[1][:, :, t, 0] -= step
        up, down = (gradients(surrogate, state, problem, one, 256)[0] for one in moved)
        np.testing.assert_allclose(slopes[:, :, t, 0], (up - down) / (2 * step), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("optimizer", ["adam", "gradcem"])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_search_that_climbs_beats_chance_for_the_same_evaluations(surrogate, optimizer, ensemble):
    judged = Ensemble([surrogate, Surrogate(tiny())]) if ensemble else surrogate
    problem = Problem(Warm(), 3, toy.SPACE, parameters=Parameters("linear", 2))
    settings = SearchSettings(budget=3000, samples=0)
    climbed, chance = (
        search(judged, present(), problem, np.random.default_rng(0), one, settings) for one in (optimizer, "shooting")
    )
    assert climbed.evaluations <= 3000 and (climbed.promise >= chance.promise - 0.02).all()
    np.testing.assert_allclose(np.diff(climbed.controls[..., 0], 2, axis=1), 0, atol=1e-6)


def test_what_has_no_gradient_is_named(surrogate):
    start, rng = present(), np.random.default_rng(0)
    plain = Problem(lambda futures, controls: futures[..., 0].mean(axis=(2, 3, 4)), 1, toy.SPACE)
    with pytest.raises(SearchError, match="problem 0: the objective has no gradients"):
        search(surrogate, start, plain, rng, "adam")
    with pytest.raises(SearchError, match="the surrogate has no gradients"):
        search(BlobForecaster(), observation(np.ones((1, 2))), Problem(Brightness(1, 1), 1, SPACE), rng, "adam")
    limited = Problem(Warm(), 1, toy.SPACE, constraints=(total(toy.SPACE, toy.SPACE.names[0], 1.0),))
    with pytest.raises(SearchError, match="'adam' climbs the mean score alone"):
        search(surrogate, start, limited, rng, "adam")
