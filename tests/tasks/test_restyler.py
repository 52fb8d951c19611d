"""Variants by a model: trained on counterfactuals, asked by name, refused what it never saw."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciworld import cli
from sciworld.domains.driving.randomize import randomize
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.variants import randomize_store
from sciworld.errors import CheckpointError, ModelError, SettingsError
from sciworld.models.restyling import Restyling
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.restyler import Restyler

SMALL = {"rows": 16, "columns": 24, "road_length": 600}
runner = CliRunner()


def called(*words):
    result = runner.invoke(cli.app, [str(word) for word in words])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("restyler")
    drives = generate(folder / "drives", 3, 6, 7, conditions="cloudy_noon", **SMALL)
    # Of one variant each: what is held out for the diagnostics has not all of the weathers.
    randomize_store(drives, folder / "weathers", 1, "clear_night,fog_day", 1)
    code, said = called(
        "train", folder / "weathers", "--beside", folder / "drives", "--run", folder / "run", "--preset", "restyle",
        "--steps", 120, "--set", "width=16", "--set", "coarse=16",
    )  # fmt: skip
    assert code == 0, said
    return folder


def test_night_is_darker_and_all_else_stays(trained):
    drives = generate(trained / "others", 8, 2, 6, conditions="cloudy_noon", **SMALL)
    code, said = called(
        "randomize", drives.path, "--out", trained / "out", "-n", 2, "--conditions", "clear_night", "--method",
        "learned", "--model", trained / "run",
    )  # fmt: skip
    assert code == 0 and "restyled by the model run" in said, said
    found = Store.open(trained / "out")
    facts = found.facts()
    assert len(found) == 4 and (facts["sun_altitude_angle"] < 0).all()
    for k, variant in enumerate(found):
        source = drives[int(facts["variant_of"][k])]
        assert variant["frames"].dtype == np.uint8
        assert variant["frames"].values.mean() < 0.8 * source["frames"].values.mean()
        assert variant["states"].identical(source["states"])


def test_the_same_seed_gives_the_same_frames(trained):
    source = Store.open(trained / "drives")[0]
    method = Restyler(trained / "run", Restyling(evaluations=3))
    one, again, other = (next(randomize(source, 1, "fog_day", seed, method))["frames"].values for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_what_it_never_saw_is_refused(trained, tmp_path):
    source, method = Store.open(trained / "drives")[0], Restyler(trained / "run")
    with pytest.raises(ModelError, match="saw no"):
        next(randomize(source, 1, "snow_day", 0, method))
    wide = generate(tmp_path / "wide", 3, 1, 3, rows=16, columns=32, road_length=600)
    with pytest.raises(ModelError, match="frames are"):
        randomize(wide[0], 1, "fog_day", 0, method)
    with pytest.raises(SettingsError, match="depth"):
        randomize(source, 1, "fog_day", 0, method, depth=np.ones((16, 24)))
    for device in ("cuda:9", "banana"):
        with pytest.raises(SettingsError, match="device"):
            randomize(source, 1, "fog_day", 0, Restyler(trained / "run", device=device))
    with pytest.raises(CheckpointError, match="no such file"):
        randomize(source, 1, "fog_day", 0, Restyler(tmp_path / "none"))
    with pytest.raises(SettingsError, match="restyles"):
        Surrogate.load(trained / "run")


def test_commands_that_do_not_fit_together(trained):
    drives, weathers, run = (trained / name for name in ("drives", "weathers", "run"))
    for words, wanted in (
        (("train", weathers, "--run", trained / "a", "--preset", "restyle", "--steps", 1), "give the store of which"),
        (("train", weathers, "--run", trained / "a", "--beside", drives, "--steps", 1), "for a preset that restyles"),
        (("randomize", drives, "--out", trained / "b", "--method", "learned"), "go together"),
        (("randomize", drives, "--out", trained / "b", "--model", run), "go together"),
    ):
        code, said = called(*words)
        assert code != 0 and wanted in said, said
    assert not (trained / "a").exists()
