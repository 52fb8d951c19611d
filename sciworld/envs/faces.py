"""What is particular to each simulator that has a Gymnasium face: its task, its reward, its truth in numbers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from sciworld.controls import ControlSpace
from sciworld.errors import SettingsError

FACES = {
    "stem": "sciworld.envs.stem:StemFace",
    "cylinder": "sciworld.envs.cylinder:CylinderFace",
    "road": "sciworld.envs.road:RoadFace",
    "imagined": "sciworld.envs.imagined:ImaginedFace",
}


@dataclass(frozen=True)
class Moment:
    """n runs at one moment.

    truth : the state of the simulator. memory : (run, ...) float64, what the task adds to it: a goal, what went before.
    """

    truth: Any
    memory: np.ndarray

    def take(self, index: np.ndarray) -> Moment:
        """The runs in `index`, repeats allowed."""
        return Moment(self.truth.take(index), self.memory[index])


@dataclass(frozen=True)
class Outcome:
    """What a step brought to n runs: frames (run, y, x, channel), the moment, reward and terminated (run,)."""

    frames: np.ndarray
    moment: Moment
    reward: np.ndarray
    terminated: np.ndarray


class Face(Protocol):
    """A task on a trusted simulator. Only `start` makes a run, one at a time; everything else takes n."""

    @property
    def space(self) -> ControlSpace:
        """The controls."""
        ...

    @property
    def frame(self) -> spaces.Box:
        """The space of one frame (y, x, channel), as it is recorded."""
        ...

    @property
    def fps(self) -> float:
        """Frames in a second of the simulated time."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """The names of the `facts`, and their units."""
        ...

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Moment:
        """One run. Raises SettingsError for options that the task does not have."""
        ...

    def look(self, moment: Moment, rng: np.random.Generator) -> tuple[np.ndarray, Moment]:
        """The first frames : (run, y, x, channel), and the moment after them."""
        ...

    def step(self, moment: Moment, controls: np.ndarray, rng: np.random.Generator) -> Outcome:
        """Apply controls : (run, control) float64 within the bounds."""
        ...

    def facts(self, moment: Moment) -> dict[str, np.ndarray]:
        """The truth in numbers, each (run,)."""
        ...

    def join(self, truths: Sequence[Any]) -> Any:
        """States of the simulator as one."""
        ...

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """A frame (y, x, channel) as an image to look at : (y, x, 3) uint8, up is up."""
        ...


def face(name: str, settings: Mapping[str, Any]) -> Face:
    """The face called `name`, with the settings of its task and its simulator. Raises SettingsError."""
    if not (isinstance(name, str) and name in FACES):
        raise SettingsError(f"no face {name!r:.80}; there are {', '.join(FACES)}")
    module, kind = FACES[name].split(":")
    made: Face = getattr(importlib.import_module(module), kind)(settings)
    return made


def split(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a task, which has `defaults`, and the rest, which are the simulator's."""
    task = {name: settings.get(name, value) for name, value in defaults.items()}
    return task, {name: value for name, value in settings.items() if name not in defaults}


def no_options(options: Mapping[str, Any], known: Sequence[str] = ()) -> None:
    """Raise SettingsError for options of a reset that nobody knows."""
    odd = sorted(str(name) for name in options if name not in known)
    if odd:
        raise SettingsError(f"reset: unknown option {', '.join(odd)}; known are {', '.join(known) or 'none'}")
