"""Greedy control with known rates: the reference table, from the truth and from pixels."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.stem.constants import BOND, ELECTRONS_PER_NA
from sciworld.domains.stem.greedy import Greedy
from sciworld.domains.stem.simulator import StemSettings, StemSimulator, random_goals
from sciworld.tasks.steering import Episodes

LIMIT = 600.0  # s
# Greedy with known rates, goals within 15 A: rates, offset in A, dwell in s; success, mean actions (400 episodes).
GREEDY = [
    ("simple", 1.42, 1.5, 1.00, 12.7),
    ("simple", 1.42, 5.0, 1.00, 10.1),
    ("prior", 1.21, 1.5, 1.00, 29.7),
    ("prior", 1.21, 5.0, 1.00, 13.7),
    ("prior", 1.87, 1.5, 0.98, 79.9),
    ("prior", 2.17, 1.5, 0.27, None),
]


def beside(state, k, offset, dwell):
    """Controls with the beam `offset` A from the silicon toward neighbour k : (candidate,)."""
    along = (state.neighbours[np.arange(len(k)), k] - state.silicon) / BOND
    return np.column_stack([state.silicon + offset * along, np.full(len(k), dwell)])


def greedy_from_the_truth(rates, offset, dwell, episodes=200):
    """Success and actions of greedy that knows sites and rates."""
    simulator = StemSimulator(StemSettings(rates=rates, rows=8, columns=8, field_of_view=20.0, drift=0.0))
    rng = np.random.default_rng(17)
    state = simulator.start(episodes, rng)
    goals = random_goals(state, 15.0, rng)
    length, over = np.zeros(episodes), np.zeros(episodes, dtype=bool)
    while True:
        over |= (np.linalg.norm(state.silicon - goals, axis=1) < 0.71) | (state.seconds >= LIMIT)
        if over.all():
            break
        nearest = np.linalg.norm(state.neighbours - goals[:, None], axis=2).argmin(axis=1)
        length[~over] += 1
        _, after = simulator.step(state, beside(state, nearest, offset, dwell), rng)
        site = np.where(over[:, None], state.site, after.site)  # an atom at its goal stays there
        state = dataclasses.replace(after, site=site)
    return np.linalg.norm(state.silicon - goals, axis=1) < 0.71, length


@pytest.mark.parametrize(("rates", "offset", "dwell", "success", "actions"), GREEDY)
def test_the_greedy_table(rates, offset, dwell, success, actions, blind):
    reached, length = greedy_from_the_truth(rates, offset, dwell)
    sampling = 1 / 200 + 1 / 400  # here and in the reference
    assert reached.mean() == pytest.approx(success, abs=4 * np.sqrt(max(success * (1 - success), 0.005) * sampling))
    if actions is not None:
        taken = length[reached]
        assert taken.mean() == pytest.approx(actions, abs=3.5 * taken.std() * np.sqrt(sampling))


@pytest.mark.parametrize(("rates", "offset", "dwell", "success", "actions"), [GREEDY[0], GREEDY[3]])
def test_the_greedy_table_from_pixels(rates, offset, dwell, success, actions):
    episodes = Episodes.draw(StemSimulator(StemSettings(rates=rates)), 60, 15.0, seed=18)
    verdict = episodes.judge(Greedy(episodes.goals, offset, dwell), "greedy", 19, made_training_data=False)
    assert verdict.success.mean() >= success - 0.04
    error = verdict.actions.std() * np.sqrt(1 / 60 + 1 / 400)
    assert verdict.actions.mean() == pytest.approx(actions, abs=3.5 * error)
    assert verdict.seconds == pytest.approx(verdict.actions * (dwell + 2.0))
    assert verdict.dose == pytest.approx(verdict.seconds * 0.1 * ELECTRONS_PER_NA)


def test_the_beam_stands_on_the_bond_that_leads_to_the_goal():
    simulator = StemSimulator(StemSettings(rows=26, columns=38, drift=0.0))
    rng = np.random.default_rng(20)
    state = simulator.start(30, rng)
    nearest = rng.integers(0, 3, 30)
    goals = beside(state, nearest, 9.0, 0.0)[:, :2]
    controller = Greedy(goals, 1.2, 3.0)
    controls, memory = controller.act(controller.start(30, rng), simulator.image(state, rng, noisy=False))
    assert memory is None and (controls[:, 2] == 3.0).all()
    assert np.abs(controls - beside(state, nearest, 1.2, 3.0)).max() < 0.06
