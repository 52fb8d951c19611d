"""Spaces: cells are unique, deterministic, and stay what they are when a space grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.errors import SettingsError
from sciworld.sweep.space import Grid, Range, Samples, Space, from_json

NAMES = st.sampled_from(["dwell", "offset", "rates", "steps", "x"])
VALUES = st.one_of(
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=4, unique=True),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4, unique=True),
    st.lists(st.text(max_size=5).filter(lambda text: not text.endswith("\0")), min_size=1, max_size=4, unique=True),
    st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
)
RANGES = st.builds(
    lambda low, width, log, integer: Range(low, low + width, log, integer),
    st.integers(1, 50),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    if draw(st.booleans()):
        return Grid(draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3)))
    ranges = draw(st.dictionaries(NAMES, RANGES, min_size=1, max_size=3))
    method = draw(st.sampled_from(["random", "latin"]))
    return Samples(draw(st.integers(1, 20)), ranges, method, draw(st.integers(0, 2**63 - 1)))


@given(spaces(), st.integers(0, 2**63 - 1))
def test_cells_are_unique_ordered_and_the_same_again(space: Space, seed: int) -> None:
    cells = list(space.cells(seed))
    assert len(cells) == np.prod(space.shape) == len({cell.id for cell in cells})
    assert [cell.index for cell in cells] == list(np.ndindex(space.shape))
    assert all(0 <= cell.seed < 2**62 and tuple(cell.arguments) == space.names for cell in cells)
    again = from_json(space.to_json())
    assert again == space
    assert list(again.cells(seed)) == cells
    assert space.extending(again) == space
    for name, (dims, values) in space.coordinates().items():
        if name != "cell":
            for cell in cells:
                at = cell.index[space.dims.index(dims[0])]
                assert values[at] == cell.arguments[name]


@given(st.integers(2, 40), st.integers(0, 100))
def test_a_latin_sample_is_in_every_stratum_once(n: int, seed: int) -> None:
    space = Samples(n, {"a": (0.0, 1.0), "b": Range(1.0, 100.0, log=True)}, "latin", seed)
    a = np.array([cell.arguments["a"] for cell in space.cells(0)])
    b = np.log(np.array([cell.arguments["b"] for cell in space.cells(0)])) / np.log(100.0)
    for shares in (a, b):
        assert sorted(np.floor(shares * n * (1 + 1e-12)).astype(int)) == list(range(n))


def test_integers_reach_both_bounds_and_nothing_beyond() -> None:
    space = Samples(400, {"a": Range(-1, 2, integer=True), "b": Range(1, 3, log=True, integer=True)})
    rows = [cell.arguments for cell in space.cells(0)]
    assert {row["a"] for row in rows} == {-1, 0, 1, 2}
    assert {row["b"] for row in rows} == {1, 2, 3}
    assert all(type(row["a"]) is int for row in rows)


def test_cells_keep_names_and_seeds_when_a_grid_grows() -> None:
    old = Grid({"dwell": [1, 2], "kind": ["a", "b"]})
    new = Grid({"kind": ["c", "b", "a"], "dwell": [0, 2, 1]})
    stored = new.extending(old)
    assert stored.values == {"dwell": (1, 2, 0), "kind": ("a", "b", "c")}
    before = {cell.index: (cell.id, cell.seed) for cell in old.cells(7)}
    after = {cell.index: (cell.id, cell.seed) for cell in stored.cells(7)}
    assert before.items() <= after.items()
    assert new.places(stored) == {"kind": [2, 1, 0], "dwell": [2, 1, 0]}
    assert next(old.cells(8)).seed != next(old.cells(7)).seed


def test_random_samples_grow() -> None:
    old, new = (Samples(n, {"x": (0.0, 2.0), "n": Range(1, 3, integer=True)}, seed=4) for n in (5, 9))
    assert list(new.extending(old).cells(0))[:5] == list(old.cells(0))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (Grid({"a": [1, 2]}), Grid({"a": [1]}), "the folder's 'a' has 2"),
        (Grid({"a": [0, 1]}), Grid({"a": [False, True]}), "the folder's 'a' has 0, 1,"),
        (Grid({"a": [False, True]}), Grid({"a": [0, 1]}), "the folder's 'a' has False, True,"),
        (Grid({"a": [0, 1]}), Grid({"a": [0, 1.0, 2]}), "the folder's 'a' has 1,"),
        (Grid({"a": [1]}), Grid({"a": [1], "b": [1]}), "this space has the parameter 'b'"),
        (Grid({"a": [1], "b": [1]}), Grid({"a": [1]}), "the folder has the parameter 'b'"),
        (Grid({"a": [1]}), Samples(1, {"a": (0, 1)}), "space is a grid"),
        (Samples(1, {"a": (0, 1)}), Grid({"a": [1]}), "made of samples"),
        (Samples(3, {"a": (0, 1)}), Samples(2, {"a": (0, 1)}), "n was 3, is 2"),
        (Samples(3, {"a": (0, 1)}, "latin"), Samples(4, {"a": (0, 1)}, "latin"), "n was 3, is 4"),
        (Samples(3, {"a": (0, 1)}), Samples(3, {"a": (0, 2)}), "range of 'a'"),
        (Samples(3, {"a": (0, 1)}), Samples(3, {"a": (0, 1)}, seed=1), "seed was 0, is 1"),
        (Samples(3, {"a": (0, 1), "b": (0, 1)}), Samples(3, {"b": (0, 1), "a": (0, 1)}), "another order"),
    ],
)
def test_another_space_is_refused(old: Space, new: Space, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        new.extending(old)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"a": []},
        {"a": "text"},
        {"a": 3},
        {"a": [1, "b"]},
        {"a": [True, 2]},
        {"a": [1, 1.0]},
        {"a": ["b", "b\0"]},
        {"a": [float("nan")]},
        {"a": [2**63]},
        {"a": [2**60 + 1, 0.5]},
        {"a": [None]},
        {"a b": [1]},
        {"status": [1]},
        {3: [1]},
        [1],
    ],
)
def test_a_bad_grid_is_refused(values: Any) -> None:
    with pytest.raises(SettingsError):
        Grid(values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Samples(0, {"a": (0, 1)}),
        lambda: Samples(1, {}),
        lambda: Samples(1, {"a": 3}),  # type: ignore[dict-item]
        lambda: Samples(1, {"a": (1, 1)}),
        lambda: Samples(1, {"a": (0, 1)}, "sobol"),
        lambda: Samples(1, {"a": (0, 1)}, seed=-1),
        lambda: Samples(1, {"a": (0, 1)}, seed=2**63),
        lambda: Samples(2**31, {"a": (0, 1)}),
        lambda: Samples(True, {"a": (0, 1)}),
        lambda: Samples(1.0, {"a": (0, 1)}),  # type: ignore[arg-type]
        lambda: Range(0, 2**53 + 1, integer=True),
        lambda: Samples(1, {"cell": (0, 1)}),
        lambda: Range(0, float("inf")),
        lambda: Range(0, 1, log=True),
        lambda: Range(0.5, 2, integer=True),
        lambda: Range(True, 2),
    ],
)
def test_bad_samples_are_refused(make: Any) -> None:
    with pytest.raises(SettingsError):
        make()


def test_numpy_values_become_plain() -> None:
    samples = Samples(np.int32(3), {"a": (0, 1)}, seed=np.uint64(7))  # type: ignore[arg-type]
    assert from_json(samples.to_json()) == samples == Samples(3, {"a": (0, 1)}, seed=7)
    grid = Grid({"a": np.array([1.5, 2.5], np.float32), "n": np.arange(2)})  # type: ignore[dict-item]
    assert grid.values == {"a": (1.5, 2.5), "n": (0, 1)}
    assert type(grid.values["n"][0]) is int
