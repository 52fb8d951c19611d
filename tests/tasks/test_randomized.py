"""The report on variants: a judge that knows its classes, a table that tells kept from lost, one page."""

import numpy as np
import pytest

from sciworld.domains.driving.randomize import randomize
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.variants import randomize_store
from sciworld.errors import RecordingError, SettingsError
from sciworld.store import Store
from sciworld.tasks import randomized
from sciworld.tasks.weather_judge import fit_judge, fitted

SMALL = {"rows": 24, "columns": 40, "road_length": 600}


@pytest.fixture(scope="module")
def judge():
    return fit_judge(("clear_noon", "clear_night", "fog_day"), drives=12, steps=60)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    drives = generate(folder / "drives", 9, 2, 30, conditions="clear_noon", **SMALL)
    return drives, randomize_store(drives, folder / "out", 4, "clear_night,snow_day", 0)


def test_it_tells_night_from_noon_on_roads_that_it_never_saw(judge, stores):
    drives, _ = stores
    (night,) = randomize(drives[0], 1, ["clear_night"])
    assert judge.share(drives[0]["frames"].values, "clear_noon") > 0.5
    assert judge.share(night["frames"].values, "clear_night") > 0.7


def test_classes_that_it_never_saw_are_refused(judge):
    frames = np.zeros((2, 24, 40, 3), dtype=np.uint8)
    with pytest.raises(SettingsError, match=r"never saw 'dust_storm'.*clear_noon, clear_night, fog_day"):
        judge.share(frames, "dust_storm")
    with pytest.raises(SettingsError, match="two or more"):
        fit_judge(("fog_day",))
    with pytest.raises(SettingsError, match="unknown"):
        fit_judge(("fog_day", "hail"))
    with pytest.raises(RecordingError, match="three colours"):
        fitted(frames[..., :1])


def test_the_table_and_the_page(judge, stores, tmp_path, monkeypatch):
    drives, variants = stores
    found = randomized.measure(drives, variants, judge=judge)
    table = found.to_table()
    lines = {row[0]: row for row in table.rows}
    assert set(lines) == {"clear_night", "snow_day"} and lines["snow_day"][2] == "–"  # noqa: RUF001 - never saw snow
    assert float(lines["clear_night"][2]) > 0.7 > float(lines["clear_night"][3])
    assert found.across > 0 == found.within  # the simulator's own weather has no luck in it
    monkeypatch.setattr(randomized, "fit_judge", lambda names: judge)
    randomized.report(drives, variants, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "taken for it" in page and "iVBORw0KGgo" in page and "clear_night" in page


def test_other_stores_are_refused(judge, stores, tmp_path):
    drives, variants = stores
    with pytest.raises(RecordingError, match="holds no variants"):
        randomized.measure(drives, drives, judge=judge)
    other = generate(tmp_path / "other", 10, 2, 30, **SMALL)
    with pytest.raises(RecordingError, match="is no variant of"):
        randomized.measure(other, variants, judge=judge)
    one = Store.create(tmp_path / "one")
    one.append([drives[0]])
    with pytest.raises(RecordingError, match="other recordings"):
        randomized.measure(one, variants, judge=judge)
