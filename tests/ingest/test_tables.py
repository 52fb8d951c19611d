"""Parquet files of controls: read as CSV files are, and refused with the column's name where they are no numbers."""

import csv
import io
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import FormatError
from sciworld.ingest import tables
from sciworld.ingest.controls import attach_controls
from sciworld.ingest.tables import read_table

T, Y, X = 11, 5, 7


def bare():
    return recording.make(
        np.zeros((T, Y, X, 1), "uint16"),
        np.arange(float(T)),
        channels=ColumnTable((Column("haadf", "counts"),)),
        session="s", source="frames.tif", licence="", citation="", history="made",
    )  # fmt: skip


def write(path, columns, **settings):
    pq.write_table(pa.table(columns), path, **settings)
    return path


def numbers(path, columns):
    """The columns as (row, column)."""
    return np.stack([series.seconds() for series in read_table(path, columns)], axis=1)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_parquet_controls_a_recording_as_csv_does(tmp_path, compression):
    steer, when = np.random.default_rng(0).normal(size=T), np.arange(float(T)) + 0.5
    path = write(tmp_path / "can.bin", {"t": when, "Steering": steer}, compression=compression, row_group_size=3)
    rows = [f"{t!r},{value!r}" for t, value in zip(when.tolist(), steer.tolist(), strict=True)]
    (tmp_path / "can.csv").write_text("\n".join(["t,Steering", *rows]))
    for mapping in ("steer=steering:deg", "steer=steering:deg:-9:9~hold"):
        one, two = (attach_controls(bare(), file, mapping, times="t") for file in (path, tmp_path / "can.csv"))
        for name in ("controls", "log_time", "log_column", "log_value"):
            assert np.array_equal(one[name], two[name], equal_nan=True), name


@settings(max_examples=25)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(-100, 100)), min_size=1, max_size=20),
    kind=st.sampled_from([pa.int8(), pa.int64(), pa.float32(), pa.float64()]),
    groups=st.integers(1, 5),
)
def test_numbers_come_back_and_null_is_unknown(tmp_path_factory, values, kind, groups):
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    write(path, {"other": pa.nulls(len(values)), "a": pa.array(values, kind)}, row_group_size=groups)
    expected = [np.nan if value is None else float(value) for value in values]
    assert np.array_equal(numbers(path, ["a"])[:, 0], expected, equal_nan=True)


def test_flags_times_and_dots_are_read(tmp_path):
    columns = {
        "on": [True, None, False], "t": pa.array([0, 1500, None], pa.timestamp("ms")),
        "dt": pa.array([0, 1, 2], pa.duration("us")), "a.b": [1, 2, 3], "u": pa.array([1, 2, 3], pa.uint16()),
    }  # fmt: skip
    found = numbers(write(tmp_path / "a.parquet", columns), ["on", "t", "dt", "a.b", "u", "U"])
    expected = [[1, 0, 0, 1, 1, 1], [np.nan, 1.5, 1e-6, 2, 2, 2], [0, np.nan, 2e-6, 3, 3, 3]]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([{"x": 1.0}]), "'a' is struct<x: double>, nested"),
        (pa.array([[1.0, 2.0]]), "nested"),
        (pa.array(["1.5"]), "'a' is string, no number"),
        (pa.array([b"1"]), "no number"),
        (pa.array([2**58], pa.timestamp("us")), "'a' has time stamps that no 64 bits of nanoseconds hold"),
        (pa.array([1.0, np.inf]), "row 2: column 'a' is infinite"),
    ],
)
def test_columns_that_are_no_numbers_are_refused(tmp_path, column, message):
    path = write(tmp_path / "a.parquet", {"a": column, "b": pa.nulls(len(column), pa.float64())})
    with pytest.raises(FormatError, match=message):
        read_table(path, ["a"])
    assert np.isnan(numbers(path, ["b"])).all()


def test_missing_and_doubled_columns_are_named(tmp_path):
    path = write(tmp_path / "a.parquet", {"a": [1.0], "A": [2.0]})
    with pytest.raises(FormatError, match=r"a\.parquet: no column 'steer'; the header has a, A"):
        read_table(path, ["steer"])
    assert numbers(path, ["A", "a"]).tolist() == [[2, 1]]
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    pq.write_table(twice, path)
    with pytest.raises(FormatError, match="2 columns 'a'"):
        read_table(path, ["a"])


def test_a_damaged_or_huge_file_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", {"a": np.random.default_rng(0).normal(size=1000)})
    content = path.read_bytes()
    for cut in (4, 500, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(FormatError, match=r"a\.parquet: cannot be read as Parquet"):
            read_table(path, ["a"])
    path.write_bytes(b"")
    with pytest.raises(FormatError, match=r"a\.parquet"):
        read_table(path, ["a"])
    path.write_bytes(content)
    monkeypatch.setattr(tables, "MOST_ROWS", 999)
    with pytest.raises(FormatError, match="1000 rows; a table of controls has at most 999"):
        read_table(path, ["a"])
    monkeypatch.setattr(tables, "MOST_BYTES", 10)
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * 99)
    with pytest.raises(FormatError, match=r"a\.csv: over 0 GiB"):
        read_table(tmp_path / "a.csv", ["a"])


def test_an_empty_table_has_no_rows(tmp_path):
    path = write(tmp_path / "a.parquet", {"a": pa.array([], pa.float64())})
    assert numbers(path, ["a"]).shape == (0, 1)
    with pytest.raises(FormatError, match="0 rows for 11 frames"):
        attach_controls(bare(), path, "steer=a:deg")


def read(tmp_path, text, columns=("a",)):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    return read_table(tmp_path / "a.csv", columns)


def test_flags_of_csv_are_one_and_zero(tmp_path):
    (found,) = read(tmp_path, "a\ntrue\n False\n\nTRUE\nfalse\n")
    assert np.array_equal(found.values, [1, 0, np.nan, 1, 0], equal_nan=True) and found.kind == "flag"
    with pytest.raises(FormatError, match=r"a\.csv, line 2: 'true' in column 'a' is no number"):
        read(tmp_path, "a\ntrue\n0.5\n")


def test_time_stamps_of_csv_keep_their_nanoseconds(tmp_path):
    text = "a\n2026-03-01T12:00:00.123456789Z\n2026-03-01 12:00:01,5+00:00\n\n2026-03-01t12:02z\n"
    (found,) = read(tmp_path, text.replace("01,5", "01.5"))
    expected = ["2026-03-01T12:00:00.123456789", "2026-03-01T12:00:01.5", "NaT", "2026-03-01T12:02"]
    assert np.array_equal(found.values, np.array(expected, "datetime64[ns]"), equal_nan=True) and found.kind == "zoned"
    assert read(tmp_path, "a;b\n2026-03-01 12:00:01,5;1\n")[0].values[0] == np.datetime64("2026-03-01T12:00:01.5")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("2026-03-01T12:00Z", "2026-03-01T12:01+01:00"), "line 3: .* of another time zone than the rows before"),
        (("2026-03-01T12:00", "2026-03-01T12:01Z"), "line 3: .* or of none; write all time stamps in one"),
        (("2026-03-01T12:00", "", "1.5"), "line 4: '1.5' in column 'a' is no time stamp such as"),
        (("2026-03-01T12:00", "2026-02-30T12:00"), "line 3: '2026-02-30T12:00' in column 'a' is no date"),
        (("2026-03-01T12:00", "2026-03-01T25:00"), "line 3: .* is no date"),
        (("2026-03-01T12:00", "2326-03-01T12:00"), "line 3: .* is no time stamp"),  # beyond 64 bits of nanoseconds
        (("2026-03-01",), "line 2: '2026-03-01' in column 'a' is no number"),
    ],
)
def test_time_stamps_that_contradict_each_other_are_refused(tmp_path, rows, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, "\n".join(["a", *rows]))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_files_as_programs_write_them(tmp_path, separator, end):
    text = io.StringIO()
    rows = csv.writer(text, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
    rows.writerow(["note", "a", "b", "b"])
    rows.writerows([['with , ; and "\t"', 1, "x", ""], ["two\nlines \x0c\u2028", 2, "x", "y"], ["", "", "x", ""]])
    text = f"\ufeff{text.getvalue()}{end}{end}"
    assert np.array_equal(read(tmp_path, text)[0].values, [1, 2, np.nan], equal_nan=True)
    with pytest.raises(FormatError, match="2 columns 'b'"):
        read(tmp_path, text, ["b"])
    with pytest.raises(FormatError, match="line 2: 'with , ; and"):
        read(tmp_path, text, ["note"])


def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path):
    with pytest.raises(
        FormatError, match=r"a\.csv: not a CSV file \(unexpected end of data, in the row .* on line 3\)"
    ):
        read(tmp_path, 'a,b\n1,x\n2,"open\n3,x\n')


def test_names_in_another_unicode_form_are_found(tmp_path):
    assert read(tmp_path, "Bläue\n1\n", ["bla\u0308ue"])[0].values.tolist() == [1]
    assert read(tmp_path, "a\0\tb/c\n1\t2\n", ["b/c"])[0].values.tolist() == [2]
    with pytest.raises(FormatError, match=r"the header has a\\x00, b/c: mend"):
        read(tmp_path, "a\0\tb/c\n1\t2\n", ["c"])
    with pytest.raises(FormatError) as caught:
        read(tmp_path, "x" * 10_000 + "\n1\n", ["c"])
    assert len(str(caught.value)) < 1000


def test_a_million_rows_take_seconds(tmp_path):
    rows = np.arange(1_000_000)
    start = time.process_time()
    (found,) = read(tmp_path, "t,a\n" + "\n".join(map("{0},{0}.5".format, rows.tolist())))
    assert np.array_equal(found.values, rows + 0.5)
    assert time.process_time() - start < 20  # it takes 2


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_whole_numbers_that_no_float_holds_are_refused(tmp_path, dtype):
    exact, inexact = np.array([2**53, 2**60, 7], dtype), np.array([1, 2**53 + 1], dtype)
    path = write(tmp_path / "a.parquet", {"a": exact, "b": exact})
    assert numbers(path, ["a"])[:, 0].tolist() == [2**53, 2**60, 7]
    write(path, {"a": inexact})
    with pytest.raises(FormatError, match=r"row 2: 9007199254740993 in column 'a' is no float64"):
        numbers(path, ["a"])
    assert read(tmp_path, "a\n9007199254740992\n1e300\n")[0].seconds().tolist() == [2**53, 1e300]
    with pytest.raises(FormatError, match=r"line 3: '9007199254740993' in column 'a' is no float64"):
        read(tmp_path, "a\n1\n9007199254740993\n")


def test_underscores_are_no_part_of_a_number(tmp_path):
    with pytest.raises(FormatError, match="'1_000' in column 'a' is no number"):
        read(tmp_path, "a\n1\n1_000\n")
