"""Filling a store: in order, in batches, by workers, and never twice."""

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
from sciworld.errors import SettingsError, StoreError
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"episodes": 0}, "episodes is 0"), ({"first": -1}, "first is -1"), ({"workers": 1.5}, "workers is 1.5")],
)
def test_numbers_that_make_no_sense(tmp_path, changes, message):
    given = {"episodes": 1, "first": 0, "session": session, "together": 1, **changes}
    with pytest.raises(SettingsError, match=message):
        fill(tmp_path / "s", partial(make, []), **given)
    assert not (tmp_path / "s").exists()


def test_batches_are_bounded():
    assert batch_size(1) == MOST_TOGETHER and batch_size(PART_BYTES // 5) == 5 and batch_size(9 * PART_BYTES) == 1


def test_kinds_of_controls():
    known = ("a", "b", "c")
    assert kinds_of("a, b", known) == ("a", "b") and kinds_of(["c", "c"], known) == ("c", "c")
    for wrong in ("", "a,d", (), (1,)):
        with pytest.raises(SettingsError, match="use one or more of a, b, c"):
            kinds_of(wrong, known)


def test_generators_are_of_their_episode():
    numbers = {generator_of(seed, episode).integers(2**62) for seed in range(3) for episode in range(3)}
    assert len(numbers) == 9 and generator_of(1, 2).integers(2**62) in numbers
    with pytest.raises(SettingsError, match="seed is -1"):
        generator_of(-1, 0)


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
