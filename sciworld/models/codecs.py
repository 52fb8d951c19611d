"""What a model sees of a frame: its pixels, the coefficients of a few modes, or what an autoencoder keeps of it.

A codec is a part of its model and of the checkpoint. It takes and gives frames as the model normalises them; that is
linear, so that modes are those of the frames in their units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from sciworld.errors import ModelError
from sciworld.models.base import Signature
from sciworld.models.layers import Block

if TYPE_CHECKING:
    from sciworld.loader import Mixture
    from sciworld.windows import Windows

Normalise = Callable[[torch.Tensor], torch.Tensor]  # frames (n, y, x, channel) to images (n, channel, y, x)
SPARE = 10  # modes more than asked for, in the random sketch
POWERS = 2  # passes that sharpen it
FRAMES = 256  # read at a time
SHRINK = 4  # of an autoencoder, along each side


class Codec(nn.Module, ABC):
    """Images (n, channel, y, x) to latents (n, *latent), of about unit variance, and back."""

    latent: tuple[int, int, int]  # channel, y, x
    shrink: int  # pixels a place of the latent, along each side
    importance: torch.Tensor  # (channel, 1, 1): what the squared error of each channel of the latent counts, 1 in mean

    def __init__(self, latent: tuple[int, int, int], shrink: int) -> None:
        super().__init__()
        self.latent, self.shrink = latent, shrink
        self.register_buffer("importance", torch.ones(latent[0], 1, 1))

    @property
    def flat(self) -> bool:
        """Whether the latent has no grid."""
        return self.latent[1:] == (1, 1)

    @abstractmethod
    def encode(self, images: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor: ...

    def prepare(self, windows: Windows | Mixture, normalise: Normalise) -> None:
        """Fit what no gradient trains, on frames that `normalise` makes images."""


class Pixels(Codec):
    """The images themselves."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        rows, cols, channels = shape
        super().__init__((channels, rows, cols), 1)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


class Modes(Codec):
    """Coefficients of the modes that hold most of the variance: proper orthogonal decomposition (Lumley 1967; Sirovich
    1987, Quarterly of Applied Mathematics 45, 561).

    The modes are found by a randomised singular value decomposition that reads the frames batch by batch (Halko,
    Martinsson and Tropp 2011, SIAM Review 53, 217, algorithms 4.4 and 5.1). Errors count by the variance of their
    mode: the sum is then that of the pixels. weights : of the normalised channels, see `energy_weights`.
    """

    weights: torch.Tensor
    average: torch.Tensor
    modes: torch.Tensor
    deviation: torch.Tensor
    fitted: torch.Tensor

    def __init__(self, shape: tuple[int, int, int], modes: int, weights: Sequence[float]) -> None:
        rows, cols, channels = shape
        super().__init__((modes, 1, 1), max(rows, cols))
        if not 1 <= modes <= rows * cols * channels:
            raise ModelError(f"{modes} modes of frames {shape} (y, x, channel); use 1 to {rows * cols * channels}")
        self.shape = (channels, rows, cols)
        self.register_buffer("weights", torch.tensor(weights).reshape(-1, 1, 1), persistent=False)
        size = rows * cols * channels
        self.register_buffer("average", torch.zeros(size))
        # Until they are fitted, pixels stand in: a model that was not prepared runs, too.
        self.register_buffer("modes", torch.eye(modes, size))
        self.register_buffer("deviation", torch.ones(modes))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        found = ((images * self.weights).flatten(1) - self.average) @ self.modes.T
        return (found / self.deviation)[:, :, None, None]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        images = (latents.flatten(1) * self.deviation) @ self.modes + self.average
        return images.reshape(-1, *self.shape) / self.weights

    @torch.no_grad()
    def prepare(self, windows: Windows | Mixture, normalise: Normalise) -> None:
        """Find the modes, but if they came with the weights. Raises ModelError for fewer frames than modes."""
        if self.fitted:
            return
        k, device = len(self.modes), self.modes.device

        def batches() -> Iterator[torch.Tensor]:
            """All frames, each once or nearly so : (n, pixel)."""
            for images in _images(windows, normalise, device):
                yield (images * self.weights).flatten(1)

        count, total = 0, torch.zeros_like(self.average, dtype=torch.float64)
        for rows in batches():
            count, total = count + len(rows), total + rows.sum(dim=0, dtype=torch.float64)
        if count <= k:
            raise ModelError(f"{k} modes of {count} frames; use fewer modes, or record more")
        average = (total / count).to(torch.float32)
        generator = torch.Generator(device).manual_seed(0)
        sketch = torch.zeros((self.modes.shape[1], min(k + SPARE, count)), device=device)
        for rows in batches():
            draw = torch.randn((len(rows), sketch.shape[1]), generator=generator, device=device)
            sketch += (rows - average).T @ draw
        basis = torch.linalg.qr(sketch)[0]
        for _ in range(POWERS):
            sketch = torch.zeros_like(basis)
            for rows in batches():
                sketch += (rows - average).T @ ((rows - average) @ basis)
            basis = torch.linalg.qr(sketch)[0]
        square = torch.zeros((basis.shape[1],) * 2, device=device, dtype=torch.float64)
        for rows in batches():
            inside = ((rows - average) @ basis).to(torch.float64)
            square += inside.T @ inside
        energy, turn = torch.linalg.eigh(square / count)  # ascending
        if not float(energy[-1]) > 0:
            raise ModelError("modes of frames that do not differ; record some that do, or use the codec 'pixels'")
        modes = (basis @ turn.flip(1)[:, :k].to(torch.float32)).T
        # The sign of a mode is chance: its largest pixel is positive.
        largest = modes.gather(1, modes.abs().argmax(dim=1, keepdim=True))
        energy = energy.flip(0)[:k].clamp(min=1e-12 * float(energy.max()))
        self.average.copy_(average)
        self.modes.copy_(modes * largest.sign())
        self.deviation.copy_(energy.sqrt())
        self.importance.copy_((energy / energy.mean())[:, None, None])
        self.fitted.fill_(True)


class Autoencoder(Codec):
    """What a convolutional autoencoder keeps: latents of a fourth of the frame's sides, trained along with the model.

    Each place of the latent is of unit length over its channels (times their root), so that its scale cannot drift
    while the dynamics learn it; the dynamics' loss does not reach the encoder, which would collapse it.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, width: int) -> None:
        rows, cols, seen = shape
        if rows % SHRINK or cols % SHRINK:
            raise ModelError(
                f"frames of {rows} x {cols} pixels: an autoencoder needs multiples of {SHRINK}; crop or pad"
            )
        super().__init__((channels, rows // SHRINK, cols // SHRINK), SHRINK)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4 * seen, width, 3, padding=1), Block(width),
            nn.Conv2d(width, width, 2, stride=2), Block(width), nn.Conv2d(width, channels, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), Block(width), nn.ConvTranspose2d(width, width, 2, stride=2),
            Block(width), nn.Conv2d(width, 4 * seen, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self._encoded(images)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.decoder(latents)
        return found

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """The squared error of what comes back: what it adds to the loss of its model."""
        return functional.mse_loss(self.decoder(self._encoded(images)), images)

    def _encoded(self, images: torch.Tensor) -> torch.Tensor:
        found = self.encoder(images)
        return found * torch.rsqrt(found.square().mean(dim=1, keepdim=True) + 1e-6)


def codec_of(kind: str, signature: Signature, modes: int, channels: int, width: int) -> Codec:
    """The codec called `kind`, one of CODECS, of frames of a signature."""
    if kind == "pod":
        return Modes(signature.shape, modes, energy_weights(signature))
    if kind == "autoencoder":
        return Autoencoder(signature.shape, channels, width)
    return Pixels(signature.shape)


def energy_weights(signature: Signature) -> tuple[float, ...]:
    """What normalised channels count : one number each. Where all have the same units, squares add up to an energy in
    them, as of the components of a velocity; else every channel counts alike."""
    units = {column.units for column in signature.channels}
    largest = max(signature.scale)
    return tuple(scale / largest if len(units) == 1 else 1.0 for scale in signature.scale)


CODECS = ("pixels", "pod", "autoencoder")


def _images(windows: Windows | Mixture, normalise: Normalise, device: torch.device) -> Iterator[torch.Tensor]:
    """Frames of windows that lie side by side, as images, some at a time."""
    ids = list(range(0, len(windows), windows.length))
    step = max(1, FRAMES // windows.length)
    for begin in range(0, len(ids), step):
        frames = torch.as_tensor(windows.batch(ids[begin : begin + step]).frames, device=device)
        yield normalise(frames.flatten(0, 1).to(torch.float32))
