"""The masked model: what training hides, what sampling decides, and what is filled in."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.errors import ModelError, SettingsError
from sciworld.models.masked import Masked
from sciworld.models.masked_hiding import drawn_masks
from sciworld.models.masked_sampling import decided, drawn_from
from sciworld.models.masked_settings import PRESETS, MaskedSettings
from sciworld.models.masked_tasks import filled, some_of
from sciworld.models.tokenizers.vivit import ViViT, ViViTSettings
from sciworld.testing import signature, windows

TOKENS = ViViTSettings(patch=4, width=16, layers=1, levels=(4, 3), frames=2, parts=2)
FEW: dict[str, Any] = {
    "tokenizer": TOKENS, "backbone": "genie", "width": 16, "layers": 1, "embedding": 16, "fine": 16
}  # fmt: skip


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(rows: int = 8, columns: int = 12, **changes: Any) -> Masked:
    torch.manual_seed(0)
    model = Masked(signature(rows, columns), MaskedSettings(**{**FEW, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


def masks(model: Masked, b: int, t: int) -> torch.Tensor:
    return drawn_masks(model.settings, (b, t), model.tokenizer, noise(), torch.device("cpu"))


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from(["random", "confident"]), st.integers(0, 99))
@settings(max_examples=40)
def test_what_is_known_stays_and_all_else_is_decided(n: int, evaluations: int, order: str, seed: int) -> None:
    """Whatever is asked about, ever less is masked, and what was decided is shown and never decided again."""
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def ask(codes: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        asked.append((codes, masked))
        return torch.randn((*codes.shape, 5), generator=noise(len(asked)))

    codes = torch.randint(0, 5, (3, n), generator=noise(seed))
    masked = torch.rand((3, n), generator=noise(seed + 1)) < 0.7
    found = decided(ask, codes, masked, noise(seed), evaluations, MaskedSettings(order=order))
    assert len(asked) == evaluations
    assert torch.equal(found[~masked], codes[~masked])
    for (seen, hidden), (later, left) in pairwise(asked):
        assert not (left & ~hidden).any() and torch.equal(seen[~hidden], later[~hidden])
    for seen, hidden in asked:
        assert torch.equal(found[~hidden], seen[~hidden])
    total = masked.sum(dim=1)
    for number, (_, hidden) in enumerate(asked):
        expected = (total * math.cos(math.pi / 2 * number / evaluations)).floor() if number else total
        assert torch.equal(hidden.sum(dim=1), expected.long())


def test_codes_are_drawn_by_their_chance() -> None:
    chances = torch.tensor([0.1, 0.2, 0.7])
    drawn, logged = drawn_from(chances.log().expand(20_000, 3), noise())
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(shares, chances, atol=0.015)
    assert torch.allclose(logged, chances.log()[drawn], atol=1e-5)


def test_decided_one_at_a_time_at_random_what_goes_together_does() -> None:
    """Two places that are always alike, of which each alone is an even chance: any order keeps both facts."""

    def ask(codes: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        other, known = codes.flip(1), ~masked.flip(1)
        sure = torch.nn.functional.one_hot(other, 2) * 60.0
        return torch.where(known[..., None], sure, 0.0)

    n = 4000
    found = decided(ask, torch.zeros(n, 2, dtype=torch.long), torch.ones(n, 2, dtype=torch.bool), noise(), 2,
                    MaskedSettings())  # fmt: skip
    assert torch.equal(found[:, 0], found[:, 1])
    assert float(found[:, 0].float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("every", [False, True])
def test_training_hides_a_share_from_its_least_to_all(every: bool) -> None:
    model = made(context=2, least=0.5, whole=0.0, every=every)
    masked = masks(model, 400, 3)
    first = 1 if every else 2
    assert not masked[:, :first].any()
    share = masked[:, first:].float().mean(dim=(1, 2, 3))
    assert 0.7 < float(share.mean()) < 0.8 and float(share.min()) < 0.65
    whole = masks(made(whole=1.0), 50, 2)
    assert whole[:, 1].all() and not whole[:, 0].any()


def test_regions_are_rectangles_in_all_frames() -> None:
    model = made(16, 24, region=1.0, backbone="stpt")
    masked = masks(model, 300, 2).unflatten(2, (4, 6))
    assert torch.equal(masked[..., 0], masked[..., 1])
    masked = masked[..., 0]
    assert torch.equal(masked[:, 0], masked[:, 1])
    for one in masked[:, 0]:
        rows, cols = one.any(dim=1), one.any(dim=0)
        assert torch.equal(one, rows[:, None] & cols)
        for line in (rows, cols):
            assert int((line[1:] != line[:-1]).sum()) <= 2
    sizes = masked[:, 0].flatten(1).sum(dim=1)
    assert int(sizes.min()) <= 1 and int(sizes.max()) >= 15


@pytest.mark.parametrize("backbone", ["conv", "genie", "stpt"])
def test_a_step_sees_what_training_sees(backbone: str) -> None:
    """The mean that a step gives is that of the loss, computed side by side, for windows that are all masked."""
    model = made(backbone=backbone, context=2, whole=1.0, rebuilt=0.0, dropout=(0.0,) * 5)
    batch = windows(model.signature, 3, 5)
    state = model.start(batch.frames[:, :2], batch.view[:, 1], batch.covariates, batch.words)
    with torch.no_grad():
        mean, _ = model.step(state, batch.controls[:, 1:], None)
        error = ((mean[:, 0] - batch.frames[:, 2]) / model.tokenizer.scale).square().mean()
        # Of some windows the loss tells what led to their last frame; a start does not know.
        unknown = batch.controls.clone()
        unknown[:, 0] = torch.nan
        parts = model.loss(batch.__class__(batch.frames, unknown, batch.time, batch.view, batch.covariates, batch.index,
                                           batch.words), noise()).parts  # fmt: skip
    assert float(parts["mean"]) == pytest.approx(float(error), rel=1e-4)


@pytest.mark.parametrize(("backbone", "k"), [("conv", 1), ("genie", 2), ("stpt", 2)])
def test_the_past_is_what_was_imagined(backbone: str, k: int) -> None:
    model = made(context=k, chunk=k, backbone=backbone)
    batch = windows(model.signature, 6, 3)
    state = model.start(batch.frames[:, :k], batch.view[:, k - 1])
    with torch.no_grad():
        frames, after = model.step(state, batch.controls[:, k - 1 : 2 * k - 1], noise(), 3)
        assert frames.shape == (3, k, 8, 12, 2)
        assert torch.equal(after.frames, frames) and torch.equal(after.led, batch.controls[:, k - 1 : 2 * k - 1])
        assert torch.allclose(model.decoded(torch.cat([state.codes, after.codes], dim=1))[:, k:], frames)


def test_convolutions_learn_of_pasts_as_samples_have_them() -> None:
    model = made(backbone="conv", context=2, rebuilt=0.5)
    batch = windows(model.signature, 3, 40)
    codes = model.tokenizer.encode(batch.frames).flatten(2, 3)
    seen = model._as_seen(batch.frames, codes, noise())
    kept, rebuilt = ((seen == one).flatten(1).all(dim=1) for one in (batch.frames, model.decoded(codes)))
    assert (kept ^ rebuilt).all() and 8 < int(kept.sum()) < 32


def test_guidance_goes_beyond_what_is_known() -> None:
    plain = made(dropout=(0.1, 0.1, 0.1, 0.1, 0.1))
    guided = made(dropout=(0.1, 0.1, 0.1, 0.1, 0.1), guidance=(2.0, 0.0, 0.0, 0.0, 0.0))
    batch = windows(plain.signature, 2, 3)
    codes, masked = torch.zeros(3, 1, 6, 2, dtype=torch.long), torch.ones(3, 1, 6, 2, dtype=torch.bool)
    state = plain.start(batch.frames[:, :1], batch.view[:, 0])
    with torch.no_grad():
        known = plain.asker(state, batch.controls)(codes, masked)
        hidden = batch.controls.clone()
        hidden[..., :2] = torch.nan
        unknown = plain.asker(state, hidden)(codes, masked)
        found = guided.asker(state, batch.controls)(codes, masked)
    assert torch.allclose(found, 3 * known - 2 * unknown, atol=1e-5) and not torch.allclose(known, unknown)


def test_a_trained_tokenizer_is_taken_and_kept() -> None:
    model = made(joint=False)
    torch.manual_seed(5)
    other = ViViT(model.signature, TOKENS)
    model.adopt(other)
    assert model.tokenizer.digest == other.digest
    batch = windows(model.signature, 2, 4)
    losses = model.loss(batch, noise())
    assert "tokenizer" not in losses.parts
    losses.total.backward()
    assert all(weight.grad is None for weight in model.tokenizer.parameters())
    with pytest.raises(ModelError, match="joint=True"):
        made().adopt(other)
    with pytest.raises(ModelError, match="train one on this store"):
        model.adopt(ViViT(signature(16, 24), TOKENS))


@pytest.mark.parametrize("backbone", ["genie", "stpt"])
@pytest.mark.parametrize("what", ["predict", "controlled", "inpaint", "restyle", "generate"])
def test_one_call_fills_in_whatever_is_not_known(backbone: str, what: str) -> None:
    model = made(backbone=backbone, chunk=2, text="words", region=0.2, anything=0.3)
    batch = windows(model.signature, 3, 2)
    known = torch.zeros(batch.frames.shape[:4], dtype=torch.bool)
    given: dict[str, Any] = {}
    if what in ("predict", "controlled"):
        known[:, 0] = True
    if what == "controlled":
        given["controls"] = batch.controls
    if what == "inpaint":
        known[:] = True
        known[:, :, 0:4, 4:8] = False
    if what == "restyle":
        known = some_of(batch.frames.shape, 4, 0.5, noise())
        given |= {"covariates": batch.covariates, "words": batch.words}
    frames = torch.where(known[..., None], batch.frames, torch.nan)  # what is not known is not looked at
    found = filled(model, frames, known, batch.view[:, 0], noise(1), evaluations=3, **given)
    again = filled(model, frames, known, batch.view[:, 0], noise(2), evaluations=3, **given)
    assert torch.equal(found[known], batch.frames[known]) and torch.isfinite(found).all()
    assert not torch.equal(found, again)
    if what == "controlled":
        other = filled(model, frames, known, batch.view[:, 0], noise(1), evaluations=3)
        assert not torch.equal(other, found)
    if what == "restyle":
        other = filled(model, frames, known, batch.view[:, 0], noise(1), evaluations=3)
        assert not torch.equal(other, found)


def test_filling_refuses_what_does_not_fit() -> None:
    model = made()
    batch = windows(model.signature, 3, 2)
    frames, view = batch.frames[:, :2], batch.view[:, 0]
    known = torch.ones(frames.shape[:4], dtype=torch.bool)
    with pytest.raises(ModelError, match="give a bool for each pixel"):
        filled(model, frames, known[:, :, :4], view, noise())
    with pytest.raises(ModelError, match="backbone 'conv' sees whole frames of the past alone"):
        filled(made(backbone="conv"), frames, known, view, noise())
    with pytest.raises(ModelError, match="a pixel that is known is NaN"):
        filled(model, frames * torch.nan, known, view, noise())
    with pytest.raises(SettingsError, match="evaluations is 0"):
        filled(model, frames, known, view, noise(), evaluations=0)
    with pytest.raises(ModelError, match="the model sees 2 at a time"):
        filled(model, batch.frames, torch.ones(batch.frames.shape[:4], dtype=torch.bool), view, noise())
    with pytest.raises(ModelError, match="NaN where they are unknown"):
        filled(model, frames, known, view, noise(), controls=batch.controls)
    with pytest.raises(ModelError, match=r"share is 1\.5"):
        some_of(frames.shape, 4, 1.5, noise())


def test_a_known_pixel_stays_as_it_is_in_a_patch_that_is_drawn_anew() -> None:
    model = made()
    batch = windows(model.signature, 2, 2)
    known = torch.ones(batch.frames.shape[:4], dtype=torch.bool)
    known[:, 1, 0, 0] = False
    found = filled(model, batch.frames, known, batch.view[:, 0], noise(), evaluations=2)
    assert torch.equal((found == batch.frames).all(dim=-1), known)


def test_what_training_never_hid_is_not_filled_in() -> None:
    """An untrained answer looks like any other."""
    model, taught = made(), made(anything=0.5)
    batch = windows(model.signature, 2, 2)
    known = torch.ones(batch.frames.shape[:4], dtype=torch.bool)
    known[:, 0, :4, :4] = False
    assert torch.isfinite(filled(taught, batch.frames, known, batch.view[:, 0], noise(), evaluations=2)).all()
    with pytest.raises(ModelError, match="the first 1 frames of 2 are not all known"):
        filled(model, batch.frames, known, batch.view[:, 0], noise())


@pytest.mark.parametrize("backbone", ["genie", "stpt"])
def test_guidance_compares_with_a_window_that_knows_nothing_of_a_kind(backbone: str, monkeypatch: Any) -> None:
    """Also of the past: training hides a kind from all of a window."""
    model = made(backbone=backbone, context=2, dropout=(0.0, 0.3, 0.0, 0.0, 0.0), guidance=(0.0, 2.0, 0.0, 0.0, 0.0))
    batch = windows(model.signature, 4, 2)
    state = model.start(batch.frames[:, :2], batch.view[:, 1])
    _, state = model.step(state, batch.controls[:, 1:2], noise(), 2)
    assert torch.isfinite(state.led[:, -1]).all()
    told: list[torch.Tensor] = []
    given = model._given
    monkeypatch.setattr(model, "_given", lambda state, now: told.append(state.led) or given(state, now))
    model.asker(state, batch.controls[:, 2:3])
    columns = model.conditioning.columns_of("scalars")
    assert columns and torch.isfinite(told[0][:, -1]).all() and torch.isnan(told[1][..., columns]).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"context": 0}, "context is 0"),
        ({"order": "last"}, "order is 'last'"),
        ({"least": 1.5}, "least is 1.5"),
        ({"region": 0.7, "anything": 0.7}, "together at most 1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"guidance": (1.0, 0, 0, 0, 0)}, "guidance by positions needs"),
        ({"backbone": "unet"}, "backbone is 'unet'"),
        ({"chunk": 2}, "learns one next frame alone"),
        ({"rebuilt": 2.0}, "rebuilt is 2.0"),
        ({"fine": 20}, "fine is 20; use a multiple of 8"),
    ],
    ids=str,
)
def test_settings_are_checked(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        MaskedSettings(**changes)


def test_presets_have_the_published_sizes() -> None:
    genie = PRESETS["genie-coinrun"]
    assert (genie.layers, genie.width, genie.context + genie.chunk, genie.least) == (12, 512, 16, 0.5)
    assert genie.every and genie.order == "confident" and genie.backbone == "genie"
