"""Controls from CSV files: the map, the rows, the clock, and what is said when they do not fit."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, FormatError, RecordingError
from sciworld.ingest.controls import attach_controls, doubts, parse_map
from sciworld.ingest.tables import read_csv
from sciworld.store import Store

T, Y, X = 11, 5, 7
MAP = "x=beam_x:A,y=beam_y:A,dwell=t:s"


def bare(time=None, view=(0.5, 0, 0, 0, 0.5, 0), units="A"):
    return recording.make(
        np.zeros((T, Y, X, 1), "uint16"),
        np.arange(float(T)) if time is None else time,
        counted=time is None,
        channels=ColumnTable((Column("haadf", "counts"),)),
        view=None if view is None else np.array(view, dtype=float),
        view_units="" if view is None else units,
        session="s", source="frames.tif", licence="", citation="", history="made",
    )  # fmt: skip


def table(rows, header="beam_x,beam_y,t,note", separator=","):
    lines = [header, *(",".join([*map(repr, row), "ok"]) for row in rows.tolist())]
    return "\n".join(lines).replace(",", separator) + "\n"


@pytest.fixture
def rows():
    return np.random.default_rng(0).uniform(0, 3, (T, 3))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("short", [0, 1])
def test_rows_belong_to_frames_in_order(tmp_path, rows, separator, short):
    path = tmp_path / "beam.csv"
    path.write_text("\ufeff" + table(rows[: T - short], separator=separator) + "\n", encoding="utf-8")
    ds = attach_controls(bare(), path, MAP)
    assert np.array_equal(ds["controls"][:-1], rows[:-1]) and np.isnan(ds["controls"][-1]).all()
    columns = recording.control_table(ds)
    assert columns.names == ("x", "y", "dwell") and columns.positions() == {"beam": (0, 1)}
    assert columns["x"].frame == "lab" and columns["x"].units == "A" and columns["dwell"].units == "s"
    used = rows[: T - short]
    assert (columns["y"].low, columns["y"].high) == (used[:, 1].min(), used[:, 1].max())
    assert ("last row acts after the last frame" in ds.attrs["history"]) == (short == 0)
    assert ds.attrs["history"].startswith("made; controls x, y, dwell from beam.csv")


def test_stated_bounds_are_kept(tmp_path, rows):
    (tmp_path / "b.csv").write_text(table(rows))
    columns = recording.control_table(attach_controls(bare(), tmp_path / "b.csv", "dwell = t : s : 0 : 10"))
    assert (columns["dwell"].low, columns["dwell"].high) == (0.0, 10.0)
    with pytest.raises(RecordingError, match="outside"):
        attach_controls(bare(), tmp_path / "b.csv", "dwell=t:s:0:0.1")


def test_an_empty_cell_is_unknown_not_off(tmp_path):
    for empty in ("", " ", '""'):
        (tmp_path / "b.csv").write_text("\n".join(["t", "1.5", empty, "nan", *["0"] * (T - 3)]) + "\n\n")
        controls = attach_controls(bare(), tmp_path / "b.csv", "power=t:W")["controls"].values[:, 0]
        assert controls[0] == 1.5 and np.isnan(controls[[1, 2]]).all() and controls[3] == 0


def test_shift_moves_rows_to_later_frames(tmp_path, rows):
    (tmp_path / "b.csv").write_text(table(rows))
    later = attach_controls(bare(), tmp_path / "b.csv", MAP, shift=2)["controls"].values
    assert np.isnan(later[:2]).all() and np.array_equal(later[2:-1], rows[: T - 3])
    earlier = attach_controls(bare(), tmp_path / "b.csv", MAP, shift=-1)["controls"].values
    assert np.array_equal(earlier[:-1], rows[1:]) and np.isnan(earlier[-1]).all()


def test_rows_find_their_frames_by_time(tmp_path):
    time = np.cumsum([1.0, 2.0, 0.5, 3.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    stamps = np.array([0.5, 1.5, 3.2, 3.6, 4.0, 8.0, 13.2, 14.5, 15.0])
    lines = [f"{value},{stamp}" for value, stamp in enumerate(stamps)]
    (tmp_path / "b.csv").write_text("\n".join(["v,when", *lines]))
    ds = attach_controls(bare(time), tmp_path / "b.csv", "power=v:W", times="when")
    found = ds["controls"].values[:, 0]
    expected = np.full(T, np.nan)
    expected[[0, 1, 4, 8]] = 1, 2, 5, 6  # two rows fall between the frames 2 and 3
    assert np.array_equal(found, expected, equal_nan=True)
    history = ds.attrs["history"]
    assert "1 gaps between frames have several rows" in history and "acted before the first frame" in history
    assert np.array_equal(ds["log_time"], stamps) and np.array_equal(ds["log_value"], np.arange(9.0))


@pytest.mark.parametrize("rows", [7, 300])  # fewer than frames, and many a frame
def test_a_log_is_read_as_the_map_says(tmp_path, rows):
    time = np.cumsum(np.random.default_rng(3).uniform(0.5, 1.5, T))
    stamps = np.sort(np.random.default_rng(4).uniform(time[0] - 1, time[-2], rows))
    values = np.random.default_rng(5).normal(size=rows)
    lines = [f"{s!r},{v!r}" for s, v in zip(stamps.tolist(), values.tolist(), strict=True)]
    (tmp_path / "b.csv").write_text("\n".join(["when,v", *lines]))
    mapping = "a=v:deg:-9:9~linear,b=v:deg~mean,c=v:deg ~ hold,d=v:deg"
    ds = attach_controls(bare(time), tmp_path / "b.csv", mapping, times="when")
    linear, mean, held, single = ds["controls"].values[:-1].T
    inside = (time[:-1] >= stamps[0]) & (time[:-1] <= stamps[-1])
    expected = np.where(inside, np.interp(time[:-1], stamps, values), np.nan)
    assert np.array_equal(linear, expected, equal_nan=True)
    for k, (start, end) in enumerate(itertools.pairwise(time)):
        between = values[(stamps >= start) & (stamps < end)]
        before = values[stamps <= start]
        assert np.isclose(mean[k], between.mean()) if len(between) else np.isnan(mean[k])
        assert held[k] == before[-1] if inside[k] else np.isnan(held[k])
        assert single[k] == between[0] if len(between) == 1 else np.isnan(single[k])
    assert np.isnan(ds["controls"].values[-1]).all()
    assert [column.hold for column in recording.control_table(ds)] == ["hold", "mean", "hold", "hold"]
    assert len(ds["log_value"]) == 4 * rows and "~linear from" in ds.attrs["history"]


def test_a_log_needs_times_on_the_frames_clock(tmp_path):
    (tmp_path / "b.csv").write_text("v,when\n1,1000\n2,1001\n")
    for times in ("", " "):
        with pytest.raises(ControlError, match="'a' is read as a log, whose rows have no times"):
            attach_controls(bare(np.arange(float(T)) + 0.5), tmp_path / "b.csv", "a=v:deg~hold", times)
    with pytest.raises(FormatError, match="'a' is known at no frame; rows are at 1000 to 1001 s"):
        attach_controls(bare(np.arange(float(T)) + 0.5), tmp_path / "b.csv", "a=v:deg~linear", times="when")
    (tmp_path / "b.csv").write_text("v,when\n")
    with pytest.raises(FormatError, match="there are no rows"):
        attach_controls(bare(np.arange(float(T)) + 0.5), tmp_path / "b.csv", "a=v:deg~linear", times="when")


def test_rows_on_another_clock_are_refused(tmp_path):
    (tmp_path / "b.csv").write_text("v,when\n1,1000\n2,1001\n")
    with pytest.raises(FormatError, match="one clock"):
        attach_controls(bare(np.arange(float(T)) + 0.5), tmp_path / "b.csv", "dwell=v:s", times="when")
    with pytest.raises(ControlError, match="frame_seconds"):
        attach_controls(bare(), tmp_path / "b.csv", "dwell=v:s", times="when")
    (tmp_path / "b.csv").write_text("v,when\n1,1\n2,\n")
    with pytest.raises(FormatError, match="row 2 has no time"):
        attach_controls(bare(np.arange(float(T)) + 0.5), tmp_path / "b.csv", "dwell=v:s", times="when")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a,t\n1,2\n", "no column 'beam_x'.*a, t"),
        ("beam_x,beam_y,t,t\n", "2 columns 't'"),
        ("beam_x,beam_y,t\n1,2,3\n4,5,six\n", r"b\.csv, line 3: 'six' in column 't'"),
        ("beam_x,beam_y,t\n1,2,3\n\n4,5,6\n", r"line 3: 1 cells"),
        ("beam_x,beam_y,t\n1,2,3\n4,5\n", r"b\.csv, line 3: 2 cells, but the header has 3"),
        ("beam_x,beam_y,t\n1,2,inf\n", "line 2.*infinite"),
        ("beam_x;beam_y;t\n1,5;2;3\n", "line 2: '1,5'.*decimal comma"),
        ("beam_x,beam_y,t\n" + "1,2,3\n" * 9, r"b\.csv: 9 rows for 11 frames; give 11, or 10"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        attach_controls(bare(), tmp_path / "b.csv", MAP)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("b.csv", "missing.csv"):
        with pytest.raises(FormatError, match=name):
            read_csv(tmp_path / name, ["t"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x=beam_x",
        "=a:A",
        "x=a:A:1",
        "x=a:A:low:high",
        "x=a:A,x=b:A",
        "x=:A",
        "x=a:A~",
        "x=a:A~cubic",
        "x=a~linear",
        "x=a:A~linear:0:1",
    ],
)
def test_a_map_that_makes_no_sense_is_refused(text):
    with pytest.raises(ControlError, match="map:"):
        parse_map(text)


def test_a_position_needs_a_calibrated_frame(tmp_path, rows):
    (tmp_path / "b.csv").write_text(table(rows))
    with pytest.raises(ControlError, match="pixel_size"):
        attach_controls(bare(view=None), tmp_path / "b.csv", MAP)
    ds = attach_controls(bare(view=None), tmp_path / "b.csv", "x=beam_x:pixel,y=beam_y:pixel")
    assert recording.control_table(ds)["x"].frame == "pixel"
    ds = attach_controls(bare(view=None), tmp_path / "b.csv", "X=beam_x:px,Y=beam_y:px")
    assert recording.control_table(ds).positions() == {"beam": (0, 1)}
    with pytest.raises(RecordingError, match="'x' is in V, 'view' in A"):
        attach_controls(bare(), tmp_path / "b.csv", "x=beam_x:V,y=beam_y:V")


@pytest.mark.parametrize(
    ("length", "a", "time", "s"),
    [("nm", 10, "ms", 1e-3), ("pm", 0.01, "us", 1e-6), ("Å", 1, "s", 1), ("um", 1e4, "s", 1)],
)
def test_units_are_converted_and_noted(tmp_path, rows, length, a, time, s):
    (tmp_path / "b.csv").write_text(table(rows))
    ds = attach_controls(bare(), tmp_path / "b.csv", f"x=beam_x:{length}:0:4,y=beam_y:{length},dwell=t:{time}")
    columns = recording.control_table(ds)
    assert [column.units for column in columns] == ["A", "A", "s"] and columns["x"].high == 4 * a
    np.testing.assert_allclose(ds["controls"][:-1], rows[:-1] * [a, a, s], rtol=1e-15)
    assert f"'x' converted from {length} to A" in ds.attrs["history"]


@pytest.mark.parametrize(("lab", "to"), [("m", 1e-9), ("um", 1e-3), ("nm", 1)])
def test_positions_come_in_the_units_of_the_view_and_nothing_else_does(tmp_path, rows, lab, to):
    (tmp_path / "b.csv").write_text(table(rows))
    mapping = "x=beam_x:nm,y=beam_y:nm,gap=t:m:0:4,lead=t:S"
    ds = attach_controls(bare(units=lab), tmp_path / "b.csv", mapping)
    columns = recording.control_table(ds)
    assert [column.units for column in columns] == [lab, lab, "m", "S"] and columns["gap"].high == 4
    np.testing.assert_allclose(ds["controls"][:-1, :2], rows[:-1, :2] * to, rtol=1e-14)
    assert np.array_equal(ds["controls"][:-1, 2], rows[:-1, 2])
    assert ("converted" in ds.attrs["history"]) == (lab != "nm")


def test_without_a_pixel_size_lengths_stay_what_they_are(tmp_path, rows):
    (tmp_path / "b.csv").write_text(table(rows))
    ds = attach_controls(bare(view=None), tmp_path / "b.csv", "gap=t:m,x=beam_x:um")
    assert [column.units for column in recording.control_table(ds)] == ["m", "um"]
    assert np.array_equal(ds["controls"][:-1], rows[:-1, [2, 0]])
    with pytest.raises(ControlError, match="'x' is in nm, but the frames have no pixel size"):
        attach_controls(bare(view=None), tmp_path / "b.csv", "x=beam_x:nm,y=beam_y:nm")


def test_a_dwell_is_positive(tmp_path, rows):
    rows[3, 2] = 0
    (tmp_path / "b.csv").write_text(table(rows))
    with pytest.raises(FormatError, match=r"b\.csv: row 4 has a dwell of 0 s"):
        attach_controls(bare(), tmp_path / "b.csv", MAP)


def test_beams_outside_the_frame_and_unknown_rows_are_doubts(tmp_path, rows):
    rows[:, :2] = [0.1, 2.2]  # the frame ends at 3.25 and 2.25
    rows[2, 0], rows[4, 1], rows[6, 2] = -0.3, 2.3, np.nan
    (tmp_path / "b.csv").write_text(table(rows))
    one, two = doubts(attach_controls(bare(), tmp_path / "b.csv", MAP))
    assert "1 of 10 rows have no value of 'dwell'" in one
    assert "2 of 10 places of 'beam' lie outside the frame (-0.25 to 3.25, -0.25 to 2.25 A)" in two
    inside = doubts(attach_controls(bare(view=None), tmp_path / "b.csv", MAP.replace(":A", ":pixel")))
    assert len(inside) == 1


def test_comments_before_the_header_and_the_case_of_names_do_not_matter(tmp_path):
    (tmp_path / "b.csv").write_text("# made by hand\n#\nBeam_X,T,t\n1,2,3\n")
    assert [series.values.tolist() for series in read_csv(tmp_path / "b.csv", ["beam_x", "t"])] == [[1], [3]]
    (tmp_path / "b.csv").write_text("# one\nA,a\n1,2\nx,3\n")
    with pytest.raises(FormatError, match="line 4: 'x'"):
        read_csv(tmp_path / "b.csv", ["A"])
    (tmp_path / "b.csv").write_text("aB,Ab\n1,2\n")
    with pytest.raises(FormatError, match="2 columns 'ab'"):
        read_csv(tmp_path / "b.csv", ["ab"])


def test_a_huge_field_and_a_pipe_are_refused(tmp_path):
    (tmp_path / "b.csv").write_text("a\n" + "1" * 200_000 + "\n")
    with pytest.raises(FormatError, match=r"b\.csv: not a CSV file \(field larger"):
        read_csv(tmp_path / "b.csv", ["a"])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="pipe: not a regular file"):
        read_csv(tmp_path / "pipe", ["a"])


def test_controls_are_not_replaced_silently(tmp_path, rows):
    (tmp_path / "b.csv").write_text(table(rows))
    with pytest.raises(ControlError, match="has controls already"):
        attach_controls(attach_controls(bare(), tmp_path / "b.csv", MAP), tmp_path / "b.csv", MAP)


@settings(max_examples=25)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=T, max_size=T))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "b.csv"
    path.write_text("\n".join(["t", *map(repr, values)]))
    assert read_csv(path, ["t"])[0].values.tolist() == values


def logged(path, stamps, values, mapping, time=None, shift=0):
    path.write_text("\n".join(["t,v,w", *(f"{s},{v}" for s, v in zip(stamps, values, strict=True))]) + "\n")
    return attach_controls(bare(np.arange(float(T)) if time is None else time), path, mapping, "t", shift)


def test_an_empty_cell_is_a_hole_in_the_line(tmp_path):
    rows = [f"{k}," if k % 5 else "," for k in range(12)]
    ds = logged(tmp_path / "b.csv", np.arange(12) - 0.5, rows, "a=v:V~linear,b=v:V~hold,c=v:V~mean")
    line, held, mean = ds["controls"].values[:-1].T
    expected = np.arange(10) + 0.5
    expected[[0, 4, 5, 9]] = np.nan
    assert np.array_equal(line, expected, equal_nan=True)
    assert np.array_equal(held, [np.nan, 1, 2, 3, 4, 4, 6, 7, 8, 9], equal_nan=True)
    assert np.array_equal(mean, [1, 2, 3, 4, np.nan, 6, 7, 8, 9, np.nan], equal_nan=True)
    history = ds.attrs["history"]
    assert "'a' is unknown between the rows beside one without a value (~hold passes over it)" in history
    assert "'b' is unknown between" not in history


def test_flags_are_controls_and_history_says_so(tmp_path):
    ds = logged(tmp_path / "b.csv", np.arange(T), [f"{k % 2 == 0}," for k in range(T)], "on=v:1")
    assert np.array_equal(ds["controls"].values[:-1, 0], np.arange(T - 1) % 2 == 0)
    assert "'on' is 1 where 'v' is true, and 0 where it is false" in ds.attrs["history"]


@pytest.mark.parametrize(
    ("stamps", "doubt"),
    [
        (np.arange(T), ""),
        (np.linspace(0, 19.9, 40), ""),
        (np.linspace(0, 20.1, 40), "covers 100% of them, and is 2.01 times as long"),
        (np.linspace(5.1, 10, 40), "covers 49% of them, and is 0.49 times as long"),
        (np.linspace(7, 14, 40), "from 7 to 14 s, the frames from 0 to 10 s: it covers 30% of them"),
        ([3.5], ""),
    ],
)
def test_a_log_of_another_span_than_the_frames_is_doubted(tmp_path, stamps, doubt):
    found = doubts(logged(tmp_path / "b.csv", stamps, ["1,"] * len(stamps), "a=v:V~mean"))
    spans = [one for one in found if "times as long" in one]
    assert len(spans) == bool(doubt) and all(doubt in one for one in spans)


def test_a_control_that_is_nowhere_known_is_doubted_and_none_known_is_refused(tmp_path):
    ds = logged(tmp_path / "b.csv", np.arange(T), ["1,"] * T, "a=v:V,b=w:V,c=w:V~linear")
    one, two = doubts(ds)
    assert "'b' is unknown at all frames" in one and "'c' is unknown at all frames" in two
    with pytest.raises(FormatError, match=r"brings no control to any frame .*11 rows of 'c' have no value"):
        logged(tmp_path / "b.csv", np.arange(T), ["1,"] * T, "b=w:V,c=w:V~linear")
    with pytest.raises(FormatError, match=r"brings no control to any frame .*10 gaps between frames have several rows"):
        logged(tmp_path / "b.csv", np.arange(40) / 4, ["1,1"] * 40, "a=v:V,b=w:V")
    with pytest.raises(FormatError, match=r"brings no control to any frame .*moved by 11 frames"):
        logged(tmp_path / "b.csv", np.arange(T), ["1,1"] * T, "a=v:V", shift=11)
    (tmp_path / "b.csv").write_text("v\n" + '""\n' * T)
    with pytest.raises(FormatError, match=r"b\.csv: brings no control to any frame"):
        attach_controls(bare(), tmp_path / "b.csv", "a=v:V")


@pytest.mark.parametrize("name", ["a/b", "x" * 300, "Ä ß", "a.b", "../a"])
def test_odd_names_of_controls_come_back_from_a_store(tmp_path, name):
    (tmp_path / "b.csv").write_text("v\n" + "1\n" * T)
    Store.create(tmp_path / "store").append([attach_controls(bare(), tmp_path / "b.csv", f"{name}=v:V")])
    assert recording.control_table(Store.open(tmp_path / "store")[0]).names == (name,)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\x1bb", "\udcff"])
def test_names_that_no_text_shows_are_refused(name):
    with pytest.raises(ControlError, match=r"map: the name .* has a character that no text shows"):
        parse_map(f"{name}=v:V")


@pytest.mark.parametrize(("one", "two"), [("\u00b5", "\u03bc"), ("é", "e\u0301"), ("ﬁt", "fit"), ("x", "X")])
def test_names_that_look_alike_are_one_name(one, two):
    with pytest.raises(ControlError, match="repeat a name"):
        parse_map(f"{one}=a:A,{two}=b:A")
