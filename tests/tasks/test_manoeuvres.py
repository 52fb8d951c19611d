"""Manoeuvres: what they ask of what is read, what the truth says of them, and that a search looks at no truth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sciworld import models
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.errors import ControlError, RecordingError, SimulatorError
from sciworld.models.base import Signature
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import manoeuvre_episodes
from sciworld.tasks.manoeuvre_episodes import EXPERT, IDLE, PLANNED, RANDOM, Episodes, Road
from sciworld.tasks.manoeuvres import (
    CREEP,
    CRUISE,
    HORIZON,
    LEAST,
    Carried,
    LaneChange,
    ObstacleStop,
    planner,
    region,
    time_to_collision,
)
from sciworld.tasks.road_reader import FARTHEST, SEEN, RoadReader, fit_road_reader, summed
from sciworld.windows import Windows

CAMERA = {
    "place": "highway", "rows": 16, "columns": 32, "step": 0.4, "top_speed": 15.0, "low_acceleration": -5.0,
    "high_acceleration": 5.0, "max_steering": 0.1, "vehicles": 0, "pedestrians": 0, "road_length": 600,
}  # fmt: skip
SIMULATOR = RoadSimulator(RoadSettings(**CAMERA))


class Told:
    """Reads what a test wrote into the frames: place, gap and speed are their first three values."""

    def __call__(self, frames: np.ndarray, played: np.ndarray | None = None) -> np.ndarray:
        return np.asarray(frames[..., SEEN - 1 :, 0, 0, :3], dtype=np.float64)


def written(states: np.ndarray) -> np.ndarray:
    """Futures (candidate, 1, time, y, x, channel) that say states (candidate, time, 3)."""
    return np.broadcast_to(states[:, None, :, None, None], (len(states), 1, states.shape[1], 2, 5, 3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("manoeuvres") / "store"
    return generate(path, 4, 10, 16, conditions="clear_noon", change=2.0, nearest=10.0, farthest=60.0, **CAMERA)


@pytest.fixture(scope="module")
def surrogate(store: Store) -> Surrogate:
    torch.manual_seed(0)
    kind: Any = models.family("diffusion")
    settings = kind.Settings(context=3, width=8, coarse=8, patch=4, pure=1.0, undecided=0.0)
    return Surrogate(kind(Signature.of(Windows(store, 3, 1)), settings), seconds=0.4)


@pytest.fixture(scope="module")
def reader(store: Store, surrogate: Surrogate) -> RoadReader:
    return fit_road_reader(store, surrogate, 20, 0, HORIZON, imagined=10)


def test_the_reader_tells_where_a_car_is_and_is_the_same_when_fitted_again(
    store: Store, surrogate: Surrogate, reader: RoadReader
) -> None:
    ds = store[1]
    read = reader(ds["frames"].values)
    assert read.shape == (len(ds["time"]) - SEEN + 1, 3)
    assert (read[:, 1] <= FARTHEST).all() and (read[:, 2] >= 0).all() and np.isfinite(reader.error).all()
    assert np.abs(read[:, 0] - ds["states"].values[SEEN - 1 :, -2]).mean() < 1.5
    again = fit_road_reader(store, surrogate, 20, 0, HORIZON, imagined=10)
    np.testing.assert_array_equal(again(ds["frames"].values), read)


def test_recordings_that_do_not_tell_the_place_are_refused(tmp_path: Path, surrogate: Surrogate) -> None:
    plain = generate(tmp_path / "store", 4, 2, 6, conditions="clear_noon", **CAMERA)
    with pytest.raises(RecordingError, match="road_offset"):
        fit_road_reader(plain, surrogate, 1, 0, HORIZON)


def test_controls_add_up() -> None:
    sums = summed(np.array([[0.1, 2.0], [0.1, -1.0]]), 0.5)
    np.testing.assert_allclose(sums, [[0.25, 1.0], [0.75, 0.5]])


def test_a_change_of_lane_is_to_be_on_its_line() -> None:
    change = LaneChange(np.array([-7.2]), np.array([-3.6]))
    assert change.line(np.array([0.0])) == pytest.approx(-7.2) and change.line(np.array([9.0])) == pytest.approx(-3.6)
    there = np.tile([-3.6, 60.0, 12.0], (1, HORIZON, 1))
    futures, controls = written(np.concatenate([there, there - [1.5, 0, 0]])), np.zeros((2, HORIZON, 2))
    scores = Carried(change, Told(), 20.0, 0.4)(futures, controls)  # type: ignore[arg-type]
    assert scores[:, 0] == pytest.approx([0.0, -2.25])


def test_a_stop_slows_down_before_what_stands_and_braking_costs() -> None:
    stop, controls = ObstacleStop(np.array([-3.6])), np.zeros((4, HORIZON, 2))
    free, near = [-3.6, 60.0, 12.0], [-3.6, 3.0, 12.0]
    states = np.array([free, near, [-3.6, 3.0, 0.0], [-3.6, 3.0, 0.0]])
    controls[3, :, 1] = -5.0
    futures = written(np.repeat(states[:, None], HORIZON, axis=1))
    scores = Carried(stop, Told(), 0.0, 0.4)(futures, controls)[:, 0]  # type: ignore[arg-type]
    assert scores[1] == pytest.approx(-((12.0 + CREEP) ** 2))
    # Who stands is to keep the brakes on; braking has its price.
    assert scores[2] == pytest.approx(-(CREEP**2)) and scores[3] == pytest.approx(scores[2] - 2.5)
    assert scores[0] > -(CRUISE**2) / 10


def test_the_time_to_collision_bounds_the_nearest_of_a_future() -> None:
    limit = time_to_collision(Told(), 0.4)  # type: ignore[arg-type]
    states = np.tile([-3.6, 30.0, 10.0], (2, HORIZON, 1))
    states[1, -1] = [-3.6, 5.0, 10.0]
    amounts = limit.amount(written(states), np.zeros((2, HORIZON, 2)))[:, 0]
    assert amounts == pytest.approx([1 / 3, 2.0]) and limit.limit == pytest.approx(1 / LEAST)


@pytest.mark.parametrize("draw", [Episodes.lane_changes, Episodes.stops])
def test_the_truth_decides(draw: Any, surrogate: Surrogate, reader: RoadReader) -> None:
    drawn = draw(SIMULATOR, 3, 2)
    rivals = drawn.rivals(surrogate, reader)
    verdicts = {name: drawn.judge(rivals[name], name, 0, None) for name in (EXPERT, IDLE, RANDOM)}
    assert verdicts[EXPERT].success.all() and not verdicts[IDLE].success.any()
    assert not verdicts[RANDOM].success.all() and (verdicts[EXPERT].actions == drawn.steps).all()
    if isinstance(drawn.manoeuvre, ObstacleStop):
        assert (verdicts[IDLE].dose > 10).all() and (verdicts[EXPERT].dose < 2).all()
        assert (verdicts[IDLE].violations > 0.03).all() and (verdicts[EXPERT].violations == 0).all()


def test_what_was_promised_is_held_against_the_same_controls_held_in_truth() -> None:
    """The best of a grid is none the less than any of it, and is that of the truth, step by step."""
    drawn = Episodes.lane_changes(SIMULATOR, 3, 2)
    rows, grid = np.array([2, 0]), drawn.grid(2)
    part = drawn.take(rows)
    worths = part.worth(part.state, grid)
    assert drawn.best(drawn.state, rows, HORIZON) == pytest.approx(worths.max(axis=1))
    assert grid.shape == (2, worths.shape[1], 2) and (grid[..., 1] == 0).all() and (worths < 0).all()
    road = Road(SIMULATOR, part.manoeuvre)
    after, scores = part.state, []
    for _ in range(HORIZON):
        _, after = road.step(after, grid[:, 3], np.random.default_rng(0))
        states = np.stack([after.road.road[:, 1], np.full(2, 60.0), after.road.speed], axis=-1)
        scores.append(part.manoeuvre.score(states, after.seconds))
    assert part.came(part.state, after, grid[:, 3:4]) == pytest.approx(np.mean(scores[SEEN - 1 :], axis=0))
    assert np.isnan(part.came(part.state, after, np.full((2, 1, 2), np.nan))).all()


def test_a_search_sees_no_truth_and_a_planner_without_knowledge_fails(
    surrogate: Surrogate, reader: RoadReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(manoeuvre_episodes.SECONDS, ObstacleStop, 1.6)
    drawn = Episodes.stops(SIMULATOR, 2, 5)
    verdict = drawn.judge(drawn.rivals(surrogate, reader)[PLANNED], PLANNED, 0, True)
    assert not verdict.success.any() and verdict.promise.shape == verdict.outcome.shape == (2, drawn.steps)
    early = surrogate.model.context - 1  # steps before enough was seen
    assert np.isnan(verdict.promise[:, :early]).all() and np.isfinite(verdict.promise[:, early:]).all()
    assert np.isfinite(verdict.outcome[:, early:]).all()

    def forbidden(*given: object, **named: object) -> None:
        raise AssertionError("the planner asked the trusted simulator")

    for name in ("start", "move", "step", "image", "see", "movers", "cameras"):
        monkeypatch.setattr(RoadSimulator, name, forbidden)
    controller = planner(surrogate, reader, drawn.manoeuvre, 0.4)
    memory = controller.start(2, np.random.default_rng(0))
    for _ in range(early + 1):
        controls, memory = controller.act(memory, drawn.first)
    low, high = region(surrogate.space, brakes=True)
    assert ((controls >= low) & (controls <= high)).all() and memory.promises[0].steps == HORIZON
    assert np.isfinite(memory.promises[-1].value).all()


def test_places_and_controls_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SimulatorError, match="one lane"):
        Episodes.lane_changes(RoadSimulator(RoadSettings(**CAMERA | {"place": "suburb"})), 2, 0)
    with pytest.raises(ControlError, match="steering"):
        region(SimpleNamespace(table=[SimpleNamespace(name="beam", units="A")]), brakes=True)  # type: ignore[arg-type]
