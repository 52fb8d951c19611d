"""A surrogate as an environment: Gymnasium's checks, vectors, and errors."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
import toy
from gymnasium.utils.env_checker import check_env
from toy_model import batch, tiny

import sciworld.envs
from sciworld.errors import SettingsError
from sciworld.simulator import Observation
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate

NAME = "sciworld/Imagined-v0"


def starts(n: int = 3) -> Observation:
    frames = batch(b=n).frames[:, 0].numpy()
    return Observation(frames, np.zeros(n), np.tile(toy.VIEW, (n, 1)))


class Warmth:
    linear = True

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        return futures[..., 1].mean(axis=(2, 3, 4))


def given(evaluations: int = 1, ensemble: bool = False) -> dict:
    one = Surrogate(tiny(), evaluations=evaluations)
    surrogate = Ensemble([one, Surrogate(tiny(), evaluations=evaluations)]) if ensemble else one
    return {"surrogate": surrogate, "starts": starts(), "objective": Warmth()}


def test_it_is_registered_beside_the_trusted_ones():
    assert NAME in sciworld.envs.ENVIRONMENTS


def test_gymnasium_finds_nothing_wrong():
    env = gymnasium.make(NAME, disable_env_checker=True, render_mode="rgb_array", **given()).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env)


@pytest.mark.parametrize("ensemble", [False, True])
def test_rewards_are_those_of_the_imagined_frames_and_a_vector_starts_anew(ensemble):
    env = gymnasium.make_vec(NAME, 4, max_episode_steps=2, **given(2, ensemble))
    frames, info = env.reset(seed=1)
    assert frames.shape == (4, 8, 12, 2) and set(info["start"]) <= {0.0, 1.0, 2.0}
    for step in range(5):
        frames, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert not terminated.any() and truncated.all() == (step % 3 == 1)
        if step % 3 != 2:
            np.testing.assert_allclose(reward, frames[..., 1].mean(axis=(1, 2)), rtol=1e-5)
        else:
            assert (info["time"] == 0).all()


def test_a_start_can_be_named_and_the_seed_decides():
    env = gymnasium.make(NAME, **given(2))
    frame, info = env.reset(seed=0, options={"start": 2})
    assert info["start"] == 2.0
    np.testing.assert_array_equal(frame, starts().frames[2])
    action = env.action_space.sample()
    after = []
    for _ in range(2):
        env.reset(seed=7)
        after.append(env.step(action)[0])
    np.testing.assert_array_equal(*after)


def test_what_is_missing_or_unknown_is_named():
    with pytest.raises(SettingsError, match=r"lacks \['objective'\], does not know \['goal'\]"):
        gymnasium.make(NAME, surrogate=Surrogate(tiny()), starts=starts(), goal=3)
    env = gymnasium.make(NAME, **given())
    with pytest.raises(SettingsError, match="start is 9; there are the rows 0 to 2"):
        env.reset(options={"start": 9})


def test_states_are_taken_apart_and_put_together():
    surrogate = given(1)["surrogate"]
    state = surrogate.start(starts())
    parts = [surrogate.take(state, np.array([k])) for k in (2, 0)]
    controls = toy.SPACE.sample(np.random.default_rng(0), (2,))
    together, _ = surrogate.step(surrogate.joined(parts), controls, np.random.default_rng(0))
    whole, _ = surrogate.step(surrogate.take(state, np.array([2, 0])), controls, np.random.default_rng(0))
    np.testing.assert_allclose(together.frames, whole.frames, rtol=1e-6)


@pytest.mark.parametrize("odd", [[], [toy.make()], toy.make(), [[starts()]]])
def test_starts_are_observations(odd: object) -> None:
    with pytest.raises(SettingsError, match=r"starts is .* Observation"):
        gymnasium.make(NAME, **{**given(), "starts": odd})
