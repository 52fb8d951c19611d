"""Laws are tried where it counts, and errors of promises choose the next."""

import numpy as np
import pytest

from sciworld.errors import SearchError, SettingsError
from sciworld.search.confirm import confirm
from sciworld.search.law import Law

TOP = np.array([0.5, 0.2, -0.3])


def truth(gains: np.ndarray) -> np.ndarray:
    return -4 * ((gains - TOP) ** 2).sum(axis=-1)


def searched(tilt: np.ndarray, seed: int = 0) -> Law:
    """What a search finds on a surrogate whose promises are tilted: 8 generations of 32, ever closer to its optimum."""
    rng = np.random.default_rng(seed)
    widths = np.geomspace(0.5, 0.05, 8)[:, None, None]
    tried = np.clip(TOP + tilt / 8 + widths * rng.normal(size=(8, 32, 3)), -1, 1)
    scores = truth(tried) + tried @ tilt
    best = np.unravel_index(scores.argmax(), scores.shape)
    return Law(tried[best], float(scores[best]), np.nan, 256, np.zeros(8), tried, scores)


@pytest.mark.parametrize("seed", range(4))
def test_ten_trials_find_what_a_tilted_surrogate_misses(seed: int) -> None:
    law = searched(np.random.default_rng(seed).uniform(1, 2, 3) * [1, -1, 1], seed)
    calls: list[np.ndarray] = []

    def trial(gains: np.ndarray) -> float:
        calls.append(gains)
        return float(truth(gains))

    found = confirm(law, trial)
    assert len(calls) == 10 and np.array_equal(found.parameters, calls)
    np.testing.assert_array_equal(found.parameters[0], law.parameters)
    np.testing.assert_array_equal(found.scores, truth(found.parameters))
    # The best ten promises alone bring next to nothing beyond the first.
    order = np.argsort(-law.scores.ravel())[:10]
    ranked = truth(law.tried.reshape(-1, 3)[order]).max()
    assert found.scores[found.best] > 0.3 * max(ranked, found.scores[0])
    apart = np.abs(found.parameters[:, None] - found.parameters).max(axis=-1)[np.triu_indices(10, 1)]
    assert apart.min() > 0.03  # no law is tried twice


def test_units_do_not_matter() -> None:
    law, scale, by = searched(np.array([1.0, -1.0, 1.0])), 1e-3, np.array([1e6, 1.0, 1e-6])
    same = confirm(law, lambda gains: float(truth(gains)))
    scaled = Law(law.parameters * by, law.promise * scale, np.nan, 256, law.trace, law.tried * by, law.scores * scale)
    found = confirm(scaled, lambda gains: scale * float(truth(gains / by)))
    np.testing.assert_allclose(found.parameters, same.parameters * by)
    np.testing.assert_allclose(found.scores, same.scores * scale)


def test_trials_that_tell_nothing_are_kept_and_not_the_best() -> None:
    law, told = searched(np.array([1.0, 1.0, -1.0])), iter([np.nan, -3.0, np.inf, -1.0])
    found = confirm(law, lambda gains: next(told), 4)
    assert found.best == 3 and not np.isfinite(found.scores[[0, 2]]).any()
    nothing = confirm(law, lambda gains: np.nan, 3)
    with pytest.raises(SearchError, match=r"none of 3 laws .* returned nan"):
        _ = nothing.best


def test_there_may_be_fewer_laws_than_tries() -> None:
    law = searched(np.zeros(3))
    few = Law(law.parameters, law.promise, np.nan, 1, law.trace, law.parameters[None, None], np.array([[np.nan]]))
    assert len(confirm(few, lambda gains: 1.0).scores) == 1


@pytest.mark.parametrize("tries", [0, 1.5, True])
def test_tries_are_counted(tries: object) -> None:
    with pytest.raises(SettingsError, match="tries"):
        confirm(searched(np.zeros(3)), lambda gains: 1.0, tries)  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["1", None, True, np.zeros(2)])
def test_scores_are_numbers(score: object) -> None:
    with pytest.raises(SearchError, match="trial returned"):
        confirm(searched(np.zeros(3)), lambda gains: score)  # type: ignore[arg-type, return-value]


def test_what_no_search_found_is_refused_and_trials_cannot_change_it() -> None:
    law = searched(np.zeros(3))
    odd = Law(law.parameters[:2], law.promise, np.nan, 256, law.trace, law.tried, law.scores)
    with pytest.raises(SearchError, match=r"parameters \(2,\), tried \(8, 32, 3\).*give what search_law returned"):
        confirm(odd, lambda gains: 1.0)
    before = law.tried.copy()

    def careless(gains: np.ndarray) -> float:
        gains *= 0
        return 1.0

    found = confirm(law, careless, 3)
    np.testing.assert_array_equal(law.tried, before)
    assert np.abs(found.parameters[0]).max() > 0
