"""Controls of a wake: signals that are known beforehand, and laws that heed what probes see in the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sciworld.domains.fluid.scenarios import MIDDLE
from sciworld.errors import SimulatorError
from sciworld.simulator import Observation

if TYPE_CHECKING:
    from sciworld.domains.fluid.simulator import CylinderSettings

PROBES = (1.5,)  # diameters behind the centre of the cylinder, on the line through it
LAGS = (0, 2, 4)  # actions


class Signals:
    """Decaying sines, one an episode: amplitude exp(-t / decay) sin(2 pi frequency t + phase).

    Parameters
    ----------
    waves : (episode, 4) amplitude in units of the control, frequency in Hz, phase in rad, decay in s.
    seconds : from one action to the next. most : the bound of the control, to which signals are cut.
    """

    def __init__(self, waves: np.ndarray, seconds: float, most: float) -> None:
        self.waves, self.seconds, self.most = np.asarray(waves, dtype=np.float64), seconds, most
        if self.waves.ndim != 2 or self.waves.shape[1] != 4:
            raise SimulatorError(f"waves are {self.waves.shape}; expected (episode, 4), see Signals")

    def start(self, n: int, rng: np.random.Generator) -> Any:
        """The number of actions so far."""
        _require_rows(self.waves, n)
        return 0

    def act(self, state: Any, observation: Observation) -> tuple[np.ndarray, Any]:
        """Controls : (episode, 1)."""
        amplitude, frequency, phase, decay = self.waves.T
        t = (state + 0.5) * self.seconds  # the middle of the action
        wanted = amplitude * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + phase)
        return np.clip(wanted, -self.most, self.most)[:, None], state + 1


class Feedback:
    """Laws that are linear in the cross velocity that probes behind the cylinder see, and saw; one an episode.

    They are odd in y as the flow is: a wake that is alike on both sides is left alone. What was seen a quarter of a
    period ago says how fast the wake swings.

    Parameters
    ----------
    gains : (episode, lag, probe) in units of the control a m/s. most : the bound of the control, to which laws are cut.
    places : (probe, 2) m, x and y of the probes, see `probe_places`. lags : in actions, how long ago each was seen.
    """

    def __init__(self, gains: np.ndarray, most: float, places: np.ndarray, lags: tuple[int, ...] = LAGS) -> None:
        self.gains, self.most, self.places, self.lags = np.asarray(gains, np.float64), most, np.asarray(places), lags
        if self.gains.shape[1:] != (len(lags), len(self.places)):
            raise SimulatorError(
                f"gains are {self.gains.shape}; expected (episode, {len(lags)} lags, {len(self.places)} probes)"
            )

    def start(self, n: int, rng: np.random.Generator) -> Any:
        """What the probes saw so far: nothing."""
        _require_rows(self.gains, n)
        return ()

    def act(self, state: Any, observation: Observation) -> tuple[np.ndarray, Any]:
        """Controls : (episode, 1)."""
        seen = (*state, probe(observation, self.places)[..., 1])[-max(self.lags) - 1 :]
        lagged = np.stack([seen[max(len(seen) - 1 - lag, 0)] for lag in self.lags], axis=1)
        wanted = (self.gains * lagged).sum(axis=(1, 2))
        return np.clip(wanted, -self.most, self.most)[:, None], seen


def feedback(gains: np.ndarray, wake: CylinderSettings) -> Feedback:
    """The laws of gains (episode, lag) in units of the control's bound over the mean speed, with the usual probe.

    Raises SimulatorError for gains of another shape.
    """
    gains = np.asarray(gains, dtype=np.float64)
    if gains.ndim != 2:
        raise SimulatorError(f"gains are {gains.shape}; expected (episode, {len(LAGS)} lags)")
    middle = (MIDDLE[0] * wake.length, MIDDLE[1] * wake.length)
    scaled = gains[:, :, None] * wake.most / wake.speed
    return Feedback(scaled, wake.most, probe_places(wake.length, middle))


def probe_places(length: float, middle: tuple[float, float], distances: tuple[float, ...] = PROBES) -> np.ndarray:
    """Places behind a cylinder : (probe, 2) m. length : its diameter, middle : x, y of its centre, both in m."""
    return np.array([[middle[0] + distance * length, middle[1]] for distance in distances])


def probe(observation: Observation, places: np.ndarray) -> np.ndarray:
    """What the channels are at places (probe, 2), interpolated between pixels : (episode, probe, channel).

    Raises SimulatorError for one outside the frame.
    """
    x, y = np.asarray(places, dtype=np.float64).T
    _, rows, columns, _ = observation.frames.shape
    v = observation.view[0]
    column, row = (x - v[2]) / v[0], (y - v[5]) / v[4]
    outside = (column < 0) | (column > columns - 1) | (row < 0) | (row > rows - 1)
    if outside.any():
        k = int(np.argmax(outside))
        raise SimulatorError(f"probe {k} at ({x[k]:.4g}, {y[k]:.4g}) m is outside the frame; move it inside")
    left, low = np.minimum(column.astype(int), columns - 2), np.minimum(row.astype(int), rows - 2)
    right, up = (column - left)[:, None], (row - low)[:, None]
    near = observation.frames[:, low, left] * (1 - right) + observation.frames[:, low, left + 1] * right
    far = observation.frames[:, low + 1, left] * (1 - right) + observation.frames[:, low + 1, left + 1] * right
    return np.asarray(near * (1 - up) + far * up)


def _require_rows(rows: np.ndarray, n: int) -> None:
    if len(rows) != n:
        raise SimulatorError(f"a controller for {len(rows)} episodes was started for {n}; give one row an episode")
