"""What variants keep: all of it where nothing changed, little where another drive stands in their place."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.driving.kept import diversity, edges_kept, flicker, kept
from sciworld.domains.driving.randomize import randomize
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.scene import Optics
from sciworld.errors import RecordingError


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("kept") / "drives", 6, 2, 40, conditions="cloudy_noon", rows=32, columns=48)


def test_a_drive_keeps_all_of_itself(drives):
    found = kept(drives[0], drives[0])
    assert found.edges == 1 and found.turns == pytest.approx(1) and found.flicker == 1
    assert found.heeds == found.heeded > 0.3
    mirrored = drives[0].copy(data={**{k: v.values for k, v in drives[0].data_vars.items()},
                                    "frames": drives[0]["frames"].values[:, :, ::-1]})  # fmt: skip
    found = kept(drives[0], mirrored)
    assert found.turns < -0.9 and found.heeds < -0.2


def test_variants_keep_more_than_other_drives_do(drives):
    (sunset,) = randomize(drives[0], 1, ["sunset"])
    variant, other = kept(drives[0], sunset, Optics(horizon=13.0)), kept(drives[0], drives[1], Optics(horizon=13.0))
    assert variant.edges > 0.6 > other.edges and variant.turns > 0.8 > other.turns
    broken = sunset.copy(data={**{k: v.values for k, v in sunset.data_vars.items()},
                               "frames": sunset["frames"].values.astype(np.float32) * np.nan})  # fmt: skip
    with pytest.raises(RecordingError, match="finite"):
        kept(drives[0], broken)
    with pytest.raises(RecordingError, match="another recording"):
        kept(drives[0], sunset.isel(time=slice(0, 5)))


def test_edges_may_turn_from_bright_to_dark():
    rng = np.random.default_rng(0)
    blocks = rng.uniform(0, 255, (3, 6, 10, 3)).repeat(4, axis=1).repeat(4, axis=2)
    assert edges_kept(blocks, 255 - blocks) == 1 and edges_kept(blocks, 0.2 * blocks + 20) == 1
    noise = rng.uniform(0, 255, blocks.shape)
    assert edges_kept(blocks, noise) == pytest.approx(0.25, abs=0.08)
    assert edges_kept(blocks, np.zeros_like(blocks)) == 0
    blank = np.concatenate([np.zeros_like(blocks[:1]), blocks])
    assert edges_kept(blank, blank) == 1 and np.isnan(edges_kept(blank[:1], blank[:1]))


def test_flicker_and_diversity_are_ratios_and_means():
    still, ramp = np.zeros((4, 2, 3, 3)), np.arange(4.0)[:, None, None, None] * np.ones((1, 2, 3, 3))
    assert flicker(ramp, 2 * ramp) == 2 and np.isnan(flicker(still, ramp))
    across, within = diversity([still, still + 1, still + 5], ["fog", "fog", "rain"])
    assert across == 4.5 and within == 1
    assert np.isnan(diversity([still], ["fog"])).all()


def test_short_drives_and_such_without_steering_tell_less(drives):
    short = drives[0].isel(time=slice(0, 6)).copy(deep=True)
    short["controls"][-1] = np.nan
    found = kept(recording.check(short), short)
    assert np.isnan([found.turns, found.heeds]).all() and found.edges == 1
    found = kept(short.drop_vars("controls"), short.drop_vars("controls"))
    assert np.isnan(found.heeds)
