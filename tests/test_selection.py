"""Recordings chosen by their facts: what a query means, what it refuses, and that a view is like a store."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import SettingsError, StoreError
from sciworld.selection import MAX_TEXT, OWN, Selection, chosen, facts_of, within
from sciworld.store import Store

Y, X = 5, 7
TEXTS = {"source": "a test", "licence": "CC0", "citation": "none", "history": ""}
WEATHER = Column("weather", "1", kind="categorical", levels=("sun", "rain"))


def scene(session, covariates, table, frames=3, dtype="uint8"):
    """A recording with any covariates."""
    return recording.make(
        np.zeros((frames, Y, X, 1), dtype), 0.5 * np.arange(frames), channels=ColumnTable((Column("grey", "counts"),)),
        session=session, covariates=covariates, covariate_table=table and ColumnTable(table), **TEXTS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three parts: drives with weather, drives without facts, flows with a viscosity and a text of the same name."""
    made = Store.create(tmp_path_factory.mktemp("selection") / "s.zarr")
    drives = (Column("speed", "m/s"), WEATHER)
    made.append(
        [
            scene("a", {"speed": 10.0, "weather": 0.0}, drives),
            scene("b", {"speed": np.nan, "weather": 1.0}, drives, frames=5),
            scene("c", {"speed": 30.0, "weather": np.nan}, drives),
        ]
    )
    made.append([scene("d", None, None, frames=1, dtype="float32")])
    made.append([scene("a", {"speed": 20.0, "frames": 7.0}, (Column("speed", "m/s"), Column("frames", "1")))])
    return made


def indices(store, query):
    return store.select(query).indices.tolist()


def test_the_facts_of_each_recording(store):
    facts = store.facts()
    assert facts.sizes == {"recording": 5} and set(OWN) < set(facts.data_vars)
    assert facts["index"].values.tolist() == [0, 1, 2, 3, 4]
    assert facts["session"].values.tolist() == ["a", "b", "c", "d", "a"]
    assert facts["frames"].values.tolist() == [3, 5, 3, 1, 3]
    assert facts["seconds"].values.tolist() == [1, 2, 1, 0, 1]
    assert facts["weather"].values.tolist() == ["sun", "rain", "", "", ""]
    np.testing.assert_array_equal(facts["speed"].values, [10, np.nan, 30, np.nan, 20])
    np.testing.assert_array_equal(facts["covariate_frames"].values, [np.nan] * 4 + [7])
    assert [set(facts[name].values.tolist()) for name in ("height", "width", "channels")] == [{Y}, {X}, {1}]
    assert facts["dtype"].values.tolist() == ["uint8"] * 3 + ["float32", "uint8"]
    assert facts["part"].values[0] == store.parts[0].name and facts["licence"].values[0] == "CC0"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("speed < 20", [0]),
        ("10 <= speed < 30", [0, 4]),
        ("speed != 10", [2, 4]),  # what is unknown is not "other than 10"
        ("not speed == 10", [1, 2, 3, 4]),
        ("weather == 'rain'", [1]),
        ("weather != 'rain'", [0]),
        ("weather in ['rain', 'snow']", [1]),
        ("weather not in ('rain',)", [0]),
        ("session in {'a', 'd'} and frames > 1", [0, 4]),
        ("frames * 2 - 1 >= 9 or session == 'd'", [1, 3]),
        ("speed / 0 > 1", [0, 2, 4]),
        ("-speed > -15 and +speed > 0", [0]),
        ("dtype == 'float32'", [3]),
        ("seconds == 2", [1]),
        ("  frames == 3\n", [0, 2, 4]),
        ("'a' == session", [0, 4]),
        ("index in []", []),
        (lambda facts: facts["speed"] > 15 or facts["session"] == "d", [2, 3, 4]),
    ],
)
def test_what_a_query_means(store, query, expected):
    assert indices(store, query) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sped < 1", "no fact 'sped'; there are .*speed"),
        ("speed <", "no expression"),
        ("", "no expression"),
        ("speed", "'speed' is no comparison"),
        ("speed and weather == 'sun'", "'speed' is no comparison"),
        ("session < 3", "'session' is a text, '3' a number"),
        ("speed == 'fast'", "'fast'' is a text, 'speed' a number"),
        ("session + 1 > 2", "'session' is a text; only numbers"),
        ("frames in session", "is no list"),
        ("frames is 3", "'is' is no comparison"),
        ("frames == None", "neither a fact"),
        ("frames == True", "neither a fact"),
        ("frames ** 9 > 1", "neither a fact"),
        ("abs(speed) > 1", "neither a fact"),
        ("().__class__ == 1", "neither a fact"),
        ("[speed for speed in (1,)] == 1", "neither a fact"),
        ("f'{frames}' == '3'", "neither a fact"),
        ("(frames := 3) > 1", "neither a fact"),
        ("__import__('os').system('true') == 0", "neither a fact"),
        ("frames > 1" + "0" * 400, "beyond all numbers"),
        ("frames > 1" + "0" * 5000, "no expression"),
        ("not " * 60 + "frames > 1", "nested more than"),
        ("frames > " + "-" * 60 + "1", "nested more than"),
        ("frames > " + "-" * 9000 + "1", "no expression|nested more than"),
        ("(" * 3000 + "frames" + ")" * 3000 + " > 1", "no expression"),
        ("frames > " + "1 + " * 3000 + "1", "characters"),
        ("frames > \0 1", "no expression"),
        (" " * MAX_TEXT + "frames > 1", "characters"),
        (3, "the query is 3"),
    ],
)
def test_what_is_no_query_is_refused(store, query, message):
    with pytest.raises(SettingsError, match=message):
        store.select(query)


@settings(max_examples=150)
@given(st.text(alphabet="framesn 0123456789.<>=!()[]'\"\\+-*/%,:@~andortin\n\t{}_", max_size=40))
def test_any_text_is_a_query_or_an_error_of_ours(text):
    facts = toy_facts()
    with contextlib.suppress(SettingsError):
        assert chosen(facts, text).dtype == bool


def toy_facts():
    names = np.array(["a", None], dtype=object)
    return {"index": np.arange(2), "frames": np.array([3.0, math.nan]), "session": names}


@pytest.fixture
def toys(tmp_path):
    made = Store.create(tmp_path / "toy.zarr")
    made.append(toy.recordings(10))
    return made


def test_a_view_gives_the_store_s_recordings(toys):
    view = toys.select("session in ['session-1', 'session-3']")
    wanted = [i for i, session in enumerate(toys.sessions()) if session in ("session-1", "session-3")]
    assert view.indices.tolist() == wanted and view.indices.dtype == np.int64 and len(view) == len(wanted)
    assert view[1].equals(toys[wanted[1]]) and view[-1].equals(toys[wanted[-1]])
    assert [ds.attrs["session"] for ds in view] == view.sessions() == [toys.sessions()[i] for i in wanted]
    assert view.sources() == ["toy"] * len(view)
    assert view.facts()["index"].values.tolist() == wanted
    with pytest.raises(IndexError, match="of the"):
        view[len(view)]
    with pytest.raises(ValueError, match="read-only"):
        view.indices[0] = 0
    assert repr(view) == f"Selection of {len(view)} recordings of {toys!r}" and "\n" not in repr(view)


def test_a_view_of_a_view(toys):
    view = toys.select("index >= 3").select("index < 8")
    assert view.indices.tolist() == [3, 4, 5, 6, 7]
    assert view.select(lambda facts: facts["index"] == 5).indices.tolist() == [5]
    assert len(view.select("index > 100")) == 0


def test_a_view_is_split_by_session(toys):
    view = toys.select("index >= 3")
    one, two = view.split([0.5, 0.5], seed=0)
    assert sorted([*one.indices, *two.indices]) == view.indices.tolist()
    assert not set(one.sessions()) & set(two.sessions())
    whole = toys.select("index >= 0")
    for mine, theirs in zip(whole.split([0.7, 0.3], seed=4), toys.split([0.7, 0.3], seed=4), strict=True):
        np.testing.assert_array_equal(mine.indices, theirs.indices)
    with pytest.raises(StoreError, match="1 sessions for 2 splits"):
        toys.select("session == 'session-1'").split([0.5, 0.5], seed=0)


def test_numbers_within_a_view_are_those_of_its_store(toys):
    view = toys.select("index >= 3")
    assert within(toys, [1]) == (toys, [1])
    assert within(view)[1].tolist() == list(range(3, 10))
    store, numbers = within(view, [0, 2])
    assert store is toys and numbers.tolist() == [3, 5]
    for odd in ([7], [-1]):
        with pytest.raises(SettingsError, match=rf"recordings {odd[0]}..{odd[0]} of 7; use 0 to 6"):
            within(view, odd)


def test_a_store_of_nothing(tmp_path):
    empty = Store.create(tmp_path / "empty.zarr")
    assert empty.facts().sizes == {"recording": 0} and set(empty.facts().data_vars) == set(OWN)
    assert len(empty.select("frames > 3 and session != 'a'")) == 0


def test_a_number_in_one_part_and_a_category_in_another(tmp_path):
    made = Store.create(tmp_path / "mixed.zarr")
    made.append([scene("a", {"weather": 1.0}, (WEATHER,)), scene("b", {"weather": 2.5}, (Column("weather", "1"),))])
    assert made.facts()["weather"].values.tolist() == ["rain", "2.5"]


def test_names_that_are_no_names_are_spelled_with_underscores(tmp_path):
    made = Store.create(tmp_path / "names.zarr")
    made.append(
        [scene("a", {"user/angle": 1.0, "2nd gear": 2.0}, (Column("user/angle", "1"), Column("2nd gear", "1")))]
    )
    assert indices(made, "user_angle == 1 and _2nd_gear == 2") == [0]
    with pytest.raises(SettingsError, match=r"_2nd_gear, .*user_angle, width"):
        made.select("user == 1")


@pytest.mark.parametrize(
    ("fact", "name"), [("ﬁeld", "field"), ("µ", "μ"), ("2θ", "_2θ"), ("m²", "m2"), ("x௰", "x_"), ("½", "_1_2")]
)
def test_names_are_compared_as_python_compares_them(tmp_path, fact, name):
    made = Store.create(tmp_path / "s.zarr")
    made.append([scene("a", {fact: value}, (Column(fact, "1"),)) for value in (1.0, 2.0)])
    assert name.isidentifier() and indices(made, f"{name} > 1") == [1]
    assert indices(made, lambda facts: facts[fact] > 1) == [1]
    if fact.isidentifier():
        assert indices(made, f"{fact} > 1") == [1]


@pytest.mark.parametrize(
    ("facts", "name"),
    [(("a b", "a_b"), "a_b"), (("µ", "μ"), "μ"), (("jet/x", "jet x"), "jet_x"), (("ﬂ", "fl"), "fl")],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_name_of_two_facts_is_refused(tmp_path, facts, name, together):
    made = Store.create(tmp_path / "s.zarr")
    tables = [facts] if together else [(fact,) for fact in facts]
    for number, names in enumerate(tables):
        values = dict(zip(names, (1.0, 2.0), strict=False))
        made.append([scene(f"s{number}", values, tuple(Column(fact, "1") for fact in names))])
    both = ", ".join(map(ascii, facts))
    with pytest.raises(SettingsError) as caught:
        made.select(f"{name} == 1")
    assert f"'{name}' is the name of {both}; give a function, such as lambda facts: facts[" in str(caught.value)
    assert indices(made, lambda each: each[facts[0]] == 1) == [0]
    assert indices(made, "frames == 3") == list(range(len(tables)))  # other names are not touched by it


def test_a_covariate_named_as_a_fact_is_told_apart(tmp_path):
    made = Store.create(tmp_path / "s.zarr")
    names = ("frames", "covariate_frames", "covariate_")
    made.append([scene("a", dict(zip(names, (7.0, 8.0, 9.0), strict=True)), tuple(Column(n, "1") for n in names))])
    facts = made.facts()
    assert facts["frames"].item() == 3
    assert [facts[f"covariate_{name}"].item() for name in names] == [7, 8, 9]
    assert indices(made, "covariate_frames == 7 and covariate_covariate_frames == 8") == [0]


@pytest.mark.parametrize("odd", [2.0, True, "1", None, float("nan"), [1], 10**30])
def test_a_number_of_a_recording_is_an_integer(toys, odd):
    with pytest.raises(SettingsError, match="selection: index is"):
        toys.select("index >= 3")[odd]
    with pytest.raises(SettingsError, match="seed is"):
        toys.split([0.5, 0.5], odd)


@pytest.mark.parametrize(
    "odd", [[0.5], [True, False], [True, 1], np.ones(10, bool), [[0, 1]], [[0], [1, 2]], "01", ["a"], [None], [10**30]]
)
def test_indices_are_integers_in_a_row(toys, odd):
    with pytest.raises(SettingsError, match=r"selection: indices: .* give integers in a row"):
        Selection(toys, odd)
    with pytest.raises(SettingsError, match=r"windows: recordings: .* give integers in a row"):
        within(toys.select("index >= 3"), odd)
    assert Selection(toys, np.uint8([3, 1])).indices.tolist() == [3, 1]


def test_indices_that_a_store_does_not_have_are_refused(toys):
    for odd in (10, -1, 2**63):
        with pytest.raises(SettingsError, match=rf"selection: indices {odd}..{odd} of 10; use 0 to 9"):
            Selection(toys, np.array([odd]))


@pytest.mark.parametrize("odd", [5, "ab", ["1"], [True], [math.nan], [math.inf], [0], [-1], [10**400], [], [0.6, 0.6]])
def test_fractions_are_numbers_above_0(toys, odd):
    with pytest.raises(SettingsError, match=r"fractions are .*; use positive numbers with a sum of at most 1"):
        toys.split(odd, 0)


def test_facts_read_arrays_part_by_part(toys, monkeypatch):
    """Ten thousand recordings of a part cost as many reads as ten."""
    from sciworld.stored import StoredArray

    reads = []
    read = StoredArray.read
    monkeypatch.setattr(StoredArray, "read", lambda self, ranges: reads.append(self.folder.name) or read(self, ranges))
    facts_of(Store.open(toys.path).parts)
    assert sorted(reads) == ["covariates", "row_size", "time"]
