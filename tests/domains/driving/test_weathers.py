"""Conditions that are drawn: words for them, ranges that are filled, an adversary that finds where a policy fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions, preset
from sciworld.domains.driving.weathers import Adversarial, Weathers, require_possible
from sciworld.errors import SettingsError


def test_words_name_presets_and_ranges():
    drawn = Weathers.of("rain_night, fog_density=20..80").draw(40, np.random.default_rng(0))
    assert {one.precipitation for one in drawn} == {preset("rain_night").precipitation}
    density = np.sort([one.fog_density for one in drawn])
    assert 20 <= density[0] < 25 < 75 < density[-1] <= 80
    assert np.diff(density).max() < 6  # they fill the range
    assert Weathers.of("any").presets == tuple(PRESETS)
    assert Weathers.of("wetness=40").draw(1, np.random.default_rng(0))[0].wetness == 40


def test_every_preset_is_drawn_as_often():
    drawn = Weathers(("clear_noon", "fog_day", "snow_day")).draw(9, np.random.default_rng(1))
    assert sorted(one.snow for one in drawn) == [0] * 6 + [60] * 3


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(0, 20))
def test_few_are_the_first_of_many(seed, few, more):
    weathers = Weathers.of("clear_noon,sunset,fog_density=1..90,wetness=0..100")
    first, all_of_them = (weathers.draw(n, np.random.default_rng(seed)) for n in (few, few + more))
    assert first == all_of_them[:few]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("fog_dawn_", "unknown"),
        ("mist=0..1", "unknown 'mist'"),
        ("wetness=80..20", "swap them"),
        ("wetness=0..101", "wetness"),
        ("wetness=low..high", "no range"),
        ("wetness=1..2,wetness=3..4", "two ranges"),
        ("snow_day,precipitation=0..50", "contradict"),
        ("dust_storm,wetness=0..10", "contradict"),
        (7, "write names of presets"),
        (["rain_night"], "write names of presets"),
        ("", "'' are unknown"),
    ],
)
def test_odd_words_are_refused(words, why):
    with pytest.raises(SettingsError, match=why):
        Weathers.of(words)


def test_all_presets_are_possible():
    for one in PRESETS.values():
        require_possible(one)
    with pytest.raises(SettingsError, match="precipitation 10 and snow 5 contradict"):
        require_possible(RoadConditions(precipitation=10, snow=5))


def test_the_adversary_draws_where_a_policy_fails():
    rng = np.random.default_rng(3)
    adversary = Adversarial("clear_noon,fog_density=0..100,cloudiness=0..100", even=0.25)
    for _ in range(4):
        drawn = adversary.draw(12, rng)
        adversary.tell(drawn, np.array([-abs(one.fog_density - 70) for one in drawn]) * -1.0)
    density = np.array([one.fog_density for one in adversary.draw(40, rng)])
    # The policy scores least where the fog is 70; a quarter is drawn evenly.
    assert (np.abs(density - 70) < 15).mean() > 0.6
    assert (np.abs(density - 70) > 25).any()


def test_the_adversary_refuses_scores_of_others_and_passes_over_unknown_ones():
    adversary = Adversarial()
    drawn = adversary.draw(3, np.random.default_rng(0))
    with pytest.raises(SettingsError, match="scores for 3 conditions"):
        adversary.tell(drawn, np.zeros(2))
    adversary.tell(drawn, np.array([np.nan, 1.0, np.nan]))
    assert len(adversary.scores) == 1
    assert adversary.known.shape == (1, len(RANGES))
