from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.controls import Column, ColumnTable
from sciworld.errors import TrainingError
from sciworld.training import symmetries
from sciworld.windows import Batch

CONTROLS = ColumnTable(
    (
        Column("power", "W"),
        Column("beam_y", "A", group="beam", axis="y", frame="lab"),
        Column("beam_x", "A", group="beam", axis="x", frame="lab"),
        Column("spot_y", "1", group="spot", axis="y", frame="pixel"),
        Column("spot_x", "1", group="spot", axis="x", frame="pixel"),
    )
)


def labelled(seed: int, y: int, x: int, dtype: str = "float64") -> Batch:
    """Every pixel's value is its own number; the beam in the laboratory and the spot in pixels are one place."""
    rng = np.random.default_rng(seed)
    b, t = 3, 2
    view = rng.normal(size=(b, t, 6))
    frames = np.arange(b * t * y * x).reshape(b, t, y, x, 1).astype(dtype)
    controls = np.empty((b, t - 1, 5), dtype=np.float32)
    controls[..., 0] = 1.0
    row, column = rng.integers(y, size=(b, t - 1)), rng.integers(x, size=(b, t - 1))
    controls[..., 4], controls[..., 3] = column, row
    place = to_lab(view[:, :-1], column, row)
    controls[..., 2], controls[..., 1] = place[..., 0], place[..., 1]
    return Batch(frames, controls, np.zeros((b, t)), view, np.zeros((b, 0)), np.arange(b))


def to_lab(view: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """view : (..., 6); column, row : (...) -> (..., 2), x and y in the laboratory."""
    x = view[..., 0] * column + view[..., 1] * row + view[..., 2]
    y = view[..., 3] * column + view[..., 4] * row + view[..., 5]
    return np.stack([x, y], axis=-1)


def places(batch: Batch) -> np.ndarray:
    """Where each pixel value lies in the laboratory : (value, 2), in the order of the values."""
    b, t, y, x, _ = batch.frames.shape
    row, column = np.mgrid[:y, :x]
    lab = to_lab(batch.view[:, :, None, None], column, row)
    assert lab.shape == (b, t, y, x, 2)
    return lab.reshape(-1, 2)[np.argsort(batch.frames.ravel())]


def spot_in_lab(batch: Batch) -> np.ndarray:
    return to_lab(batch.view[:, :-1], batch.controls[..., 4], batch.controls[..., 3])


@settings(max_examples=40)
@given(
    names=st.lists(st.sampled_from(["flip_x", "flip_y"]), max_size=4),
    transposed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_pixel_keeps_its_place_and_value(names: list[str], transposed: bool, seed: int) -> None:
    before = labelled(seed, y=5, x=5 if transposed else 7)
    after = before
    for name in [*names, *(["transpose", "flip_x"] if transposed else [])]:
        after = symmetries.SYMMETRIES[name](after, CONTROLS)
    np.testing.assert_array_equal(np.sort(after.frames.ravel()), np.sort(before.frames.ravel()))
    np.testing.assert_allclose(places(after), places(before), atol=1e-9)
    np.testing.assert_array_equal(after.controls[..., :3], before.controls[..., :3])
    np.testing.assert_allclose(spot_in_lab(after), spot_in_lab(before), atol=1e-5)


@pytest.mark.parametrize("name", symmetries.SYMMETRIES)
def test_each_moves_something_and_is_its_own_inverse(name: str) -> None:
    before = labelled(0, y=5, x=5)
    once = symmetries.SYMMETRIES[name](before, CONTROLS)
    assert not np.array_equal(once.frames, before.frames)
    twice = symmetries.SYMMETRIES[name](once, CONTROLS)
    for field in ("frames", "controls", "view"):
        np.testing.assert_allclose(getattr(twice, field), getattr(before, field), atol=1e-12)


def test_where_a_corner_goes() -> None:
    before = labelled(0, y=5, x=7)
    corner = before.frames[0, 0, 0, 0, 0]
    assert symmetries.flip_x(before, CONTROLS).frames[0, 0, 0, -1, 0] == corner
    assert symmetries.flip_y(before, CONTROLS).frames[0, 0, -1, 0, 0] == corner


def test_a_batch_is_left_as_it_was() -> None:
    before = labelled(0, y=5, x=5)
    kept = {field: getattr(before, field).copy() for field in ("frames", "controls", "view")}
    for function in symmetries.SYMMETRIES.values():
        function(before, CONTROLS)
    for field, value in kept.items():
        np.testing.assert_array_equal(getattr(before, field), value)


def test_draws_reach_all_eight_and_keep_the_dtype() -> None:
    before = labelled(0, y=4, x=4, dtype="uint16")
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        after = symmetries.draw(before, ("flip_x", "flip_y", "transpose"), CONTROLS, rng)
        assert after.frames.dtype == np.uint16 and after.frames.flags.c_contiguous
        after.to("cpu")
        seen.add(after.frames.tobytes())
    assert len(seen) == 8


def test_volumes_are_mirrored_in_their_planes() -> None:
    flat = labelled(0, y=5, x=7)
    deep = dataclasses.replace(flat, frames=np.stack([flat.frames, flat.frames + 1000], axis=2))
    after = symmetries.flip_x(deep, CONTROLS).frames
    np.testing.assert_array_equal(after[:, :, 0], symmetries.flip_x(flat, CONTROLS).frames)
    np.testing.assert_array_equal(after[:, :, 1] - 1000, after[:, :, 0])


def test_refusals() -> None:
    with pytest.raises(TrainingError, match="'transpose' needs square frames, these are 5 x 7; leave it out"):
        symmetries.transpose(labelled(0, y=5, x=7), CONTROLS)
    with pytest.raises(TrainingError, match="no symmetry 'rotate'; there are flip_x, flip_y, transpose"):
        symmetries.require_fit(("flip_x", "rotate"), (5, 5, 1))


def test_transpose_is_left_out_of_frames_that_are_not_square() -> None:
    names = ("flip_x", "flip_y", "transpose")
    assert symmetries.fitting(names, (5, 5, 1)) == names
    assert symmetries.fitting(names, (5, 7, 1)) == ("flip_x", "flip_y")
    with pytest.raises(TrainingError, match="5 x 7; leave it out"):
        symmetries.require_fit(names, (5, 7, 1))
