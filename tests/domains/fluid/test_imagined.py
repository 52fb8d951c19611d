"""Forces read from frames, and the cost of wakes that were imagined: on wakes whose forces are known."""

import numpy as np
import pytest

from sciworld.domains.fluid.generate import generate
from sciworld.domains.fluid.imagined import fit_cost
from sciworld.domains.fluid.objectives import wake_cost
from sciworld.domains.fluid.reader import NAMES, fit_reader
from sciworld.domains.reader import measured
from sciworld.errors import RecordingError

COARSE = {"cells": 10, "lattice_speed": 0.05, "rows": 16, "columns": 48, "pixel": 0.2}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("wakes") / "store", seed=3, episodes=10, actions=40, **COARSE)


def test_drag_and_lift_are_read_from_velocities(store):
    reader = fit_reader(store)
    values = np.concatenate([measured(ds, NAMES)[1:] for ds in store])
    assert (reader.error < [0.6, 0.1] * values.std(axis=0)).all()  # of eight short recordings
    one = store[4]  # left out of the fit
    read = reader(one["frames"].values[1:])
    for k in range(2):
        assert np.corrcoef(read[:, k], measured(one, NAMES)[1:, k])[0, 1] > (0.7, 0.95)[k]
    np.testing.assert_allclose(reader(one["frames"].values[None, 5:6])[0, 0], read[4])


def test_a_cost_is_that_of_the_forces_and_none_for_flows_that_no_fluid_makes(store):
    cost = fit_cost(store)
    frames = np.stack([ds["frames"].values[1:] for ds in store])
    controls = np.stack([ds["controls"].values[:-1, 0] for ds in store])
    found = cost(frames, controls, 1.0)
    forces = np.stack([measured(ds, NAMES)[1:] for ds in store])
    told = np.concatenate([forces, forces[..., 1:] ** 2], axis=-1)
    true = wake_cost(told, controls, 1.0, cost.drag, cost.lift_rms).total
    assert np.isfinite(found).all()
    assert np.corrcoef(found, true)[0, 1] > 0.9
    wild = frames.copy()
    wild[3, 7, 2, 5, 1] = 9.0
    assert np.isnan(cost(wild, controls, 1.0)[3]) and np.isfinite(cost(wild, controls, 1.0)[[0, 1, 2]]).all()
    weak = cost(0.0 * frames[:1], controls[:1], 1.0)  # a flow that stands still reads as little drag
    assert weak[0] >= 100 * (cost.low[0] - cost.drag) / cost.drag - 1e-9


def test_recordings_without_what_was_measured_are_refused(store):
    held = list(store)
    with pytest.raises(RecordingError, match="a reader needs five or more"):
        fit_reader(held[:4])
    with pytest.raises(RecordingError, match="have no 'drag'"):
        fit_reader([ds.drop_vars("states") for ds in held])
    with pytest.raises(RecordingError, match="no covariate 'baseline_drag'"):
        fit_cost([ds.drop_vars("covariates") for ds in held])
