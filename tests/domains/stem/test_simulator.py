"""The trusted simulator: images show the truth, controls are checked, seconds and dose add up, nothing is global."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.simulator import (
    BOND,
    ELECTRONS_PER_NA,
    RATES,
    StemSettings,
    StemSimulator,
    neighbour_sites,
    random_goals,
    rate_terms,
    site_positions,
)
from sciworld.errors import ControlError, SettingsError, SimulatorError


def make(**settings):
    return StemSimulator(StemSettings(rows=26, columns=38, field_of_view=16.0, **settings))


def started(n=5, seed=0, **settings):
    simulator = make(**settings)
    return simulator, simulator.start(n, np.random.default_rng(seed))


def beams(state, offset=(0.0, 0.0), dwell=2.0):
    """Controls with the beam `offset` A away from every silicon."""
    return np.column_stack([state.silicon + offset, np.full(len(state.seconds), dwell)])


def toward(state, k, offset=BOND, dwell=5.0):
    """Controls with the beam on the bond to neighbour k : (candidate,)."""
    along = (state.neighbours[np.arange(len(k)), k] - state.silicon) / BOND
    return np.column_stack([state.silicon + offset * along, np.full(len(k), dwell)])


def test_silicon_is_drawn_where_it_is():
    simulator, state = started(80)
    observation = simulator.image(state, np.random.default_rng(1), noisy=False)
    assert observation.frames.shape == (80, 26, 38, 1) and observation.frames.dtype == np.float64
    found = locate(observation.frames, observation.view)
    assert np.abs(found.silicon - state.silicon).max() < 0.05
    assert np.abs((found.silicon - state.silicon).mean(axis=0)).max() < 0.005
    # Independent of `locate`: what silicon adds to carbon has its centre of mass on it.
    moved = dataclasses.replace(state, site=state.site + np.array([3, 0, 0]))
    without = simulator.image(moved, np.random.default_rng(1), noisy=False).frames[..., 0]
    extra = observation.frames[..., 0] - without
    v = observation.view[0]
    x, y = v[0] * np.arange(38) + v[2], v[4] * np.arange(26) + v[5]
    for c in range(80):
        dx, dy = x[None, :] - state.silicon[c, 0], y[:, None] - state.silicon[c, 1]
        near = extra[c] * (np.hypot(dx, dy) < 2.5)
        assert abs((near * dx).sum() / near.sum()) < 0.05 and abs((near * dy).sum() / near.sum()) < 0.05


def test_noise_and_jitter_do_not_displace_the_silicon():
    simulator, state = started(500, row_jitter=0.05)
    observation = simulator.image(state, np.random.default_rng(2))
    assert observation.frames.dtype == np.uint16
    error = locate(observation.frames, observation.view).silicon - state.silicon
    assert np.abs(error.mean(axis=0)).max() < 0.05 and np.abs(error.mean(axis=0)).max() < 4 * error.std() / 500**0.5
    assert np.abs(error).max() < 0.4


def test_the_sample_drifts_and_the_images_show_it():
    simulator, state = started(30, drift=0.02)
    rng = np.random.default_rng(3)
    origin = state.silicon
    for _ in range(8):
        _, state = simulator.expose(state, rng)
    assert state.silicon - origin == pytest.approx(state.drift * 16.0) and np.abs(state.silicon - origin).max() > 0.3
    observation = simulator.image(state, rng, noisy=False)
    assert np.abs(locate(observation.frames, observation.view).silicon - state.silicon).max() < 0.05


def test_the_beam_is_given_in_the_laboratory_where_the_sample_drifts():
    """Outcomes do not change with drift if the beam follows the silicon to where it is at half the dwell."""
    still, state = started(6, drift=0.0)
    state = dataclasses.replace(state, seconds=np.full(6, 100.0))
    expected = still.outcomes(state, beams(state, (0.9, 0.4), 4.0))
    drifting = dataclasses.replace(state, drift=np.full((6, 2), 0.02))
    controls = beams(drifting, (0.9, 0.4), 4.0)
    controls[:, :2] += 0.02 * 2.0
    assert still.outcomes(drifting, controls) == pytest.approx(expected)


@pytest.mark.parametrize("rates", RATES)
def test_steps_hop_with_the_probabilities_of_the_master_equation(rates, blind):
    simulator, state = started(1, rates=rates)
    state = dataclasses.replace(state, drift=np.array([[0.01, -0.02]]), seconds=np.full(1, 60.0))  # 1.3 A by now
    many = state.take(np.zeros(8000, dtype=int))
    controls = toward(many, np.zeros(8000, dtype=int), 1.1, 4.0)
    _, after = simulator.step(many, controls, np.random.default_rng(4))
    ends = [many.site, *(neighbour_sites(many.site, i) for i in range(3))]
    counts = [(after.site == end).all(axis=1).sum() for end in ends]
    expected = simulator.outcomes(state, controls[:1])[0] * 8000
    assert expected[1] > 1.2 * expected[2]  # the beam stands nearer to neighbour 0
    assert stats.chisquare([*counts, 8000 - sum(counts)], [*expected, 8000 - expected.sum()]).pvalue > 1e-3
    assert ((after.site[:, 2] == many.site[:, 2]) == (after.hops % 2 == 0)).all()


@pytest.mark.parametrize(("rates", "share"), [("prior", 0.0044), ("simple", 0.040)])
def test_taking_an_image_makes_silicon_hop_if_asked(rates, share, blind):
    n = 100_000
    settings = StemSettings(rates=rates, field_of_view=20.0, rows=8, columns=8, imaging_hops=True)
    simulator = StemSimulator(settings)
    rng = np.random.default_rng(5)
    state = simulator.start(1, rng).take(np.zeros(n, dtype=int))
    _, after = simulator.expose(state, rng)
    hopped = np.linalg.norm(after.silicon - state.silicon, axis=1) > 0.5
    assert hopped.mean() == pytest.approx(share, abs=4 * np.sqrt(share / n) + 0.0005 * (rates == "simple"))
    assert (after.hops == hopped).all()
    ends = np.linalg.norm(after.silicon[hopped][:, None] - state.neighbours[0], axis=2).argmin(axis=1)
    assert stats.chisquare(np.bincount(ends, minlength=3)).pvalue > 1e-3
    never = StemSimulator(dataclasses.replace(settings, imaging_hops=False))
    assert (never.expose(state, rng)[1].site == state.site).all()


def test_rates_grow_with_the_current(blind):
    weak, state = started(40, current=0.05, drift=0.0)
    strong = make(current=0.2, drift=0.0)
    one = weak.outcomes(state, beams(state, (1.0, 0.3), 8.0))
    assert strong.outcomes(state, beams(state, (1.0, 0.3), 2.0)) == pytest.approx(one, abs=1e-9)
    assert (strong.outcomes(state, beams(state, (1.0, 0.3), 8.0))[:, 0] < one[:, 0]).all()
    many = state.take(np.repeat(np.arange(40), 50))
    hops = [s.step(many, beams(many, (1.0, 0.3), 2.0), np.random.default_rng(6))[1].hops.mean() for s in (weak, strong)]
    assert 3 < hops[1] / hops[0] < 5


def test_mixtures_differ_from_atom_to_atom_within_their_ranges():
    terms = rate_terms("mixture", 2000, np.random.default_rng(7))
    place, variance, height = np.moveaxis(terms, 2, 0)
    used = variance > 0
    axis = np.linspace(-1, 3 * BOND, 400)[:, None, None]
    each = height * np.exp(-0.5 * (axis - place) ** 2 / np.where(used, variance, 1.0))
    largest = np.where(used, each, 0.0).sum(axis=2).max(axis=0)
    assert largest.min() > 0.0099 and largest.max() < 1.005
    assert stats.kstest(largest, stats.uniform(0.01, 0.99).cdf).pvalue > 1e-3
    counts = np.bincount(used.sum(axis=1) - 1, minlength=8)[:5]
    assert counts == pytest.approx(2000 * stats.poisson.pmf(np.arange(5), 2.0), abs=90)
    assert stats.kstest(variance[used], stats.uniform(0.1, 4.9).cdf).pvalue > 1e-3
    assert stats.kstest(place[used], stats.uniform(0, 2 * BOND).cdf).pvalue > 1e-3
    assert (height[~used] == 0).all()


def test_every_atom_is_another():
    _, state = started(400)
    assert np.hypot(*state.silicon.T).max() < np.hypot(0.5, 0.5)
    assert stats.kstest(state.lattice[:, 2], stats.uniform(0, 2 * np.pi).cdf).pvalue > 1e-3
    assert 140 < state.site[:, 2].sum() < 260
    distance = np.linalg.norm(state.neighbours - state.silicon[:, None], axis=2)
    assert distance == pytest.approx(BOND)


def test_a_thousand_atoms_and_beams_in_one_call():
    simulator, state = started(1000)
    rng = np.random.default_rng(8)
    controls = beams(state, rng.uniform(-2, 2, (1000, 2)), 1.0)
    controls[:, 2] = rng.uniform(0.5, 20, 1000)
    observation, after = simulator.step(state, controls, rng)
    assert observation.frames.shape == (1000, 26, 38, 1) and observation.view.shape == (1000, 6)
    assert len(np.unique(observation.frames.reshape(1000, -1), axis=0)) == 1000
    assert after.seconds == pytest.approx(controls[:, 2] + 2.0)
    assert (locate(observation.frames, observation.view).n_silicon == 1).mean() > 0.99


def run(simulator, seed, steps=3):
    """A short seeded run: all frames, and the last state."""
    rng = np.random.default_rng(seed)
    state = simulator.start(7, rng)
    frames = []
    for _ in range(steps):
        observation, state = simulator.step(state, beams(state, (1.0, 0.2), 6.0), rng)
        frames.append(observation.frames)
    return np.stack(frames), state


def test_the_seed_decides_everything():
    simulator = make(imaging_hops=True, rates="simple")
    frames, state = run(simulator, 9)
    np.random.seed(1)  # a global seed must have no effect
    again, state_again = run(simulator, 9)
    assert (frames == again).all() and (state.site == state_again.site).all()
    assert (run(simulator, 10)[0] != frames).any()


def test_the_number_of_threads_does_not_matter():
    code = """
import numba, numpy as np, zlib
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
for threads in (1, 2):
    numba.set_num_threads(threads)
    simulator, rng = StemSimulator(StemSettings(rates="simple")), np.random.default_rng(0)
    state = simulator.start(50, rng)
    controls = np.column_stack([state.silicon + 1.0, np.full(50, 9.0)])
    observation, state = simulator.step(state, controls, rng)
    print(zlib.crc32(observation.frames.tobytes()), state.site.sum(), simulator.outcomes(state, controls).sum())
"""
    environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    one, two = done.stdout.strip().splitlines()
    assert one == two


def test_a_state_is_a_value():
    simulator, state = started(4, imaging_hops=True, rates="simple")
    before = {name: value.copy() for name, value in vars(state).items()}
    controls = beams(state, (1.0, 0.0), 15.0)
    kept = controls.copy()
    rng = np.random.default_rng(11)
    _, after = simulator.step(state, controls, rng)
    simulator.step(after, beams(after, dwell=5.0), rng)
    simulator.outcomes(state, controls)
    assert after.hops.sum() > 0 and (controls == kept).all()
    for name, value in before.items():
        assert (getattr(state, name) == value).all(), name


def test_seconds_and_dose_add_up():
    simulator, state = started(3, current=0.2, frame_time=1.5)
    rng = np.random.default_rng(12)
    observation, state = simulator.expose(state, rng)
    assert observation.time == pytest.approx(0.0) and state.seconds == pytest.approx(1.5)
    controls = beams(state)
    controls[:, 2] = [1.0, 2.0, 10.0]
    observation, state = simulator.step(state, controls, rng)
    assert observation.time == pytest.approx([2.5, 3.5, 11.5])
    assert state.seconds == pytest.approx([4.0, 5.0, 13.0])
    assert state.dose == pytest.approx(0.2 * ELECTRONS_PER_NA * state.seconds)
    assert abs(ELECTRONS_PER_NA * 0.1 - 6.24e8) < 1e6


def driven(simulator, state, rng, steps=60):
    """The candidates after `steps` dwells on the bond that leads most nearly along +x; and all observations."""
    seen = []
    for _ in range(steps):
        controls = toward(state, (state.neighbours - state.silicon[:, None])[..., 0].argmax(axis=1))
        half = np.array([16.0, 16.0 * 26 / 38]) / 2
        inside = (np.abs(controls[:, :2] - state.centre) < half).all(axis=1)
        if not inside.all():
            break
        observation, state = simulator.step(state, controls, rng)
        seen.append(observation)
    return seen, state


def test_the_field_of_view_follows_the_silicon(blind):
    simulator, state = started(4, rates="simple")
    seen, after = driven(simulator, state, np.random.default_rng(13))
    assert (after.silicon[:, 0] > 20).all()
    assert (np.abs(after.silicon - after.centre) <= [4.0 + 1e-9, 4.0 * 26 / 38 + 1e-9]).all()
    views = np.stack([observation.view for observation in seen])
    assert (views[..., [0, 4]] == 16.0 / 38).all() and (views[..., [1, 3]] == 0).all()
    middle = seen[-1].view[:, [2, 5]] + seen[-1].view[:, [0, 4]] * (np.array([38, 26]) - 1) / 2
    assert middle == pytest.approx(after.centre)
    centres = views[..., 2] - views[0, :, 2]
    moves = (np.diff(centres, axis=0) != 0).sum(axis=0)
    assert (moves >= 3).all() and (moves < 20).all()  # not at every hop


def test_images_through_a_moved_view_show_the_silicon():
    simulator, state = started(4, rates="simple")
    seen, after = driven(simulator, state, np.random.default_rng(14), steps=12)
    assert (seen[-1].view != simulator.view(state)).any()
    assert np.abs(locate(seen[-1].frames, seen[-1].view).silicon - after.silicon).max() < 0.4


def test_the_field_of_view_stands_still_if_asked(blind):
    simulator, state = started(4, rates="simple", recentre=False)
    seen, after = driven(simulator, state, np.random.default_rng(15))
    assert (seen[-1].view == simulator.view(state)).all() and (after.silicon[:, 0] > 4.0).any()


@pytest.mark.parametrize(
    ("column", "value", "error", "message"),
    [
        (0, 8.5, SimulatorError, r"candidate 2: beam at \(8.50, .*outside the field of view.*move the beam inside"),
        (1, -6.0, SimulatorError, "outside the field of view"),
        (0, 101.0, ControlError, r"'beam_x' is 101 A, outside \[-100, 100\] A"),
        (2, 0.0, ControlError, r"'dwell' is 0 s, outside \[0.5, 20\] s"),
        (2, 21.0, ControlError, "'dwell' is 21 s"),
        (2, np.nan, ControlError, "'dwell' is NaN"),
        (1, np.nan, ControlError, "'beam_y' is NaN"),
        (0, np.inf, ControlError, "'beam_x' is inf"),
    ],
)
def test_controls_that_cannot_be(column, value, error, message):
    simulator, state = started(5)
    controls = beams(state)
    controls[2, column] = value
    with pytest.raises(error, match=message):
        simulator.step(state, controls, np.random.default_rng(0))


def test_other_wrong_calls():
    simulator, state = started(5)
    with pytest.raises(SimulatorError, match=r"shape \(4, 3\); expected \(5, 3\)"):
        simulator.step(state, beams(state)[:4], np.random.default_rng(0))
    with pytest.raises(ControlError, match="the last axis must hold 3: beam_x, beam_y, dwell"):
        simulator.step(state, beams(state)[:, :2], np.random.default_rng(0))
    with pytest.raises(SimulatorError, match="0 candidates"):
        simulator.start(0, np.random.default_rng(0))
    with pytest.raises(SimulatorError, match=r"no site within 1.0 A; use at least 2.46 A"):
        random_goals(state, 1.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": "wild"}, "rates is 'wild'; use one of simple, prior, mixture"),
        ({"rows": 4}, "at least 8 x 8"),
        ({"current": 0.0}, "current is 0.0; it must be positive"),
        ({"drift": -1.0}, "drift is -1.0"),
        ({"probe_sigma": float("nan")}, "probe_sigma is nan"),
        ({"max_dwell": 0.5}, "above the least dwell"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(SettingsError, match=message):
        StemSettings(**settings)


def test_a_measured_frame_teaches_the_truth_nothing():
    simulator, state = started(2)
    assert simulator.observe(state, simulator.image(state, np.random.default_rng(0))) is state


def test_goals_are_lattice_sites_within_reach():
    _, state = started(200)
    goals = random_goals(state, 6.0, np.random.default_rng(16))
    distance = np.linalg.norm(goals - state.silicon, axis=1)
    assert distance.min() > 1.5 * BOND and distance.max() <= 6.0 and np.unique(distance.round(2)).size > 5
    for c in range(200):
        grid = np.array([(n, m, s) for n in range(-5, 6) for m in range(-5, 6) for s in (0, 1)])
        places = site_positions(grid, state.lattice[c])
        assert np.linalg.norm(places - goals[c], axis=1).min() < 1e-9
