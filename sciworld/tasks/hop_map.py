"""The hop-probability map: where a parked beam sends the silicon, as the surrogate believes and as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.domains.stem.appearance import Appearance, site_readers
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.locate import Located, locate
from sciworld.domains.stem.objectives import AtSite, region
from sciworld.domains.stem.simulator import StemSimulator, StemState
from sciworld.evaluate.decisions import table_of
from sciworld.search.problem import Problem
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.steering import OPTIMIZER, idle_frames

DWELLS = (2.0, 5.0, 8.0)  # s, of the maps that a report draws


@dataclass(frozen=True, eq=False)
class HopMap:
    """Probabilities that the silicon ends at each neighbour, over contexts, dwells and beams.

    Parameters
    ----------
    offsets : (beam, 2) A from the silicon. dwells : (dwell,) s.
    learned, true : (context, dwell, beam, neighbour), of the same neighbours in the same order.
    """

    offsets: np.ndarray
    dwells: np.ndarray
    learned: np.ndarray
    true: np.ndarray

    @property
    def correlation(self) -> float:
        """Pearson correlation over all beams and neighbours."""
        return float(np.corrcoef(self.learned.ravel(), self.true.ravel())[0, 1])

    @property
    def absolute_error(self) -> float:
        """Mean absolute difference over all beams and neighbours."""
        return float(np.abs(self.learned - self.true).mean())

    @property
    def choices(self) -> xr.Dataset:
        """Beams and dwells as candidates for each neighbour of each context, see `decisions.table_of`."""
        promised, true = (
            np.moveaxis(values, -1, 1).reshape(len(values) * 3, -1) for values in (self.learned, self.true)
        )
        return table_of(promised, true)

    @property
    def brier_excess(self) -> float:
        """Expected Brier score over the outcomes (stay, each neighbour), less that of the true probabilities."""
        difference = self.learned - self.true
        stay = difference.sum(axis=-1)
        return float(((difference**2).sum(axis=-1) + stay**2).mean())


def beams(side: int = 21, half: float = 2.0) -> np.ndarray:
    """A square grid of offsets from the silicon : (side * side, 2) A, rows from low y to high."""
    line = np.linspace(-half, half, side)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def hop_map(
    surrogate: Surrogate,
    simulator: StemSimulator,
    appearance: Appearance,
    state: StemState,
    present: Observation,
    offsets: np.ndarray,
    dwells: np.ndarray,
    rng: np.random.Generator,
    samples: int = 0,
) -> HopMap:
    """The map around the silicon of every context in `state`, which `present` shows.

    offsets : (beam, 2) A. dwells : (dwell,) s. samples : futures drawn per beam; 0 asks for the posterior mean. The
    learned side sees `present` alone; the true side comes from the trusted simulator's master equation.
    """
    n, b, d = len(present), len(offsets), len(dwells)
    placed = state.silicon[:, None, None] + offsets[None, None]
    controls = np.empty((n, d, b, 3))
    controls[..., :2] = placed
    controls[..., 2] = np.asarray(dwells)[None, :, None]
    true = _true_probabilities(simulator, state, controls)
    located = locate(present.frames, present.view)
    learned = np.empty((n, d * b, 3))
    for i in range(n):  # one context at a time bounds the memory
        one = present.take(np.array([i]))
        seen = surrogate.start(one)
        futures = surrogate.futures(seen, controls[i].reshape(1, d * b, 1, 3), samples, rng)[0, :, :, -1]
        here = located.take(np.array([i]))
        if samples:
            learned[i] = _ended_at(futures, here, one.view)
        else:
            reader = site_readers(here, one.view, present.frames.shape[1:3], appearance)[0, 1:]
            idle = idle_frames(surrogate, one)[0]
            read = np.einsum("cyx,kyx->ck", futures[:, 0, :, :, 0] - idle[None, :, :, 0], reader)
            learned[i] = np.clip(read, 0.0, 1.0)  # noise takes the reading of an impossible hop below 0
        learned[i] = learned[i][:, _same_order(here.neighbours[0], state.neighbours[i])]
    return HopMap(np.asarray(offsets), np.asarray(dwells), learned.reshape(n, d, b, 3), true)


def decide(
    surrogate: Surrogate,
    simulator: StemSimulator,
    appearance: Appearance,
    state: StemState,
    present: Observation,
    dwell: float,
    rng: np.random.Generator,
    budget: int = 160,
) -> tuple[np.ndarray, np.ndarray]:
    """True success of the beam that a search chooses for each neighbour, and of the best beam: (context, 3) each.

    The best beam lies on the bond's axis, by symmetry; it is found there on the truth in steps of 0.01 A.
    """
    n = len(present)
    located = locate(present.frames, present.view)
    readers = site_readers(located, present.view, present.frames.shape[1:3], appearance)
    low, high = region(located.silicon, present)
    low[:, 2] = high[:, 2] = dwell
    chosen, best = np.empty((n, 3)), np.empty((n, 3))
    orders = np.array([_same_order(located.neighbours[i], state.neighbours[i]) for i in range(n)])
    for k in range(3):
        objectives = [AtSite(readers[i, 1 + orders[i, k]]) for i in range(n)]
        problem = Problem(objectives, 1, surrogate.space, low, high)
        plan = search(
            surrogate,
            present,
            problem,
            rng,
            settings=SearchSettings(budget=budget),
            optimizer_settings=OPTIMIZER,
        )
        chosen[:, k] = simulator.outcomes(state, plan.controls[:, 0])[:, 1 + k]
        best[:, k] = _best_on_axis(simulator, state, k, dwell)
    return chosen, best


def _best_on_axis(simulator: StemSimulator, state: StemState, k: int, dwell: float) -> np.ndarray:
    """The highest true probability (context,) of reaching neighbour k that any beam on the bond's axis gives."""
    silicon = state.silicon
    along = (state.neighbours[:, k] - silicon) / BOND
    offsets = np.arange(0.0, 2.5, 0.01)
    controls = np.empty((len(silicon), 1, len(offsets), 3))
    controls[..., :2] = silicon[:, None, None] + offsets[:, None] * along[:, None, None]
    controls[..., 2] = dwell
    best: np.ndarray = _true_probabilities(simulator, state, controls)[:, 0, :, k].max(axis=1)
    return best


def _true_probabilities(simulator: StemSimulator, state: StemState, controls: np.ndarray) -> np.ndarray:
    """The trusted probabilities (context, dwell, beam, neighbour) under controls (context, dwell, beam, 3)."""
    n, d, b, k = controls.shape
    many = state.take(np.repeat(np.arange(n), d * b))
    return simulator.outcomes(many, controls.reshape(-1, k))[:, 1:].reshape(n, d, b, 3)


def _ended_at(futures: np.ndarray, here: Located, view: np.ndarray) -> np.ndarray:
    """Shares (candidate, 3) of sampled frames (candidate, sample, y, x, 1) whose silicon is nearest to a neighbour."""
    c, s = futures.shape[:2]
    flat = futures.reshape(c * s, *futures.shape[2:])
    silicon = locate(flat, np.repeat(view, c * s, axis=0)).silicon
    sites = np.concatenate([here.silicon, here.neighbours[0]])
    nearest = np.linalg.norm(silicon[:, None] - sites[None], axis=2).argmin(axis=1).reshape(c, s)
    return np.stack([(nearest == k).mean(axis=1) for k in (1, 2, 3)], axis=1)


def _same_order(located: np.ndarray, true: np.ndarray) -> np.ndarray:
    """For each true neighbour (3, 2), which located one (3, 2) it is."""
    order: np.ndarray = np.linalg.norm(true[:, None] - located[None], axis=2).argmin(axis=1)
    return order


def maps_of(surrogate: Surrogate, simulator: StemSimulator, appearance: Appearance, contexts: int, seed: int) -> HopMap:
    """Hop maps of atoms that no training saw: 21 x 21 beams within 2 A, three dwells."""
    rng = np.random.default_rng([seed, 77])
    state = simulator.start(contexts, rng)
    present, state = simulator.expose(state, rng)
    return hop_map(surrogate, simulator, appearance, state, present, beams(), np.array(DWELLS), rng)
