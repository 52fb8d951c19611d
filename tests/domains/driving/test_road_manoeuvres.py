"""Drives in which lanes are changed and cars stand in the way; and drives without, which are as they were."""

from __future__ import annotations

import numpy as np
import pytest

from sciworld.domains.driving.road.checks import collided
from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.generate import STATES, make_episodes
from sciworld.domains.driving.road.manoeuvres import EASE, Manoeuvres, eased, gap_ahead, with_standing
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.errors import SettingsError
from sciworld.recording import table

SETTINGS = RoadSettings(
    place="highway", rows=8, columns=16, step=0.4, top_speed=15.0, vehicles=0, pedestrians=0, road_length=600
)


def test_a_car_stands_where_it_was_put_and_stays_there() -> None:
    simulator, rng = RoadSimulator(SETTINGS), np.random.default_rng(0)
    state = with_standing(simulator.start(3, rng), simulator, np.array([20.0, 35.0, 50.0]))
    assert gap_ahead(simulator, state) == pytest.approx([20.0, 35.0, 50.0])
    after = simulator.move(state, np.zeros((3, 2)))
    np.testing.assert_array_equal(after.cars, state.cars)
    assert (gap_ahead(simulator, after) < gap_ahead(simulator, state) - 5.0).all()
    assert np.isnan(gap_ahead(simulator, simulator.start(2, rng))).all()


def test_who_does_not_brake_hits_it_and_the_expert_stops() -> None:
    simulator, rng = RoadSimulator(SETTINGS), np.random.default_rng(1)
    start = with_standing(simulator.start(4, rng), simulator, np.full(4, 60.0))
    blind, knowing, hit = start, start, np.zeros(4, dtype=bool)
    for _ in range(40):
        blind = simulator.move(blind, np.zeros((4, 2)))
        knowing = simulator.move(knowing, expert_controls(simulator, knowing))
        hit |= collided(simulator, blind)
        assert not collided(simulator, knowing).any()
    assert hit.all() and (knowing.speed < 0.5).all() and (gap_ahead(simulator, knowing) < 5.0).all()


def test_the_expert_s_drives_change_lanes_and_say_where_they_are() -> None:
    asked = Manoeuvres(change=2.0, nearest=30.0, farthest=40.0)
    drives = make_episodes(SETTINGS, 3, 40, ("expert",), "clear_noon", list(range(4)), asked)
    names = table(drives[0], "states").names
    assert names == (*STATES.names, "road_offset", "gap")
    for ds in drives:
        place, gap = ds["states"].values[:, -2:].T
        assert 30.0 <= gap[0] <= 40.0 and np.isfinite(place).all()
    free = make_episodes(SETTINGS, 3, 40, ("expert",), "clear_noon", list(range(4)), Manoeuvres(change=2.0))
    assert max(np.ptp(ds["states"].values[:, -2]) for ds in free) > 2.5
    starts = [ds["states"].values[0, 0] for ds in drives]
    assert len(set(starts)) == 4 and max(starts) < SETTINGS.top_speed


def test_drives_without_manoeuvres_are_as_they_were() -> None:
    plain, same = (
        make_episodes(SETTINGS, 3, 6, ("expert", "held"), "clear_noon", [0, 1], *more) for more in ((), (Manoeuvres(),))
    )
    for one, other in zip(plain, same, strict=True):
        assert one.identical(other) and table(one, "states").names == STATES.names


def test_a_change_is_smooth_and_complete() -> None:
    time = np.linspace(-0.5, 1.5, 201)
    share = eased(time)
    assert share[0] == 0.0 and share[-1] == 1.0 and (np.diff(share) >= 0).all() and eased(np.array(0.5)) == 0.5
    assert np.abs(np.diff(share, 2)).max() < 7e-4 and EASE > 0


@pytest.mark.parametrize("wrong", [{"nearest": 5.0, "farthest": 1.0}, {"change": -1.0}, {"farthest": 1e4}])
def test_wrong_manoeuvres_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Manoeuvres(**wrong)
