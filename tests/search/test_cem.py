"""The cross-entropy method: what must hold for any scores, and that it finds a known optimum."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sciworld.errors import SearchError, SettingsError
from sciworld.kernels import cem as kernels
from sciworld.search.optimizers import cem

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def bounds(p: int = 3, d: int = 2) -> tuple[np.ndarray, np.ndarray]:
    low = -1.0 - np.arange(p * d).reshape(p, d)
    return low, low + 5.0


def ragged_scores(rng: np.random.Generator, p: int, n: int) -> np.ndarray:
    """Scores with ties, infinities and NaN, as a real objective may give them."""
    scores = rng.integers(0, 5, (p, n)).astype(float)
    scores[rng.random((p, n)) < 0.3] = np.nan
    scores[rng.random((p, n)) < 0.1] = -np.inf
    return scores


def arrays(state: cem.State) -> dict[str, np.ndarray]:
    return {f.name: getattr(state, f.name) for f in dataclasses.fields(state) if f.name != "settings"}


def assert_same(a: cem.State, b: cem.State) -> None:
    for name, value in arrays(a).items():
        assert_array_equal(value, arrays(b)[name], err_msg=name)


def statistics_twin(candidates: np.ndarray, scores: np.ndarray, count: int) -> tuple[list, list, list]:
    """The kernel in NumPy, one problem at a time."""
    means, stds, sizes = [], [], []
    for x, s in zip(candidates, scores, strict=True):
        valid = np.sort(s[~np.isnan(s)])
        elite = x[s >= valid[-min(count, len(valid))]]
        means.append(elite.mean(axis=0))
        stds.append(elite.std(axis=0))
        sizes.append(len(elite))
    return means, stds, sizes


@few
@given(seeds)
def test_the_kernel_agrees_with_numpy(seed):
    rng = np.random.default_rng(seed)
    candidates, scores = rng.normal(size=(3, 11, 2)), ragged_scores(rng, 3, 11)
    scores[:, 0] = 1.0
    mean, std, size, _, best_score = kernels.elite_statistics(candidates, scores, 4)
    means, stds, sizes = statistics_twin(candidates, scores, 4)
    np.testing.assert_allclose(mean, means, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(std, stds, rtol=1e-9, atol=1e-14)
    assert_array_equal(size, sizes)
    assert_array_equal(best_score, np.nanmax(scores, axis=1))


def test_a_problem_whose_scores_are_all_nan_stays_as_it_was():
    state = cem.start(*bounds(), cem.Settings(population=6))
    candidates = cem.ask(state, np.random.default_rng(0))
    scores = np.full((3, 6), np.nan)
    assert_same(cem.tell(state, candidates, scores), state)
    scores[1] = np.arange(6)
    told = cem.tell(state, candidates, scores)
    assert_array_equal(told.mean[[0, 2]], state.mean[[0, 2]])
    assert_array_equal(told.informed, [False, True, False])
    assert_array_equal(told.best[1], candidates[1, 5])


def test_nan_ranks_below_minus_infinity():
    state = cem.start(*bounds(p=1), cem.Settings(population=4, elite=1.0, smoothing=1.0))
    candidates = cem.ask(state, np.random.default_rng(0))
    told = cem.tell(state, candidates, np.array([[np.nan, -np.inf, 2.0, np.nan]]))
    np.testing.assert_allclose(told.mean, candidates[:, [1, 2]].mean(axis=1))


def test_a_single_score_moves_the_mean_and_keeps_the_spread():
    state = cem.start(*bounds(p=1), cem.Settings(population=4, smoothing=1.0))
    candidates = cem.ask(state, np.random.default_rng(0))
    told = cem.tell(state, candidates, np.array([[np.nan, 3.0, np.nan, np.nan]]))
    assert_array_equal(told.mean, candidates[:, 1])
    assert_array_equal(told.std, state.std)


def test_the_first_generation_is_uniform_and_a_guess_is_not():
    low, high = np.zeros((1, 2)), np.ones((1, 2))
    settings = cem.Settings(population=20_000)
    uniform = cem.ask(cem.start(low, high, settings), np.random.default_rng(0))[0]
    counts = np.histogram(uniform[:, 0], bins=10, range=(0, 1))[0]
    # Chi-square with 9 degrees of freedom: 27.9 is its 0.999 quantile.
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9
    around = cem.ask(cem.start(low, high, settings, mean=low + 0.5), np.random.default_rng(0))[0]
    assert around[:, 0].std() == pytest.approx(0.25 * 0.9594, rel=0.02)  # clipped at two sigma


def test_every_problem_finds_its_own_optimum_inside_or_on_a_bound():
    low, high = np.full((3, 2), -1.0), np.full((3, 2), 1.0)
    optima = np.array([[0.3, -0.7], [1.0, 0.0], [-2.0, 2.0]])
    state, rng = cem.start(low, high, cem.Settings()), np.random.default_rng(0)
    for _ in range(12):
        candidates = cem.ask(state, rng)
        state = cem.tell(state, candidates, -((candidates - optima[:, None]) ** 2).sum(axis=-1))
    np.testing.assert_allclose(state.best, np.clip(optima, -1, 1), atol=0.01)
    assert (cem.spread(state) < 0.01).all()


def test_the_state_goes_through_json():
    state = cem.start(*bounds(), cem.Settings())
    state = cem.tell(state, cem.ask(state, np.random.default_rng(0)), np.zeros((3, 48)))
    plain = {name: value.tolist() for name, value in arrays(state).items()}
    fields = json.loads(json.dumps(plain, allow_nan=False))
    again = cem.State(settings=state.settings, **{name: np.array(value) for name, value in fields.items()})
    assert_same(state, again)


def test_bad_settings_and_shapes_are_named():
    for wrong in ({"population": 1}, {"elite": 0.0}, {"smoothing": 1.5}, {"guess_spread": -1.0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            cem.Settings(**wrong)
    state = cem.start(*bounds(), cem.Settings())
    with pytest.raises(SearchError, match=r"expected \(3, candidate, 2\)"):
        cem.tell(state, np.zeros((3, 4, 2)), np.zeros((3, 5)))
