"""Generated recordings: valid, the same for the same seed, with the truth of every frame beside it."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.stem.constants import BOND, ELECTRONS_PER_NA
from sciworld.domains.stem.generate import DWELL, REACH, generate
from sciworld.domains.stem.locate import locate
from sciworld.errors import SettingsError, StoreError
from sciworld.store import Store
from sciworld.windows import Windows

SHAPE = {"rows": 26, "columns": 38, "field_of_view": 16.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return generate(
        tmp_path_factory.mktemp("generated") / "store", 3, transitions=100, steps=7, rates="simple", **SHAPE
    )


def test_the_store_is_valid(store):
    store.check()
    assert len(store) == 15 and len(set(store.sessions())) == 15  # 100 transitions need 15 atoms
    for ds in store:
        recording.check(ds)
        assert ds["frames"].shape == (8, 26, 38, 1) and ds["frames"].dtype == np.uint16
        assert ds["controls"].shape == (8, 3) and np.isnan(ds["controls"][-1]).all()
        assert recording.control_table(ds).names == ("beam_x", "beam_y", "dwell")


def test_time_and_dose(store):
    for ds in store:
        dwell = ds["controls"].values[:-1, 2]
        assert np.diff(ds["time"].values) == pytest.approx(dwell + 2.0)
        assert (ds["time_bounds"][:, 1] - ds["time_bounds"][:, 0]).values == pytest.approx(2.0)
        current = 0.1 * ELECTRONS_PER_NA
        assert ds["dose"].values[:, 0] == pytest.approx(2.0 * current)
        assert ds["dose"].values[:-1, 1] == pytest.approx(dwell * current)


def test_the_truth_is_what_the_frames_show(store):
    for ds in store:
        truth = ds["states"].values
        found = locate(ds["frames"].values, ds["view"].values)
        assert np.linalg.norm(found.silicon - truth[:, :2], axis=1).max() < 0.4
        moved = np.linalg.norm(np.diff(truth[:, :2], axis=0), axis=1)
        assert (moved[truth[1:, 2] == 0] < 0.1).all() and moved[truth[1:, 2] == 1] == pytest.approx(BOND, abs=0.1)


def test_beams_fall_around_the_silicon(store):
    offsets = np.concatenate([ds["controls"].values[:-1, :2] - ds["states"].values[:-1, :2] for ds in store])
    dwells = np.concatenate([ds["controls"].values[:-1, 2] for ds in store])
    assert np.abs(offsets).max() < REACH + 0.01 and offsets.std(axis=0) == pytest.approx(REACH / 3**0.5, rel=0.1)
    assert np.abs(offsets.mean(axis=0)).max() < 0.4
    assert dwells.min() >= DWELL[0] and dwells.max() <= DWELL[1] and dwells.std() == pytest.approx(9 / 12**0.5, rel=0.1)


def test_the_seed_decides(store, tmp_path):
    again = generate(tmp_path / "again", 3, transitions=100, steps=7, rates="simple", **SHAPE)
    other = generate(tmp_path / "other", 4, transitions=100, steps=7, rates="simple", **SHAPE)
    for a, b, c in zip(store, again, other, strict=True):
        assert a.equals(b) and a.attrs == b.attrs
        assert not (a["frames"].values == c["frames"].values).all()
    assert not set(store.sessions()) & set(other.sessions())


def test_hops_caused_by_imaging_do_not_spoil_the_truth(tmp_path):
    """A frame shows the silicon as it was; the hop that the frame caused belongs to the next."""
    store = generate(
        tmp_path / "store", 5, 300, steps=30, rates="simple", current=1.0, imaging_hops=True, field_of_view=10.0
    )
    hops, far = 0, 0
    for ds in store:
        truth = ds["states"].values
        found = locate(ds["frames"].values, ds["view"].values)
        far += (np.linalg.norm(found.silicon - truth[:, :2], axis=1) > 0.5).sum()
        hops += truth[:, 2].sum()
        still = np.linalg.norm(np.diff(truth[:, :2], axis=0), axis=1) < 0.1
        assert still[truth[1:, 2] == 0].all()
    assert hops > 300 and far == 0


def test_windows_take_what_was_generated(store):
    windows = Windows(store, context=1, horizon=1)
    batch = windows.batch([0, 5])
    assert batch.frames.shape == (2, 2, 26, 38, 1) and batch.controls.shape == (2, 1, 3)
    assert 40 < len(windows) <= 105  # but for those in which the field of view moves


def test_progress_is_told(tmp_path):
    told = []
    generate(tmp_path / "store", 0, 4, steps=2, progress=lambda done, total: told.append((done, total)), **SHAPE)
    assert told == [(1, 2), (2, 2)]


def test_of_two_that_generate_at_once_one_is_refused(tmp_path):
    def meanwhile(done, total):
        if done == total:
            generate(tmp_path / "s", 0, 4, steps=2, **SHAPE)

    with pytest.raises(StoreError, match="a store of 2 recordings; generate into a new one"):
        generate(tmp_path / "s", 0, 4, steps=2, progress=meanwhile, **SHAPE)
    assert len(Store.open(tmp_path / "s")) == 2


def test_what_cannot_be_generated(store, tmp_path):
    for changes, message in (
        ({"transitions": 0}, "transitions is 0"),
        ({"transitions": 2.5}, "transitions is 2.5"),
        ({"steps": True}, "steps is True"),
        ({"seed": -1}, "seed is -1"),
        ({"path": None}, "path: None"),
        ({"progress": 5}, "progress is 5"),
    ):
        with pytest.raises(SettingsError, match=message):
            generate(**{"path": tmp_path / "a", "seed": 0, **changes})
    assert not (tmp_path / "a").exists()
    with pytest.raises(SettingsError, match="generate: unknown setting colour"):
        generate(tmp_path / "b", 0, 10, colour="red")
    with pytest.raises(StoreError, match="a store of 15 recordings; generate into a new one"):
        generate(store.path, 0, 10)
    assert len(Store.open(store.path)) == 15
