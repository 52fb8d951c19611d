"""Latent actions: what happens between frames, as one of a few codes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sciworld.errors import ModelError, SettingsError
from sciworld.models.latent import LatentActions, LatentSettings
from sciworld.testing import signature, windows

FEW: dict[str, Any] = {"width": 16}


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(channels: int = 2, **settings: Any) -> LatentActions:
    torch.manual_seed(0)
    return LatentActions(signature(8, 12, channels), LatentSettings(**{**FEW, **settings})).eval()


def test_an_action_depends_on_no_later_frame() -> None:
    actions = made()
    frames = windows(actions.signature, 4, 6).frames
    later = frames.clone()
    later[:, 3] += 9.0
    found = actions.actions(frames)
    assert found.shape == (6, 3) and found.dtype == torch.int64 and 0 <= int(found.min()) <= int(found.max()) < 8
    assert torch.equal(actions.actions(later)[:, :2], found[:, :2])


def test_codes_come_to_mean_what_the_past_does_not_tell() -> None:
    """All grows warmer or colder by a step that is chance: two codes tell which."""
    actions = made(codes=2, context=1).train()
    shape = actions.signature.shape

    def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        first = torch.rand(64, 1, 1, 1, 1, generator=noise(seed)).expand(64, 1, *shape)
        warmer = torch.rand(64, generator=noise(seed + 1000)) < 0.5
        both = torch.cat([first, first + torch.where(warmer, 0.5, -0.5)[:, None, None, None, None]], dim=1)
        return both * actions.scale[:, 0, 0] + actions.mean[:, 0, 0], warmer

    adamw = torch.optim.AdamW(actions.parameters(), lr=3e-3)
    for step in range(60):
        frames, _ = drawn(step)
        batch = windows(actions.signature, 2, 64)
        losses = actions.loss(batch.__class__(frames, *[getattr(batch, name) for name in (
            "controls", "time", "view", "covariates", "index", "words")]), noise(step))  # fmt: skip
        adamw.zero_grad()
        losses.total.backward()
        adamw.step()
    frames, warmer = drawn(5000)
    codes = actions.eval().actions(frames)[:, 0]
    agree = float((codes.bool() == warmer).float().mean())
    assert max(agree, 1 - agree) > 0.95
    assert float(losses.parts["guessed"]) < 0.3 * float(losses.parts["still"])


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="codes is 1"):
        LatentSettings(codes=1)
    with pytest.raises(SettingsError, match="context is 0"):
        LatentSettings(context=0)
    with pytest.raises(ModelError, match="multiples of 10"):
        made(pixels=5)
    actions = made()
    with pytest.raises(ModelError, match="an action lies between two"):
        actions.actions(torch.zeros(1, 1, 8, 12, 2))
    with pytest.raises(ModelError, match="was made for"):
        actions.actions(torch.zeros(1, 2, 8, 8, 2))
