"""Runs that advance together are what they would be alone."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest

from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.errors import SimulatorError
from sciworld.together import join, streams


@dataclass(frozen=True)
class Inner:
    x: np.ndarray


@dataclass(frozen=True)
class Outer:
    inner: Inner
    y: np.ndarray


def generators(n):
    return [np.random.default_rng(k) for k in range(n)]


def test_each_row_is_drawn_by_its_generator():
    rng, alone = streams(generators(5)), generators(5)
    found = [rng.integers(0, 2**64, 5, dtype=np.uint64), rng.random(5), rng.integers(0, 3, (5, 7)), rng.random((5, 2))]
    for k, one in enumerate(alone):
        assert found[0][k] == one.integers(0, 2**64, dtype=np.uint64) and found[0].dtype == np.uint64
        assert found[1][k] == one.random()
        np.testing.assert_array_equal(found[2][k], one.integers(0, 3, 7))
        np.testing.assert_array_equal(found[3][k], one.random(2))


ROWS = np.arange(1.0, 6.0)  # a parameter of each run
DRAWS = [
    ("integers", (0, 2**64), {"dtype": np.uint64}, None),
    ("integers", (9,), {"dtype": np.uint8}, (3,)),
    ("integers", (0, ROWS.astype(int)), {"endpoint": True}, None),
    ("integers", (0, ROWS[:, None].astype(int)), {}, (3,)),
    ("random", (), {}, (2,)),
    ("random", (), {"dtype": np.float32}, None),
    ("uniform", (), {}, (2, 3)),
    ("uniform", (-1.0, 3.0), {}, None),
    ("uniform", (-ROWS, ROWS), {}, None),
    ("standard_normal", (), {}, None),
    ("standard_normal", (), {"dtype": np.float32}, (2,)),
    ("normal", (), {}, None),
    ("normal", (2.0, 3.0), {}, (4,)),
    ("normal", (ROWS[:, None], np.array([0.1, 0.2, 0.3])), {}, (3,)),
    ("poisson", (), {}, None),
    ("poisson", (4.0 * ROWS[:, None, None],), {}, (2, 3)),
]


@pytest.mark.parametrize(("method", "parameters", "options", "rest"), DRAWS)
def test_a_run_draws_what_its_generator_would_alone(method, parameters, options, rest):
    """As a batch of one run, whose parameters are its own."""
    rng = streams(generators(5))
    for _ in range(3):  # the streams go on alike, too
        found = getattr(rng, method)(*parameters, size=(5, *(rest or ())), **options)
    for k, one in enumerate(generators(5)):
        mine = [p[k : k + 1] if np.shape(p)[:1] == (5,) else p for p in parameters]
        for _ in range(3):
            alone = getattr(one, method)(*mine, size=(1, *(rest or ())), **options)
        np.testing.assert_array_equal(found[k], alone[0])
        assert found.dtype == alone.dtype


def test_parameters_of_each_run_need_no_size():
    np.testing.assert_array_equal(
        streams(generators(5)).normal(ROWS, 2.0), streams(generators(5)).normal(ROWS, 2.0, size=5)
    )


@pytest.mark.parametrize("size", [None, 4, (4, 5), ()])
@pytest.mark.parametrize("method", ["random", "normal"])
def test_a_draw_that_is_not_a_row_each_is_refused(method, size):
    with pytest.raises(SimulatorError, match=f"5 streams draw {method}.* row of each"):
        getattr(streams(generators(5)), method)(size=size)


def test_parameters_that_fit_no_row_are_refused():
    with pytest.raises(SimulatorError, match="5 streams draw uniform of 5"):
        streams(generators(5)).uniform(np.zeros(4), 1.0, 5)


def test_a_draw_that_is_unknown_is_no_silent_one():
    with pytest.raises(SimulatorError, match=r"cannot draw by 'permutation'; .* use integers, random, uniform"):
        streams(generators(2)).permutation(2)
    assert len(copy.copy(streams(generators(2))).random(2)) == 2


def test_states_are_joined_through_and_through():
    a, b = (Outer(Inner(np.full((n, 2), n)), np.arange(n)) for n in (2, 3))
    both = join([a, b])
    assert both.inner.x[:, 0].tolist() == [2, 2, 3, 3, 3] and both.y.tolist() == [0, 1, 0, 1, 2]
    assert join([a]) is a


def test_atoms_together_hop_as_they_do_alone():
    """Every draw of a trusted simulator's step comes from the atom's own generator."""
    simulator = StemSimulator(StemSettings(rates="mixture", imaging_hops=True, current=2.0, rows=17, columns=23))

    def play(which):
        rngs = [generators(6)[k] for k in which]
        state = join([simulator.start(1, rng) for rng in rngs])
        seen = []
        for _ in range(4):
            controls = np.column_stack([state.silicon + 0.4, np.full(len(which), 3.0)])
            observation, state = simulator.step(state, controls, streams(rngs))
            seen.append(observation.frames)
        return np.stack(seen, axis=1), state

    frames, state = play(range(6))
    assert state.hops.sum() > 6
    for k in range(6):
        mine, alone = play([k])
        np.testing.assert_array_equal(frames[k], mine[0])
        assert alone.hops[0] == state.hops[k]
