"""Restyling: what is asked for is seen, what is there stays, and every kind of world model can do it."""

import dataclasses

import numpy as np
import pytest
import torch

from sciworld.controls import Column, ColumnTable
from sciworld.errors import ModelError, SettingsError
from sciworld.models.base import Signature
from sciworld.models.causal import PRESETS as CAUSAL
from sciworld.models.causal import Causal
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.models.masked import Masked
from sciworld.models.masked_settings import PRESETS as MASKED
from sciworld.models.restyling import Restyling, restyled
from sciworld.windows import Batch

SHAPE = (8, 16, 1)
FACTS = ColumnTable((Column("brightness", "1"),))
BESIDE = DiffusionSettings(
    width=16, coarse=16, embedding=16, restyles=True, low=0.05, high=10.0, first=4.0, last=0.1, undecided=0.0
)


def signature(controls=ColumnTable(())):  # noqa: B008
    n = len(controls)
    return Signature(
        SHAPE, ColumnTable((Column("grey", "counts"),)), controls, FACTS, (50.0,), (20.0,), (0.0,) * n, (1.0,) * n, 1.0,
        (0.0,), (1.0,),
    )  # fmt: skip


def scenes(n, rng):
    """Frames (n, y, x, 1) of random blocks, and how bright they are asked for (n, 1)."""
    blocks = rng.choice([30.0, 70.0], size=(n, 4, 8, 1)).repeat(2, axis=1).repeat(2, axis=2)
    return blocks, rng.choice([-1.0, 1.0], size=(n, 1))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model, rng, generator = Diffusion(signature(), BESIDE), np.random.default_rng(0), torch.Generator().manual_seed(0)
    adamw = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(150):
        seen, bright = scenes(16, rng)
        frames = np.stack([seen, seen + 20.0 * bright[:, None, None]], axis=1)
        batch = Batch(frames, np.zeros((16, 1, 0), np.float32), np.zeros((16, 2)), np.zeros((16, 2, 6)),
                      bright.astype(np.float32), np.arange(16)).to("cpu")  # fmt: skip
        loss = model.loss(batch, generator).total
        adamw.zero_grad()
        loss.backward()
        adamw.step()
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [Restyling(), Restyling(evaluations=4), Restyling(0.5), Restyling(0.7, evaluations=4), Restyling(layout=0.0)],
)
def test_light_is_turned_and_blocks_stay(trained, settings):
    seen, bright = scenes(6, np.random.default_rng(1))
    frames = torch.from_numpy(seen).float()[:, None].repeat(1, 2, 1, 1, 1)
    asked, generator = torch.from_numpy(bright).float(), torch.Generator().manual_seed(0)
    found = restyled(trained, frames, asked, generator, settings).numpy()
    assert found.shape == frames.shape
    shift = (found - frames.numpy()).mean(axis=(1, 2, 3, 4))
    if settings.strength is None or settings.evaluations == 1:
        assert (np.sign(shift) == bright[:, 0]).all()
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(found, frames.numpy(), strict=True)]
    assert min(alike) > (0.8 if settings.evaluations == 1 else 0.6)
    if settings.evaluations == 1:  # the more of a frame is kept, the less its light is turned
        np.testing.assert_allclose(shift, (settings.strength or 1.0) * 20.0 * bright[:, 0], atol=4.0)


def test_strength_none_keeps_all(trained):
    frames = torch.rand(1, 3, *SHAPE) * 100
    found = restyled(trained, frames, torch.ones(1, 1), torch.Generator(), Restyling(0.0))
    assert torch.equal(found, frames)


@pytest.mark.parametrize("kind", ["diffusion", "causal", "masked"])
def test_world_models_restyle_what_they_would_imagine(kind):
    torch.manual_seed(0)
    controls = ColumnTable((Column("push", "1", -1.0, 1.0),))
    if kind == "diffusion":
        model = Diffusion(signature(controls), DiffusionSettings(context=2, width=16, coarse=16, embedding=16))
    elif kind == "causal":
        model = Causal(signature(controls), CAUSAL["tiny"])
    else:
        tasks = MASKED["tasks"]
        codes = dataclasses.replace(tasks.tokenizer, width=16, layers=1)
        small = dataclasses.replace(tasks, tokenizer=codes, width=16, embedding=16, layers=1)
        model = Masked(signature(controls), small)
    model.eval()
    frames, generator = torch.rand(2, 7, *SHAPE) * 100, torch.Generator()

    def made(shown, strength):
        generator.manual_seed(0)
        return restyled(model, shown, torch.ones(2, 1), generator, Restyling(strength, 0.0, 3), torch.zeros(2, 6, 1))

    found = made(frames, None)
    assert found.shape == frames.shape and torch.isfinite(found).all()
    apart = [(made(frames, strength) - frames).abs().mean() for strength in (0.1, 0.9)]
    assert kind == "masked" or 0 < apart[0] < apart[1]
    other = torch.cat([frames[:, :1], frames[:, 1:].flip(3)], dim=1)
    assert (made(other, None)[:, 1:] - found[:, 1:]).abs().mean() > 1  # every frame counts, not the first alone
    with pytest.raises(ModelError, match="nothing of the frames would be left"):
        made(frames, 1.0)


def test_what_cannot_restyle_says_so(trained):
    generator, frames = torch.Generator(), torch.rand(1, 2, *SHAPE)
    with pytest.raises(ModelError, match="covariates are"):
        restyled(trained, frames, torch.ones(1, 2), generator)
    with pytest.raises(ModelError, match="frames are"):
        restyled(trained, frames[:, :, :4], torch.ones(1, 1), generator)
    with pytest.raises(ModelError, match="NaN"):
        restyled(trained, frames * torch.nan, torch.ones(1, 1), generator)
    certain = Diffusion(signature(), dataclasses.replace(BESIDE, restyles=False, pure=1.0))
    with pytest.raises(ModelError, match="nothing between noise and frames"):
        restyled(certain, frames, torch.ones(1, 1), generator)
    for wrong in ({"strength": 1.5}, {"layout": -0.1}, {"evaluations": 0}, {"strength": float("nan")}):
        with pytest.raises(SettingsError):
            Restyling(**wrong)
    with pytest.raises(SettingsError, match="restyles is for"):
        dataclasses.replace(BESIDE, context=2)
