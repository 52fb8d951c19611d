"""Peers of the contest in 32 modes of proper orthogonal decomposition: a small network, and linear dynamics.

Modes: Sirovich 1987, Q. Appl. Math. 45, 561 (method of snapshots), of normalised frames, so that channels count alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from contest_peers import Peer
from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.windows import Batch

if TYPE_CHECKING:
    from sciworld.loader import Mixture
    from sciworld.windows import Windows

SNAPSHOTS = 1500  # at most, evenly, from which modes are found
PIECE = 128  # windows that are read at a time


@dataclass
class Amplitudes:
    """The present of b candidates: amplitudes (b, context, mode), view (b, 6).

    rest : (b, pixel), what the modes leave out of the present, or of no columns where it is dropped.
    """

    amplitudes: torch.Tensor
    view: torch.Tensor
    rest: torch.Tensor


class Pod(Peer):
    """Amplitudes of modes, and what they are made from. settings : have context, modes and keep.

    Until it is prepared its modes are random ones.
    """

    certain = True
    centre: torch.Tensor
    modes: torch.Tensor
    size: torch.Tensor

    def __init__(self, signature: Signature, settings: Any) -> None:
        super().__init__(signature, settings)
        pixels = int(np.prod(signature.shape))
        if settings.modes > pixels:
            raise ModelError(f"{settings.modes} modes of frames of {pixels} values; ask for fewer")
        random = torch.linalg.qr(torch.randn(pixels, settings.modes)).Q.T
        self.register_buffer("centre", torch.zeros(pixels))
        self.register_buffer("modes", random.contiguous())
        self.register_buffer("size", torch.ones(settings.modes))

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> Amplitudes:
        """See `WorldModel.start`."""
        seen = super().start(frames, view)
        flat = seen.frames.reshape(len(view), self.context, -1)
        amplitudes = self._amplitudes(flat)
        return Amplitudes(amplitudes, view, self._rest(flat[:, -1], amplitudes[:, -1]))

    def anchor(self, state: Amplitudes, frames: torch.Tensor) -> Amplitudes:
        """See `WorldModel.anchor`."""
        flat = self.normalised(frames[:, None]).flatten(1)
        now = self._amplitudes(flat)
        return Amplitudes(torch.cat([state.amplitudes[:, :-1], now[:, None]], dim=1), state.view, self._rest(flat, now))

    def _rest(self, flat: torch.Tensor, amplitudes: torch.Tensor) -> torch.Tensor:
        """What the modes leave out of a frame (b, pixel), or nothing where it is dropped."""
        return flat - self._frames(amplitudes) if self._settings.keep else flat[:, :0]

    def prepare(self, windows: Windows | Mixture) -> None:
        """Find the modes of the windows' first frames, and how large their amplitudes are."""
        ids = np.unique(np.linspace(0, len(windows) - 1, min(SNAPSHOTS, len(windows))).round().astype(np.int64))
        pieces = np.array_split(ids, -(-len(ids) // PIECE))
        frames = torch.cat([self._flat(windows.batch(piece).frames[:, :1]) for piece in pieces])[:, 0]
        centre = frames.mean(dim=0)
        away = frames - centre
        values, vectors = torch.linalg.eigh(away @ away.T)
        n = min(self._settings.modes, len(frames))
        modes = vectors.flip(1)[:, :n].T @ away
        self.centre.copy_(centre)
        self.modes.zero_()
        self.modes[:n] = modes / modes.norm(dim=1, keepdim=True).clamp(min=1e-12)
        self.size.fill_(1.0)
        self.size[:n] = (values.flip(0)[:n].clamp(min=1e-12) / len(frames)).sqrt()

    def _flat(self, frames: np.ndarray) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units to (b, t, pixel) normalised, on the model's device."""
        return self.normalised(torch.as_tensor(frames).to(self.mean.device)).flatten(2)

    def _amplitudes(self, flat: torch.Tensor) -> torch.Tensor:
        """Of frames (..., pixel): (..., mode)."""
        return (flat - self.centre) @ self.modes.T

    def _frames(self, amplitudes: torch.Tensor) -> torch.Tensor:
        """Of amplitudes (..., mode): (..., pixel)."""
        return self.centre + amplitudes @ self.modes

    def _following(self, state: Amplitudes, now: torch.Tensor) -> tuple[torch.Tensor, Amplitudes]:
        """The frame (b, channel, y, x) of amplitudes (b, mode), and the state in which they are the present."""
        rows, columns, channels = self.signature.shape
        frame = self._frames(now)
        frame = frame + state.rest if self._settings.keep else frame
        past = torch.cat([state.amplitudes[:, 1:], now[:, None]], dim=1)
        return frame.reshape(-1, channels, rows, columns), Amplitudes(past, state.view, state.rest)


@dataclass(frozen=True)
class PodMlpSettings:
    """context : past frames seen. modes : kept. width, layers : of the network. horizon : steps rolled out in training.
    keep : whether what the modes leave out of the present stays in every frame after it, or is dropped."""

    context: int = 2
    modes: int = 32
    width: int = 256
    layers: int = 3
    horizon: int = 8
    keep: bool = False

    def __post_init__(self) -> None:
        for name in ("context", "modes", "width", "layers", "horizon"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; use at least 1")


POD_MLP_PRESETS = {"tiny": PodMlpSettings()}


class PodMlp(Pod):
    """A network from (past amplitudes, controls) to the change of the amplitudes; it gives no samples.

    The loss is over several steps of its own rollout, in amplitudes: no pixel can weigh more than others.
    """

    family = "pod_mlp"
    Settings = PodMlpSettings
    presets = POD_MLP_PRESETS

    def __init__(self, signature: Signature, settings: PodMlpSettings | None = None) -> None:
        s = settings or PodMlpSettings()
        super().__init__(signature, s)
        widths = [s.context * s.modes + self.count(), *[s.width] * s.layers]
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.SiLU())]
        self.network = nn.Sequential(*layers, nn.Linear(s.width, s.modes))

    @classmethod
    def lengths(cls, settings: PodMlpSettings) -> tuple[int, int]:
        """See `WorldModel.lengths`."""
        return settings.context, settings.horizon

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the amplitudes, of a frame of unit variance, over all steps."""
        state, target, controls = self.given(batch)
        true = self._amplitudes(target.flatten(2))
        errors = []
        for step in range(true.shape[1]):
            now = self._now(state, controls[:, step])
            state = Amplitudes(torch.cat([state.amplitudes[:, 1:], now[:, None]], dim=1), state.view, state.rest)
            errors.append((now - true[:, step]).square().sum(dim=1).mean())
        total = torch.stack(errors).mean() / self.size.square().sum()
        return Losses(total, {"total": total.detach()})

    def ahead(
        self, state: Amplitudes, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> tuple[torch.Tensor, Amplitudes]:
        """See `Peer.ahead`."""
        return self._following(state, self._now(state, controls))

    def _now(self, state: Amplitudes, controls: torch.Tensor) -> torch.Tensor:
        """The next amplitudes (b, mode)."""
        past = (state.amplitudes / self.size).flatten(1)
        change = self.network(torch.cat([past, self.told(controls, state.view)], dim=1))
        now: torch.Tensor = state.amplitudes[:, -1] + self.size * change
        return now


@dataclass(frozen=True)
class DmdcSettings:
    """context : past frames seen. modes : kept. ridge : of the mean square of what is regressed on. keep : as for
    PodMlpSettings."""

    context: int = 2
    modes: int = 32
    ridge: float = 1e-4
    keep: bool = False

    def __post_init__(self) -> None:
        require(self.context >= 1 and self.modes >= 1, "context and modes: use at least 1")
        require(self.ridge > 0, f"ridge is {self.ridge}; use above 0")


DMDC_PRESETS = {"tiny": DmdcSettings()}


class Dmdc(Pod):
    """Dynamic mode decomposition with control: the next amplitudes are linear in past ones and controls.

    Proctor, Brunton and Kutz 2016, SIAM J. Appl. Dyn. Syst. 15, 142, equation 23 with a ridge, on delayed amplitudes.
    It is solved, not trained: `prepare` is all, and it has no loss.
    """

    family = "dmdc"
    Settings = DmdcSettings
    presets = DMDC_PRESETS

    def __init__(self, signature: Signature, settings: DmdcSettings | None = None) -> None:
        s = settings or DmdcSettings()
        super().__init__(signature, s)
        self.step_matrix = nn.Parameter(
            0.1 * torch.randn(s.context * s.modes + self.count() + 1, s.modes), requires_grad=False
        )

    def prepare(self, windows: Windows | Mixture) -> None:
        """Find the modes, and the least squares of the steps between all windows' last frames."""
        super().prepare(windows)
        square, product = 0.0, 0.0
        for ids in np.array_split(np.arange(len(windows)), -(-len(windows) // PIECE)):
            state, target, controls = self.given(windows.batch(ids).to(self.mean.device))
            known = self._known(state, controls[:, 0]).double()
            square = square + known.T @ known
            product = product + known.T @ self._amplitudes(target[:, 0].flatten(1)).double()
        ridge = torch.diag(self._settings.ridge * torch.diagonal(square).clamp(min=1e-12))
        self.step_matrix.copy_(torch.linalg.solve(square + ridge, product))

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Raises ModelError: there is nothing to descend."""
        raise ModelError("dmdc: it is solved by `prepare`, not trained; call that")

    def ahead(
        self, state: Amplitudes, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> tuple[torch.Tensor, Amplitudes]:
        """See `Peer.ahead`."""
        return self._following(state, self._known(state, controls) @ self.step_matrix)

    def _known(self, state: Amplitudes, controls: torch.Tensor) -> torch.Tensor:
        """Past amplitudes, controls and 1: (b, number)."""
        told = self.told(controls, state.view)
        return torch.cat([state.amplitudes.flatten(1), told, torch.ones_like(told[:, :1])], dim=1)
