"""Logs read at the times of frames: nothing is invented outside a log, and nothing leaves the range of its rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.domains.logs import READINGS, hold, linear, log, mean, ragged
from sciworld.errors import FormatError

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def logs_and_times(draw):
    steps = draw(st.lists(st.floats(1e-3, 10), min_size=1, max_size=12))
    time = np.cumsum(steps)
    value = np.array(draw(st.lists(numbers, min_size=len(time), max_size=len(time))))
    at = np.cumsum(draw(st.lists(st.floats(1e-3, 10), min_size=2, max_size=9))) - draw(st.floats(0, 5))
    return time, value, np.where(draw(st.booleans()), at, np.resize(time, len(at)))


@given(logs_and_times())
def test_readings_stay_in_range_and_are_unknown_outside(drawn):
    time, value, at = drawn
    rows = log(time, value, "speed", "log.csv")
    inside = (at >= time[0]) & (at <= time[-1])
    straight = linear(rows, at)
    np.testing.assert_array_equal(straight[inside], np.interp(at, time, value)[inside])
    held = hold(rows, at)
    for found in (straight, held):
        assert np.array_equal(np.isnan(found), ~inside)
    for t, found in zip(at[inside], held[inside], strict=True):
        assert found == value[time <= t][-1]
    at = np.sort(at)
    means = mean(rows, at)
    assert np.isnan(means[-1])
    for t, after, found in zip(at, at[1:], means, strict=False):
        between = value[(time >= t) & (time < after)]
        assert np.isnan(found) if not len(between) else np.isclose(found, between.mean(), rtol=1e-9, atol=1e-6)
    for reading in READINGS.values():
        known = reading(rows, at)
        known = known[~np.isnan(known)]
        assert (known >= value.min()).all() and (known <= value.max()).all()


def test_nothing_is_known_across_a_hole():
    rows = log([0.0, 1, 2, 9, 10], [0.0, 1, 2, 9, 10], "speed", "log.csv")
    at = np.array([0.5, 2, 2.5, 8.9, 9, 9.5])
    assert np.array_equal(linear(rows, at, hole=3), [0.5, 2, np.nan, np.nan, 9, 9.5], equal_nan=True)
    assert np.array_equal(linear(rows, at), at)


def test_an_angle_turns_the_short_way():
    rows = log([0.0, 1, 2], np.deg2rad([170.0, -170, -150]), "yaw", "log.csv")
    np.testing.assert_allclose(np.rad2deg(linear(rows, np.array([0.5, 1.5]), period=2 * np.pi)), [180, 200])
    rows = log([0.0, 1], [350.0, 10], "heading", "log.csv")
    np.testing.assert_allclose(linear(rows, np.array([0.25]), period=360), [355])


def test_rows_are_sorted_and_repeats_left_out_and_said():
    rows = log([3.0, 1, 1, 2, 2], [30, 9, 10, np.nan, 20], "speed", "log.csv")
    assert rows.time.tolist() == [1, 2, 3] and rows.value.tolist() == [10, 20, 30]
    assert [note.split(" rows of")[0] for note in rows.notes[1:]] == ["1", "1"]
    assert "sorted" in rows.notes[0] and "no value" in rows.notes[1] and "share the time" in rows.notes[2]
    assert log([1.0, 2], [1, 2], "speed", "log.csv").notes == ()


def test_a_log_without_rows_knows_nothing():
    rows = log([], [], "speed", "log.csv")
    for reading in READINGS.values():
        assert np.isnan(reading(rows, np.arange(4.0))).all()
    one = log([1.0], [7.0], "speed", "log.csv")
    assert np.array_equal(linear(one, np.array([0.5, 1, 2])), [np.nan, 7, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("time", "value", "message"),
    [
        ([0.0, np.nan], [1.0, 2], r"log\.csv: row 2 of 'speed' has no time"),
        ([0.0, np.inf], [1.0, 2], "has no time"),
        ([0.0, 1], [1.0, -np.inf], "row 2 of 'speed' is infinite"),
        ([0.0, 1, 2], [1.0, 2], r"values \(2,\) at times \(3,\)"),
        ([[0.0]], [[1.0]], "give one value a time"),
    ],
)
def test_rows_that_make_no_sense_are_refused(time, value, message):
    with pytest.raises(FormatError, match=message):
        log(time, value, "speed", "log.csv")


def test_all_rows_stay_in_the_order_of_time():
    time, column, value = ragged([log([0.0, 2], [1, 2], "a", "x"), log([1.0, 2], [3, 4], "b", "x")])
    assert time.tolist() == [0, 1, 2, 2] and column.tolist() == [0, 1, 0, 1] and value.tolist() == [1, 3, 2, 4]
    assert column.dtype == np.int32 and len(ragged([])[0]) == 0


@given(logs_and_times(), st.data())
def test_a_row_without_a_value_is_a_hole_in_the_line_and_nowhere_else(drawn, data):
    time, value, at = drawn
    hole = data.draw(st.integers(0, len(time) - 1))
    value[hole] = np.nan
    whole, rows = log(time[~np.isnan(value)], value[~np.isnan(value)], "a", "x"), log(time, value, "a", "x")
    before, after = time[max(0, hole - 1)], time[min(len(time) - 1, hole + 1)]
    across = (at > before) & (at < after)
    expected = np.where(across, np.nan, linear(whole, at))
    assert np.array_equal(linear(rows, at), expected, equal_nan=True)
    for reading in (mean, hold):
        assert np.array_equal(reading(rows, np.sort(at)), reading(whole, np.sort(at)), equal_nan=True)


def test_a_value_at_the_time_of_a_row_without_one_is_no_hole():
    rows = log([0.0, 1, 1, 2], [0.0, np.nan, 1, 2], "a", "x")
    assert np.array_equal(linear(rows, np.array([0.5, 1, 1.5])), [0.5, 1, 1.5])
