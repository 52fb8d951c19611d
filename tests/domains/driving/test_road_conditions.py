"""Light and weather as settings: names, ranges, presets."""

import numpy as np
import pytest

from sciworld.config import from_dict, to_dict
from sciworld.domains.driving.road.conditions import (
    PRESETS,
    RANGES,
    RoadConditions,
    conditions_array,
    preset,
    sample_conditions,
)
from sciworld.domains.driving.road.light import light_of
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.errors import SettingsError
from sciworld.kernels import road_layout as layout


def test_there_are_many_presets_and_they_survive_json():
    assert len(PRESETS) >= 12
    assert len(set(PRESETS.values())) == len(PRESETS)
    for conditions in PRESETS.values():
        assert from_dict(RoadConditions, to_dict(conditions)) == conditions
    assert to_dict(RoadConditions(snow=np.float32(30.5), wetness=np.int64(4)))["snow"] == 30.5


@pytest.mark.parametrize("name", RANGES)
def test_values_out_of_range_are_refused(name):
    low, high = RANGES[name]
    for value in (low - 1, high + 1, float("nan"), "much", None, True, [low], 10**400):
        with pytest.raises(SettingsError, match=name):
            RoadConditions(**{name: value})


def test_unknown_names_are_refused():
    with pytest.raises(SettingsError, match=r"unknown setting hail"):
        from_dict(RoadConditions, {"hail": 3.0})
    with pytest.raises(SettingsError, match=r"unknown hail"):
        RoadConditions().replace(hail=3.0)
    with pytest.raises(SettingsError, match=r"'monsoon' are unknown; known are clear_noon"):
        preset("monsoon")
    with pytest.raises(SettingsError, match=r"\['clear_noon'\] are unknown"):
        preset(["clear_noon"])
    for odd in ([3.0], 7, {}, {"clear_noon"}, [["clear_noon"]]):
        with pytest.raises(SettingsError, match="conditions are"):
            RoadSimulator(conditions=odd)
    with pytest.raises(SettingsError, match="2 conditions for 3 candidates"):
        conditions_array(["clear_noon", "sunset"], 3)


def test_conditions_differ_per_candidate():
    table = conditions_array(["clear_noon", RoadConditions(snow=40.0)], 2)
    assert table.shape == (2, len(RANGES))
    assert table[1, list(RANGES).index("snow")] == 40.0
    np.testing.assert_array_equal(conditions_array("sunset", 3)[0], conditions_array("sunset", 3)[2])


def test_samples_lie_in_the_ranges():
    rng = np.random.default_rng(0)
    drawn = [sample_conditions(rng) for _ in range(20)]
    assert len(set(drawn)) == 20
    assert np.isfinite(light_of(conditions_array(drawn, 20))).all()


def light(**changes):
    return light_of(conditions_array(RoadConditions(**changes), 1))[0]


def test_light_follows_the_sun():
    up = light(sun_altitude_angle=90.0)
    np.testing.assert_allclose(up[:3], [0.0, 0.0, 1.0], atol=1e-6)
    left = light(sun_altitude_angle=0.0, sun_azimuth_angle=90.0)
    np.testing.assert_allclose(left[:3], [0.0, 1.0, 0.0], atol=1e-6)
    low, night = light(sun_altitude_angle=5.0, cloudiness=0.0), light(sun_altitude_angle=-30.0)
    red = low[layout.SUN_RGB : layout.SUN_RGB + 3]
    assert red[0] > 1.4 * red[1] > 1.4 * red[2]
    assert night[layout.SUN_RGB] == 0.0
    assert night[layout.LAMPS] == 1.0
    assert up[layout.LAMPS] == 0.0


def test_clouds_hide_the_sun_and_grey_the_sky():
    clear, overcast = light(cloudiness=0.0), light(cloudiness=100.0)
    assert overcast[layout.SUN_RGB] == 0.0
    blue = clear[layout.ZENITH + 2] / clear[layout.ZENITH]
    assert blue > 3.0 > 1.3 > overcast[layout.ZENITH + 2] / overcast[layout.ZENITH]


@pytest.mark.parametrize("name", ["fog_density", "dust_storm", "precipitation", "snow"])
def test_the_air_thickens(name):
    thick = [light(**{name: value})[layout.FOG] for value in (0.0, 30.0, 100.0)]
    assert thick[0] < thick[1] < thick[2]


def test_the_densest_fog_lets_one_see_25_m_far():
    # Koschmieder: at the end of the sight 2 % of the light are left.
    assert np.exp(-25.0 * light(fog_density=100.0)[layout.FOG]) == pytest.approx(0.02, abs=0.002)
