"""Actions for video that has no controls: stored beside what was recorded, and told in real controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, ModelError, SettingsError
from sciworld.models.base import Signature
from sciworld.models.latent import LatentActions, LatentSettings
from sciworld.store import Store
from sciworld.tasks.labelling import Meaning, codes_of, label, labelled
from sciworld.windows import Windows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.create(tmp_path / "store")
    made.append(toy.recordings(3))
    return made


def actions_of(store: Store, **settings: Any) -> LatentActions:
    torch.manual_seed(0)
    few = {"width": 16, "codes": 5, **settings}
    return LatentActions(Signature.of(Windows(store, 1, 1)), LatentSettings(**few)).eval()


def test_actions_become_a_control_and_nothing_else_changes(store: Store, tmp_path: Path) -> None:
    actions, seen = actions_of(store), []
    made = label(store, actions, tmp_path / "labelled", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)] and len(made) == 3
    for k in range(3):
        old, new = store[k], made[k]
        table = recording.control_table(new)
        assert table.columns[:-1] == recording.control_table(old).columns
        column = table.columns[-1]
        assert (column.name, column.kind, column.role, len(column.levels)) == ("action", "categorical", "inferred", 5)
        assert np.array_equal(new["controls"].values[:, :-1], old["controls"].values, equal_nan=True)
        found = new["controls"].values[:, -1]
        assert np.isnan(found[-1]) and np.array_equal(found[:-1], codes_of(old["frames"].values, actions))
        xr.testing.assert_identical(new["frames"], old["frames"])
        assert "action inferred" in new.attrs["history"] and new.attrs["session"] == old.attrs["session"]


def test_a_recording_without_controls_gets_its_first(store: Store) -> None:
    bare = store[0].drop_vars("controls")
    assert recording.control_table(labelled(bare, actions_of(store), "what")).names == ("what",)


@pytest.mark.parametrize("frames", [2, 3, 6])
def test_each_action_is_inferred_from_what_training_sees(store: Store, frames: int) -> None:
    actions, shown = actions_of(store, context=frames - 1), store[1]["frames"].values
    found = codes_of(shown, actions)
    assert found.shape == (len(shown) - 1,)
    for k in (0, 1, len(shown) - 2):
        window = torch.from_numpy(shown[None, max(0, k + 2 - frames) : k + 2])
        assert found[k] == int(actions.actions(window)[0, -1])
    assert not len(codes_of(shown[:1], actions))


def test_what_would_be_lost_is_refused(store: Store, tmp_path: Path) -> None:
    actions = actions_of(store)
    with pytest.raises(SettingsError, match="exists already"):
        label(store, actions, store.path)
    with pytest.raises(ControlError, match="has a control 'mode' already"):
        labelled(store[0], actions, "mode")
    with pytest.raises(ModelError, match="was made for"):
        labelled(store[0].isel(x=slice(0, 8)), actions)
    with pytest.raises(ControlError):
        label(store, actions, tmp_path / "half", name="mode")
    assert not (tmp_path / "half").exists()


def test_recordings_of_several_kinds_keep_their_order(tmp_path: Path, store: Store) -> None:
    mixed = Store.create(tmp_path / "mixed")
    for number in range(3):
        ds = store[number]
        changed = ds["frames"].astype("float64" if number % 2 else ds["frames"].dtype).assign_attrs(ds["frames"].attrs)
        mixed.append([ds.assign(frames=changed).assign_attrs(session=f"s{number}", source=f"r{number}")])
    made = label(mixed, actions_of(store), tmp_path / "labelled", name="act")
    assert [ds.attrs["source"] for ds in made] == [ds.attrs["source"] for ds in mixed] == ["r0", "r1", "r2"]


def test_what_is_not_known_of_a_frame_is_not_known_of_its_actions(store: Store) -> None:
    ds = store[0].copy(deep=True)
    for context in (1, 2):
        actions = actions_of(store, context=context)
        whole = labelled(ds, actions, "act")["controls"].values[:, -1]
        broken = ds.assign(frames=ds["frames"].copy())
        broken["frames"].values[3, 0, 0, 0] = np.nan
        found = labelled(broken, actions, "act")["controls"].values[:, -1]
        lost = np.zeros(len(found), dtype=bool)
        lost[[2, *range(3, 3 + context), -1]] = True
        assert np.array_equal(np.isnan(found), lost) and np.array_equal(found[~lost], whole[~lost])


def test_frames_of_other_channels_and_places_in_the_store_are_refused(store: Store, tmp_path: Path) -> None:
    actions = actions_of(store)
    columns = ColumnTable(tuple(Column(one.name, "mK") for one in recording.channel_table(store[0])))
    other = store[0].copy()
    other["frames"] = other["frames"].assign_attrs(columns=columns.to_json())
    with pytest.raises(ModelError, match=r"channels are .*mK.*; the actions were learned of"):
        labelled(other, actions, "act")
    with pytest.raises(SettingsError, match="lies inside the store"):
        label(store, actions, Path(store.path) / "sub", name="act")
    with pytest.raises(SettingsError, match="there is no folder"):
        label(store, actions, tmp_path / "no" / "such", name="act")


@pytest.mark.parametrize("wrong", [-1, 3, 0.5, np.inf])
def test_actions_that_are_none_have_no_meaning(wrong: float) -> None:
    table, controls = ColumnTable((Column("steering", "rad"),)), np.array([[0.1], [0.2]])
    meaning = Meaning.of(np.array([0, 2]), controls, table, 3)
    assert np.isnan(meaning.controls(np.array([2.0, np.nan]))).tolist() == [[False], [True]]
    with pytest.raises(ControlError, match=r"there are the actions 0 to 2"):
        meaning.controls(np.array([wrong]))
    with pytest.raises(ControlError, match=r"there are the actions 0 to 2"):
        Meaning.of(np.array([0, wrong]), controls, table, 3)


def test_actions_are_told_in_real_controls() -> None:
    table = toy.CONTROLS
    controls = np.array([[1.0, 2.0, 0], [3.0, 4.0, 2], [5.0, 0.0, 2], [0.5, 0.5, 1]])
    meaning = Meaning.of(np.array([0, 2, 2, 0]), controls, table, 4)
    assert np.array_equal(meaning.counts, [2, 0, 2, 0])
    assert np.allclose(meaning.controls(np.array([2]))[0], [4.0, 2.0, 2])
    assert np.isnan(meaning.controls(np.array([1]))).all()
    with pytest.raises(ControlError, match="one known row"):
        Meaning.of(np.array([0]), controls, table, 4)


def test_an_angle_is_told_by_its_direction_and_a_whole_control_by_what_is_commonest():
    table = ColumnTable((Column("heading", "rad", kind="angle"), Column("gear", "1", 0, 5, kind="integer")))
    controls = np.array([[3.1, 1.0], [-3.1, 4.0], [np.pi, 4.0]])
    heading, gear = Meaning.of(np.zeros(3, dtype=int), controls, table, 2).controls(np.array([0]))[0]
    assert abs(heading) == pytest.approx(np.pi, abs=1e-6) and gear == 4.0
