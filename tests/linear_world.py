"""The smallest world model: a pixel's next value is linear in its neighbourhood and in the controls; and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from sciworld import models, recording
from sciworld.config import require
from sciworld.controls import Column, ColumnTable
from sciworld.models.base import Losses, Signature, WorldModel
from sciworld.windows import Batch

Y, X = 5, 7
SIGNATURE = Signature(
    shape=(Y, X, 2),
    channels=ColumnTable((Column("light", "counts"), Column("heat", "K", low=0.0))),
    controls=ColumnTable((Column("dial", "1", -1.0, 1.0), Column("valve", "1", kind="categorical", levels=("a", "b")))),
    covariates=ColumnTable(()),
    mean=(1.0, 300.0),
    scale=(2.0, 10.0),
    control_mean=(0.0, 0.0),
    control_scale=(0.5, 1.0),
    view_step=0.5,
)


@dataclass(frozen=True)
class LinearSettings:
    """hears : whether the model listens to its controls. noise : added to the input, to use the generator."""

    hears: bool = True
    noise: float = 0.1

    def __post_init__(self) -> None:
        require(self.noise >= 0, f"LinearSettings: noise is {self.noise}; use at least 0")


class Linear(WorldModel):
    """residual = frames * W + controls V + bias, on normalised values; `count` is a buffer that changes in training."""

    family = "linear"
    Settings = LinearSettings
    context, chunk = 2, 1

    def __init__(self, signature: Signature, settings: LinearSettings) -> None:
        super().__init__(signature)
        self._settings = settings
        channels = len(signature.channels)
        self.frame = torch.nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
        self.control = torch.nn.Linear(len(signature.controls), channels, bias=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    def settings(self) -> LinearSettings:
        return self._settings

    @classmethod
    def lengths(cls, settings: LinearSettings) -> tuple[int, int]:
        return cls.context, cls.chunk

    def normal(self, frames: torch.Tensor) -> torch.Tensor:
        mean, scale = (torch.tensor(v, device=frames.device) for v in (self.signature.mean, self.signature.scale))
        return (frames.float() - mean) / scale

    def residual(self, last: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
        """last : (b, y, x, channel) normalised; controls : (b, control)."""
        change = self.frame(last.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return change + self.control(controls)[:, None, None] if self._settings.hears else change

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        frames = self.normal(batch.frames)
        last, true = frames[:, self.context - 1], frames[:, self.context]
        noise = torch.randn(last.shape, generator=generator, device=last.device) * self._settings.noise
        square = (self.residual(last + noise, batch.controls[:, self.context - 1]) - (true - last)) ** 2
        if self.training:
            self.count += 1
        if weights is not None:
            square = square * weights[..., None]
        total = square.mean()
        return Losses(total, {"light": square[..., 0].mean().item()})

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> Any:
        return self.normal(frames)[:, -1]

    def anchor(self, state: Any, frames: torch.Tensor) -> Any:
        return self.normal(frames)

    def expand(self, state: Any, n: int) -> Any:
        return state.repeat_interleave(n, dim=0)

    def step(
        self, state: Any, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, Any]:
        state = state + self.residual(state, controls[:, 0])
        mean, scale = (torch.tensor(v) for v in (self.signature.mean, self.signature.scale))
        return (state * scale + mean)[:, None], state


models.MODELS["linear"] = "linear_world:Linear"


def linear(seed: int = 0, signature: Signature = SIGNATURE, **settings: Any) -> Linear:
    """A model with weights drawn from `seed`."""
    model = Linear(signature, LinearSettings(**settings))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def batch(seed: int = 0, b: int = 4, t: int = 3) -> Batch:
    """Windows in which the dial brightens the light, over a view that is rotated and not square."""
    rng = np.random.default_rng(seed)
    controls = np.stack([rng.uniform(-1, 1, (b, t - 1)), rng.integers(0, 2, (b, t - 1))], axis=-1).astype(np.float32)
    frames = rng.normal([1.0, 300.0], [2.0, 10.0], (b, t, Y, X, 2))
    frames[:, 1:, ..., 0] = frames[:, :1, ..., 0] + 3.0 * np.cumsum(controls[..., 0], axis=1)[..., None, None]
    return Batch(
        frames=frames.astype(np.float32),
        controls=controls,
        time=np.tile(np.cumsum(rng.uniform(0.5, 1.5, t)), (b, 1)),
        view=np.tile([0.5, 0.1, -3.0, -0.2, 0.7, 2.0], (b, t, 1)),
        covariates=np.zeros((b, 0), dtype=np.float32),
        index=np.arange(b),
    )


def make(seed: int) -> xr.Dataset:
    """A recording of 11 frames, of the kind of `batch`."""
    rows = batch(seed, b=1, t=11)
    return recording.make(
        rows.frames[0],
        rows.time[0],
        channels=SIGNATURE.channels,
        controls=np.concatenate([rows.controls[0], np.full((1, 2), np.nan)]),
        control_table=SIGNATURE.controls,
        view=rows.view[0],
        view_units="mm",
        session=f"session-{seed}",
        source="toy",
        licence="Apache-2.0",
        citation="none",
        history=f"linear_world.make({seed})",
    )
