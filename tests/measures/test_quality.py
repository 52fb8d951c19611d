"""What may be wrong with a recording: against NumPy on all frames at once, however the blocks are cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError
from sciworld.measures.quality import STATIC, STEP, Quality, control_quality

Y, X = 5, 7


def twin(frames):
    """The definitions, on a whole recording (time, y, x, channel)."""
    gaps, numbers = len(frames) - 1, frames.size
    finite = np.isfinite(frames)
    static = repeated = 0
    for before, after in itertools.pairwise(frames):
        same = before.tobytes() == after.tobytes()
        repeated += same
        still = bool((np.isfinite(before) == np.isfinite(after)).all())
        for c in range(frames.shape[-1]):
            known = np.isfinite(after[..., c])
            old, new = (frame[..., c].astype(float)[known] for frame in (before, after))
            still &= known.sum() == 0 or bool(np.abs(new - old).mean() <= STATIC * new.std())
        static += same or still
    saturated = 0
    for c in range(frames.shape[-1]):
        values, counts = np.unique(frames[..., c][finite[..., c]], return_counts=True)
        full = np.iinfo(frames.dtype).max if frames.dtype.kind in "iu" else None
        piles = frames.dtype != np.uint8 and len(values) > 1 and counts[-1] > counts[-2]
        values = values.astype(float)
        piles = piles and values[-1] - values[-2] < STEP * (values[-1] - values[0])
        if len(values) and (values[-1] == full or piles):
            saturated += counts[-1]
    share = lambda part, whole: part / whole if whole else np.nan  # noqa: E731
    return {
        "quality_static": share(static, gaps),
        "quality_duplicate": share(repeated, gaps),
        "quality_saturated": saturated / numbers,
        "quality_not_finite": float((~finite).sum() / numbers),
    }


def measured(frames, cuts=()):
    quality = Quality(frames.shape[-1], frames.dtype)
    for block in np.split(frames, sorted(cuts)):
        quality.add(block)
    return quality.result()


@st.composite
def recordings(draw):
    """Frames that repeat, change a little or much, and have values at their top and not finite."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "int32", "float32", "float64"])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    t, channels = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    high = draw(st.sampled_from([2, 21, 200, 300])) if dtype != np.uint8 else 256
    frames = rng.integers(0, high, (t, Y, X, channels)).astype(dtype)
    for row in range(1, t):
        change = draw(st.sampled_from(["none", "little", "all"]))
        if change != "all":
            frames[row] = frames[row - 1]
        if change == "little":
            frames[row, draw(st.integers(0, Y - 1)), 3, 0] = 1
    if dtype.kind == "f" and draw(st.booleans()):
        odd = rng.random(frames.shape) < 0.05
        frames[odd] = rng.choice([np.nan, np.inf, -np.inf], odd.sum())
    return frames, draw(st.lists(st.integers(0, t), max_size=4))


@settings(max_examples=60)
@given(recordings())
def test_any_cut_gives_what_numpy_gives(given_):
    frames, cuts = given_
    np.testing.assert_equal(measured(frames, cuts), twin(frames))


def test_volumes_are_measured_as_all_their_numbers():
    frames = np.random.default_rng(0).integers(0, 300, (4, 3, Y, X, 2)).astype(np.uint16)
    frames[2] = frames[1]
    assert measured(frames, [3]) == twin(frames.reshape(4, 3 * Y, X, 2))


def film(dtype="uint8"):
    return np.random.default_rng(1).integers(10, 200, (11, Y, X, 1)).astype(dtype)


def test_a_still_scene_with_noise_is_static_but_repeats_nothing():
    frames = np.repeat(film("float32")[:1], 11, axis=0)
    still = frames + np.random.default_rng(2).normal(0, 0.1, frames.shape).astype(np.float32)
    assert measured(still)["quality_static"] == 1 and measured(still)["quality_duplicate"] == 0
    assert measured(film())["quality_static"] == 0


def test_one_channel_that_moves_is_enough():
    frames = np.repeat(film("float32")[:1], 11, axis=0)
    both = np.concatenate([1e6 * frames, film("float32")], axis=-1)
    assert measured(both)["quality_static"] == 0


def test_frames_that_repeat():
    frames = film()
    frames[4:7] = frames[3]
    assert measured(frames)["quality_duplicate"] == pytest.approx(3 / 10)
    assert measured(frames)["quality_static"] == pytest.approx(3 / 10)


def test_equal_numbers_of_other_bits_are_no_repeat():
    frames = film("float32")[:2]
    frames[:, 0, 0] = [[0.0], [-0.0]]
    frames[1, 1:] = frames[0, 1:]
    frames[1, 0, 1:] = frames[0, 0, 1:]
    assert (measured(frames)["quality_static"], measured(frames)["quality_duplicate"]) == (1, 0)


def test_a_frame_that_fails_is_no_still_scene():
    frames = np.repeat(film("float32")[:1], 3, axis=0)
    frames[1:] = np.nan
    found = measured(frames)
    assert (found["quality_static"], found["quality_duplicate"]) == (0.5, 0.5)
    assert found["quality_not_finite"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("dtype", "top", "share"),
    [
        ("uint8", 255, 0.1),  # the end of 8 bits
        ("uint8", 200, 0.0),  # a flat grey is no end of anything
        ("uint16", 65535, 0.1),
        ("uint16", 4095, 0.1),  # 12 bits in 16
        ("float32", 4100.5, 0.1),
        ("float32", 5500.0, 0.0),  # far above all else: a flag, a constant of some part of the field
    ],
)
def test_what_piles_up_at_the_top_is_saturated(dtype, top, share):
    values = 27 * (np.arange(10 * Y * X) % 150) if dtype != "uint8" else np.arange(10 * Y * X) % 150
    frames = np.random.default_rng(4).permutation(values).reshape(10, Y, X, 1).astype(dtype)
    frames.reshape(-1)[:35] = top
    assert measured(frames)["quality_saturated"] == pytest.approx(share)


def test_flags_are_not_saturated():
    flags = np.random.default_rng(7).choice([-1.0, 0.0, 1.0], (11, Y, X, 1), p=[0.1, 0.1, 0.8])
    assert measured(flags)["quality_saturated"] == 0
    assert measured(flags.astype(np.int32))["quality_saturated"] == 0


def test_a_maximum_met_by_chance_is_not_saturated():
    counts = np.random.default_rng(5).poisson(0.05, (11, Y, X, 1)).astype(np.uint16)
    assert measured(counts)["quality_saturated"] == 0
    assert measured(np.random.default_rng(6).normal(size=(11, Y, X, 2)))["quality_saturated"] == 0
    assert measured(np.zeros((3, Y, X, 1), np.float32))["quality_saturated"] == 0


def test_one_frame_has_no_gaps():
    found = measured(film()[:1])
    assert np.isnan(found["quality_static"]) and np.isnan(found["quality_duplicate"])


def test_other_frames_are_refused():
    quality = Quality(1, np.uint8)
    for odd in (film("uint16"), np.concatenate([film(), film()], axis=-1), film()[0]):
        with pytest.raises(RecordingError, match="expected 1 channels of uint8"):
            quality.add(odd)


def test_huge_numbers_are_neither_still_nor_saturated():
    frames = 1.7e308 * np.random.default_rng(8).uniform(-1, 1, (11, Y, X, 1))
    found = measured(frames)
    assert (found["quality_static"], found["quality_saturated"]) == (0, 0)


TABLE = ColumnTable(
    (Column("speed", "m/s"), Column("gear", "1", kind="categorical", levels=("a", "b")), Column("dead", "V"))
)


def test_variance_and_unknown_rows_of_controls():
    speed = [1.0, 3.0, np.nan, 5.0, np.nan]
    controls = np.array([speed, [0, 1, 1, 0, np.nan], [np.nan] * 5]).T
    found = control_quality(controls[:, :2], ColumnTable(TABLE.columns[:2]))
    assert found["quality_variance_speed"] == pytest.approx(np.var([1, 3, 5]))
    assert found["quality_variance_gear"] == 0.5
    assert found["quality_unknown_controls"] == 0.25
    assert np.isnan(control_quality(controls, TABLE)["quality_variance_dead"])
    assert control_quality(controls, TABLE)["quality_unknown_controls"] == 1


def test_half_floats_are_measured_as_floats():
    frames = film("float16")
    frames[4:7] = frames[3]
    frames[9, 1, 2] = np.nan
    assert measured(frames, [5]) == twin(frames.astype(np.float32)) == measured(frames.astype(np.float32))


@pytest.mark.parametrize("dtype", ["bool", "complex64", "longdouble", "datetime64[s]"])
def test_what_is_no_pixel_is_refused(dtype):
    with pytest.raises(RecordingError, match="use integers or floats of up to 64 bits"):
        Quality(1, dtype)


@pytest.mark.parametrize("scale", [1e150, 1e155, 1e200, 8.9e303, -1e306])
@pytest.mark.parametrize("cuts", [(), (1, 4)])
def test_numbers_whose_squares_are_infinite_are_measured(scale, cuts):
    frames = film("float64")
    frames[3:5] = frames[2] + np.random.default_rng(5).normal(0, 0.1, (2, Y, X, 1))
    frames[7] = frames[6]
    small, large = frames.copy(), scale / 200 * frames
    small[8:, 0, 0], large[8:, 0, 0] = np.inf, np.inf
    found, wanted = measured(large, cuts), measured(small, cuts)
    for name in ("static", "duplicate", "not_finite"):  # numbers below 0 have their top elsewhere
        assert found[f"quality_{name}"] == pytest.approx(wanted[f"quality_{name}"])
    assert found["quality_static"] == pytest.approx(3 / 10)


def test_small_frames_beside_large_ones_are_measured():
    frames = np.concatenate([1e-200 * film("float64"), 1e200 * film("float64")[:1]])
    frames[5] = frames[4]
    found = measured(frames)
    assert (found["quality_static"], found["quality_duplicate"]) == (pytest.approx(1 / 11), pytest.approx(1 / 11))


def test_a_variance_that_no_number_holds_is_unknown():
    table = ColumnTable((Column("v", "m"), Column("w", "m")))
    found = control_quality(np.array([[1e200, 1.0], [-1e200, 3.0], [0.0, 2.0]]), table)
    assert np.isnan(found["quality_variance_v"]) and found["quality_variance_w"] == pytest.approx(2 / 3)


def test_masked_numbers_are_not_finite_and_masked_controls_unknown():
    frames, hidden = film("float32"), np.zeros((11, Y, X, 1), bool)
    hidden[3, 1, 2] = hidden[7, 0] = True
    assert measured(np.ma.array(frames, mask=hidden)) == measured(np.where(hidden, np.float32(np.nan), frames))
    with pytest.raises(RecordingError, match="channels of uint8"):
        measured(np.ma.array(film(), mask=hidden))
    controls = np.array([[1.0, 0], [3.0, 1], [9.0, 1], [5.0, 0]])
    found = control_quality(np.ma.masked_equal(controls, 9.0), ColumnTable(TABLE.columns[:2]))
    assert found["quality_variance_speed"] == pytest.approx(np.var([1, 3, 5]))
    assert found["quality_unknown_controls"] == pytest.approx(1 / 3)
