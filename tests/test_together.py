"""Runs that advance together are what they would be alone."""

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


@pytest.mark.parametrize("size", [None, 4, (4, 5), ()])
def test_a_draw_that_is_not_a_row_each_is_refused(size):
    with pytest.raises(SimulatorError, match="5 streams draw"):
        streams(generators(5)).random(size)


def test_a_draw_that_is_unknown_is_no_silent_one():
    with pytest.raises(AttributeError):
        streams(generators(2)).permutation(2)


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
