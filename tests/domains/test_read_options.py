"""What a user states about a file is a number above zero, whichever domain reads it."""

import numpy as np
import pytest

from sciworld.domains.driving.readers import DrivingOptions
from sciworld.domains.fluid.readers import FluidOptions
from sciworld.domains.stem.raw import ReadOptions
from sciworld.errors import SettingsError


@pytest.mark.parametrize("options", [DrivingOptions, FluidOptions, ReadOptions])
@pytest.mark.parametrize("value", [True, 0, -1.0, np.nan, np.inf, "1", [1.0]])
def test_frame_seconds_is_a_positive_number(options, value):
    with pytest.raises(SettingsError, match=r"frame_seconds is .*; use a positive number"):
        options(frame_seconds=value)
    assert options(frame_seconds=np.float32(0.5)).frame_seconds == 0.5 and options().frame_seconds is None
