"""A loader gives each window once an epoch, every source its share, every rank its own; resumed, the same batches."""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.errors import CheckpointError, RecordingError, SettingsError, StoreError
from sciworld.loader import Loader, Mixture, _turns
from sciworld.store import Store
from sciworld.windows import Batch, Windows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two parts; recordings of 11, 11, 11, 4 and 1 frames."""
    made = Store.create(tmp_path_factory.mktemp("loader") / "toy.zarr")
    made.append([toy.make(11, seed) for seed in range(3)])
    made.append([toy.make(4, 3), toy.make(1, 4)])
    return made


@pytest.fixture(scope="module")
def mixture(store: Store) -> Mixture:
    """Sources of 10, 20 and 3 windows, drawn 1 : 2 : 5."""
    return Mixture([Windows(store, 1, 1, recordings=chosen) for chosen in ([0], [1, 2], [3])], [1, 2, 5])


def take(loader: Loader, count: int) -> list[list[int]]:
    return [batch.index.tolist() for batch in itertools.islice(loader, count)]


def test_an_epoch_is_a_permutation_and_each_is_another(store: Store) -> None:
    windows = Windows(store, 1, 1)  # 33
    with Loader(windows, 3, seed=0) as loader:
        first, second = take(loader, 11), take(loader, 11)
        assert loader.epoch == 2.0
    assert sorted(itertools.chain(*first)) == list(range(33))
    assert sorted(itertools.chain(*second)) == list(range(33))
    assert first != second
    with Loader(windows, 3, seed=1) as other:
        assert take(other, 11) != first


def test_no_batch_is_short_even_if_the_store_is_small(store: Store) -> None:
    windows = Windows(store, 1, 10)  # 3
    with Loader(windows, 7, seed=0) as loader:
        stream = list(itertools.chain(*take(loader, 3)))
    assert len(stream) == 21
    assert all(sorted(stream[i : i + 3]) == [0, 1, 2] for i in range(0, 21, 3))


@settings(max_examples=20)
@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_resumed_loader_goes_on_with_the_same_batches(
    store: Store, done: int, batch_size: int, seed: int, threads: int, other_threads: int
) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, batch_size, seed, threads) as loader:
        take(loader, done)
        state = json.loads(json.dumps(loader.state()))
        wanted = [next(loader) for _ in range(4)]
        loader.restore(state)
        assert take(loader, 4) == [batch.index.tolist() for batch in wanted]
    with Loader(Windows(store, 1, 1, memory_bytes=0), batch_size, seed, other_threads) as resumed:
        resumed.restore(state)
        for batch in wanted:
            again = next(resumed)
            for name, value in vars(batch).items():
                np.testing.assert_array_equal(getattr(again, name), value)


def test_a_state_of_another_loader_is_refused(store: Store) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, 3, seed=0) as loader:
        state = loader.state()
    for other, name in (
        (Loader(windows, 4, seed=0), "batch_size"),
        (Loader(windows, 3, seed=1), "seed"),
        (Loader(windows, 3, seed=0, ranks=2), "ranks"),
        (Loader(Windows(store, 2, 1), 3, seed=0), "context"),
        (Loader(Windows(store, 1, 2), 3, seed=0), "horizon"),
        (Loader(Windows(store, 1, 1, stride=2), 3, seed=0), "stride"),
        (Loader(Windows(store, 1, 1, crop=(3, 4)), 3, seed=0), "crop"),
        (Loader(Mixture([windows, windows]), 3, seed=0), "weights"),
        (Loader(Windows(store, 1, 1, recordings=[0, 1]), 3, seed=0), "windows"),
    ):
        with other, pytest.raises(CheckpointError, match=f"loader: {name} is"):
            other.restore(state)
    with Loader(windows, 3, seed=0) as loader:
        for batch in (-1, "2", None, True, 1.0, 10**30):
            with pytest.raises(CheckpointError, match="the state's batch is"):
                loader.restore({**state, "batch": batch})
        for odd in (None, 5, [], "state"):
            with pytest.raises(CheckpointError, match="the state is"):
                loader.restore(odd)  # type: ignore[arg-type]


def test_a_state_of_another_mixture_is_refused(store: Store) -> None:
    def mixed(weights: list[float], **settings: Any) -> Mixture:
        return Mixture([Windows(store, 1, 1, recordings=[0]), Windows(store, 1, 1, **settings)], weights)

    with Loader(mixed([1, 2]), 3, seed=0) as loader:
        state = json.loads(json.dumps(loader.state()))
        loader.restore(state)
    for other, name in (
        (mixed([1, 3]), "weights"),
        (mixed([1, 2], stride=2), "stride"),
        (mixed([1, 2], recordings=[1]), "windows"),
    ):
        with Loader(other, 3, seed=0) as loader, pytest.raises(CheckpointError, match=f"loader: {name} is"):
            loader.restore(state)


@pytest.mark.parametrize("name", ["batch_size", "seed", "threads", "rank", "ranks"])
@pytest.mark.parametrize("odd", [-1, 2.0, np.nan, True, "2", None, [1], np.arange(2), 10**30])
def test_settings_that_are_no_integers_are_refused(store: Store, name: str, odd: Any) -> None:
    before = threading.active_count()
    with pytest.raises(SettingsError, match=rf"loader: {name} is {re.escape(repr(odd))}; use an integer, at least \d"):
        Loader(Windows(store, 1, 1), **({"batch_size": 2, "seed": 0} | {name: odd}))
    assert threading.active_count() == before


def test_settings_of_numpy_are_those_of_python(store: Store) -> None:
    with Loader(Windows(store, 1, 1), np.int64(3), np.uint32(0), np.int8(1)) as loader:  # type: ignore[arg-type]
        state = json.loads(json.dumps(loader.state()))
        wanted = take(loader, 5)
    with Loader(Windows(store, 1, 1), 3, 0) as other:
        other.restore(state)
        assert take(other, 5) == wanted


def test_batches_that_the_memory_does_not_hold_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(store, 1, 1)
    one = len(windows.batch([0])) and sum(
        getattr(windows.batch([0]), name).nbytes for name in ("frames", "time", "view")
    )
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 20 * one}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    Loader(windows, 3, seed=0).close()  # 5 batches of 3
    for batch_size, threads in ((5, 2), (2, 6), (2**31 - 1, 1), (1, 1024)):
        with pytest.raises(SettingsError, match=f"batch_size is {batch_size}, with {threads} threads: .* at once"):
            Loader(windows, batch_size, 0, threads)


@pytest.mark.parametrize("odd", ["store", None, 5, []])
def test_what_are_no_windows_is_refused(store: Store, odd: Any) -> None:
    for wrong in (odd, store):
        with pytest.raises(SettingsError, match="loader: windows are"):
            Loader(wrong, 2, 0)
        with pytest.raises(SettingsError, match="mixture: sources are"):
            Mixture([wrong])
    with pytest.raises(SettingsError, match="mixture: sources are"):
        Mixture(Windows(store, 1, 1))  # type: ignore[arg-type]


def test_a_line_says_what_is_loaded(store: Store, mixture: Mixture) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, 11, seed=4) as loader:
        take(loader, 3)
        assert repr(loader) == f"Loader of 11 windows a batch, seed 4, at batch 3, epoch 1; {windows!r}"
    assert "closed" in repr(loader)
    assert repr(mixture) == f"Mixture of 3 sources, 33 windows, shares 0.125, 0.25, 0.625, as {mixture.sources[0]!r}"
    many = Mixture([windows] * 100)
    with Loader(many, 2, 0, rank=1, ranks=3) as loader:
        assert "rank 1 of 3" in repr(loader)
        assert "\n" not in repr(loader)
        assert len(repr(loader)) < 400


def test_compaction_does_not_change_what_a_loader_gives(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.zarr")
    for seed in range(3):
        store.append([toy.make(5, seed)])
    with Loader(Windows(store, 1, 1), 4, seed=0) as loader:
        take(loader, 2)
        state, wanted = loader.state(), take(loader, 5)
    store.compact()
    with Loader(Windows(store, 1, 1), 4, seed=0) as loader:
        loader.restore(state)
        assert take(loader, 5) == wanted


def test_damage_is_reported_when_a_batch_is_read(store: Store, tmp_path: Path) -> None:
    broken = Store.create(tmp_path / "s.zarr")
    broken.append([toy.make()])
    windows = Windows(broken, 1, 1, memory_bytes=0)
    file = next(iter(broken.parts[0].array("frames").shards()))[0]
    file.write_bytes(file.read_bytes()[:100])
    with Loader(windows, 2, 0) as loader:
        for _ in range(2):
            with pytest.raises(StoreError, match=f"{file}: damaged"):
                next(loader)
        assert loader.state()["batch"] == 0


# Mixtures


def test_sources_of_a_mixture_are_numbered_one_after_the_other(store: Store, mixture: Mixture) -> None:
    assert len(mixture) == 33
    assert (mixture.shape, mixture.dtype, mixture.view_units) == ((toy.Y, toy.X, 2), np.float32, "mm")
    assert (mixture.channels, mixture.controls, mixture.covariates) == (toy.CHANNELS, toy.CONTROLS, toy.COVARIATES)
    together = Windows(store, 1, 1)
    ids = np.random.default_rng(0).permutation(33)
    batch = mixture.batch(ids)
    np.testing.assert_array_equal(np.sort(batch.index), np.arange(33))
    wanted = together.batch(batch.index)
    for name, value in vars(wanted).items():
        np.testing.assert_array_equal(getattr(batch, name), value)
    with pytest.raises(IndexError):
        mixture.batch([33])


def test_bounds_of_a_mixture_hold_those_of_its_sources(tmp_path: Path) -> None:
    sources = []
    for number, high in enumerate((0.5, 5.0)):
        ds = toy.make(5, number)
        columns = json.loads(ds["frames"].attrs["columns"])
        columns[0]["low"] = -high
        ds["frames"].attrs["columns"] = json.dumps(columns)
        made = Store.create(tmp_path / f"{number}.zarr")
        made.append([ds])
        sources.append(Windows(made, 1, 1))
    assert Mixture(sources).channels["smoke"].low == -5.0


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    st.integers(0, 100_000),
    st.integers(1, 300),
    st.integers(1, 40),
)
def test_sources_take_turns_in_their_proportion(weights: list[float], first: int, count: int, more: int) -> None:
    shares = np.array(weights) / np.sum(weights)
    source, turn = _turns(shares.tolist(), first, count + more)
    assert len(source) == count + more
    for n in range(count + more):
        # Each turn follows the one before, of the same source; its number says how many there were before this place.
        assert abs(turn[n] - (first + n) * shares[source[n]]) <= (1 + len(shares) * shares[source[n]]) / 2 + 1e-6
    for number in range(len(shares)):
        assert (np.diff(turn[source == number]) == 1).all()
    # Any stretch of the row is the same, wherever it is begun.
    later = _turns(shares.tolist(), first + count, more)
    np.testing.assert_array_equal(later[0], source[count:])
    np.testing.assert_array_equal(later[1], turn[count:])
    if first == 0:
        for number in range(len(shares)):
            np.testing.assert_array_equal(turn[source == number], np.arange((source == number).sum()))


def test_batches_draw_from_each_source_by_its_weight(mixture: Mixture) -> None:
    with Loader(mixture, 16, seed=0) as loader:
        batches = take(loader, 10)
    of = [Counter(np.searchsorted([10, 30], batch, side="right").tolist()) for batch in batches]
    assert of == [{0: 2, 1: 4, 2: 10}] * 10
    stream = np.concatenate(batches)
    for begin, end in ((0, 10), (10, 30), (30, 33)):
        mine = stream[(stream >= begin) & (stream < end)]
        rounds = mine[: len(mine) // (end - begin) * (end - begin)].reshape(-1, end - begin)
        assert len(rounds) >= 2
        np.testing.assert_array_equal(np.sort(rounds), np.broadcast_to(np.arange(begin, end), rounds.shape))
        assert (rounds[0] != rounds[1]).any()


def test_without_weights_each_source_has_the_share_of_its_windows(mixture: Mixture) -> None:
    plain = Mixture(mixture.sources)
    assert plain.weights == pytest.approx((10 / 33, 20 / 33, 3 / 33))
    with Loader(plain, 33, seed=0) as loader:
        assert sorted(take(loader, 1)[0]) == list(range(33))
        assert loader.epoch == 1.0


def test_a_mixture_of_one_loads_what_its_source_loads(store: Store) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, 4, seed=3) as one, Loader(Mixture([windows]), 4, seed=3) as other:
        assert take(one, 20) == take(other, 20)


def test_statistics_of_a_mixture_count_each_source_by_its_weight(store: Store) -> None:
    sources = [Windows(store, 1, 1, recordings=chosen) for chosen in ([0], [1, 2])]
    found = Mixture(sources, [3, 1]).statistics()
    batches = [source.batch(np.arange(len(source))) for source in sources]
    weights = np.repeat([3 / 10, 1 / 20], [10, 20])
    for values, mean, scale in (
        (np.concatenate([batch.frames for batch in batches]), found.mean, found.scale),
        (
            np.concatenate([batch.controls[..., :2] for batch in batches]),
            found.control_mean[:2],
            found.control_scale[:2],
        ),
    ):
        flat = values.reshape(30, -1, values.shape[-1]).astype(np.float64)
        wanted = np.average(flat.mean(axis=1), axis=0, weights=weights)
        np.testing.assert_allclose(mean, wanted, rtol=1e-9)
        variance = np.average(((flat - wanted) ** 2).mean(axis=1), axis=0, weights=weights)
        np.testing.assert_allclose(scale, np.sqrt(variance), rtol=1e-9)
    assert (found.control_mean[2], found.control_scale[2], found.view_step) == (0.0, 1.0, toy.PITCH)
    one = sources[0].statistics()
    same = Mixture([sources[0], sources[0]], [1, 9]).statistics()
    np.testing.assert_allclose(same.scale, one.scale)
    np.testing.assert_allclose(same.mean, one.mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda store, other: Windows(other, 1, 1), "has the dtype|have the dtype float64"),
        (lambda store, other: Windows(store, 1, 2), "horizon 2"),
        (lambda store, other: Windows(store, 2, 1), "context 2"),
        (lambda store, other: Windows(store, 1, 1, crop=(3, 4)), r"frame shape \(3, 4, 2\)"),
    ],
)
def test_sources_that_cannot_stand_in_one_batch_are_refused(
    store: Store, tmp_path: Path, change: Any, message: str
) -> None:
    other = Store.create(tmp_path / "s.zarr")
    ds = toy.make()
    other.append([ds.assign(frames=ds["frames"].astype(np.float64))])
    source = change(store, other)
    with pytest.raises(RecordingError, match=message) as caught:
        Mixture([Windows(store, 1, 1), source])
    assert str(source.folder) in str(caught.value)


def test_weights_may_be_numbers_of_numpy(store: Store) -> None:
    windows = Windows(store, 1, 1)
    for weights in ([np.int64(1), np.float32(3)], np.array([1, 3]), (1, np.uint8(3))):
        assert Mixture([windows, windows], weights).weights == (0.25, 0.75)


def test_wrong_weights_are_refused(store: Store) -> None:
    windows = Windows(store, 1, 1)
    wrong: tuple[Any, ...] = (
        [1, 0],
        [0, 0],
        [1, -1],
        [1, np.nan],
        [1, np.inf],
        [1e308, 1e308],
        [1, 1e-300],
        [1, 10**400],
    )
    for weights in (*wrong, "12", ["1", "2"], [True, True], [1, np.True_], [1, None], 5, {1: 2, 3: 4}, np.ones((2, 2))):
        with pytest.raises(SettingsError, match="finite ones above 0"):
            Mixture([windows, windows], weights)
    with pytest.raises(SettingsError, match="3 weights for 2 sources"):
        Mixture([windows, windows], [1, 2, 3])
    with pytest.raises(SettingsError, match="no sources"):
        Mixture([])


# Ranks and crops


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_ranks_share_what_one_loader_gives(
    store: Store, mixture: Mixture, ranks: int, batch_size: int, seed: int, mixed: bool
) -> None:
    windows = mixture if mixed else Windows(store, 1, 1)
    steps = -(-2 * 33 // (ranks * batch_size))
    shares = []
    for rank in range(ranks):
        with Loader(windows, batch_size, seed, rank=rank, ranks=ranks) as loader:
            shares.append(take(loader, steps))
            assert loader.epoch == steps * ranks * batch_size / 33
    with Loader(windows, ranks * batch_size, seed) as alone:
        whole = take(alone, steps)
    for step in range(steps):
        assert sorted(itertools.chain(*(share[step] for share in shares))) == sorted(whole[step])
    if mixed:
        return
    stream = [index for step in range(steps) for share in shares for index in share[step]]
    owner = [rank for _ in range(steps) for rank in range(ranks) for _ in range(batch_size)]
    for begin in (0, 33):
        assert sorted(stream[begin : begin + 33]) == list(range(33))  # disjoint, and all of them
        counts = Counter(owner[begin : begin + 33])
        assert max(counts.values()) - min(counts[rank] for rank in range(ranks)) <= batch_size


def test_a_state_is_that_of_every_rank(mixture: Mixture) -> None:
    with Loader(mixture, 4, 0, rank=0, ranks=3) as loader:
        take(loader, 5)
        state = json.loads(json.dumps(loader.state()))
    with Loader(mixture, 4, 0, rank=2, ranks=3) as one, Loader(mixture, 4, 0, rank=2, ranks=3) as other:
        one.restore(state)
        take(other, 5)
        assert take(one, 5) == take(other, 5)
    with Loader(mixture, 4, 0, rank=0, ranks=2) as loader, pytest.raises(CheckpointError, match="ranks is 2"):
        loader.restore(state)
    for rank, ranks, message in (
        (3, 3, "rank is 3; use an integer, at least 0 and at most 2"),
        (-1, 2, "rank is -1"),
        (0, 0, "ranks is 0"),
    ):
        with pytest.raises(SettingsError, match=message):
            Loader(mixture, 4, 0, rank=rank, ranks=ranks)


def test_crops_are_others_each_epoch_and_the_same_when_resumed(store: Store) -> None:
    def source(chosen: list[int]) -> Windows:
        return Windows(store, 1, 1, recordings=chosen, crop=(3, 5))

    def by_window(batches: list[Batch]) -> dict[int, np.ndarray]:
        return {
            number: view for batch in batches for number, view in zip(batch.index.tolist(), batch.view, strict=True)
        }

    mixed = Mixture([source([0]), source([0])], [1, 1])
    with Loader(mixed, 5, 0) as loader:
        first = [next(loader) for _ in range(4)]
        state = json.loads(json.dumps(loader.state()))
        second = [next(loader) for _ in range(4)]
    one, two = by_window(first), by_window(second)
    assert set(one) == set(two) == set(range(20))
    assert sum((one[number] != two[number]).any() for number in one) > 10  # of 20, 1 in 48 stays by chance
    assert sum((one[number] != one[number + 10]).any() for number in range(10)) > 5  # each source has its own
    with Loader(mixed, 5, 1) as other:
        assert any((by_window([next(other) for _ in range(4)])[number] != one[number]).any() for number in one)
    with Loader(Mixture([source([0]), source([0])], [1, 1]), 5, 0, threads=1) as resumed:
        resumed.restore(state)
        for wanted in second:
            for name, value in vars(next(resumed)).items():
                np.testing.assert_array_equal(value, getattr(wanted, name))


# Threads


def test_only_a_fixed_number_of_batches_is_read_ahead(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(store, 1, 1)
    asked = []
    plain = Windows.batch

    def watched(self: Windows, ids: Any, draw: Any = 0) -> Batch:
        asked.append(ids)
        return plain(self, ids, draw)

    monkeypatch.setattr(Windows, "batch", watched)
    with Loader(windows, 2, 0, threads=3) as loader:
        take(loader, 4)
        time.sleep(0.05)
        assert len(asked) <= 4 + 2 * 3 - 1


def test_a_closed_loader_ends_its_threads_and_says_so(store: Store) -> None:
    before = threading.active_count()
    loader = Loader(Windows(store, 1, 1), 2, 0)
    take(loader, 2)
    assert threading.active_count() > before
    loader.close()
    loader.close()
    assert threading.active_count() == before
    with pytest.raises(SettingsError, match="closed"):
        next(loader)


def test_a_loader_that_is_dropped_ends_its_threads(store: Store) -> None:
    before = set(threading.enumerate())
    loader = Loader(Windows(store, 1, 1), 2, 0)
    take(loader, 2)
    own = set(threading.enumerate()) - before
    assert own
    del loader
    gc.collect()
    for thread in own:
        thread.join(5)
    assert not any(thread.is_alive() for thread in own)


def test_a_loader_left_open_lets_the_interpreter_end(store: Store) -> None:
    code = (
        "import sys\n"
        "from sciworld import Loader, Store, Windows\n"
        "loader = Loader(Windows(Store(sys.argv[1]), 1, 1, memory_bytes=0), 4, 0)\n"
        "next(loader)\n"
        "assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(store.path)], timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
