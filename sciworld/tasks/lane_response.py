"""The answer to the steering: where it takes a car in its lane, as the surrogate believes and as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.domains.driving.road.checks import MOST
from sciworld.domains.driving.road.expert import drive
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.reader import Reader
from sciworld.evaluate.decisions import table_of
from sciworld.measures.decisions import violations
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import HORIZON, REACH, offset

ANGLES = 9  # of steering, evenly from right to left
BEFORE = 12  # steps that the expert drove, wandering, before the place
WANDER = 0.5  # m


@dataclass(frozen=True, eq=False)
class Response:
    """Distances from the lane's middle under steering that is held, at unseen places.

    steering : (angle,) rad. time : (step,) s. imagined, true : (context, angle, step) m left of the lane's middle.
    """

    steering: np.ndarray
    time: np.ndarray
    imagined: np.ndarray
    true: np.ndarray

    @property
    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Imagined and true offset after the last step, less that under no steering : (context, angle) m each."""
        middle = len(self.steering) // 2
        imagined, true = (found[:, :, -1] - found[:, middle, None, -1] for found in (self.imagined, self.true))
        return imagined, true

    @property
    def correlation(self) -> float:
        """Pearson correlation of the answers over contexts and angles."""
        imagined, true = self.answer
        if imagined.std() == 0 or true.std() == 0:
            return float("nan")
        return float(np.corrcoef(imagined.ravel(), true.ravel())[0, 1])

    @property
    def slope(self) -> float:
        """By how much of the true answer the imagined one moves: 1 where it is right, 0 where steering is ignored."""
        imagined, true = self.answer
        return float((imagined * true).sum() / (true**2).sum())

    @property
    def error(self) -> float:
        """Mean absolute difference in m of the offsets after the last step."""
        return float(np.abs(self.imagined[..., -1] - self.true[..., -1]).mean())

    @property
    def choices(self) -> xr.Dataset:
        """The angles as candidates for staying in the lane's middle at each place, see `decisions.table_of`: scores are
        minus the mean squared distance from it, and farther than MOST away is a violation."""
        sides = self.imagined, self.true
        promised, true = (-np.square(offset).mean(axis=2) for offset in sides)
        return table_of(promised, true, "m^2", tuple(violations(offset, -MOST, MOST) for offset in sides))

    def summary(self) -> str:
        """The three numbers in words."""
        return (
            f"correlation {self.correlation:.3f}, {self.slope:.2f} of the true answer, mean absolute error of the "
            f"place in the lane {self.error:.2f} m after {self.time[-1]:.1f} s"
        )


def response(surrogate: Surrogate, reader: Reader, simulator: RoadSimulator, contexts: int, seed: int) -> Response:
    """Hold each of some angles for as long as the planner looks ahead; on roads that no training saw.

    The learned side sees the present frame alone, and is read with `reader`; the true side is the trusted simulator.
    """
    rng = np.random.default_rng([seed, 77])
    seen, _, states = drive(simulator, simulator.start(contexts, rng), BEFORE, rng, WANDER)
    angles = np.linspace(-REACH, REACH, ANGLES)
    controls = np.zeros((contexts, ANGLES, HORIZON, 2))
    controls[..., 0] = angles[:, None]
    context = seen[-surrogate.model.context :]
    futures = surrogate.futures(surrogate.start(context), controls, 0, rng)[:, :, 0]
    state = states[-1].take(np.repeat(np.arange(contexts), ANGLES))
    true = []
    for step in range(HORIZON):
        state = simulator.move(state, controls[:, :, step].reshape(-1, 2))
        true.append(offset(state).reshape(contexts, ANGLES))
    return Response(
        steering=angles,
        time=simulator.settings.step * np.arange(1, HORIZON + 1),
        imagined=reader(futures)[..., 0],
        true=np.stack(true, axis=-1),
    )
