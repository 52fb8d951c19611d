"""The clock of a table: units that are stated, time stamps, and what contradicts itself."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, FormatError
from sciworld.ingest.clock import parse_times
from sciworld.ingest.controls import attach_controls
from sciworld.ingest.tables import EPOCH, Series
from sciworld.units import TIMES

T, Y, X = 11, 5, 7
FIRST = np.datetime64("2026-03-01T12:00:00.250", "ns")


def bare(start=0.0):
    return recording.make(
        np.zeros((T, Y, X, 1), "uint16"),
        np.arange(float(T)) + start,
        channels=ColumnTable((Column("haadf", "counts"),)),
        session="s", source="frames.tif", licence="", citation="", history="made",
    )  # fmt: skip


def controls(path, stamps, times="t", start=0.0):
    """Controls 0, 1, ... of rows at the stamps, and the history."""
    path.write_text("\n".join(["t,v", *(f"{stamp},{k}" for k, stamp in enumerate(stamps))]) + "\n")
    ds = attach_controls(bare(start), path, "a=v:V~hold", times)
    return ds["controls"].values[:, 0], ds.attrs["history"], ds["log_time"].values


@pytest.mark.parametrize("units", TIMES)
def test_times_come_in_stated_units(tmp_path, units):
    seconds = np.arange(T) * 0.75
    found, history, when = controls(tmp_path / "a.csv", (seconds / TIMES[units]).tolist(), f"t : {units}")
    np.testing.assert_allclose(when, seconds, rtol=1e-14)
    assert np.array_equal(found[:8], [0, 1, 2, 4, 5, 6, 8, 9]) and np.isnan(found[8:]).all()
    assert ("times 't' converted from" in history) == (TIMES[units] != 1)


@pytest.mark.parametrize(("text", "found"), [("t", ("t", "")), ("", ("", "")), (" a:b : ms", ("a:b", "ms"))])
def test_the_units_of_times_stand_behind_the_last_colon(text, found):
    assert parse_times(text) == found


@pytest.mark.parametrize("text", ["t:", "t:furlong", ":ms", "a:b"])
def test_times_in_no_unit_of_time_are_refused(text):
    with pytest.raises(ControlError, match=r"times: .* ends in no unit of time.*ns, us, ms, s, min, h, d"):
        parse_times(text)


@given(st.integers(-(2**62), 2**62) | st.integers(-(10**13), 10**13).map(lambda us: us * 1000))
def test_seconds_are_the_nearest_number_to_a_time_stamp(passed):
    (found,) = Series(np.array([EPOCH + np.timedelta64(passed, "ns")]), "zoned").seconds()
    nearest = float(Fraction(passed, 10**9))
    assert found == nearest if abs(passed) < 2**53 else abs(found - nearest) <= np.spacing(abs(nearest))


@pytest.mark.parametrize(("zone", "absolute"), [("Z", 0), ("+05:30", 19800), (" -0130", -5400), ("", 0)])
def test_time_stamps_count_from_the_earliest_or_from_1970_as_the_frames_do(tmp_path, zone, absolute):
    stamps = [f"{FIRST + np.timedelta64(1500 * k, 'ms')}{zone}" for k in range(8)]
    found, history, when = controls(tmp_path / "a.csv", stamps[1:] + stamps[:1])
    assert np.array_equal(when, 1.5 * np.arange(8)) and found[0] == 7 and found[2] == 0
    assert "its times are seconds since the earliest, 2026-03-01T" in history and "second 0 of the frames" in history
    start = 1772366400.25 - absolute
    found, history, when = controls(tmp_path / "a.csv", stamps, start=start)
    assert np.array_equal(when, start + 1.5 * np.arange(8)) and np.array_equal(found[:4], [0, 0, 1, 2])
    assert "are seconds since 1970, as the times of the frames are" in history
    assert ("without a time zone, are taken as UTC" in history) == (zone == "")


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_time_stamps_of_parquet_are_read_as_those_of_csv(tmp_path, zone):
    stamps = FIRST + np.arange(8) * np.timedelta64(1_500_000_001, "ns")
    column = pa.array(stamps, pa.timestamp("ns")).cast(pa.timestamp("ns", zone))
    pq.write_table(pa.table({"t": column, "v": np.arange(8.0)}), tmp_path / "a.parquet")
    one = attach_controls(bare(), tmp_path / "a.parquet", "a=v:V~linear", "t")
    (tmp_path / "a.csv").write_text("t,v\n" + "".join(f"{s}{'Z' if zone else ''},{k}\n" for k, s in enumerate(stamps)))
    two = attach_controls(bare(), tmp_path / "a.csv", "a=v:V~linear", "t")
    assert np.array_equal(one["log_time"], two["log_time"]) and one["log_time"].values[7] == 10.500000007
    assert one.attrs["history"] == two.attrs["history"].replace("a.csv", "a.parquet")


def test_times_that_state_their_units_have_no_others(tmp_path):
    with pytest.raises(ControlError, match=r"column 't' holds time stamps, .*leave out ':ms'"):
        controls(tmp_path / "a.csv", [FIRST, FIRST + 1], "t:ms")
    columns = {"t": pa.array(range(T), pa.duration("s")), "v": [1.0] * T}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ControlError, match="column 't' holds durations"):
        attach_controls(bare(), tmp_path / "a.parquet", "a=v:V", "t:ms")
    with pytest.raises(ControlError, match="column 't' holds times, which are read in s; write 'dwell=t:s'"):
        attach_controls(bare(), tmp_path / "a.parquet", "dwell=t:ms")


def test_flags_and_empty_columns_are_no_times(tmp_path):
    with pytest.raises(FormatError, match="column 't' is true or false"):
        controls(tmp_path / "a.csv", ["true", "false"])
    with pytest.raises(FormatError, match="row 2 has no time"):
        controls(tmp_path / "a.csv", [FIRST, ""])
