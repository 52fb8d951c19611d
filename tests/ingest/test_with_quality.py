"""What was measured becomes covariates of the recording."""

import numpy as np
import pytest
import toy

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.ingest.quality import with_quality

MEASURED = {"quality_static": 0.25, "quality_variance_fan_x": 4.0, "quality_variance_mode": 0.5, "quality_lag": 1.0}


def test_what_was_measured_stands_beside_the_facts():
    ds = with_quality(toy.make(), MEASURED)
    table = recording.covariate_table(ds)
    assert table.names == ("size", *MEASURED)
    assert ds["covariates"].values[1:].tolist() == list(MEASURED.values())
    assert [column.role for column in table] == ["commanded"] + ["quality"] * 4
    assert [column.units for column in table][1:] == ["1", "(mm)^2", "1", "frame"]
    assert ds.drop_vars("covariates").equals(toy.make().drop_vars("covariates"))


def test_measuring_again_replaces():
    ds = with_quality(with_quality(toy.make(), MEASURED), {"quality_static": np.nan})
    assert recording.covariate_table(ds).names == ("size", "quality_static")
    assert with_quality(ds, {}).equals(toy.make())


def test_a_recording_without_facts():
    bare = toy.make().drop_vars("covariates")
    ds = with_quality(bare, {"quality_static": 0.5})
    assert recording.covariate_table(ds).names == ("quality_static",)
    assert with_quality(ds, {}).equals(bare)


def test_a_fact_of_the_file_keeps_its_name():
    ds = toy.make()
    ds["covariates"].attrs["columns"] = ds["covariates"].attrs["columns"].replace('"size"', '"quality_static"')
    with pytest.raises(RecordingError, match=r"toy: a covariate has the name of what is measured.*quality_static"):
        with_quality(ds, MEASURED)
