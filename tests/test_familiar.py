"""What was recorded is familiar; other looks, and controls that were never played, are not, and are said to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from blob import SPACE, BlobForecaster, Nearness, observation

from sciworld import recording
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import CheckpointError, RecordingError, SearchError, SettingsError
from sciworld.familiar.familiar import Familiar
from sciworld.search.problem import Problem
from sciworld.search.receding import RecedingHorizon
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Observation

LIGHT = ColumnTable((Column("light", "1"),))
VIEW = np.array([1.0, 0, 0, 0, 1, 0])


def recorded(seed: int, steps: int = 40, push: float = 0.5):
    """A blob that wanders, pushed by at most `push`."""
    rng = np.random.default_rng(seed)
    position = np.clip(np.cumsum(rng.normal(0, 0.5, (steps, 2)), axis=0) + np.array([3, 2]), 0, [6, 4])
    controls = np.column_stack([rng.uniform(-push, push, (steps, 2)), rng.integers(0, 3, steps)])
    controls[-1] = np.nan
    seen = observation(position)
    return recording.make(
        seen.frames + rng.normal(0, 0.02, seen.frames.shape).astype(np.float32), np.arange(steps, dtype=float),
        channels=LIGHT, controls=controls, control_table=SPACE.table, view=VIEW, view_units="mm", session=f"s{seed}",
        source="blob", licence="", citation="", history="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def familiar() -> Familiar:
    return Familiar.of([recorded(seed) for seed in range(8)], SPACE)


def noisy(seen, seed: int = 99):
    rng = np.random.default_rng(seed)
    return dataclasses.replace(seen, frames=seen.frames + rng.normal(0, 0.02, seen.frames.shape).astype(np.float32))


def test_new_frames_of_the_same_kind_are_familiar_and_others_are_not(familiar):
    rng = np.random.default_rng(1)
    inside = noisy(observation(rng.uniform([1, 1], [5, 3], (60, 2))))
    assert np.quantile(familiar.presents(inside), 0.9) < familiar.farthest
    for change in (lambda x: x + 0.5, lambda x: 0.3 * x, lambda x: x[:, :, ::-1] * 2, lambda x: np.roll(x, 1, 2) + x):
        away = familiar.presents(dataclasses.replace(inside, frames=change(inside.frames)))
        assert np.median(away) > familiar.farthest


def test_controls_that_were_never_played_are_far(familiar):
    rng = np.random.default_rng(2)
    seen = noisy(observation(np.array([[3.0, 2.0]])))
    inside = np.concatenate([rng.uniform(-0.5, 0.5, (50, 3, 2)), rng.integers(0, 3, (50, 3, 1))], axis=-1)[None]
    beyond = inside.copy()
    beyond[..., 0] = 1.8
    assert np.quantile(familiar.plans(seen, inside), 0.9) < familiar.farthest < familiar.plans(seen, beyond).min()


def test_runs_of_controls_that_were_played_one_by_one_are_far_where_all_runs_were_smooth():
    def smooth(seed: int):
        ds = recorded(seed, steps=60)
        turn = np.random.default_rng(seed).uniform(0, 6.28)
        ds["controls"][:-1, 0] = 0.5 * np.sin(0.3 * np.arange(59) + turn)
        return ds

    familiar = Familiar.of([smooth(seed) for seed in range(8)], SPACE)
    seen = noisy(observation(np.array([[3.0, 2.0]])))
    times = np.arange(6) + np.arange(40)[:, None]
    wave = np.zeros((1, 40, 6, 3))
    wave[0, ..., 0] = 0.5 * np.sin(0.3 * times)
    jumps = wave.copy()
    jumps[0, ..., 0] = np.random.default_rng(3).permuted(wave[0, ..., 0], axis=0)
    assert np.median(familiar.plans(seen, wave)) < 1 < familiar.farthest < np.median(familiar.plans(seen, jumps))


def test_places_where_nothing_was_aimed_at_are_far():
    """Beams fell near the blob, wherever that was; the same places are strange where it is elsewhere."""
    table = ColumnTable(tuple(Column(f"beam_{axis}", "mm", group="beam", axis=axis, frame="lab") for axis in "xy"))
    space = ControlSpace(table)

    def aimed(seed: int):
        rng = np.random.default_rng(seed)
        position = rng.uniform([1, 1], [11, 7], (40, 2))
        frames = spots(position, rng)
        beam = position + rng.uniform(-0.5, 0.5, (40, 2))
        beam[-1] = np.nan
        return recording.make(
            frames, np.arange(40.0), channels=LIGHT, controls=beam, control_table=table, view=VIEW, view_units="mm",
            session=f"s{seed}", source="blob", licence="", citation="", history="",
        )  # fmt: skip

    familiar = Familiar.of([aimed(seed) for seed in range(8)], space)
    rng = np.random.default_rng(99)
    position = rng.uniform([1, 1], [11, 7], (30, 2))
    seen = Observation(spots(position, rng), np.zeros(30), np.tile(VIEW, (30, 1)))
    assert np.quantile(familiar.plans(seen, position[:, None, None]), 0.9) < familiar.farthest
    others = np.where(position > [6, 4], position - np.array([5, 3]), position + np.array([5, 3]))
    assert np.quantile(familiar.plans(seen, others[:, None, None]), 0.1) > familiar.farthest


def spots(position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    row, column = np.mgrid[:9, :13]
    away = (column - position[:, 0, None, None]) ** 2 + (row - position[:, 1, None, None]) ** 2
    return (np.exp(-away / 2) + rng.normal(0, 0.02, away.shape))[..., None].astype(np.float32)


def test_a_search_refuses_what_it_does_not_know_and_keeps_to_what_it_does(familiar):
    start, settings = noisy(observation(np.array([[1.0, 2.0]]))), SearchSettings(budget=6000, samples=0)
    problem = Problem(Nearness(4.0, 2.0), 1, SPACE)
    trusting = dataclasses.replace(problem, familiar=familiar)
    free = search(BlobForecaster(), start, problem, np.random.default_rng(0), settings=settings)
    kept = search(BlobForecaster(), start, trusting, np.random.default_rng(0), settings=settings)
    assert free.controls[0, 0, 0] > 1.5 > 1.0 > kept.controls[0, 0, 0] > 0.3
    assert kept.constraints[-1].name == "distance from recorded controls" and kept.satisfied.all()
    dark = dataclasses.replace(start, frames=start.frames - 3.0)
    surrogate = BlobForecaster()
    with pytest.raises(
        SearchError, match=r"does not know this region: .*problem 0 .*brightness.*Record near"
    ) as caught:
        search(surrogate, dark, trusting, np.random.default_rng(0), settings=settings)
    assert surrogate.imagined == 0 and "1 such of 1" in str(caught.value)


def test_a_controller_falls_back_where_it_does_not_know_its_way(familiar):
    seen = noisy(observation(np.array([[1.0, 2.0], [1.0, 2.0]])))
    frames = seen.frames.copy()
    frames[1] -= 3.0
    problem = Problem(Nearness(4.0, 2.0), 1, SPACE, familiar=familiar)
    safe = np.array([0.0, -1.0, 2.0])
    controller = RecedingHorizon(BlobForecaster(), lambda _: problem, fallback=safe)
    memory = controller.start(2, np.random.default_rng(0))
    chosen, memory = controller.act(memory, dataclasses.replace(seen, frames=frames))
    assert memory.safe[0].tolist() == [False, True] and (chosen[1] == safe).all() and chosen[0, 0] > 0.2


def test_one_long_recording_tells_too():
    familiar = Familiar.of([recorded(0, steps=200)], SPACE)
    inside = noisy(observation(np.random.default_rng(1).uniform([1, 1], [5, 3], (40, 2))))
    assert np.median(familiar.presents(inside)) < familiar.farthest
    assert (familiar.presents(dataclasses.replace(inside, frames=inside.frames - 3)) > familiar.farthest).all()


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("sessions", [1, 2])
def test_the_fewest_recordings_tell_little_but_tell_it(steps, sessions):
    """A single transition is what a loop may begin with: what was recorded is nearer than what was not."""
    known = [recorded(seed, steps) for seed in range(sessions)]
    few = Familiar.of(known, SPACE)
    seen = Observation(known[0]["frames"].values[:1], np.zeros(1), np.tile(VIEW, (1, 1)))
    other = dataclasses.replace(seen, frames=seen.frames + 0.5)
    assert few.presents(seen) < few.presents(other) < np.inf


def test_frames_that_were_not_seen_are_infinitely_far(familiar):
    seen = observation(np.array([[3.0, 2.0]]))
    seen.frames[0, 0, 0] = np.nan
    assert np.isposinf(familiar.presents(seen)).all()


def test_recordings_without_controls_tell_nothing():
    ds = recorded(0)
    ds["controls"][:] = np.nan
    with pytest.raises(RecordingError, match="no recording has a frame whose controls are known"):
        Familiar.of([ds], SPACE)
    with pytest.raises(SettingsError, match=r"farthest is 0\.5"):
        Familiar.of([recorded(0)], SPACE, 0.5)


def test_it_is_kept_in_a_file_which_is_whole_or_refused(familiar, tmp_path):
    path = tmp_path / "familiar.npz"
    familiar.save(path)
    kept, seen = Familiar.load(tmp_path), noisy(observation(np.array([[3.0, 2.0], [4.0, 1.0]])))
    controls = np.random.default_rng(0).uniform(-1, 1, (2, 5, 3, 3))
    assert (kept.presents(seen) == familiar.presents(seen)).all() and kept.space.table == SPACE.table
    assert (kept.plans(seen, controls) == familiar.plans(seen, controls)).all()
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no zip", content[:200] + b"???" + content[203:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"familiar.npz: damaged"):
            Familiar.load(path)
    with pytest.raises(CheckpointError, match="is not there"):
        Familiar.load(tmp_path / "other.npz")


def test_what_was_played_is_told_of_numbers_alone(familiar):
    """The blob was pushed by at most 0.5 either way; its third control is a whole number."""
    low, high = familiar.played()
    np.testing.assert_allclose(low[:2], -0.6, atol=0.02)
    np.testing.assert_allclose(high[:2], 0.6, atol=0.02)
    assert np.isinf([low[2], high[2]]).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("frames.points", lambda x: x * np.nan),
        ("frames.points", lambda x: x[:0]),
        ("frames.mean", lambda x: x[:-1]),
        ("1.root", lambda x: x[0]),
        ("1.unit", lambda x: -x),
        ("farthest", lambda x: x - 99),
        ("farthest", lambda x: x * np.inf),
    ],
)
def test_what_would_let_everything_pass_is_refused(familiar, name, change, tmp_path):
    familiar.save(tmp_path / "near.npz")
    with np.load(tmp_path / "near.npz") as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(tmp_path / "near.npz", **arrays)
    with pytest.raises(CheckpointError, match=r"near\.npz: damaged"):
        Familiar.load(tmp_path / "near.npz")


def test_frames_of_other_channels_are_refused(familiar):
    seen = noisy(observation(np.array([[3.0, 2.0]])))
    two = dataclasses.replace(seen, frames=np.concatenate([seen.frames] * 2, axis=-1))
    with pytest.raises(SearchError, match="made of recordings with other channels"):
        familiar.require(two)
