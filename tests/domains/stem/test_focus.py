"""The loss weighs more near the silicon of the frame before the control."""

import numpy as np
import pytest

from sciworld.domains.base import domain
from sciworld.domains.stem.focus import FLOOR, WIDTH, focus
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.errors import RecordingError, SettingsError
from sciworld.training import symmetries

SETTINGS = StemSettings(rows=26, columns=38, field_of_view=16.0)


def seen(n):
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(0)
    state = simulator.start(n, rng)
    return state, simulator.image(state, rng)


def test_weights_peak_on_the_silicon_and_fall_to_the_floor():
    state, present = seen(30)
    weights = focus(present.frames, present.view)
    assert weights.shape == (30, 26, 38) and weights.dtype == np.float32
    v = present.view[0]
    x, y = v[0] * np.arange(38) + v[2], v[4] * np.arange(26) + v[5]
    for c in range(30):
        distance = np.hypot(x[None, :] - state.silicon[c, 0], y[:, None] - state.silicon[c, 1])
        expected = FLOOR + np.exp(-0.5 * distance**2 / WIDTH**2)
        assert np.abs(weights[c] - expected).max() < 0.12  # the brightest pixel is half a pixel off
        assert weights[c].max() == pytest.approx(1 + FLOOR) and weights[c].min() < 1.2 * FLOOR


def test_the_focus_turns_with_the_frames():
    _, present = seen(3)
    weights = focus(present.frames, present.view)
    v = present.view
    flipped = np.column_stack([-v[:, 0], v[:, 1], v[:, 2] + 37 * v[:, 0], v[:, 3:]])
    assert focus(present.frames[:, :, ::-1], flipped) == pytest.approx(weights[:, :, ::-1])
    turned = v[:, [1, 0, 2, 4, 3, 5]]
    assert focus(present.frames.swapaxes(1, 2), turned) == pytest.approx(weights.swapaxes(1, 2))


def test_frames_that_do_not_fit():
    _, present = seen(3)
    with pytest.raises(RecordingError, match=r"view has shape \(2, 6\); 3 frames need \(3, 6\)"):
        focus(present.frames, present.view[:2])


def test_the_domain_brings_focus_symmetries_and_simulator():
    stem = domain("stem")
    assert stem.name == "stem" and stem.focus is focus
    symmetries.require_fit(stem.symmetries, (5, 5, 1))
    assert len(stem.symmetries) == 3
    assert stem.simulator(rates="simple").settings == StemSettings(rates="simple")
    with pytest.raises(SettingsError, match="stem simulator: unknown setting colour"):
        stem.simulator(colour="red")
    with pytest.raises(SettingsError, match="no domain 'tea'; there are"):
        domain("tea")
