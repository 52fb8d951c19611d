"""Objectives: linear in the frame, per second or per electron; and aims that are read off frames."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.stem.appearance import Appearance, site_readers
from sciworld.domains.stem.constants import ELECTRONS_PER_NA
from sciworld.domains.stem.greedy import Greedy
from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.objectives import REACHED, AtSite, ProgressRate, Steer, SteerSettings, region
from sciworld.domains.stem.simulator import StemSettings, StemSimulator, neighbour_sites
from sciworld.errors import SettingsError
from sciworld.simulator import Observation

SETTINGS = StemSettings(rows=26, columns=38, field_of_view=16.0, drift=0.0)
APPEARANCE = Appearance(SETTINGS.probe_sigma, SETTINGS.carbon_counts * ((14 / 6) ** SETTINGS.z_exponent - 1))


def seen(n, seed=0, noisy=False):
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(seed)
    state = simulator.start(n, rng)
    return simulator, state, simulator.image(state, rng, noisy)


def readers_of(present):
    located = locate(present.frames, present.view)
    return located, site_readers(located, present.view, present.frames.shape[1:3], APPEARANCE)


def futures(c=5, s=11, t=2, seed=1):
    rng = np.random.default_rng(seed)
    controls = np.concatenate([rng.uniform(-2, 2, (c, t, 2)), rng.uniform(1, 10, (c, t, 1))], axis=2)
    return rng.poisson(9.0, (c, s, t, 26, 38, 1)).astype(np.float32), controls


def every_objective():
    _, readers = readers_of(seen(1)[2])
    return [
        AtSite(readers[0, 2]),
        ProgressRate(readers[0], np.array([0.0, 1.2, -0.3, -0.9]), 2.0),
        ProgressRate(readers[0], np.array([0.0, 1.2, -0.3, -0.9]), 2.0, per_second=6e8),
    ]


@pytest.mark.parametrize("which", range(3))
def test_the_score_of_the_mean_is_the_mean_of_the_scores(which):
    objective = every_objective()[which]
    frames, controls = futures()
    scores = objective(frames, controls)
    assert objective.linear and scores.shape == (5, 11)
    of_mean = objective(frames.mean(axis=1, keepdims=True), controls)[:, 0]
    assert of_mean == pytest.approx(scores.mean(axis=1), rel=1e-4, abs=1e-6 * float(np.abs(scores).max()))
    assert scores.std() > 0


def test_the_last_frame_counts():
    for objective in every_objective():
        frames, controls = futures()
        before = objective(frames, controls)
        frames[:, :, 0] = 0.0
        assert (objective(frames, controls) == before).all()


def test_silicon_at_the_site_scores_one():
    simulator, state, present = seen(1)
    located, readers = readers_of(present)
    k = 1
    from_there = np.linalg.norm(state.neighbours[0] - located.neighbours[0, k], axis=1).argmin()
    moved = simulator.image(hopped(state, from_there), np.random.default_rng(0), noisy=False)
    both = np.stack([present.frames, moved.frames])[:, :, None]
    scores = AtSite(readers[0, 1 + k])(both, np.zeros((2, 1, 3)))
    assert scores[:, 0] == pytest.approx([0.0, 1.0], abs=0.01)


def hopped(state, i):
    return dataclasses.replace(state, site=neighbour_sites(state.site, int(i)))


def test_progress_is_paid_by_seconds_or_electrons():
    simulator, state, present = seen(1)
    located, readers = readers_of(present)
    gains = np.array([0.0, 1.42, -0.7, -0.7])
    i = np.linalg.norm(state.neighbours[0] - located.neighbours[0, 0], axis=1).argmin()
    frames = simulator.image(hopped(state, i), np.random.default_rng(0), noisy=False).frames
    there = np.repeat(frames[None, :, None], 2, axis=0).repeat(3, axis=2)  # (candidate, sample, time, y, x, channel)
    controls = np.zeros((2, 3, 3))
    controls[..., 2] = [[1.0, 2.0, 3.0], [10.0, 10.0, 4.0]]
    rate = ProgressRate(readers[0], gains, 2.0)(there, controls)[:, 0]
    assert rate == pytest.approx([1.42 / 12.0, 1.42 / 30.0], rel=0.02)
    electrons = ProgressRate(readers[0], gains, 2.0, per_second=6e8)(there, controls)[:, 0]
    assert electrons == pytest.approx(rate / 6e8)


def test_steer_reads_the_goal_off_the_frames():
    _, state, present = seen(20, noisy=True)
    chosen = np.random.default_rng(2).integers(0, 3, 20)
    along = state.neighbours[np.arange(20), chosen] - state.silicon
    goals = state.silicon + 3 * along
    goals[0] = state.silicon[0] + 0.3
    aim = Steer(goals, APPEARANCE)(present)
    assert len(aim.objectives) == 20 and all(isinstance(o, ProgressRate) for o in aim.objectives)
    assert (aim.active == ([False] + [True] * 19)).all() and abs(REACHED - 0.71) < 0.001
    located = locate(present.frames, present.view)
    toward = located.neighbours[np.arange(20), aim.target]
    true = state.neighbours[np.arange(20), chosen]
    assert np.linalg.norm(toward - true, axis=1)[1:].max() < 0.35
    inside = (aim.low[:, :2] <= located.silicon) & (located.silicon <= aim.high[:, :2])
    assert inside[1:].all() and (aim.low[:, 2] == 1.0).all() and (aim.high[1:, 2] == 10.0).all()
    # Where the goal is reached there is nothing to do: a short dwell far from the silicon.
    assert (aim.low[0] == aim.high[0]).all() and np.linalg.norm(aim.low[0, :2] - state.silicon[0]) > 6.0


def test_steer_scores_the_hop_toward_the_goal_highest():
    simulator, state, present = seen(4)
    goals = state.neighbours[:, 0] + (state.neighbours[:, 0] - state.silicon)
    for aim, units in (("progress", 1.0), ("dose", 0.1 * ELECTRONS_PER_NA), ("site", None)):
        found = Steer(goals, APPEARANCE, SteerSettings(aim=aim))(present)
        ends = [simulator.image(hopped(state, k), np.random.default_rng(0), False).frames for k in range(3)]
        controls = np.full((4, 1, 3), 3.0)
        for i, objective in enumerate(found.objectives):
            frames = np.stack([present.frames[i], *(end[i] for end in ends)])[:, None, None]
            stay, *scores = objective(frames, controls)[:, 0]
            away = np.linalg.norm(state.silicon[i] - goals[i])
            after = np.linalg.norm(state.neighbours[i] - goals[i], axis=1)
            expected = [1.0, 0.0, 0.0] if units is None else (away - after) / (5.0 * units)
            scale = 1.0 if units is None else 1.0 / (5.0 * units)
            assert np.array([stay, *scores]) == pytest.approx([0.0, *expected], abs=0.02 * scale)


def test_the_region_lies_inside_the_field_of_view():
    view = np.array([[0.4, 0, -8.0, 0, 0.4, -4.0], [0.4, 0, -8.0, 0, 0.4, -4.0], [0, 0.4, 2.0, -0.4, 0, 9.0]])
    frames = np.zeros((3, 26, 38, 1))
    silicon = np.array([[0.0, 0.0], [6.0, -3.5], [3.0, 8.0]])
    low, high = region(silicon, Observation(frames, np.zeros(3), view))
    assert low[0] == pytest.approx([-2.2, -2.2, 1.0]) and high[0] == pytest.approx([2.2, 2.2, 10.0])
    # 38 columns and 26 rows: x from -8 to 6.8 and y from -4 to 6; turned: x from 2 to 12 and y from -5.8 to 9.
    assert low[1, :2] == pytest.approx([3.8, -4.0]) and high[1, :2] == pytest.approx([6.8, -1.3])
    assert low[2, :2] == pytest.approx([2.0, 5.8]) and high[2, :2] == pytest.approx([5.2, 9.0])
    wide, _ = region(silicon, Observation(frames, np.zeros(3), view), SteerSettings(reach=3.0, low_dwell=2.0))
    assert wide[0] == pytest.approx([-3.0, -3.0, 2.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"aim": "fame"}, "aim is 'fame'; use progress, dose or site"),
        ({"reach": 0.0}, "reach is 0.0 A"),
        ({"low_dwell": 5.0, "high_dwell": 2.0}, "dwell 5.0 to 2.0 s is no range"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(SettingsError, match=message):
        SteerSettings(**settings)


def test_a_blank_frame_is_left_alone_and_does_not_stop_the_others():
    _, state, present = seen(4, noisy=True)
    frames = present.frames.copy()
    frames[1] = 0
    blank = Observation(frames, present.time, present.view)
    goals = state.neighbours[:, 0] + 3.0
    aim, before = Steer(goals, APPEARANCE)(blank), Steer(goals, APPEARANCE)(present)
    assert aim.active.tolist() == [True, False, True, True]
    assert (aim.low[1] == aim.high[1]).all() and np.isfinite(aim.low).all()
    for kept in (0, 2, 3):
        assert (aim.low[kept] == before.low[kept]).all() and aim.target[kept] == before.target[kept]
    controls, _ = Greedy(goals, 1.2, 4.0).act(None, blank)
    assert np.isfinite(controls).all() and controls[1, 2] == 1.0
