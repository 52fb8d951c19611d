"""What each domain's objectives ask for has gradients: those of finite differences, and searches that climb them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sciworld import cli
from sciworld.controls import Column, ColumnTable
from sciworld.domains.driving.road.generate import generate as drive
from sciworld.domains.fluid.generate import generate as flow
from sciworld.domains.fluid.imagined import ImaginedCost
from sciworld.domains.fluid.reader import products
from sciworld.domains.reader import Reader, pixels
from sciworld.domains.stem.objectives import AtSite, ProgressRate
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.search.gradient import gradients
from sciworld.search.optimizers import adam
from sciworld.search.problem import Problem
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import InLane
from sciworld.tasks.manoeuvres import Carried, LaneChange, ObstacleStop
from sciworld.tasks.road_reader import RoadReader, _network
from sciworld.tasks.wanted import LessDrag
from sciworld.windows import Windows

STEPS = 4
KINDS: dict[str, tuple[tuple[int, int, int], tuple[Column, ...], float, float]] = {
    # Shape, controls, and the mean and the spread of a pixel.
    "stem": ((8, 12, 1), (Column("x", "A", -2.0, 2.0), Column("y", "A", -2.0, 2.0), Column("t", "s", 1.0, 9.0)), 9, 3),
    "fluid": ((8, 12, 2), (Column("jets", "m/s", -1.0, 1.0),), 1, 0.3),
    "driving": ((8, 12, 3), (Column("turn", "rad", -0.1, 0.1), Column("gas", "m/s^2", -5.0, 5.0)), 120, 40),
}


def surrogate(domain: str) -> Surrogate:
    """An untrained one, whose frames heed its controls."""
    shape, controls, mean, spread = KINDS[domain]
    signature = Signature(
        shape=shape,
        channels=ColumnTable(tuple(Column(f"channel {k}", "1") for k in range(shape[2]))),
        controls=ColumnTable(controls),
        covariates=ColumnTable(()),
        mean=(float(mean),) * shape[2],
        scale=(float(spread),) * shape[2],
        control_mean=tuple(0.5 * (one.low + one.high) for one in controls),
        control_scale=tuple(0.3 * (one.high - one.low) for one in controls),
        view_step=1.0,
    )
    return moved(signature)


def moved(signature: Signature, by: float = 0.1) -> Surrogate:
    """One whose weights are all moved at random by about so much, so that none is zero."""
    torch.manual_seed(0)
    model = Diffusion(signature, DiffusionSettings(width=16, coarse=16, embedding=16, decoder_blocks=1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn(parameter.shape))
    return Surrogate(model.eval())


def present(domain: str) -> Observation:
    shape, _, mean, spread = KINDS[domain]
    frames = np.random.default_rng(1).normal(mean, spread, (1, *shape)).astype(np.float32)
    return Observation(frames, np.zeros(1), np.array([[1.0, 0, 0, 0, 1.0, 0]]))


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape) / np.sqrt(shape[0])


def less_drag(low: float = -100.0, lift_rms: float = 0.0, fastest: float = 100.0) -> LessDrag:
    features = products(np.zeros(KINDS["fluid"][0])).shape[-1]
    reader = Reader(("drag", "lift"), products, weights(features, 2), np.array([3.0, 0.5]), np.zeros(2))
    bounds = np.full(2, -100.0), np.full(2, fastest), np.full(2, low), np.full(2, 100.0)
    return LessDrag(ImaginedCost(reader, *bounds, 3.0, lift_rms), 1.0)


def road_reader() -> RoadReader:
    known = np.random.default_rng(3).normal([-3.0, 2.5, 2.0], [2.0, 0.3, 1.0], (50, 3)).astype(np.float32)
    return RoadReader(_network((1, 3, *KINDS["driving"][0]), known, 0), 4.8, 0.3, np.zeros(3))


def objectives() -> dict[str, tuple[str, Any]]:
    """name -> (domain, objective)."""
    readers, gains = weights(4, *KINDS["stem"][0][:2]), np.array([0.0, 1.2, -0.3, -0.9])
    lane = Reader(("lane",), pixels, 0.01 * weights(8 * 12 * 3, 1), np.array([0.3]), np.zeros(1))
    change, stop = LaneChange(np.array([-7.2]), np.array([-3.6])), ObstacleStop(np.array([-3.6]))
    return {
        "site": ("stem", AtSite(readers[1], readers[0])),
        "progress": ("stem", ProgressRate(readers, gains, 2.0)),
        "drag": ("fluid", less_drag()),
        "lane": ("driving", InLane(lane)),
        "change of lane": ("driving", Carried(change, road_reader(), 1.0, 0.4)),
        "stop": ("driving", Carried(stop, road_reader(), 1.0, 0.4)),
    }


WISHES = objectives()


@pytest.mark.parametrize("name", WISHES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    domain, objective = WISHES[name]
    judged = surrogate(domain)
    state, problem, space = judged.start(present(domain)), Problem(objective, STEPS, judged.space), judged.space
    controls = space.clip(0.7 * space.sample(np.random.default_rng(4), (1, 3, STEPS)))
    scores, slopes = gradients(judged, state, problem, controls, 256)
    futures = judged.futures(state, controls, 0, np.random.default_rng(0))
    np.testing.assert_allclose(scores, problem.score(futures, controls)[..., 0], rtol=1e-3, atol=1e-4)
    width = space.high - space.low
    found, told = [], []
    for t in range(STEPS):
        for k in range(len(space)):
            moved = np.stack([controls, controls])
            moved[:, ..., t, k] += np.array([1, -1])[:, None, None] * 2e-3 * width[k]
            up, down = (gradients(judged, state, problem, one, 256)[0] for one in moved)
            found.append((up - down) / 4e-3)
            told.append(slopes[..., t, k] * width[k])
    assert np.abs(told).max() > 0
    np.testing.assert_allclose(told, found, rtol=0.05, atol=0.03 * np.abs(told).max())


def test_what_does_not_fluctuate_and_what_no_fluid_does_leaves_no_gradient_undefined() -> None:
    judged = surrogate("fluid")
    state, controls = judged.start(present("fluid")), np.zeros((1, 2, 1, 1))
    steady = Problem(less_drag(lift_rms=0.1), 1, judged.space)  # one step has no fluctuation at all
    scores, slopes = gradients(judged, state, steady, controls, 256)
    assert np.isfinite(scores).all() and np.isfinite(slopes).all() and np.abs(slopes).max() > 0
    wild = Problem(less_drag(fastest=-50.0), 1, judged.space)
    assert np.isnan(gradients(judged, state, wild, controls, 256)[0]).all()


@pytest.mark.parametrize("name", ["progress", "drag", "lane", "change of lane"])
def test_a_climber_gets_higher_than_chance(name: str) -> None:
    domain, objective = WISHES[name]
    judged = surrogate(domain)
    problem, settings = Problem(objective, STEPS, judged.space), SearchSettings(budget=600, samples=0)
    plan = search(judged, present(domain), problem, np.random.default_rng(0), "adam", settings, adam.Settings(2))
    assert (plan.trace[-1] > plan.trace[0]).all() and plan.promise == pytest.approx(plan.trace[-1], rel=1e-3)
    controls = judged.space.sample(np.random.default_rng(1), (1, 64, STEPS))
    futures = judged.futures(judged.start(present(domain)), controls, 0, np.random.default_rng(0))
    assert plan.promise[0] > np.quantile(problem.score(futures, controls), 0.9)


@pytest.mark.parametrize(("name", "units"), [("drag", "jet (m/s)"), ("lane", "steering (rad)")])
def test_the_command_climbs_what_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, units: str
) -> None:
    path = tmp_path / "store"
    if name == "drag":
        store = flow(path, 3, 5, 10, cells=10, lattice_speed=0.05, rows=16, columns=48, pixel=0.2)
    else:
        store = drive(path, 1, 4, 8, conditions="clear_noon", rows=16, columns=24, vehicles=0, pedestrians=0)
    judged = moved(Signature.of(Windows(store, 1, 1)), 0.02)  # a wilder one imagines flows that no fluid makes
    monkeypatch.setattr(sys.modules[cli.search.__module__], "load", lambda run, device: (None, judged))
    asked = ["search", "run", str(path), "--objective", name, "--horizon", "2", "--samples", "0", "--anywhere"]
    for optimizer in ("adam", "gradcem"):
        found = CliRunner().invoke(cli.app, [*asked, "--optimizer", optimizer])
        assert found.exit_code == 0 and units in found.stdout and "Expected" in found.stdout, found.output
