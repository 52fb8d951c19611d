"""The contest's figures of wakes and of free running: what reads, guesses and counts them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.reader import products
from sciworld.domains.reader import Reader
from sciworld.simulator import Observation


@pytest.fixture(scope="module")
def modules(benchmarks: Callable[..., Any]) -> Any:
    found = benchmarks("contest_flow", "contest_stable")
    return SimpleNamespace(flow=found.contest_flow, stable=found.contest_stable)


def test_mean_drag_is_the_mean_of_what_is_read_of_each_frame(modules: Any) -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(2, 7, 9, 12, 2)).astype(np.float32)
    weights = rng.normal(size=(products(frames).shape[-1], 2))
    reader = Reader(("drag", "lift"), products, weights, np.array([3.0, 0.0]), np.zeros(2))
    assert modules.flow.mean_drag(reader, frames) == pytest.approx(reader(frames)[..., 0].mean(axis=1), rel=1e-4)


def test_a_spectrum_tells_what_the_mean_square_decides_but_not_what_the_flow_does(modules: Any) -> None:
    rng = np.random.default_rng(0)
    controls = list(rng.uniform(-1, 1, (80, 20)))
    loud = [float((one**2).mean()) for one in controls]
    told = modules.flow.fit_spectrum(controls[:60], loud[:60])
    assert told(np.stack(controls[60:])) == pytest.approx(loud[60:], abs=0.02)
    chance = rng.normal(size=80)
    guess = modules.flow.fit_spectrum(controls[:60], list(chance[:60]))(np.stack(controls[60:]))
    assert guess.std() < 0.5 * chance.std()


def test_steering_is_against_the_offset_and_bounded(modules: Any) -> None:
    found = modules.stable.steered(
        np.array([[1.0, 1.0], [-1.0, -1.0], [9.0, 0.0], [np.nan, np.nan]]), ("a", "steering")
    )
    assert found.shape == (4, modules.stable.PLAYED, 2)
    assert found[:, 0, 1] == pytest.approx([-0.03, 0.03, -0.3, 0.0])
    assert not found[..., 0].any()


class Leaves:
    """A world of one number, that the control moves; its frames have one pixel."""

    model = SimpleNamespace(context=1)
    space = SimpleNamespace(table=ColumnTable((Column("push", "1", -1.0, 1.0),)))

    def step(self, state: Any, controls: np.ndarray, rng: Any) -> tuple[Observation, Any]:
        seen = state.observation
        following = Observation(seen.frames + self.drift, seen.time + 1, seen.view)
        return following, SimpleNamespace(observation=following)

    def __init__(self, drift: float) -> None:
        self.drift = drift


@pytest.mark.parametrize(("drift", "stable", "failed"), [(0.0, 60, ""), (0.04, 20, "place"), (1.0, 0, "place")])
def test_a_future_is_stable_until_a_stretch_fails(
    modules: Any, monkeypatch: pytest.MonkeyPatch, drift: float, stable: int, failed: str
) -> None:
    class Physics:
        quantities = ColumnTable((Column("place", "1", low=-1.0, high=1.0), Column("free", "1")))

        def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
            place = frames[:, 1:, 0, 0, 0]
            return np.stack([place, place], axis=-1)

    ds = {"controls": SimpleNamespace(values=np.zeros((9, 1))), "time": np.zeros(9)}
    one = np.ones((1, 2))
    known = modules.stable.Recorded(
        Physics(), [ds], np.zeros(1), 0 * one, np.zeros((1, modules.stable.PLAYED, 1)), one[0], one[0]
    )
    monkeypatch.setattr(modules.stable, "recorded", lambda store, quick: known)
    monkeypatch.setitem(modules.stable.PLACES, "stem", ("place",))
    present = Observation(np.zeros((2, 1, 1, 1)), np.zeros(2), np.zeros((2, 6)))
    monkeypatch.setattr(modules.flow, "start", lambda *_: SimpleNamespace(observation=present))
    rows = modules.stable.stable(Leaves(drift), "stem", 2, 60)
    assert [(row["stable"], row["failed"]) for row in rows] == 2 * [(stable, failed)]
