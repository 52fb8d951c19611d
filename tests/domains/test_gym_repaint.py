"""Episodes in other colours: the same track, car and rewards, other pixels."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.gym.episodes import Recipe, record
from sciworld.domains.gym.repaint import repaint
from sciworld.errors import RecordingError, SettingsError


@pytest.fixture(scope="module")
def episode():
    (ds,) = record("CarRacing-v3", 1, "smooth", Recipe(seed=3, max_steps=6, frames="observation"))
    return ds


def test_colours_change_and_nothing_else(episode):
    before = episode.copy(deep=True)
    one, other = repaint(episode, 2, seed=1)
    assert (one["frames"].values != episode["frames"].values).any(axis=-1).mean() > 0.5
    assert (one["frames"].values != other["frames"].values).any(axis=-1).mean() > 0.5
    for name in episode.variables:
        if name not in ("frames", "covariates"):
            assert one[name].identical(episode[name]), name
    assert one.attrs["session"] == episode.attrs["session"]
    assert recording.covariate_table(one).names[-1] == "paint_seed"
    assert episode.identical(before)
    # Edges of the road and the car lie where they lay.
    edges = [np.abs(np.diff(ds["frames"].values[-1].astype(float).sum(-1), axis=0)) > 12 for ds in (episode, one)]
    assert (edges[0] == edges[1]).mean() > 0.85


def test_the_same_seed_paints_alike(episode):
    (one,) = repaint(episode, 1, seed=4)
    first, _ = repaint(episode, 2, seed=4)
    assert one.identical(first)


def test_what_cannot_be_played_again_is_refused(episode):
    with pytest.raises(RecordingError, match="does not say how it was played"):
        unknown = episode.copy()
        del unknown.attrs["recipe"]
        repaint(unknown, 1)
    changed = episode.copy(deep=True)
    changed["rewards"].values[2] += 1.0
    with pytest.raises(RecordingError, match="is another episode now"):
        next(repaint(changed, 1))
    (cart,) = record("CartPole-v1", 1, "random", Recipe(max_steps=3))
    with pytest.raises(SettingsError, match="no domain_randomize"):
        next(repaint(cart, 1))
