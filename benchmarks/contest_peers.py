"""Peers of the contest as world models: they are trained, imagined with and judged by the same code as ours.

What peers share, the Fourier neural operator, and our own default family made blind. A peer is told its controls as a
vector: scalars normalised, categories as one of n, and a position as where it falls in the frame, from -1 to 1, so that
none has to learn how the field of view moves.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature, WorldModel
from sciworld.models.conditioning import Conditioning
from sciworld.models.diffusion import Diffusion, DiffusionState
from sciworld.windows import Batch

# Family -> "module:class", as in sciworld.models.MODELS.
FAMILIES = {
    "fno": "contest_peers:Fno",
    "blind": "contest_peers:Blind",
    "diamond": "contest_diamond:Diamond",
    "pod_mlp": "contest_pod:PodMlp",
    "dmdc": "contest_pod:Dmdc",
    "absolute": "contest_absolute:Absolute",  # no peer: one of ours without a part
}
NEURALOP = "NEURALOP_PATH"  # environment variable: the folder that neuraloperator is installed in


@dataclass
class Seen:
    """The present of b candidates: frames (b, context * channel, y, x) normalised, and view (b, 6)."""

    frames: torch.Tensor
    view: torch.Tensor


class Peer(WorldModel):
    """One frame per control; what comes in is normalised, and checked, here."""

    chunk = 1
    mean: torch.Tensor
    scale: torch.Tensor
    control_mean: torch.Tensor
    control_scale: torch.Tensor

    def __init__(self, signature: Signature, settings: Any) -> None:
        super().__init__(signature)
        self._settings = settings
        self.context = settings.context
        shape = (1, len(signature.mean), 1, 1)
        for name in ("mean", "scale"):
            values = torch.tensor(getattr(signature, name)).reshape(shape)
            self.register_buffer(name, values, persistent=False)
        for name in ("control_mean", "control_scale"):
            self.register_buffer(name, torch.tensor(getattr(signature, name)), persistent=False)

    @property
    def settings(self) -> Any:
        """What the model is rebuilt from."""
        return self._settings

    @abstractmethod
    def ahead(
        self, state: Any, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> tuple[torch.Tensor, Any]:
        """The next frame (b, channel, y, x), normalised, under controls (b, control), and the state after it."""

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> Any:
        """See `WorldModel.start`. Raises ModelError for frames of another shape."""
        if frames.shape[1] != self.context:
            raise ModelError(f"start: {frames.shape[1]} frames; the model needs a context of {self.context}")
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "start")
        return Seen(self.normalised(frames).flatten(1, 2), view)

    def anchor(self, state: Any, frames: torch.Tensor) -> Any:
        """See `WorldModel.anchor`."""
        present = self.normalised(frames[:, None])[:, 0]
        return dataclasses.replace(state, frames=torch.cat([state.frames[:, : -present.shape[1]], present], dim=1))

    def step(
        self, state: Any, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, Any]:
        """See `WorldModel.step`. Raises ModelError for other controls, or a sample without a generator."""
        if controls.ndim != 3 or controls.shape[1] != 1:
            raise ModelError(f"step: controls are {tuple(controls.shape)}; one step takes (b, 1, control)")
        self.signature.require(self.signature.shape, controls.shape[2], "step")
        if evaluations > 1 and generator is None:
            raise ModelError(f"step: a sample in {evaluations} evaluations is drawn from a generator; give one")
        frame, following = self.ahead(state, controls[:, 0], generator, evaluations)
        return (frame * self.scale + self.mean).permute(0, 2, 3, 1)[:, None], following

    def normalised(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units to (b, t, channel, y, x) of about unit variance."""
        return (frames.to(torch.float32).permute(0, 1, 4, 2, 3) - self.mean) / self.scale

    def given(self, batch: Batch) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Of a batch of windows: the state, what follows (b, horizon, channel, y, x), the controls that lead to it."""
        self.signature.require(tuple(batch.frames.shape[2:]), batch.controls.shape[-1])
        state = self.start(batch.frames[:, : self.context], batch.view[:, self.context - 1])
        controls = batch.controls[:, self.context - 1 :].to(torch.float32)
        return state, self.normalised(batch.frames[:, self.context :]), controls

    def told(self, controls: torch.Tensor, view: torch.Tensor, drawn: bool = False) -> torch.Tensor:
        """Controls (b, control) as a vector (b, number); `drawn` leaves out positions. See the module's docstring."""
        table = self.signature.controls
        pairs = list(table.positions().values())
        apart = {column for pair in pairs for column in pair}
        parts = []
        for column, row in enumerate(table):
            value = controls[:, column]
            if row.kind == "categorical":
                parts.append(functional.one_hot(value.round().long(), len(row.levels)).to(value.dtype))
            elif column not in apart:
                parts.append(((value - self.control_mean[column]) / self.control_scale[column])[:, None])
        for x, y in [] if drawn else pairs:
            parts.append(self._in_frame(controls[:, [x, y]], view, table.columns[x].frame == "lab"))
        return torch.cat(parts, dim=1)

    def count(self, drawn: bool = False) -> int:
        """How many numbers `told` gives."""
        nothing = torch.zeros((1, len(self.signature.controls)))
        return self.told(nothing, torch.tensor([[1.0, 0, 0, 0, 1.0, 0]]), drawn).shape[1]

    def _in_frame(self, place: torch.Tensor, view: torch.Tensor, lab: bool) -> torch.Tensor:
        """Positions (b, 2), x before y, as (column, row) from -1 to 1 across the frame."""
        rows, columns, _ = self.signature.shape
        if lab:
            v = view.to(torch.float32)
            x, y = place[:, 0] - v[:, 2], place[:, 1] - v[:, 5]
            area = v[:, 0] * v[:, 4] - v[:, 1] * v[:, 3]
            place = torch.stack([v[:, 4] * x - v[:, 1] * y, v[:, 0] * y - v[:, 3] * x], dim=1) / area[:, None]
        return 2 * place / place.new_tensor([columns - 1, rows - 1]) - 1


def weighed(error: torch.Tensor, weights: torch.Tensor | None) -> Losses:
    """The mean of squared errors (b, channel, y, x), weighed by (b, y, x)."""
    total = (error.mean(dim=1) if weights is None else error.mean(dim=1) * weights).mean()
    return Losses(total, {"total": total.detach()})


@dataclass(frozen=True)
class FnoSettings:
    """context : past frames seen, as channels. maps : whether positions are drawn on the frame, or told as channels.
    modes : kept in each direction. hidden : channels. layers : of spectral convolutions."""

    context: int = 1
    maps: bool = True
    modes: int = 12
    hidden: int = 32
    layers: int = 4

    def __post_init__(self) -> None:
        for name in ("context", "modes", "hidden", "layers"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; use at least 1")


PRESETS = {"tiny": FnoSettings()}


class Fno(Peer):
    """The change to the next frame by a Fourier neural operator (Li et al. 2021, arXiv:2010.08895).

    The network is `neuralop.models.FNO` as its authors publish it; controls are constant channels, positions may be
    drawn as maps in their place. Plain regression: it gives no samples.
    """

    family = "fno"
    Settings = FnoSettings
    presets = PRESETS
    certain = True

    def __init__(self, signature: Signature, settings: FnoSettings | None = None) -> None:
        s = settings or FnoSettings()
        super().__init__(signature, s)
        # In a tuple, so that torch does not take the embeddings of scalars, which are not used, for weights.
        self._drawing = (Conditioning(signature, 8),) if s.maps else ()
        channels = signature.shape[2]
        maps = sum(one.maps for one in self._drawing)
        self.network = neuralop().FNO(
            n_modes=(s.modes, s.modes),
            in_channels=s.context * channels + self.count(s.maps) + maps,
            out_channels=channels,
            hidden_channels=s.hidden,
            n_layers=s.layers,
        )
        for convolution in self.network.fno_blocks.convs:
            # AdamW's fused kernel and safetensors know real numbers alone.
            convolution.weight = _AsComplex(convolution.weight.to_tensor().detach())

    def state_dict(self, *arguments: Any, **named: Any) -> Any:
        """The tensors alone: neuraloperator puts its settings among them."""
        found = super().state_dict(*arguments, **named)
        found.pop("_metadata", None)
        return found

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the next frame."""
        state, target, controls = self.given(batch)
        frame, _ = self.ahead(state, controls[:, 0], None, 1)
        return weighed((frame - target[:, 0]).square(), weights)

    def ahead(
        self, state: Seen, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> tuple[torch.Tensor, Seen]:
        """See `Peer.ahead`."""
        rows, columns, channels = self.signature.shape
        told = self.told(controls, state.view, self._settings.maps)[:, :, None, None].expand(-1, -1, rows, columns)
        maps = [one.draw(controls, state.view) for one in self._drawing]
        frame = state.frames[:, -channels:] + self.network(torch.cat([state.frames, told, *maps], dim=1))
        return frame, Seen(torch.cat([state.frames[:, channels:], frame], dim=1), state.view)


class _AsComplex(nn.Module):
    """Complex weights of a spectral convolution, kept as two tensors of real numbers."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.real, self.imaginary = (nn.Parameter(part.clone()) for part in (weights.real, weights.imag))

    def __getitem__(self, modes: tuple[slice, ...]) -> torch.Tensor:
        return torch.complex(self.real[modes], self.imaginary[modes])


def neuralop() -> Any:
    """`neuralop.models`, from the folder that the environment variable names, if it names one.

    Raises ModelError where it is not installed.
    """
    folder = os.environ.get(NEURALOP, "")
    if folder and folder not in sys.path:
        sys.path.append(folder)
    try:
        import neuralop.models
    except ImportError as error:
        raise ModelError(
            f"neuraloperator: {error}; install it into a folder of its own, without its dependencies on torch, and "
            f"name that folder in {NEURALOP}"
        ) from error
    return neuralop.models


class Blind(Diffusion):
    """Our default family, which never sees a control: every one is 0 while it learns and while it imagines."""

    family = "blind"

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """See `Diffusion.loss`."""
        return super().loss(dataclasses.replace(batch, controls=torch.zeros_like(batch.controls)), generator, weights)

    def step(
        self, state: DiffusionState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, DiffusionState]:
        """See `Diffusion.step`."""
        return super().step(state, torch.zeros_like(controls), generator, evaluations)
