"""What the trusted simulator says of one beam on average, and of the best one."""

from __future__ import annotations

import numpy as np

from sciworld.domains.stem.simulator import StemSimulator
from sciworld.tasks.steering import Episodes, chance


def test_no_beam_brings_more_than_the_best_on_average_and_chance_agrees_with_the_average() -> None:
    episodes = Episodes.draw(StemSimulator(), 5, 8.0, 3)
    state, rng = episodes.state, np.random.default_rng(0)
    best = episodes.best_per_second(state, np.arange(5), 1)
    assert (best > 0.02).all()
    np.testing.assert_array_equal(episodes.best_per_second(state, np.array([3, 1]), 1), best[[3, 1]])
    for _ in range(40):
        beams = np.column_stack([state.silicon + rng.uniform(-2, 2, (5, 2)), rng.uniform(1, 10, 5)])[:, None]
        assert (episodes.expected_per_second(state, state, beams) <= best * 1.02).all()
    many = episodes.take(np.repeat(np.arange(5), 400))
    toward = (state.neighbours[:, 0] - state.silicon) * 0.85
    beams = np.column_stack([state.silicon + toward, np.full(5, 5.0)])
    after = many.simulator.park(many.state, np.repeat(beams, 400, axis=0), rng)
    came = many._approach(many.state, after).reshape(5, 400)
    average = episodes.expected_per_second(state, state, beams[:, None]) * 7.0
    assert (np.abs(came.mean(axis=1) - average) < 4 * came.std(axis=1) / 20 + 1e-9).all()


def test_episodes_that_are_over_have_no_average() -> None:
    episodes = Episodes.draw(StemSimulator(), 3, 6.0, 3)
    beams = np.concatenate([episodes.state.silicon + 0.5, np.full((3, 1), 4.0)], axis=1)[:, None]
    whole = episodes.expected_per_second(episodes.state, episodes.state, beams)
    beams[1] = np.nan
    found = episodes.expected_per_second(episodes.state, episodes.state, beams)
    assert np.isnan(found[1]) and (found[[0, 2]] == whole[[0, 2]]).all()


def test_chance_promises_nothing_and_so_has_no_regret() -> None:
    episodes = Episodes.draw(StemSimulator(), 4, 6.0, 3)
    verdict = episodes.judge(chance(episodes.simulator), "random", 4, None)
    assert "regret" not in verdict.summary()
