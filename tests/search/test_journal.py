"""What a controller saw and did is a recording, from which a surrogate can learn."""

from __future__ import annotations

import numpy as np
from blob import SPACE, Blob, locate

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.search.journal import recordings_of
from sciworld.search.receding import FixedPlan
from sciworld.simulator import rollout
from sciworld.store import Store


def test_episodes_become_recordings_as_long_as_they_lasted(tmp_path):
    trusted = Blob()
    start = np.array([[0.0, 0.0], [5.0, 3.0]])
    controls = np.tile([1.0, 0.5, 2.0], (2, 4, 1))
    run = rollout(
        trusted, *trusted.start(start), FixedPlan(controls), 4, np.random.default_rng(0),
        lambda state, seen: state.position[:, 0] >= 6.0,
    )  # fmt: skip
    light = ColumnTable((Column("light", "1"),))
    made = recordings_of(run, SPACE, light, ["a", "b"], "blob", view_units="mm")
    assert [ds.sizes["time"] for ds in made] == [5, 2] == (run.length + 1).tolist()
    for i, ds in enumerate(made):
        recording.check(ds)
        np.testing.assert_array_equal(ds["controls"].values[:-1], controls[i, : run.length[i]])
        assert np.isnan(ds["controls"].values[-1]).all()
        np.testing.assert_array_equal(ds["frames"].values[0], run.observations[0].frames[i])
    np.testing.assert_allclose(locate(made[0]["frames"].values)[:, 0], [0, 1, 2, 3, 4])
    store = Store.create(tmp_path / "store")
    store.append(made)
    assert store.sessions() == ["a", "b"]
