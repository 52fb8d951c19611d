"""The main job on a road, at a size at which nothing is learned; and that its parts judge rightly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciworld import catalog, recording
from sciworld.cli import app
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.demos import driving
from sciworld.demos.folder import MARK
from sciworld.domains import base as domains
from sciworld.domains.driving.road import simulator as road_simulator
from sciworld.domains.driving.road.generate import STATES, generate
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.errors import ControlError, RecordingError, SettingsError, StoreError
from sciworld.evaluate.verdict import Verdict
from sciworld.search.receding import FixedPlan
from sciworld.simulator import rollout
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import lane_response
from sciworld.tasks.lane_keeping import (
    EXPERT,
    HORIZON,
    OFFSET,
    PLANNED,
    RANDOM,
    REACH,
    STRAIGHT,
    Episodes,
    Expert,
    InLane,
    Road,
    fit_lane,
    offset,
    planner,
    region,
)
from sciworld.training.run import Run

LANE = STATES.index(OFFSET)
TINY = driving.DemoSettings(steps=2, episodes=2, seconds=1.0, contexts=2, seed=3)
CAMERA = {
    name: value
    for name, value in catalog.get(driving.DATA).settings.items()
    if name not in ("episodes", "steps", "conditions")
}
SMALL = RoadSettings(**CAMERA | {"rows": 12, "columns": 20})


def record(path: Path, drives: int, seed: int) -> Store:
    """Fewer drives, such as the demo's."""
    return generate(path, seed, drives, 60, conditions=driving.CONDITIONS, **CAMERA)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return record(tmp_path_factory.mktemp("roads") / "store", 16, 0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, recordings: Store) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    driving.run(out, TINY, recordings.path)
    return out


def episodes(n: int = 3, seconds: float = 4.0) -> Episodes:
    return Episodes.draw(RoadSimulator(SMALL), n, seconds, 1)


def test_the_demo_does_the_whole_job(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    parts = ["What it imagines", "Where the steering takes the car", "One path from start to end", "The verdict"]
    places = [page.index(f"<h2>{part}</h2>") for part in [*parts, "How it was trained"]]
    assert places == sorted(places) and (demo / MARK).exists()
    found = json.loads((demo / "verdicts.json").read_text())
    assert list(found) == [PLANNED, EXPERT, STRAIGHT, RANDOM]
    verdicts = {name: Verdict.from_json(json.dumps(fields)) for name, fields in found.items()}
    planned = verdicts[PLANNED]
    assert planned.made_training_data and not verdicts[EXPERT].made_training_data
    assert planned.promise.shape == (2, 5) and (planned.promise <= 0).all() and (planned.outcome <= 0).all()
    assert np.isnan(verdicts[EXPERT].promise).all() and verdicts[EXPERT].success.all()


def test_a_search_sees_no_truth(demo: Path, recordings: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    surrogate, reader = Surrogate(Run(demo / "run").model()), fit_lane(recordings)
    first = Episodes.draw(driving.readied(recordings)[1], 2, 1.0, 0).first

    def forbidden(*given: object, **named: object) -> None:
        raise AssertionError("the planner asked the trusted simulator")

    for name in ("start", "move", "step", "image", "see", "shade", "cameras", "movers"):
        monkeypatch.setattr(RoadSimulator, name, forbidden)
    for name in ("road_geometry", "road_line", "road_motion", "road_shading"):
        monkeypatch.setattr(road_simulator, name, None)
    controller = planner(surrogate, reader)
    memory = controller.start(2, np.random.default_rng(0))
    for _ in range(2):
        controls, memory = controller.act(memory, first)
    assert (np.abs(controls[:, 0]) <= REACH).all() and (controls[:, 1] == 0).all()
    assert [promise.steps for promise in memory.promises] == [HORIZON, HORIZON]


def test_the_lane_is_read_from_frames_that_the_reader_did_not_see(recordings: Store, tmp_path: Path) -> None:
    reader = fit_lane(recordings)
    other = record(tmp_path / "store", 4, 1)
    frames, true = (np.concatenate([other[i][name].values for i in range(4)]) for name in ("frames", "states"))
    near = np.abs(true[:, LANE]) < 1.5
    assert np.corrcoef(reader(frames)[near, 0], true[near, LANE])[0, 1] > 0.8
    futures = frames[near][:6].reshape(2, 1, 3, *frames.shape[1:])
    scores = InLane(reader)(futures, np.zeros((2, 3, 2)))
    assert scores == pytest.approx(-np.square(reader(frames[near][:6])).reshape(2, 1, 3).mean(axis=2), rel=1e-4)


def test_whoever_left_the_lane_has_failed_though_it_came_back() -> None:
    drawn = episodes()
    away = dataclasses.replace(drawn.state, lost=np.array([True, False, False]))
    drawn = dataclasses.replace(drawn, state=away)
    verdict = drawn.judge(Expert(drawn.simulator, drawn.state.road), "expert", 0, False)
    assert verdict.success.tolist() == [False, True, True] and (verdict.actions == 20).all()
    assert verdict.seconds == pytest.approx(4.0) and verdict.dose_units == "m^2 s"


def test_steering_off_the_lane_is_lost_and_its_distance_counted() -> None:
    drawn = episodes()
    controls = np.tile([0.05, 0.0], (20, 1))
    verdict = drawn.judge(FixedPlan(controls, np.zeros(3)), "left", 0, False)
    assert not verdict.success.any()
    path = rollout(
        Road(drawn.simulator), drawn.state, drawn.first, FixedPlan(controls), 20, np.random.default_rng(0),
        keep_states=True,
    )  # fmt: skip
    squares = np.stack([offset(state.road) for state in path.states[1:]]) ** 2
    assert verdict.outcome[:, 0] == pytest.approx(-squares.mean(axis=0))
    assert verdict.dose == pytest.approx(0.2 * squares.sum(axis=0))
    lost = np.stack([state.lost for state in path.states])
    assert (np.diff(lost.astype(int), axis=0) >= 0).all() and lost[-1].all() and not lost[0].any()


def test_the_answer_to_the_steering_is_compared_with_the_truth(demo: Path, recordings: Store) -> None:
    surrogate, reader = Surrogate(Run(demo / "run").model()), fit_lane(recordings)
    found = lane_response.response(surrogate, reader, driving.readied(recordings)[1], 2, 0)
    assert found.imagined.shape == found.true.shape == (2, lane_response.ANGLES, HORIZON)
    assert (np.diff(found.true[:, :, -1], axis=1) > 0).all()  # the more to the left, the farther left
    right = dataclasses.replace(found, imagined=found.true)
    assert right.correlation == pytest.approx(1) and right.slope == pytest.approx(1) and right.error == 0
    deaf = dataclasses.replace(found, imagined=np.zeros_like(found.true))
    assert np.isnan(deaf.correlation) and deaf.slope == 0


def test_driving_is_a_domain_with_a_simulator() -> None:
    field = domains.domain("driving")
    assert field.focus is None and field.symmetries == ()
    assert field.simulator(rows=16, columns=24).settings == RoadSettings(rows=16, columns=24)
    with pytest.raises(SettingsError, match="wings"):
        field.simulator(wings=2)


def test_what_no_demo_can_be_made_of_is_refused(recordings: Store, tmp_path: Path) -> None:
    for wrong in ({"seed": -1}, {"steps": 0}, {"seconds": np.nan}, {"contexts": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            driving.DemoSettings(**wrong)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / MARK).write_text("notes")
    with pytest.raises(SettingsError, match="no earlier demo"):
        driving.run(tmp_path / "mine", TINY)
    with pytest.raises(StoreError, match="not a store"):
        driving.run(tmp_path / "new", TINY, tmp_path / "none")
    assert not (tmp_path / "new").exists()
    unknown = Store.create(tmp_path / "unknown")
    unknown.append([recording.check(recordings[0].drop_vars("states"))])
    with pytest.raises(RecordingError, match="no 'lane_offset'"):
        fit_lane(unknown)
    with pytest.raises(ControlError, match=r"beam_x \(A\)"):
        region(ControlSpace(ColumnTable((Column("beam_x", "A", low=0.0, high=1.0),))))


def test_the_command_asks_for_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(driving, "run", lambda *given: asked.append(given))
    words = ["demo", "driving", "--out", str(tmp_path / "d"), "--steps", "2", "--episodes", "1", "--seed", "5"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert asked == [(tmp_path / "d", driving.DemoSettings(steps=2, episodes=1, seed=5), None)]
