"""Counterfactual windows: the same moment twice, and nothing else in their place."""

import numpy as np
import pytest

from sciworld.counterfactuals import Counterfactuals
from sciworld.domains.driving.road.conditions import RANGES
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.variants import randomize_store
from sciworld.errors import RecordingError
from sciworld.loader import Loader, Mixture
from sciworld.store import Store

SMALL = {"rows": 16, "columns": 24, "road_length": 600}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    drives = generate(folder / "drives", 3, 4, 7, conditions="cloudy_noon", **SMALL)
    return drives, randomize_store(drives, folder / "weathers", 2, "clear_night,fog_day", 1)


@pytest.mark.parametrize("selected", [False, True])
def test_each_shows_one_moment_of_one_drive_twice(stores, selected):
    drives, weathers = stores
    chosen = weathers.select("variant_of >= 2") if selected else weathers
    pairs = Counterfactuals(chosen, drives)
    assert len(pairs) == len(chosen) * 7 and set(pairs.covariates.names) < set(RANGES)
    assert {"fog_density", "sun_altitude_angle"} <= set(pairs.covariates.names)  # and nothing that no variant changed
    assert "snow" not in pairs.covariates.names
    batch = pairs.batch(np.arange(len(pairs)))
    facts, at = chosen.facts(), 0
    for k in range(len(chosen)):
        source, variant = drives[int(facts["variant_of"][k])]["frames"].values, chosen[k]["frames"].values
        dark = pairs.covariates.index("sun_altitude_angle")
        for t in range(7):
            np.testing.assert_array_equal(batch.frames[at, 0], source[t])
            np.testing.assert_array_equal(batch.frames[at, 1], variant[t])
            assert batch.covariates[at, dark] == np.float32(facts["sun_altitude_angle"][k])
            at += 1
    assert batch.controls.shape == (len(pairs), 1, 0)


def test_a_loader_gives_them_all(stores):
    drives, weathers = stores
    mixture = Mixture([Counterfactuals(weathers, drives), Counterfactuals(weathers.select("variant == 0"), drives)])
    assert mixture.statistics().mean[0] > 0 and len(mixture) == 84
    with Loader(mixture, 8, 0) as loader:
        batch = next(loader)
    assert batch.frames.shape == (8, 2, 16, 24, 3)


def test_other_stores_are_refused(stores, tmp_path):
    drives, weathers = stores
    with pytest.raises(RecordingError, match="holds no variants"):
        Counterfactuals(drives, drives)
    other = generate(tmp_path / "other", 4, 4, 7, conditions="cloudy_noon", **SMALL)
    with pytest.raises(RecordingError, match="no variant of a recording"):
        Counterfactuals(weathers, other)
    wide = generate(tmp_path / "wide", 3, 4, 7, conditions="cloudy_noon", rows=16, columns=32, road_length=600)
    with pytest.raises(RecordingError, match="shape"):
        Counterfactuals(weathers, wide)
    with pytest.raises(RecordingError, match="no covariates haze"):
        Counterfactuals(weathers, drives, ["haze"])
    cut = Store.create(tmp_path / "cut")
    short = [ds.isel(time=slice(0, 3)).copy(deep=True) for ds in drives]
    for ds in short:
        ds["controls"][-1] = np.nan
    cut.append(short)
    with pytest.raises(RecordingError, match="shorter"):
        Counterfactuals(weathers, cut)
