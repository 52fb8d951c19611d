"""Exploring controllers go where the members of an ensemble disagree, and stay varied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy
from toy_model import tiny

from sciworld.errors import SettingsError
from sciworld.search.explore import Explorer, Mixed
from sciworld.search.receding import FixedPlan
from sciworld.simulator import Observation
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate

N = 5


class Split(Surrogate):
    """Expects `own` of a fan on the right half of the frame, and 0 of one on the left."""

    def __init__(self, own: float) -> None:
        super().__init__(tiny())
        self.own = own

    def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        p, c, t, _ = controls.shape
        right = np.where(controls[..., 0] > toy.WIDTH / 2, self.own, 0.0)
        return np.broadcast_to(right[:, :, None, :, None, None, None], (p, c, 1, t, toy.Y, toy.X, 2))


def ensemble() -> Ensemble:
    return Ensemble([Split(1.0), Split(3.0)])


def present(n: int = N) -> Observation:
    return Observation(toy.render(np.full((n, 2), 1.5), np.ones(n)), np.zeros(n), np.tile(toy.VIEW, (n, 1)))


def played(controller: Explorer | Mixed, steps: int = 4) -> np.ndarray:
    state, chosen = controller.start(N, np.random.default_rng(0)), []
    for _ in range(steps):
        controls, state = controller.act(state, present())
        chosen.append(controls)
    return np.stack(chosen)


def test_disagreement_is_the_variance_between_members_in_units_of_the_channels() -> None:
    both = ensemble()
    controls = np.array([[[[0.5, 1.0, 0.0]], [[5.0, 1.0, 1.0]]]] * N)
    found = both.disagreement(both.start(present()), controls)
    scale = np.array(both.model.signature.scale)
    np.testing.assert_allclose(found, np.tile([0.0, (2 / scale**2).mean()], (N, 1)), rtol=1e-6)


def test_controls_are_played_where_members_disagree() -> None:
    found = played(Explorer(ensemble()))
    toy.SPACE.check(found)
    assert (found[..., 0] > toy.WIDTH / 2).all()
    assert (found[..., 2] == np.rint(found[..., 2])).all() and set(np.unique(found[..., 2])) == {0, 1, 2}
    by_chance = played(Explorer(ensemble(), power=0.0))
    assert 0.3 < (by_chance[..., 0] > toy.WIDTH / 2).mean() < 0.7


def test_episodes_that_look_alike_are_played_differently() -> None:
    found = played(Explorer(ensemble()), steps=1)[0]
    assert len(np.unique(found[:, :2], axis=0)) == N


def test_what_costs_little_is_preferred() -> None:
    def dear(controls: np.ndarray) -> np.ndarray:
        return 1.0 + 20.0 * (controls[..., 1] > toy.HEIGHT / 2)

    found = played(Explorer(ensemble(), cost=dear))
    assert (found[..., 1] <= toy.HEIGHT / 2).all() and (found[..., 0] > toy.WIDTH / 2).all()


def test_a_region_bounds_what_is_tried_and_the_memory_is_a_value() -> None:
    low, high = np.array([[0.2, 0.1, 1.0]] * N), np.array([[0.9, 0.4, 1.0]] * N)
    explorer = Explorer(ensemble(), lambda seen: (low, high))
    state = explorer.start(N, np.random.default_rng(0))
    first, after = explorer.act(state, present())
    assert ((first >= low) & (first <= high)).all() and (after.seed, after.step) == (state.seed, 1)
    np.testing.assert_array_equal(explorer.act(state, present())[0], first)


def test_a_mixture_plays_each_controller_in_turn_by_chance() -> None:
    plans = [FixedPlan(np.full((9, 3), value)) for value in (0.0, 1.0)]
    found = played(Mixed(plans), steps=9)
    assert set(np.unique(found)) == {0.0, 1.0} and (found == found[..., :1]).all()
    assert 0 < found[..., 0].mean() < 1 and (found[:, :1] != found).any(), "episodes differ"


def test_a_mixture_keeps_to_what_it_has_drawn_for_as_long_as_it_is_told() -> None:
    found = played(Mixed([FixedPlan(np.full((12, 3), value)) for value in (0.0, 1.0)], hold=4), steps=12)[..., 0]
    blocks = found.reshape(3, 4, N)
    assert (blocks == blocks[:, :1]).all() and (blocks[0] != blocks[1]).any() and (blocks[1] != blocks[2]).any()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(SettingsError, match="power is -1"):
        Explorer(ensemble(), power=-1)
    with pytest.raises(SettingsError, match="candidates is 0"):
        Explorer(ensemble(), candidates=0)
    with pytest.raises(SettingsError, match="no controllers"):
        Mixed([])
    with pytest.raises(SettingsError, match="hold is 0"):
        Mixed([Explorer(ensemble())], hold=0)
