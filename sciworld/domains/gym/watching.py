"""What is seen of an environment at each step: the frame, and the numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from sciworld.controls import EXACT, Column, ColumnTable, colours
from sciworld.domains.gym.spaces import Path, columns, is_image, leaves, numbers, part, table
from sciworld.errors import SettingsError
from sciworld.recording import FRAME_DTYPES

FEW = 4  # channels; an image whose first axis has at most so many, and whose last has more, may be channel-first


@dataclass(frozen=True)
class FrameSource:
    """Where frames and states come from.

    Parameters
    ----------
    image : the path of the observation that is the frame; None where frames are rendered.
    first : whether that observation has its channels first.
    channels : of the frames.
    numeric : the observations that are states, by their paths.
    note : one clause for a history.
    where : the environment, for errors.
    """

    image: Path | None
    first: bool
    channels: ColumnTable
    numeric: dict[Path, spaces.Space]
    note: str
    where: str

    def states(self, infos: Sequence[str], more: Sequence[Column]) -> ColumnTable:
        """The table of the states: observations, infos, and `more`. Raises SettingsError."""
        found = [
            c for path, leaf in self.numeric.items() for c in columns(path, leaf, "observation", False, "measured")
        ]
        found += [Column(f"info_{name}", "1", role="measured") for name in infos]
        return table([*found, *more], (), f"{self.where}: observations")

    def frame(self, env: gymnasium.Env, observation: Any) -> np.ndarray:
        """The frame of this moment : (y, x, channel), a copy. Raises SettingsError, and what the environment does."""
        what, pixels = (
            ("render()", env.render()) if self.image is None else ("the image", part(observation, self.image))
        )
        if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3):
            shape = pixels.shape if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise SettingsError(f"{what} gave {shape}; expected an array (y, x, channel) or (y, x)")
        pixels = pixels[..., None] if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1) if self.first else pixels
        if pixels.shape[-1] != len(self.channels):
            raise SettingsError(f"{what} gave {pixels.shape}; expected {len(self.channels)} channels")
        return np.array(pixels)


class Watched:
    """The frames and states of one episode so far: `frames` (y, x, channel) and `states` (state,), one each a step."""

    def __init__(self, source: FrameSource, infos: Sequence[str]) -> None:
        self._source, self._infos = source, infos
        self.frames: list[np.ndarray] = []
        self.states: list[np.ndarray] = []

    def see(self, env: gymnasium.Env, observation: Any, info: dict[str, Any]) -> None:
        """Note this moment. Raises SettingsError if the frame is not like those before."""
        frame = self._source.frame(env, observation)
        if self.frames and (frame.shape, frame.dtype) != ((first := self.frames[0]).shape, first.dtype):
            raise SettingsError(f"the frame is {frame.shape} {frame.dtype}; those before {first.shape} {first.dtype}")
        rows = [numbers(leaf, part(observation, path)) for path, leaf in self._source.numeric.items()]
        state = np.concatenate([*rows, [_number(info, name) for name in self._infos], np.empty(0)])
        if np.isinf(state).any():
            raise SettingsError(f"an observation is infinite: {state}; unknown is NaN")
        self.frames.append(frame)
        self.states.append(state)


def frame_source(env: gymnasium.Env, frames: str, channels: str, where: str) -> FrameSource:
    """Where the frames of an environment come from, as Recipe says it. Raises SettingsError."""
    found = leaves(env.observation_space, f"{where}: observation space")
    images = {path: leaf for path, leaf in found.items() if is_image(leaf)}
    numeric = {path: leaf for path, leaf in found.items() if path not in images}
    if frames == "render":
        left = f", image observations ({', '.join(_called(path) for path in images)}) left out" if images else ""
        return FrameSource(None, False, colours(3), numeric, f"frames rendered as rgb_array{left}", where)
    path = _chosen(images, frames.partition(":")[2], where)
    leaf = images[path]
    if str(leaf.dtype) not in FRAME_DTYPES:
        raise SettingsError(
            f"{where}: images are {leaf.dtype}; wrap it in TransformObservation, to one of {', '.join(FRAME_DTYPES)}"
        )
    shape = leaf.shape or ()
    if len(shape) == 3 and not channels and shape[0] <= FEW < shape[-1]:
        raise SettingsError(
            f"{where}: images are {shape}; say channels='first', or 'last' if the {shape[-1]} are channels"
        )
    first = len(shape) == 3 and channels == "first"
    count = 1 if len(shape) == 2 else shape[0] if first else shape[-1]
    others = [_called(one) for one in images if one != path]
    note = f"frames are {_called(path)}{', its first axis moved last as channels' if first else ''}"
    note += f", {', '.join(others)} left out" if others else ""
    table_ = ColumnTable(tuple(Column(f"channel_{k}", "1", role="measured") for k in range(count)))
    return FrameSource(path, first, table_, numeric, note, where)


def _chosen(images: dict[Path, spaces.Space], key: str, where: str) -> Path:
    """The one image observation, or the one that `key` names."""
    fits = [path for path in images if not key or _called(path) == f"observation:{key}"]
    if len(fits) == 1:
        return fits[0]
    known = ", ".join(f"'{_called(path)}'" for path in images)
    cure = f"use one of frames={known}" if images else "take frames='render' with render_mode='rgb_array'"
    raise SettingsError(f"{where}: {len(fits)} observations are images of 2 or 3 dimensions as asked; {cure}")


def _called(path: Path) -> str:
    return ":".join(("observation", ".".join(map(str, path)))) if path else "observation"


def _number(info: dict[str, Any], name: str) -> float:
    value = info.get(name, np.nan)
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "biuf" or (array.dtype.kind in "iu" and abs(int(value)) > EXACT):
        raise SettingsError(f"info '{name}' is {value!r}; only single numbers up to 2**53 are kept")
    return float(array)
