"""Tokenizers: frames to codes of a finite set and back, without a look ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciworld.errors import CheckpointError, ModelError, SettingsError
from sciworld.models import checkpoint
from sciworld.models.tokenizers.quantizers import Levels, Quantizer, Vectors
from sciworld.models.tokenizers.vivit import PRESETS, ViViT, ViViTSettings
from sciworld.testing import signature, windows

FEW: dict[str, Any] = {"patch": 4, "parts": 1, "frames": 4, "width": 16, "layers": 1, "levels": (4, 3)}


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(channels: int = 2, **settings: Any) -> ViViT:
    torch.manual_seed(0)
    return ViViT(signature(8, 12, channels), ViViTSettings(**{**FEW, **settings})).eval()


@given(st.lists(st.integers(2, 7), min_size=1, max_size=4))
def test_every_code_of_a_grid_is_the_code_of_its_own_vector(levels: list[int]) -> None:
    quantizer = Levels(levels)
    numbers = torch.arange(quantizer.count)
    vectors = quantizer.vectors(numbers)
    assert vectors.shape == (quantizer.count, len(levels)) and vectors.abs().max() == 1
    # A vector on an axis of n levels is where the sigmoid of twice it lies in the middle of its level.
    steps = torch.tensor(levels)
    middle = ((vectors + 1) / 2 * (steps - 1) + 0.5) / steps
    assert torch.equal(quantizer.numbers(torch.logit(middle) / 2), numbers)
    assert len(torch.unique(vectors, dim=0)) == quantizer.count


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_what_is_far_off_a_grid_has_its_last_level(far: float) -> None:
    number = int(Levels([5]).numbers(torch.tensor([far])))
    assert 0 <= number < 5
    assert abs(far) < 10 or number == (4 if far > 0 else 0)


def test_learned_codes_are_the_nearest_of_what_is_spread() -> None:
    torch.manual_seed(0)
    quantizer = Vectors(6, 3).train()
    moved = 5 + 10 * torch.randn(400, 3, generator=noise())
    _, numbers, _ = quantizer.learned(moved, noise())
    spread = (moved - moved.mean(dim=0)) / moved.std(dim=0, correction=0)
    nearest = torch.cdist(spread, quantizer.vectors(torch.arange(6))).argmin(dim=1)
    assert torch.equal(numbers, nearest)
    for _ in range(60):
        quantizer.learned(moved, noise())
    kept = quantizer.mean.clone()
    assert (quantizer.numbers(moved) == nearest).float().mean() > 0.98  # by what training has seen
    quantizer.eval().learned(moved + 3, noise())
    assert torch.equal(quantizer.mean, kept)


@pytest.mark.parametrize("kind", [lambda: Levels([3, 3]), lambda: Vectors(9, 2)], ids=["levels", "vectors"])
def test_the_gradient_passes_straight_through(kind: Callable[[], Quantizer]) -> None:
    quantizer = kind().eval()  # in training a batch is spread: its sum has no gradient at all
    found = torch.randn(5, 2, generator=noise(), requires_grad=True)
    vectors, numbers, _ = quantizer.learned(found, noise())
    assert torch.allclose(vectors, quantizer.vectors(numbers), atol=1e-6)
    vectors.sum().backward()
    assert found.grad is not None and (found.grad.abs() > 1e-3).all()


def test_dead_codes_are_drawn_to_the_data_and_come_to_life() -> None:
    torch.manual_seed(0)
    quantizer = Vectors(16, 2).train()
    with torch.no_grad():  # all but one stand for what no data are
        quantizer.codes.copy_(torch.tensor([-3.0, 0.0]))
        quantizer.codes[0] = torch.tensor([0.0, 0.0])
    found = torch.randn(64, 2, generator=noise())
    adamw = torch.optim.AdamW(quantizer.parameters(), lr=0.003)
    used = []
    for step in range(700):
        _, _, loss = quantizer.learned(found, noise(step))
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        used.append(float(quantizer.alive()))
    assert min(used) < 0.5 < used[-1]
    assert len(quantizer.numbers(found).unique()) >= 12


def test_use_is_counted_in_training_alone() -> None:
    quantizer = Levels([4])
    before = quantizer.used.clone()
    quantizer.eval().learned(torch.zeros(10, 1), noise())
    assert torch.equal(quantizer.used, before)
    quantizer.train().learned(torch.zeros(10, 1), noise())
    assert not torch.equal(quantizer.used, before) and float(quantizer.used.sum()) == pytest.approx(1)


@pytest.mark.parametrize("settings", [{"parts": 3}, {"window": 3, "frames": 5}, {"levels": (), "codes": 7}], ids=str)
def test_codes_and_frames_depend_on_nothing_later(settings: dict[str, Any]) -> None:
    tokenizer = made(**settings)
    frames = windows(tokenizer.signature, 5, 2).frames
    later = frames.clone()
    later[:, 3:] += 5.0
    codes = tokenizer.encode(frames)
    assert codes.shape == (2, 5, 2, 3, tokenizer.parts) and codes.dtype == torch.int64
    assert int(codes.min()) >= 0 and int(codes.max()) < tokenizer.count
    assert torch.equal(tokenizer.encode(later)[:, :3], codes[:, :3])
    other = codes.clone()
    other[:, 3:] = (other[:, 3:] + 1) % tokenizer.count
    with torch.no_grad():
        shown, changed = tokenizer.decode(codes), tokenizer.decode(other)
    assert shown.shape == frames.shape and torch.isfinite(shown).all()
    assert torch.equal(changed[:, :3], shown[:, :3]) and not torch.equal(changed[:, 3:], shown[:, 3:])


@pytest.mark.parametrize("channels", [1, 3])
def test_training_reconstructs_in_physical_units(channels: int) -> None:
    tokenizer = made(channels, levels=(8, 6, 5)).train()
    batch = windows(tokenizer.signature, 4, 16)
    adamw = torch.optim.AdamW(tokenizer.parameters(), lr=3e-3)
    for step in range(150):
        losses = tokenizer.loss(batch, noise(step))
        adamw.zero_grad()
        losses.total.backward()
        adamw.step()
    names = tokenizer.signature.channels.names
    assert {f"rmse_{name}" for name in names} | {"codes_used", "reconstructed", "codes"} == set(losses.parts)
    with torch.no_grad():
        shown = tokenizer.eval().decode(tokenizer.encode(batch.frames))
        rmse = (shown - batch.frames).square().mean(dim=(0, 1, 2, 3)).sqrt()
        parts = tokenizer.loss(batch, noise()).parts
    for k, name in enumerate(names):
        assert float(parts[f"rmse_{name}"]) == pytest.approx(float(rmse[k]), rel=1e-3)
    assert float(rmse[0]) < 0.5 * float(batch.frames[..., 0].std())


def test_frames_that_no_patch_divides_are_refused() -> None:
    with pytest.raises(ModelError, match="8 x 12 pixels: both must be multiples of 5"):
        made(patch=5)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"patch": 0}, "patch is 0"),
        ({"width": 12}, "multiple of 8"),
        ({"window": 4, "frames": 3}, "window is 4 frames"),
        ({"levels": (), "codes": 1}, "codes is 1"),
        ({"levels": (5, 1)}, "at least 2"),
    ],
    ids=str,
)
def test_settings_are_checked(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        ViViTSettings(**settings)


def test_a_tokenizer_is_no_model_and_comes_back_with_its_own_normalisation(tmp_path: Any) -> None:
    tokenizer = made(window=2)
    with torch.no_grad():
        tokenizer.mean.add_(1.0)  # of other windows than those that the signature was measured on
    checkpoint.save(tokenizer, tmp_path / "tokenizer")
    with pytest.raises(CheckpointError, match="the file of the tokenizer, not of the model"):
        checkpoint.load(tmp_path / "tokenizer")
    loaded = checkpoint.load(tmp_path / "tokenizer", role="tokenizer")
    frames = windows(tokenizer.signature, 3, 2).frames
    assert torch.equal(loaded.encode(frames), tokenizer.encode(frames))
    assert loaded.digest == tokenizer.digest
    with torch.no_grad():
        loaded.narrow.weight.add_(1e-3)
    assert loaded.digest != tokenizer.digest


def test_presets_have_the_published_sizes() -> None:
    genie = PRESETS["genie-coinrun"]
    assert (genie.layers, genie.width, genie.codes, genie.code_width, genie.patch) == (8, 512, 1024, 32, 4)
    assert not genie.levels and genie.frames == 16
