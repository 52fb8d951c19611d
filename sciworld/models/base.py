"""The contract of a world model: what training, surrogates and search may ask of any family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sciworld.controls import ColumnTable
from sciworld.errors import ModelError

if TYPE_CHECKING:
    from sciworld.loader import Mixture
    from sciworld.windows import Batch, Windows

State = Any
TOLD = 4 * 2.0**-23  # of a mean, that float32 tells values apart by with some room


@dataclass(frozen=True)
class Signature:
    """What data a model was made for; part of every checkpoint.

    Parameters
    ----------
    shape : (y, x, channel) of a frame.
    channels, controls, covariates : the column tables, in the order of the arrays' last axes.
    mean, scale : per channel, in the frames' units: the model sees (frames - mean) / scale.
    control_mean, control_scale : per control: how scalar controls are normalised.
    view_step : pixel pitch in the laboratory's units, the natural length of position maps.
    covariate_mean, covariate_scale : per covariate, as of controls; none in models made before covariates were heeded.
    """

    shape: tuple[int, int, int]
    channels: ColumnTable
    controls: ColumnTable
    covariates: ColumnTable
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    control_mean: tuple[float, ...]
    control_scale: tuple[float, ...]
    view_step: float
    covariate_mean: tuple[float, ...] = ()
    covariate_scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not all(type(side) is int and side > 0 for side in self.shape):
            raise ModelError(f"signature: the shape of a frame is {self.shape}; give (y, x, channel)")
        rows = [(self.channels, self.mean, self.scale), (self.controls, self.control_mean, self.control_scale)]
        if self.covariate_mean or self.covariate_scale:
            rows.append((self.covariates, self.covariate_mean, self.covariate_scale))
        for columns, mean, scale in rows:
            numbers = [*mean, *scale, self.view_step]
            if (
                not len(columns) == len(mean) == len(scale)
                or not all(map(math.isfinite, numbers))
                or min(scale, default=1) <= 0
            ):
                raise ModelError(
                    f"signature: means {mean} and scales {scale} of {len(columns)} columns; give one each, above 0"
                )

    @classmethod
    def of(cls, windows: Windows | Mixture) -> Signature:
        """What a model of these windows is made for; means and scales are measured on them.

        Raises ModelError for frames with a z axis, or for values that differ by less than float32 tells.
        """
        if len(windows.shape) != 3:
            raise ModelError(f"windows: frames are {windows.shape}; models take (y, x, channel): choose one z")
        found = windows.statistics()
        if not np.can_cast(windows.dtype, np.float32):
            _require_told(windows.channels, found.mean, found.scale, "subtract an offset when you record it")
        scalars = [column.kind != "categorical" for column in windows.controls]
        told = np.where(scalars, found.control_scale, math.inf).tolist()
        _require_told(windows.controls, found.control_mean, told, "give it as a difference from a place near by")
        y, x, channel = windows.shape
        return cls(
            shape=(y, x, channel),
            channels=windows.channels,
            controls=windows.controls,
            covariates=windows.covariates,
            mean=found.mean,
            scale=found.scale,
            control_mean=found.control_mean,
            control_scale=found.control_scale,
            view_step=found.view_step,
            covariate_mean=found.covariate_mean,
            covariate_scale=found.covariate_scale,
        )

    def require(self, shape: tuple[int, ...], controls: int, where: str = "batch") -> None:
        """Raise ModelError unless frames of `shape` (y, x, channel) and that many controls fit."""
        if tuple(shape) != tuple(self.shape):
            raise ModelError(f"{where}: frames are {tuple(shape)} (y, x, channel); the model was made for {self.shape}")
        if controls != len(self.controls):
            names = ", ".join(self.controls.names)
            raise ModelError(f"{where}: {controls} controls; the model was made for {len(self.controls)}: {names}")


def _require_told(columns: ColumnTable, mean: Sequence[float], scale: Sequence[float], cure: str) -> None:
    """Raise ModelError where float32, in which models compute, rounds away how values differ; a scale of 1 may
    stand for values that do not."""
    for column, m, s in zip(columns, mean, scale, strict=True):
        if s != 1 and s < TOLD * abs(m):
            raise ModelError(
                f"'{column.name}' is {m:.9g} with a standard deviation of {s:.3g}, which float32 does not tell; {cure}"
            )


@dataclass
class Losses:
    """A scalar to descend, and named parts (detached scalars) for the log."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]


class Learned(nn.Module, ABC):
    """What training fits to windows of a store: a world model, or a part of one that is learned beforehand.

    Frames are float32 in the recording's units outside of it; normalising is its own.
    """

    role: str  # "model", "tokenizer" or "actions": what a file of it is called
    family: str
    Settings: type
    presets: Mapping[str, Any]
    context: int

    def __init__(self, signature: Signature, settings: Any = None) -> None:
        super().__init__()
        self.signature = signature

    @property
    @abstractmethod
    def settings(self) -> Any:
        """The frozen dataclass from which it is rebuilt."""

    @classmethod
    @abstractmethod
    def lengths(cls, settings: Any) -> tuple[int, int]:
        """Frames of context, and frames after them, in a window that one with `settings` is trained on."""

    def prepare(self, windows: Windows | Mixture) -> None:
        """Fit what no gradient trains, such as a basis of modes, before the first step of training."""

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """The training loss of a batch of windows, as long as `lengths` says, on the model's device.

        weights : (b, y, x) float32, where the error counts more, from what was known before the chunk: never from
        what happened in it, which would bias the learned distribution toward events.
        """


class WorldModel(Learned):
    """Learned dynamics of frames under controls.

    `context` frames go in, `chunk` controls give `chunk` frames; nothing depends on frames or controls after the
    chunk.
    """

    role = "model"
    chunk: int

    @classmethod
    def lengths(cls, settings: Any) -> tuple[int, int]:
        """See `Learned.lengths`; the frames after the context are a chunk, or several where the loss rolls out."""
        return settings.context, cls.chunk

    @abstractmethod
    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> State:
        """Encode frames : (b, context, y, x, channel) float32 and view : (b, 6) of the last into a state.

        covariates : (b, covariate) float32 in their units, NaN where one is unknown; None for all unknown.
        words : (b, 16) int64 of a text of the run, see `words`; 0, or None, for no text. A model need not heed them.

        A state is a dataclass of tensors (b, ...), or None for what is not known yet: surrogates pick its rows.
        """

    @property
    def shortest(self) -> int:
        """The fewest frames that `start` takes: the context, but of models to which a short history is no other one."""
        return self.context

    @property
    def certain(self) -> bool:
        """Whether every sample is the posterior mean, whatever the evaluations: it learned nothing of chance."""
        return False

    @abstractmethod
    def anchor(self, state: State, frames: torch.Tensor) -> State:
        """The state with its present replaced by measured frames : (b, y, x, channel), seen through the same view.

        What came before it is still remembered.
        """

    def expand(self, state: State, n: int) -> State:
        """The state with every row repeated n times in place: row i becomes rows i*n .. i*n+n-1."""
        rows = {field.name: getattr(state, field.name) for field in fields(state)}
        return type(state)(
            **{name: None if row is None else row.repeat_interleave(n, dim=0) for name, row in rows.items()}
        )

    @abstractmethod
    def step(
        self, state: State, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, State]:
        """Advance by one chunk.

        controls : (b, chunk, control) float32 in their units. One evaluation gives the posterior mean (no
        generator needed); more draw a sample. Returns frames (b, chunk, y, x, channel) float32 and the new state.
        """

    def rollout(
        self, state: State, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, State]:
        """Step through controls (b, n * chunk, control) : frames (b, n * chunk, y, x, channel) and the last state.

        Raises ModelError for controls that do not fill whole chunks.
        """
        steps, left = divmod(controls.shape[1], self.chunk)
        if left or not steps:
            raise ModelError(f"rollout: {controls.shape[1]} controls; give a multiple of the chunk, {self.chunk}")
        frames = []
        for part in controls.split(self.chunk, dim=1):
            seen, state = self.step(state, part, generator, evaluations)
            frames.append(seen)
        return torch.cat(frames, dim=1), state
