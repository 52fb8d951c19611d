"""The command that draws drives in other weathers, as a user gives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciworld import cli
from sciworld.domains.driving.road.generate import generate
from sciworld.store import Store

runner = CliRunner()


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drives") / "store"
    generate(path, 2, 2, 6, rows=24, columns=40, road_length=600)
    return path


def test_a_store_becomes_weathers_and_a_page(drives: Path, tmp_path: Path) -> None:
    words = ["randomize", drives, "--out", tmp_path / "out", "-n", 3, "--conditions", "snow_day,fog_density=20..80"]
    words += ["--sheet", tmp_path / "sheet.html"]
    for _ in range(2):  # again, when all is there
        result = runner.invoke(cli.app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        assert "6 variants" in result.stdout and "drawn anew by the simulator" in result.stdout
    facts = Store.open(tmp_path / "out").facts()
    assert (facts["snow"] == 60).all() and ((facts["fog_density"] >= 20) & (facts["fog_density"] <= 80)).all()
    assert sorted(zip(facts["variant_of"].values, facts["variant"].values, strict=True)) == [
        (of, k) for of in range(2) for k in range(3)
    ]
    page = (tmp_path / "sheet.html").read_text()
    assert "as recorded" in page and page.count("iVBORw0KGgo") >= 4


def test_as_video_with_a_camera_of_its_own(drives: Path, tmp_path: Path) -> None:
    words = [
        "randomize",
        drives,
        "--out",
        tmp_path / "out",
        "-n",
        1,
        "--conditions",
        "clear_night",
        "--method",
        "video",
    ]
    words += [
        "--method",
        "video",
        "--source",
        "cloudy_noon",
        "--horizon",
        10,
        "--no-sky",
        "--speed",
        8,
        "--field-of-view",
        60,
    ]
    result = runner.invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "horizon at row 10 (given), speed 8.0 m/s (given), sky in 0%" in result.stdout
    night, day = Store.open(tmp_path / "out")[0]["frames"].values, Store.open(drives)[0]["frames"].values
    assert np.mean(night) < np.mean(day)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--conditions", "mist"], "unknown"),
        (["--conditions", "wetness=0..200"], "wetness"),
        (["--method", "learned"], "method"),
        (["--source", "noon"], "unknown"),
        (["--field-of-view", "900"], "field_of_view"),
        (["-n", "0"], "n is 0"),
    ],
)
def test_odd_options_are_one_line(drives: Path, tmp_path: Path, words: list[str], why: str) -> None:
    result = runner.invoke(cli.app, ["randomize", str(drives), "--out", str(tmp_path / "out"), *words])
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert why in result.stderr
    assert not (tmp_path / "out").exists()
