"""Codecs: modes are those of the whole matrix of frames, and what is encoded comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sciworld.controls import Column, ColumnTable
from sciworld.errors import ModelError
from sciworld.models import checkpoint
from sciworld.models.base import Signature
from sciworld.models.codecs import Autoencoder, Modes, codec_of, energy_weights
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.windows import Batch

ROWS, COLUMNS, T = 6, 10, 4
VELOCITY = ColumnTable((Column("u", "m/s"), Column("v", "m/s")))
CONTROLS = ColumnTable((Column("jet", "m/s", -1, 1),))
SIGNATURE = Signature(
    (ROWS, COLUMNS, 2), VELOCITY, CONTROLS, ColumnTable(()), (0.5, 0.0), (2.0, 0.5), (0.0,), (1.0,), 1.0
)


class Waves:
    """Windows of waves of a few shapes, as `Codec.prepare` reads them: frames are sums of `rank` fields, and noise."""

    def __init__(self, rank: int = 5, count: int = 60, noise: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        shapes = rng.normal(size=(rank, ROWS * COLUMNS * 2)) * 2.0 ** -np.arange(rank)[:, None]
        frames = (
            rng.normal(size=(count * T, rank)) @ shapes + 0.3 + noise * rng.normal(size=(count * T, shapes.shape[1]))
        )
        self.frames = frames.reshape(count, T, ROWS, COLUMNS, 2).astype(np.float32)
        self.length, self.reads = T, 0

    def __len__(self) -> int:
        return len(self.frames) * T

    def batch(self, ids: list[int]) -> Batch:
        self.reads += 1
        rows = np.asarray(ids) // T
        nothing: Any = None
        return Batch(self.frames[rows], nothing, nothing, nothing, nothing, rows)


def prepared(modes: int, windows: Waves) -> Diffusion:
    torch.manual_seed(0)
    model = Diffusion(SIGNATURE, DiffusionSettings(width=16, coarse=16, codec="pod", modes=modes))
    model.prepare(windows)  # type: ignore[arg-type]
    return model


def back(model: Diffusion, frames: np.ndarray) -> np.ndarray:
    """Frames (n, y, x, channel) through the codec."""
    with torch.no_grad():
        return model.decoded(model.encoded(torch.from_numpy(frames)[:, None])[:, 0]).numpy()


def test_frames_of_few_shapes_come_back_from_as_many_modes() -> None:
    windows = Waves(rank=5)
    frames = windows.frames.reshape(-1, ROWS, COLUMNS, 2)
    np.testing.assert_allclose(back(prepared(5, windows), frames), frames, atol=2e-4)
    assert np.abs(back(prepared(3, windows), frames) - frames).max() > 0.05


@pytest.mark.parametrize("modes", [1, 4, 8])
def test_modes_are_those_of_the_whole_matrix(modes: int) -> None:
    """The truncation error in the frames' own units is the least possible, that of NumPy's whole decomposition."""
    windows = Waves(rank=8, noise=0.02)
    model = prepared(modes, windows)
    rows = windows.frames.reshape(-1, ROWS * COLUMNS * 2).astype(float)
    centred = rows - rows.mean(axis=0)
    _, singular, shapes = np.linalg.svd(centred, full_matrices=False)
    error = back(model, windows.frames.reshape(-1, ROWS, COLUMNS, 2)).reshape(rows.shape) - rows
    assert (error**2).sum() == pytest.approx((singular[modes:] ** 2).sum(), rel=1e-3)
    codec = model.codec
    assert isinstance(codec, Modes)
    found = codec.modes.numpy().reshape(modes, 2, ROWS, COLUMNS).transpose(0, 2, 3, 1).reshape(modes, -1)
    angles = np.linalg.svd(found @ shapes[:modes].T)[1]
    np.testing.assert_allclose(angles, 1.0, atol=1e-3)
    np.testing.assert_allclose(codec.deviation.numpy() * 2.0, singular[:modes] / np.sqrt(len(rows)), rtol=1e-3)


def test_coefficients_have_unit_variance_and_errors_count_as_in_pixels() -> None:
    windows = Waves(rank=6, noise=0.0)
    model = prepared(6, windows)
    frames = torch.from_numpy(windows.frames.reshape(-1, ROWS, COLUMNS, 2))
    with torch.no_grad():
        latents = model.encoded(frames[:, None])[:, 0]
    torch.testing.assert_close(latents.std(dim=0, correction=0), torch.ones(6, 1, 1), rtol=1e-3, atol=1e-3)
    other = latents + 0.1 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    inside = model.weighed((other - latents).square(), None)
    outside = (model.decoded(other) - model.decoded(latents)).square().sum(dim=(1, 2, 3))
    ratio = (inside / outside).detach()
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)


def test_modes_are_the_same_each_time_and_are_part_of_the_checkpoint(tmp_path: Any) -> None:
    windows = Waves(rank=8, noise=0.05)
    one, other = prepared(4, windows), prepared(4, windows)
    assert torch.equal(one.codec.modes, other.codec.modes)  # type: ignore[arg-type]
    checkpoint.save(one, tmp_path / "model.safetensors")
    frames = windows.frames[0]
    np.testing.assert_array_equal(back(checkpoint.load(tmp_path / "model.safetensors"), frames), back(one, frames))  # type: ignore[arg-type]


def test_frames_are_read_some_at_a_time() -> None:
    windows = Waves(count=300)
    prepared(4, windows)
    assert windows.reads > 20  # five passes, 64 windows a time


def test_channels_of_one_unit_count_by_their_energy() -> None:
    assert energy_weights(SIGNATURE) == (1.0, 0.25)
    other = ColumnTable((Column("u", "m/s"), Column("p", "Pa")))
    assert energy_weights(dataclasses.replace(SIGNATURE, channels=other)) == (1.0, 1.0)


def test_what_cannot_be() -> None:
    with pytest.raises(ModelError, match="121 modes of frames"):
        codec_of("pod", SIGNATURE, 121, 8, 16)
    with pytest.raises(ModelError, match="20 modes of 8 frames; use fewer modes, or record more"):
        prepared(20, Waves(count=2))
    with pytest.raises(ModelError, match="6 x 10 pixels: an autoencoder needs multiples of 4"):
        codec_of("autoencoder", SIGNATURE, 1, 8, 16)


def test_an_autoencoder_learns_to_give_back_and_its_scale_cannot_drift() -> None:
    torch.manual_seed(0)
    codec = Autoencoder((8, 12, 2), 6, 16)
    images = torch.nn.functional.avg_pool2d(torch.randn(32, 2, 10, 14), 3, stride=1) * 3
    adamw = torch.optim.AdamW(codec.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = codec.loss(images)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]
    latents = codec.encode(images)
    assert latents.shape == (32, *codec.latent) and not latents.requires_grad
    torch.testing.assert_close(latents.square().mean(dim=1), torch.ones(32, 2, 3), rtol=1e-4, atol=1e-4)
