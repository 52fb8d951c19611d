"""Hop maps and decisions, with a surrogate that is right: its frames are mixtures by the master equation."""

import dataclasses

import numpy as np
import pytest

from sciworld.controls import ColumnTable
from sciworld.domains.stem.appearance import Appearance
from sciworld.domains.stem.simulator import CHANNELS, StemSettings, StemSimulator, StemState, neighbour_sites
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.hop_map import HopMap, beams, decide, hop_map
from sciworld.tasks.steering import planner

SETTINGS = StemSettings(rows=28, row_jitter=0.0, drift=0.0)
APPEARANCE = Appearance(SETTINGS.probe_sigma, SETTINGS.carbon_counts * ((14 / 6) ** SETTINGS.z_exponent - 1))


class Oracle:
    """A surrogate that knows the truth of `state`: posterior means are mixtures of noise-free images."""

    def __init__(self, simulator, state):
        self.simulator, self.state, self.space = simulator, state, simulator.space

    def start(self, history):
        present = history if isinstance(history, Observation) else history[-1]
        # Rows are found again by their view's frames: one context at a time, or all in order.
        return [i for frame in present.frames for i in range(len(self.frames)) if (self.frames[i] == frame).all()]

    def futures(self, rows, controls, samples, rng):
        p, c = controls.shape[:2]
        out = np.empty((p, c, 1, 1, SETTINGS.rows, SETTINGS.columns, 1), dtype=np.float32)
        for place, row in enumerate(rows):
            one = self.state.take(np.array([row]))
            sites = [one.site, *(neighbour_sites(one.site, i) for i in range(3))]
            images = [
                self.simulator.image(dataclasses.replace(one, site=s), np.random.default_rng(0), noisy=False).frames[0]
                for s in sites
            ]
            share = self.simulator.outcomes(self.state.take(np.full(c, row)), controls[place, :, 0])
            share[:, 0] = 1 - share[:, 1:].sum(axis=1)
            out[place, :, 0, 0] = np.einsum("ck,kyxz->cyxz", share, np.stack(images))
        return out

    def evaluations(self, candidates, steps, samples):
        return candidates * steps


@pytest.fixture(scope="module")
def world():
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(3)
    state = simulator.start(3, rng)
    present, state = simulator.expose(state, rng)
    oracle = Oracle(simulator, state)
    oracle.frames = present.frames
    return simulator, state, present, oracle


def test_the_map_of_a_surrogate_that_is_right_is_right(world):
    simulator, state, present, oracle = world
    maps = hop_map(
        oracle, simulator, APPEARANCE, state, present, beams(7), np.array([2.0, 8.0]), np.random.default_rng(0)
    )
    assert maps.learned.shape == maps.true.shape == (3, 2, 49, 3)
    assert maps.true.max() > 0.4
    # What is left is where `locate` puts the silicon in a noisy frame.
    assert maps.correlation > 0.995 and maps.absolute_error < 0.01 and maps.brier_excess < 0.002


def test_a_search_on_a_surrogate_that_is_right_finds_nearly_the_best_beam(world):
    simulator, state, present, oracle = world
    chosen, best = decide(oracle, simulator, APPEARANCE, state, present, 5.0, np.random.default_rng(0))
    assert chosen.shape == best.shape == (3, 3)
    assert best.min() > 0.6 and (chosen <= best + 1e-3).all() and chosen.sum() / best.sum() > 0.97


def test_figures_of_a_map():
    true = np.zeros((1, 1, 2, 3))
    true[0, 0, 0] = 0.5, 0.25, 0.0
    learned = true.copy()
    learned[0, 0, 0, 0] -= 0.2
    maps = HopMap(np.zeros((2, 2)), np.ones(1), learned, true)
    assert maps.absolute_error == pytest.approx(0.2 / 6)
    # 0.2 too little at the neighbour is 0.2 too much for staying, in one of two beams.
    assert maps.brier_excess == pytest.approx((0.04 + 0.04) / 2)


def test_the_planner_sees_frames_alone(world, monkeypatch):
    simulator, state, present, _ = world
    signature = Signature(
        shape=(SETTINGS.rows, SETTINGS.columns, 1),
        channels=CHANNELS,
        controls=simulator.space.table,
        covariates=ColumnTable(()),
        mean=(7.0,),
        scale=(6.0,),
        control_mean=(0.0, 0.0, 5.0),
        control_scale=(1.0, 1.0, 2.0),
        view_step=SETTINGS.pixel,
    )
    surrogate = Surrogate(Diffusion(signature, DiffusionSettings(width=8, coarse=8, embedding=8)))
    controller = planner(surrogate, APPEARANCE, state.neighbours[:, 0].copy(), budget=64)
    for name in ("silicon", "neighbours", "shift"):
        monkeypatch.setattr(StemState, name, property(lambda self: pytest.fail("the planner looked at the truth")))
    for name in ("step", "outcomes", "image", "expose", "park", "start"):
        monkeypatch.setattr(StemSimulator, name, lambda *given: pytest.fail("the planner asked the trusted simulator"))
    controls, memory = controller.act(controller.start(3, np.random.default_rng(1)), present)
    assert controls.shape == (3, 3) and np.isfinite(controls).all() and len(memory.promises) == 1
