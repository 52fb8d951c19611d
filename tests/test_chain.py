"""The whole chain on a domain that the library does not know, and the proof that a search sees no truth."""

from __future__ import annotations

import inspect
import json
import sys
import types

import numpy as np
import pytest
import torch
import toy
from toy_model import TINY
from toy_simulator import ToySimulator

from sciworld.controls import ColumnTable
from sciworld.domains.stem import objectives, simulator
from sciworld.domains.stem.appearance import Appearance
from sciworld.errors import ModelError
from sciworld.evaluate.replay import replay
from sciworld.evaluate.verdict import Verdict
from sciworld.kernels import stem as kernels
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.search.problem import Problem
from sciworld.search.receding import FixedPlan, RandomController, RecedingHorizon
from sciworld.search.search import SearchSettings, search
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.fit import fit
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

STEPS = 4


class ToTheRight:
    """The objective of a scientist: smoke in the right third of the last frame."""

    linear = True

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        return futures[:, :, -1, :, 8:, 0].mean(axis=(2, 3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("chain") / "store")
    recordings = toy.recordings(40, frames=21)
    store.append(recordings[:25])
    store.append(recordings[25:])
    return store


@pytest.fixture(scope="module")
def surrogate(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Surrogate:
    windows = Windows(store, context=1, horizon=1)
    torch.manual_seed(0)
    model = Diffusion(Signature.of(windows), DiffusionSettings(**TINY))
    settings = FitSettings(steps=250, batch=32, learning_rate=5e-3, warmup=10, ema=0.9, log_every=50, threads=1)
    run = fit(
        model, windows, tmp_path_factory.mktemp("chain") / "run", settings, symmetries=("flip_x", "flip_y"),
        progress=False,
    )  # fmt: skip
    log = run.log()
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    return Surrogate(run.model())


def judged(controller, name: str) -> Verdict:
    """How far to the right the blobs truly got, and what was promised."""
    trusted = ToySimulator()
    state, first = trusted.start(24, np.random.default_rng(1))
    return replay(
        controller,
        trusted,
        state,
        first,
        goal_reached=lambda now, seen: now.position[:, 0] > 0.6 * toy.WIDTH,
        steps=STEPS,
        rng=np.random.default_rng(2),
        judge="toy",
        made_training_data=True,
        name=name,
        outcome=lambda before, after, controls: ToTheRight()(trusted.image(after).frames[:, None, None], controls)[
            :, 0
        ],
    )


def test_recordings_to_verdict(surrogate: Surrogate) -> None:
    problem = Problem(ToTheRight(), 1, surrogate.space)
    settings = SearchSettings(budget=300)
    planned = judged(RecedingHorizon(surrogate, lambda seen: problem, settings=settings), "planned")
    random = judged(RandomController(toy.SPACE), "random")
    assert planned.success.mean() > random.success.mean() + 0.3
    assert planned.actions.max() <= STEPS and planned.promise.shape == (24, STEPS)
    assert (planned.seconds == planned.actions).all() and (planned.dose <= planned.seconds).all()
    known = ~np.isnan(planned.promise)
    assert known.any() and (known == ~np.isnan(planned.outcome)).all()
    assert np.corrcoef(planned.promise[known], planned.outcome[known])[0, 1] > 0.8
    assert Verdict.from_json(planned.to_json()).summary()["success"] == planned.summary()["success"]
    assert json.loads(planned.to_json())["judge"] == "toy" and "also made the training data" in planned.warnings()[0]


def test_a_plan_of_several_steps_is_replayed(surrogate: Surrogate) -> None:
    trusted = ToySimulator()
    _, first = trusted.start(24, np.random.default_rng(1))
    problem = Problem(ToTheRight(), STEPS, surrogate.space)
    plan = search(surrogate, first, problem, np.random.default_rng(3), settings=SearchSettings(budget=1600, samples=0))
    assert plan.controls.shape == (24, STEPS, 3) and plan.evaluations <= 1600
    assert (plan.controls[..., 2] == np.rint(plan.controls[..., 2])).all()  # the fan has three modes
    toy.SPACE.check(plan.controls)
    verdict = judged(FixedPlan(plan.controls, plan.promise), "plan")
    assert verdict.promise.shape == (24, 1) and not np.isnan(verdict.outcome).any()
    assert verdict.success.mean() > judged(RandomController(toy.SPACE), "random").success.mean()


def test_training_by_name_knows_no_domain(store: Store, tmp_path) -> None:
    settings = FitSettings(steps=2, batch=4, log_every=1, diagnostic_every=2, threads=1)
    run = train(store, tmp_path / "run", settings, progress=False)
    model = run.model()
    assert isinstance(model, Diffusion) and model.settings == Diffusion.presets["tiny"]
    assert model.signature.shape == (toy.Y, toy.X, 2) and model.signature.controls == toy.CONTROLS
    assert "validation_loss" in run.log()[-1]
    with pytest.raises(ModelError, match="diffusion: no preset 'huge'; there are tiny, small, base"):
        train(store, tmp_path / "huge", settings, preset="huge")
    with pytest.raises(ModelError, match="no model family 'oracle'"):
        train(store, tmp_path / "oracle", settings, family="oracle")


@pytest.fixture
def no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever knows the truth about silicon raises when it is used, however it was imported."""

    def forbidden(*arguments: object, **named: object) -> None:
        raise AssertionError("a search looked at the truth")

    for name, kind in inspect.getmembers(simulator, inspect.isclass):
        if kind.__module__ == simulator.__name__ and name != "StemSettings":
            for member, value in list(vars(kind).items()):
                if inspect.isfunction(value):
                    monkeypatch.setattr(kind, member, forbidden)
                elif isinstance(value, property):
                    monkeypatch.setattr(kind, member, property(forbidden))
    for name, _ in inspect.getmembers(simulator, inspect.isfunction):
        monkeypatch.setattr(simulator, name, forbidden)
    for name in ("hop", "outcomes", "bond_rates", "render", "site_position"):
        monkeypatch.setattr(kernels, name, forbidden)
    module = types.ModuleType(simulator.__name__)
    module.__getattr__ = forbidden  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, simulator.__name__, module)


def test_a_search_does_not_see_the_truth(request: pytest.FixtureRequest) -> None:
    trusted = simulator.StemSimulator(simulator.StemSettings(rows=24, columns=36, field_of_view=16.0))
    rng = np.random.default_rng(0)
    state = trusted.start(3, rng)
    goals = simulator.random_goals(state, 8.0, rng)
    present = trusted.image(state, rng)
    torch.manual_seed(0)
    controls = trusted.space.table
    signature = Signature(
        (24, 36, 1), simulator.CHANNELS, controls, ColumnTable(()), (6.0,), (8.0,), (0.0,) * 3, (5.0,) * 3, 16 / 36
    )
    surrogate = Surrogate(Diffusion(signature, DiffusionSettings(**TINY)))

    request.getfixturevalue("no_truth")
    with pytest.raises(AssertionError, match="looked at the truth"):
        trusted.outcomes(state, np.zeros((3, 3)))
    with pytest.raises(AssertionError, match="looked at the truth"):
        sys.modules[simulator.__name__].StemSimulator  # noqa: B018
    for aim in ("progress", "dose", "site"):
        steer = objectives.Steer(goals, Appearance(0.465, 35.0), objectives.SteerSettings(aim=aim))

        def make_problem(seen, steer=steer):
            found = steer(seen)
            return Problem(found.objectives, 1, surrogate.space, found.low, found.high, found.active)

        controller = RecedingHorizon(surrogate, make_problem, settings=SearchSettings(budget=128))
        chosen, memory = controller.act(controller.start(3, rng), present)
        assert chosen.shape == (3, 3) and np.isfinite(memory.promises[0].value).all()
