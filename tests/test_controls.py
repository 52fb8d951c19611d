"""Column tables survive JSON; a control space keeps values inside and says what is wrong with others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.controls import COLOURS, HOLDS, ROLES, Column, ColumnTable, ControlSpace, colours
from sciworld.errors import ControlError

DWELL = Column("dwell", "s", 1.0, 8.0, hold="mean", acts="during")
SHUTTER = Column("shutter", "1", kind="event", low=0.0, high=1.0)


def position(group: str = "beam", units: str = "A", frame: str = "lab") -> tuple[Column, Column]:
    return tuple(Column(f"{group}_{a}", units, -7.0, 7.0, group=group, axis=a, frame=frame) for a in "xy")  # type: ignore[return-value]


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    low, high = sorted(draw(st.tuples(*[st.floats(-1e6, 1e6)] * 2)))
    kind = draw(st.sampled_from(["continuous", "angle", "integer", "categorical", "event"]))
    return Column(
        name,
        draw(st.text(min_size=1, max_size=4)),
        low,
        high,
        draw(st.none() | st.floats(1e-3, 1e3)),
        kind,
        ("off", "on", "µ") if kind == "categorical" else (),
        draw(st.sampled_from(ROLES)),
        draw(st.sampled_from(HOLDS)),
    )


@st.composite
def tables(draw: st.DrawFn) -> ColumnTable:
    names = draw(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=4))
    return ColumnTable(tuple(draw(columns(name)) for name in names))


@settings(max_examples=50)
@given(tables())
def test_a_table_survives_json(table: ColumnTable) -> None:
    assert ColumnTable.from_json(table.to_json()) == table


@settings(max_examples=50)
@given(tables(), st.integers(0, 2**32 - 1), st.floats(-10, 10))
def test_samples_are_inside_and_clipping_brings_inside(table: ColumnTable, seed: int, factor: float) -> None:
    whole = [c for c in table if c.kind in ("integer", "event") and np.floor(c.high or 0) < np.ceil(c.low or 0)]
    if whole or not len(table):
        return
    space = ControlSpace(table)
    values = space.sample(np.random.default_rng(seed), (3, 4))
    assert values.shape == (3, 4, len(space))
    assert space.check(values) is values
    space.check(space.clip(values * factor))
    np.testing.assert_array_equal(space.clip(values), values)
    for index, column in enumerate(table):
        if column.kind in ("integer", "categorical", "event"):
            np.testing.assert_array_equal(values[..., index], np.round(values[..., index]))


def test_samples_reach_every_level() -> None:
    values = toy.SPACE.sample(np.random.default_rng(0), (100,))
    assert set(values[:, 2]) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "non-empty"),
        ({"units": ""}, "no units"),
        ({"kind": "integr"}, "'continuous'"),
        ({"role": "x"}, "role"),
        ({"low": 9.0}, "above high"),
        ({"low": float("nan")}, "finite"),
        ({"rate_limit": 0.0}, "positive"),
        ({"levels": ("a",)}, "categorical"),
        ({"kind": "categorical"}, "levels"),
        ({"kind": "categorical", "levels": ("a", "a")}, "repeat"),
        ({"axis": "x"}, "together"),
        ({"axis": "x", "frame": "lab"}, "group"),
    ],
)
def test_a_wrong_column_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ControlError, match=message):
        dataclasses.replace(DWELL, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((DWELL, DWELL), "more than once"),
        (position()[:1], "x and y"),
        ((position()[0], dataclasses.replace(position()[1], units="nm")), "units"),
        ((position()[0], dataclasses.replace(position()[1], frame="pixel")), "frame"),
    ],
)
def test_a_wrong_table_is_refused(columns: tuple[Column, ...], message: str) -> None:
    with pytest.raises(ControlError, match=message):
        ColumnTable(columns)


def test_positions_are_found_by_axis_whatever_their_order() -> None:
    x, y = position()
    assert ColumnTable((DWELL, y, x)).positions() == {"beam": (2, 1)}
    assert not DWELL.is_position
    assert x.is_position


def test_columns_are_found_by_name() -> None:
    table = ColumnTable((DWELL, SHUTTER))
    assert table["shutter"] is SHUTTER
    assert table.index("dwell") == 0
    with pytest.raises(ControlError, match="there are dwell, shutter"):
        table.index("shuter")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "a", "units": "s", "unit": "s"}]', '[{"name": "a"}]'])
def test_other_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ControlError, match="run7"):
        ColumnTable.from_json(text, "run7")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 1.0, 3.0]], "'mode' is 3 1, outside"),
        ([[-0.1, 1.0, 0.0]], "'fan_x' is -0.1 mm"),
        ([[1.0, np.nan, 0.0]], "unknown"),
        ([[1.0, 1.0]], "must hold 3"),
        ([[1j, 0, 0]], "real"),
        (1.0, "must hold 3"),
    ],
)
def test_wrong_controls_are_refused(values: object, message: str) -> None:
    with pytest.raises(ControlError, match=message):
        toy.SPACE.check(np.array(values))


def test_a_bound_cast_to_float32_is_inside() -> None:
    space = ControlSpace(ColumnTable((Column("a", "1", 0.1, 0.7),)))
    space.check(np.array([[0.1], [0.7]], dtype=np.float32))


def test_a_control_without_bounds_is_checked_but_not_sampled() -> None:
    space = ControlSpace(ColumnTable((DWELL, Column("free", "s", low=0.0), Column("any", "V"))))
    np.testing.assert_array_equal(space.low, [1.0, 0.0, -np.inf])
    np.testing.assert_array_equal(space.high, [8.0, np.inf, np.inf])
    rows = np.array([[1.0, 1e9, -1e9], [8.0, 0.0, 1e9]])
    assert space.check(rows) is rows
    np.testing.assert_array_equal(space.clip(rows + np.array([9, 0, 0])), [[8, 1e9, -1e9], [8, 0, 1e9]])
    with pytest.raises(ControlError, match=r"'free' is -0.1 s, outside \[0, inf\]"):
        space.check(np.array([1.0, -0.1, 0.0]))
    with pytest.raises(ControlError, match="'any' is inf V"):
        space.check(np.array([1.0, 0.0, np.inf]))
    with pytest.raises(ControlError, match="control 'any' has no bounds; one that is searched needs low and high"):
        space.sample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("n", "names"),
    [(1, ("grey",)), (3, COLOURS), (2, ("channel_0", "channel_1")), (5, tuple(f"channel_{k}" for k in range(5)))],
)
def test_channels_of_pictures(n: int, names: tuple[str, ...]) -> None:
    table = colours(n)
    assert table.names == names
    assert {(c.units, c.role, c.acts) for c in table} == {("counts", "measured", "between")}


def test_spaces_are_compared_by_what_matters() -> None:
    def changed(**fields: object) -> ControlSpace:
        return ControlSpace(ColumnTable((dataclasses.replace(DWELL, **fields), SHUTTER)))  # type: ignore[arg-type]

    space = changed()
    space.require_same(changed(high=9.0))
    with pytest.raises(ControlError, match="units 'ms'"):
        space.require_same(changed(units="ms"))
    with pytest.raises(ControlError, match="in this order"):
        space.require_same(ControlSpace(ColumnTable((SHUTTER, DWELL))))


def test_categories_and_angles_become_numbers_that_add_up():
    table = ColumnTable(
        (
            Column("push", "N"),
            Column("mode", "1", kind="categorical", levels=("a", "b", "c")),
            Column("turn", "deg", kind="angle"),
        )
    )
    values = np.array([[1.5, 2.0, 90.0], [-1.0, 0.0, 450.0], [np.nan, np.nan, np.nan]])
    numbers, owner = table.encoded(values)
    assert owner.tolist() == [0, 1, 1, 1, 2, 2]
    np.testing.assert_allclose(numbers[:2], [[1.5, 0, 0, 1, 1, 0], [-1, 1, 0, 0, 1, 0]], atol=1e-12)
    assert np.isnan(numbers[2]).all()
    plain, _ = ColumnTable((Column("push", "N"),)).encoded(values[:, :1])
    np.testing.assert_array_equal(plain, values[:, :1])
    nothing, none = ColumnTable(()).encoded(np.empty((4, 0)))
    assert nothing.shape == (4, 0) and none.shape == (0,)
