"""Filling a store: in order, in batches, by workers, and never twice."""

import json
import threading
from functools import partial

import numpy as np
import pytest
import toy

from sciworld.domains.generated import (
    MOST_TOGETHER,
    PART_BYTES,
    batch_size,
    fill,
    generator_of,
    held,
    kinds_of,
    wandering,
)
from sciworld.errors import SettingsError, SimulatorError, StoreError
from sciworld.store import Store


def session(number):
    return f"session-{number}"


def make(calls, numbers):
    calls.append(numbers)
    return [toy.recordings(1)[0].assign_attrs(session=session(number)) for number in numbers]


def test_batches_become_parts_in_order(tmp_path):
    calls, told = [], []
    store = fill(tmp_path / "s", partial(make, calls), 7, 2, session, 3, progress=lambda *done: told.append(done))
    assert calls == [[2, 3, 4], [5, 6, 7], [8]] and told == [(3, 7), (6, 7), (7, 7)]
    assert store.sessions() == [session(k) for k in range(2, 9)] and len(store.parts) == 3


def test_a_range_is_added_and_none_is_made_twice(tmp_path):
    calls = []
    fill(tmp_path / "s", partial(make, calls), 4, 0, session, 4)
    with pytest.raises(StoreError, match=r"holds 'session-3' already.*from a later first"):
        fill(tmp_path / "s", partial(make, calls), 4, 3, session, 4)
    assert len(calls) == 1
    fill(tmp_path / "s", partial(make, calls), 2, 4, session, 4)
    assert Store.open(tmp_path / "s").sessions() == [session(k) for k in range(6)]


@pytest.mark.parametrize("together", [1, 3])
def test_of_two_that_fill_at_once_one_is_refused(tmp_path, together):
    """Both see an empty store, and simulate before either writes."""
    Store.create(tmp_path / "s")
    both = threading.Barrier(2)
    refused = []

    def made(numbers):
        if numbers[0] == 0:
            both.wait(10)
        return make([], numbers)

    def run():
        try:
            fill(tmp_path / "s", made, 3, 0, session, together)
        except StoreError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store.open(tmp_path / "s").sessions() == [session(k) for k in range(3)]
    (text,) = refused
    assert "holds 'session-0' already; generate into a new store" in text


@pytest.mark.parametrize("changes", [{"name": "jet"}, {"units": "cm"}])
def test_other_controls_go_into_another_store(tmp_path, changes):
    def other(numbers):
        recordings = make([], numbers)
        columns = json.loads(recordings[0]["controls"].attrs["columns"])
        columns[2] |= {**changes}
        for ds in recordings:
            ds["controls"].attrs["columns"] = json.dumps(columns)
        return recordings

    fill(tmp_path / "s", partial(make, []), 2, 0, session, 2)
    with pytest.raises(StoreError, match=r"controls are fan_x \(mm\), fan_y \(mm\), mode, .*another folder") as caught:
        fill(tmp_path / "s", other, 2, 2, session, 2)
    assert next(iter(changes.values())) in str(caught.value) and len(Store.open(tmp_path / "s")) == 2
    fill(tmp_path / "other", other, 2, 2, session, 2)


def diverging(numbers):
    if 4 in numbers:
        raise SimulatorError("flow 1 diverged")
    return make([], numbers)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_flow_that_diverges_tells_its_episodes(tmp_path, workers):
    with pytest.raises(SimulatorError, match=r"episodes 3 to 5 \('session-3' to 'session-5'\).*: flow 1 diverged"):
        fill(tmp_path / "s", diverging, 7, 0, session, 3, workers=workers)
    assert len(Store.open(tmp_path / "s")) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 0}, "episodes is 0"),
        ({"first": -1}, "first is -1"),
        ({"workers": 1.5}, "workers is 1.5"),
        ({"path": 5}, "path: 5 is no path"),
        ({"path": None}, "path: None is no path"),
        ({"progress": 5}, "progress is 5"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    given = {"path": tmp_path / "s", "episodes": 1, "first": 0, "session": session, "together": 1, **changes}
    with pytest.raises(SettingsError, match=message):
        fill(make=partial(make, []), **given)
    assert not (tmp_path / "s").exists()


def test_batches_are_bounded():
    assert batch_size(1) == MOST_TOGETHER and batch_size(PART_BYTES // 5) == 5 and batch_size(9 * PART_BYTES) == 1


def test_kinds_of_controls():
    known = ("a", "b", "c")
    assert kinds_of("a, b", known) == ("a", "b") and kinds_of(["c", "c"], known) == ("c", "c")
    for wrong in ("", "a,d", (), (1,), None, 5):
        with pytest.raises(SettingsError, match="use one or more of a, b, c"):
            kinds_of(wrong, known)


def test_generators_are_of_their_episode():
    numbers = {generator_of(seed, episode).integers(2**62) for seed in range(3) for episode in range(3)}
    assert len(numbers) == 9 and generator_of(1, 2).integers(2**62) in numbers
    with pytest.raises(SettingsError, match="seed is -1"):
        generator_of(-1, 0)
    for first in (-1, 0.5, None):
        with pytest.raises(SettingsError, match=rf"episode \(first\) is {first}"):
            generator_of(1, first)


def test_held_values_stay_for_a_while():
    rng = np.random.default_rng(0)
    values = held(np.arange(400.0)[:, None], rng, 2, 5)[:, 0]
    lengths = np.bincount(values.astype(int))[:-1]
    assert len(values) == 400 and set(lengths) == {2, 3, 4, 5} and (np.diff(values) >= 0).all()
    assert len(held(np.zeros((1, 2)), rng)) == 1


def test_wandering_is_correlated_and_stationary():
    noise = np.stack([wandering(60, 5.0, 2, np.random.default_rng(k)) for k in range(400)])
    assert noise.shape == (400, 60, 2)
    assert noise[:, [0, 59]].std(axis=0) == pytest.approx(1.0, abs=0.12)
    assert np.corrcoef(noise[:, 20, 0], noise[:, 25, 0])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.12)
    assert abs(np.corrcoef(noise[:, 20, 0], noise[:, 20, 1])[0, 1]) < 0.15
