"""What must hold of every optimizer, for any scores; and that each finds a known optimum."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sciworld.errors import SearchError, SettingsError
from sciworld.search.optimizers import OPTIMIZERS, base, cmaes, named

few = settings(max_examples=10)
seeds = st.integers(0, 2**32 - 1)
CLIMBERS = [name for name, module in OPTIMIZERS.items() if getattr(module, "GRADIENTS", False)]
everyone = pytest.mark.parametrize("name", OPTIMIZERS)
BLIND_TO_ORDER = pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ("de", *CLIMBERS)])
P, D, STEPS = 3, 6, 2


def bounds(p: int = P, d: int = D) -> tuple[np.ndarray, np.ndarray]:
    low = -1.0 - np.arange(p * d).reshape(p, d)
    return low, low + 5.0


def begun(name: str, guess: bool = False) -> tuple[Any, Any]:
    """The optimizer and its state on a region whose second problem has a number that is given."""
    method = named(name)
    low, high = bounds()
    low[1, 2] = high[1, 2]
    return method, method.start(low, high, method.Settings(population=13), high if guess else None, steps=STEPS)


def ragged_scores(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Scores with ties, infinities and NaN, as a real objective may give them."""
    scores = rng.integers(0, 5, shape).astype(float)
    scores[rng.random(shape) < 0.3] = np.nan
    scores[rng.random(shape) < 0.1] = -np.inf
    return scores


def assert_same(a: Any, b: Any) -> None:
    for field in dataclasses.fields(a):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert_array_equal(one, two, err_msg=field.name)
        elif dataclasses.is_dataclass(one):
            assert_same(one, two)
        else:
            assert one == two, field.name


def tell(method: Any, state: Any, candidates: np.ndarray, scores: np.ndarray) -> Any:
    """Those that climb are told some gradients, too."""
    slopes = (np.cos(3 * candidates),) if getattr(method, "GRADIENTS", False) else ()
    return method.tell(state, candidates, scores, *slopes)


def advanced(method: Any, state: Any, rng: np.random.Generator, generations: int) -> Any:
    for _ in range(generations):
        candidates = method.ask(state, rng)
        state = tell(method, state, candidates, ragged_scores(rng, candidates.shape[:2]))
    return state


@BLIND_TO_ORDER
@few
@given(seeds)
def test_the_order_of_candidates_has_no_effect_to_the_last_bit(name, seed):
    rng = np.random.default_rng(seed)
    method, state = begun(name)
    state = advanced(method, state, rng, 2)
    candidates = method.ask(state, rng)
    scores = ragged_scores(rng, candidates.shape[:2])
    order = np.stack([rng.permutation(candidates.shape[1]) for _ in range(P)])
    shuffled = np.take_along_axis(candidates, order[:, :, None], axis=1)
    assert_same(
        tell(method, state, candidates, scores),
        tell(method, state, shuffled, np.take_along_axis(scores, order, axis=1)),
    )


@everyone
@few
@given(seeds, st.booleans())
def test_candidates_stay_inside_whatever_the_scores(name, seed, guess):
    rng = np.random.default_rng(seed)
    method, state = begun(name, guess)
    for _ in range(4):
        candidates = method.ask(state, rng)
        assert candidates.shape[::2] == (P, D) and candidates.dtype == np.float64
        assert (candidates >= state.low[:, None]).all() and (candidates <= state.high[:, None]).all()
        state = tell(method, state, candidates, ragged_scores(rng, candidates.shape[:2]))
        width = method.spread(state)
        assert width.shape == (P,) and np.isfinite(width).all() and (width >= 0).all()


@everyone
@few
@given(seeds)
def test_ask_and_tell_change_nothing_and_repeat_exactly(name, seed):
    method, first = begun(name)
    state = advanced(method, first, np.random.default_rng(seed), 2)
    before = pickle.dumps(state)
    candidates = method.ask(state, np.random.default_rng(seed))
    assert_array_equal(candidates, method.ask(state, np.random.default_rng(seed)))
    scores = ragged_scores(np.random.default_rng(seed), candidates.shape[:2])
    given_candidates, given_scores = candidates.copy(), scores.copy()
    assert_same(tell(method, state, candidates, scores), tell(method, state, candidates, scores))
    assert_array_equal(candidates, given_candidates)
    assert_array_equal(scores, given_scores)
    assert pickle.dumps(state) == before


@everyone
def test_the_state_shares_nothing_with_the_caller(name):
    low, high = bounds()
    guess = (low + high) / 2
    method = named(name)
    state = method.start(low, high, method.Settings(), guess)
    before = pickle.dumps(state)
    for array in (low, high, guess):
        array += 100.0
    assert pickle.dumps(state) == before


@everyone
def test_a_search_that_goes_on_from_a_pickle_is_the_same(name):
    method, first = begun(name)
    through = advanced(method, first, np.random.default_rng(0), 5)
    rng = np.random.default_rng(0)
    half = pickle.loads(pickle.dumps((advanced(method, first, rng, 2), rng)))
    assert_same(through, advanced(method, *half, 3))


@everyone
def test_a_problem_whose_scores_are_all_nan_learns_nothing(name):
    method, state = begun(name)
    candidates = method.ask(state, np.random.default_rng(0))
    scores = np.full(candidates.shape[:2], np.nan)
    scores[1] = np.arange(candidates.shape[1])
    told = tell(method, state, candidates, scores)
    assert_array_equal(told.best_score, [-np.inf, candidates.shape[1] - 1, -np.inf])
    assert np.isnan(told.best[[0, 2]]).all()
    again = method.ask(told, np.random.default_rng(1))
    assert np.isfinite(again).all()


@everyone
def test_the_best_so_far_is_kept(name):
    method, state = begun(name)
    rng = np.random.default_rng(1)
    first = method.ask(state, rng)
    scores = np.zeros(first.shape[:2])
    scores[:, 1] = 9.0
    state = tell(method, state, first, scores)
    following = method.ask(state, rng)
    state = tell(method, state, following, np.full(following.shape[:2], 4.0))
    assert_array_equal(state.best, first[:, 1])
    assert_array_equal(state.best_score, [9.0, 9.0, 9.0])


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "cmaes", "de"])
def test_every_problem_finds_its_own_optimum_inside_or_on_a_bound(name):
    low, high = np.full((3, 2), -1.0), np.full((3, 2), 1.0)
    optima = np.array([[0.3, -0.7], [1.0, 0.0], [-2.0, 2.0]])
    method = named(name)
    state, rng = method.start(low, high, method.Settings(population=48)), np.random.default_rng(0)
    for _ in range(30):
        candidates = method.ask(state, rng)
        state = tell(method, state, candidates, -((candidates - optima[:, None]) ** 2).sum(axis=-1))
    np.testing.assert_allclose(state.best, np.clip(optima, -1, 1), atol=0.02)
    assert (method.spread(state) < 0.02).all()


@pytest.mark.parametrize(
    ("low", "high", "mean", "message"),
    [
        ([[0.0]], [[1.0, 2.0]], None, "must be"),
        ([[2.0]], [[1.0]], None, "above"),
        ([[0.0]], [[np.inf]], None, "finite"),
        ([[0.0]], [[1.0]], [[2.0]], "inside the bounds"),
        ([[0.0]], [[1.0]], [0.5], "first guess"),
    ],
)
def test_bad_bounds_are_named(low, high, mean, message):
    with pytest.raises(SearchError, match=message):
        base.region(np.array(low), np.array(high), None if mean is None else np.array(mean))


@everyone
def test_bad_settings_and_shapes_are_named(name):
    method, state = begun(name)
    with pytest.raises(SettingsError, match="population"):
        method.Settings(population=0)
    with pytest.raises(SearchError, match=r"expected \(3, candidate, 6\)"):
        tell(method, state, np.zeros((3, 4, D)), np.zeros((3, 5)))


def test_optimizers_are_found_by_name():
    for name, module in OPTIMIZERS.items():
        assert named(name) is module and module.__name__.endswith(f".{name}")
    with pytest.raises(SearchError, match="no optimizer 'annealing'; there are shooting, cem"):
        named("annealing")


@pytest.mark.parametrize("covariance", cmaes.COVARIANCES)
@pytest.mark.parametrize("active", [False, True])
def test_cmaes_finds_the_bottom_of_a_narrow_valley(covariance, active):
    d = 5
    scale = 10.0 ** (3 * np.arange(d) / (d - 1))
    state = cmaes.start(-np.ones((1, d)), np.ones((1, d)), cmaes.Settings(covariance=covariance, active=active))
    rng = np.random.default_rng(0)
    for _ in range(200):
        candidates = cmaes.ask(state, rng)
        state = cmaes.tell(state, candidates, -(scale * (candidates - 0.3) ** 2).sum(axis=-1))
    np.testing.assert_allclose(state.best, 0.3, atol=1e-5)


def test_cmaes_turns_its_covariance_along_a_valley_that_is_not_along_an_axis():
    state = cmaes.start(np.full((1, 2), -4.0), np.full((1, 2), 4.0), cmaes.Settings(), np.full((1, 2), -2.0))
    rng = np.random.default_rng(0)
    for _ in range(160):
        x, y = np.moveaxis(candidates := cmaes.ask(state, rng), -1, 0)
        state = cmaes.tell(state, candidates, -(100 * (y - x * x) ** 2 + (1 - x) ** 2))
    np.testing.assert_allclose(state.best, 1.0, atol=1e-4)


def test_cmaes_begins_anew_with_twice_the_population():
    """Of many equal valleys it finds the deepest when it may begin anew, and stays in another when it may not."""

    def depth(x: np.ndarray) -> np.ndarray:
        return -(10 * (1 - np.cos(4 * np.pi * (x - 0.1))) + (x - 0.1) ** 2).sum(axis=-1)

    reached = {}
    for restarts in (0, 5):
        chosen = cmaes.Settings(restarts=restarts, guess_spread=0.02)
        state = cmaes.start(-np.ones((1, 3)), np.ones((1, 3)), chosen, np.full((1, 3), 0.9))
        rng = np.random.default_rng(3)
        for _ in range(400):
            candidates = cmaes.ask(state, rng)
            state = cmaes.tell(state, candidates, depth(candidates))
        reached[restarts] = state.best_score[0]
    assert candidates.shape[1] == 7 * 2 ** int(state.restarts[0]) > 7
    assert reached[5] > -1e-6 > -0.1 > reached[0]


@pytest.mark.parametrize("covariance", cmaes.COVARIANCES)
def test_cmaes_draws_again_what_lies_outside_its_bounds(covariance, monkeypatch):
    """Moved onto the bounds a third of the numbers would lie there, and draw the search to them."""
    chosen = cmaes.Settings(population=200, covariance=covariance)
    guess = np.array([[0.95, 0.05]])
    state = cmaes.start(np.zeros((1, 2)), np.ones((1, 2)), chosen, guess)

    def on_bounds() -> float:
        drawn = cmaes.ask(state, np.random.default_rng(0))
        assert ((drawn >= 0) & (drawn <= 1)).all()
        return float(((drawn == 0) | (drawn == 1)).mean())

    assert on_bounds() == 0
    monkeypatch.setattr(cmaes, "REDRAWN", 0)
    assert on_bounds() > 0.3


def test_categorical_takes_whole_numbers_alone():
    method = named("categorical")
    state = method.start(np.array([[-0.5, 1.5]]), np.array([[2.5, 4.5]]), method.Settings(population=400))
    drawn = method.ask(state, np.random.default_rng(0))
    assert set(drawn[0, :, 0]) == {0.0, 1.0, 2.0} and set(drawn[0, :, 1]) == {2.0, 3.0, 4.0}
    for _ in range(8):
        drawn = method.ask(state, np.random.default_rng(0))
        state = tell(method, state, drawn, -np.abs(drawn - [2.0, 3.0]).sum(axis=-1))
    assert_array_equal(state.best, [[2.0, 3.0]])
    assert method.spread(state)[0] < 0.05
    with pytest.raises(SearchError, match="no whole numbers"):
        tell(method, state, drawn + 0.25, np.zeros(drawn.shape[:2]))
    with pytest.raises(SearchError, match=r"has 0 whole values from 0\.2 to 0\.8"):
        method.start(np.array([[0.2]]), np.array([[0.8]]), method.Settings())


@pytest.mark.parametrize("name", CLIMBERS)
def test_climbers_follow_gradients_to_the_top_and_to_a_bound(name):
    low, high = np.full((2, 2), -1.0), np.full((2, 2), 1.0)
    top = np.array([[0.3, -0.7], [2.0, 0.1]])[:, None]
    method = named(name)
    state, rng = method.start(low, high, method.Settings(population=8)), np.random.default_rng(0)
    for _ in range(60):
        candidates = method.ask(state, rng)
        away = candidates - top
        state = method.tell(state, candidates, -(away**2).sum(axis=-1), -2 * away)
    np.testing.assert_allclose(state.best, [[0.3, -0.7], [1.0, 0.1]], atol=0.02)
    with pytest.raises(SearchError, match=r"gradients None; give those of `ask`"):
        method.tell(state, candidates, np.zeros((2, 8)))


@pytest.mark.parametrize("lost", ["score", "gradient"])
def test_a_climber_whose_way_is_lost_begins_anew(lost):
    """It begins elsewhere, and climbs from there as if it had never been: nothing of before drives it on."""
    method = named("adam")
    low, high = np.array([[-1.0, -1.0, 0.5]]), np.array([[1.0, 1.0, 0.5]])
    state, rng = method.start(low, high, method.Settings(population=3)), np.random.default_rng(0)
    uphill = np.broadcast_to([1.0, 1.0, np.nan], (1, 3, 3))  # of a number that is given nothing need be known
    for _ in range(4):
        state = method.tell(state, method.ask(state, rng), np.zeros((1, 3)), uphill)
    before = method.ask(state, rng)
    scores, slopes = np.zeros((1, 3)), uphill.copy()
    if lost == "score":
        scores[0, 1] = np.nan
    else:
        slopes[0, 1, 0] = np.nan
    state = method.tell(state, before, scores, slopes)
    assert np.isnan(state.climbers[0]).any(axis=1).tolist() == [False, True, False]
    assert method.spread(state) == 1, "who begins anew has not arrived"
    begun = method.ask(state, np.random.default_rng(1))
    assert (begun[0, 1, :2] != before[0, 1, :2]).all()
    climbed = method.tell(state, begun, np.zeros((1, 3)), -uphill)
    fresh = method.start(low, high, state.settings)
    fresh = method.tell(fresh, begun, np.zeros((1, 3)), -uphill)
    assert_array_equal(climbed.climbers[0, 1], fresh.climbers[0, 1])
    assert (climbed.climbers[0, 0, :2] >= begun[0, 0, :2] - 0.05).all(), "the others keep their way"
