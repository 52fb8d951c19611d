"""Many futures from one moment: of the weather asked for, under controls that were played, said to be imagined."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sciworld import cli, recording
from sciworld.counterfactuals import Counterfactuals
from sciworld.domains.driving.road.conditions import RANGES
from sciworld.domains.driving.road.generate import generate
from sciworld.errors import RecordingError, StoreError
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.futures import futures, imagine_store
from sciworld.tasks.randomized import measure
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

SMALL = {"rows": 16, "columns": 24, "road_length": 600}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("futures")
    drives = generate(folder / "drives", 5, 4, 9, conditions="any", **SMALL)
    changes = {"width": 16, "coarse": 16, "embedding": 16}
    train(drives, folder / "run", FitSettings(steps=3), preset="tiny", changes=changes, progress=False)
    train(drives, folder / "other", FitSettings(steps=4), preset="tiny", changes=changes, progress=False)
    return folder, drives, Surrogate.load(folder / "run", evaluations=2)


def test_each_begins_with_the_present_and_goes_its_own_way(made):
    _, drives, surrogate = made
    found = list(futures(surrogate, drives[0], 3, 4, None, seed=2, start=3, drivers=list(drives), of=0))
    rows = np.concatenate([ds["controls"].values[:-1] for ds in drives])
    for number, one in enumerate(found):
        recording.check(one)
        assert one.sizes["time"] == 5 and one["frames"].dtype == np.uint8
        np.testing.assert_array_equal(one["frames"].values[0], drives[0]["frames"].values[3])
        assert all((rows == row).all(axis=1).any() for row in one["controls"].values[:-1])
        assert one.attrs["session"] == drives[0].attrs["session"] and "imagined from" in one.attrs["source"]
        facts = dict(zip(recording.covariate_table(one).names, one["covariates"].values, strict=True))
        assert facts["variant"] == number and facts["variant_of"] == 0
    assert (found[0]["controls"].values[:-1] != found[1]["controls"].values[:-1]).any()
    again = next(futures(surrogate, drives[0], 1, 4, None, seed=2, start=3, drivers=list(drives), of=0))
    assert again.identical(found[0])


def test_futures_are_no_counterfactuals_and_no_variants_to_measure(made, tmp_path):
    _, drives, surrogate = made
    out = imagine_store(surrogate, drives, tmp_path / "out", 1, 9)
    with pytest.raises(RecordingError, match="holds futures"):
        Counterfactuals(out, drives)
    with pytest.raises(RecordingError, match="holds futures"):
        measure(drives, out)
    assert Store.open(out.path).sources()[0].count("imagined from") == 1
    (anew,) = futures(surrogate, out[0], 1, 2, None)
    assert anew.attrs["source"] == out[0].attrs["source"]


def test_in_other_weather_the_past_is_drawn_anew(made):
    _, drives, surrogate = made
    (one,) = futures(surrogate, drives[0], 1, 2, ["clear_night"], start=3)
    day = drives[0]["frames"].values[3].astype(float)
    assert np.abs(one["frames"].values[0] - day).mean() > 10
    facts = dict(zip(recording.covariate_table(one).names, one["covariates"].values, strict=True))
    assert facts["sun_altitude_angle"] < 0 and set(RANGES) <= set(facts)


def test_nobody_played_so_long(made, tmp_path):
    _, drives, surrogate = made
    with pytest.raises(RecordingError, match="nobody played 10 steps"):
        futures(surrogate, drives[0], 1, 10)
    with pytest.raises(RecordingError, match="nobody played 10 steps"):
        imagine_store(surrogate, drives, tmp_path / "out", 1, 10)
    assert not (tmp_path / "out").exists()


def test_the_command_fills_a_new_store_and_no_other(made, tmp_path):
    folder, drives, surrogate = made
    words = ["futures", folder / "run", drives.path, "--out", tmp_path / "out", "-n", 2, "--steps", 3,
             "--conditions", "fog_day", "--evaluations", 1, "--sheet", tmp_path / "sheet.html"]  # fmt: skip
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0 and "8 futures of 3 steps" in result.output, result.output
    out = Store.open(tmp_path / "out")
    assert len(out) == 8 and (out.facts()["fog_density"] > 0).all()
    assert (tmp_path / "sheet.html").read_text().count("iVBORw0KGgo") >= 2
    surrogate = surrogate.asking(1)
    assert len(imagine_store(surrogate, drives, tmp_path / "out", 2, 3, "fog_day")) == 8  # nothing anew
    other = Surrogate.load(folder / "other")
    for model, n, steps, conditions, seed in (
        (surrogate, 2, 3, "fog_day", 1), (surrogate, 3, 3, "fog_day", 0), (surrogate, 2, 4, "fog_day", 0),
        (surrogate, 2, 3, "snow_day", 0), (surrogate, 2, 3, None, 0), (other, 2, 3, "fog_day", 0),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="no such futures"):
            imagine_store(model, drives, tmp_path / "out", n, steps, conditions, seed)
    with pytest.raises(StoreError, match="no such futures"):
        imagine_store(surrogate, drives, drives.path, 2, 3)


def test_another_process_that_was_faster_is_noticed(made, tmp_path):
    _, drives, surrogate = made

    def meanwhile(done, futures):
        if done == 1:
            imagine_store(surrogate, drives, tmp_path / "out", 1, 3)

    with pytest.raises(StoreError, match="another process"):
        imagine_store(surrogate, drives, tmp_path / "out", 1, 3, progress=meanwhile)
    assert len(Store.open(tmp_path / "out")) == 4


def test_what_was_interrupted_goes_on_to_the_same_store(made, tmp_path):
    _, drives, surrogate = made
    whole = imagine_store(surrogate, drives, tmp_path / "whole", 2, 3)

    def stop(done, futures):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imagine_store(surrogate, drives, tmp_path / "cut", 2, 3, progress=stop)
    assert len(Store.open(tmp_path / "cut")) == 4
    again = imagine_store(surrogate, drives, tmp_path / "cut", 2, 3)
    assert len(again) == len(whole) == 8
    assert all(one.identical(other) for one, other in zip(again, whole, strict=True))
