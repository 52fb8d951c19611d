"""Models that read: a text decides the future, may be unknown, and may be dropped, guided by and saved."""

import dataclasses

import numpy as np
import pytest
import torch
import toy
from toy_model import SIGNATURE, TINY, batch

from sciworld.models import checkpoint
from sciworld.models.base import Signature
from sciworld.models.causal import Causal, CausalSettings
from sciworld.models.conditioning import KINDS, Conditioning
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.store import Store
from sciworld.training.fit import FitSettings, fit
from sciworld.windows import Windows
from sciworld.words import COUNT, words_of

TEXTS = ("the smoke clears", "the smoke thickens", "")
FEW = {"width": 16, "coarse": 16, "embedding": 16, "text": "words"}
DROPPED = {"dropout": (0.0, 0.0, 0.0, 0.0, 0.4)}


def told(n=24, seed=0, t=2):
    """Windows in which there is less smoke after the first text, more after the second, and either without one."""
    made = batch(b=n, t=t, seed=seed)
    which = torch.arange(n) % 2
    frames = made.frames[:, :1].repeat(1, t, 1, 1, 1)
    frames[..., 0] += 25 * (2 * which[:, None, None, None] - 1) * torch.arange(t)[:, None, None]
    words = torch.stack([torch.from_numpy(words_of(TEXTS[int(k)])) for k in which])
    return dataclasses.replace(made, frames=frames, words=words), which


def change(model, held, texts, evaluations=1):
    """Mean change of the smoke in one step after each of `texts`, in standard deviations."""
    words = torch.from_numpy(np.stack([words_of(text) for text in texts])) if texts else None
    with torch.no_grad():
        state = model.start(held.frames[:, :1], held.view[:, 0], None, words)
        noise = torch.Generator().manual_seed(1)
        frames, _ = model.step(state, held.controls[:, :1], noise, evaluations)
    return (frames[:, 0] - held.frames[:, 0])[..., 0].mean(dim=(1, 2)) / 25


@pytest.fixture(scope="module", params=["diffusion", "causal", "causal, apart"])
def trained(request):
    torch.manual_seed(0)
    if request.param == "diffusion":
        model = Diffusion(SIGNATURE, DiffusionSettings(**FEW, **DROPPED, decoder_blocks=1))
    else:
        injection = "attention" if "apart" in request.param else "film"
        model = Causal(SIGNATURE, CausalSettings(**FEW, **DROPPED, context=1, horizon=1, layers=1, injection=injection))
    adamw, generator = torch.optim.AdamW(model.parameters(), lr=5e-3), torch.Generator().manual_seed(0)
    for step in range(100):
        loss = model.loss(told(seed=step)[0], generator).total
        adamw.zero_grad()
        loss.backward()
        adamw.step()
    return model.eval()


def apart(model, held, which, evaluations=1):
    """How much more smoke there is after the second text than after the first."""
    own = change(model, held, [TEXTS[int(k)] for k in which], evaluations)
    return float(own[which == 1].mean() - own[which == 0].mean())


def test_a_text_decides_the_future(trained):
    held, which = told(seed=999)
    assert 1.6 < apart(trained, held, which) < 2.4  # of the 2 that it is
    assert 1.6 < apart(trained, held, 1 - which) < 2.4  # the same frames, each with the other text


def test_without_a_text_the_future_is_unknown(trained):
    held, _ = told(seed=999)
    nothing = change(trained, held, None)
    assert nothing.abs().mean() < 0.5
    assert torch.equal(nothing, change(trained, held, ["", *[" .,"] * 23]))
    torch.testing.assert_close(nothing, change(trained, held, ["purple words"] * 24))  # that training never showed
    alone = dataclasses.replace(held, words=torch.zeros((24, 0), dtype=torch.int64))
    assert torch.isfinite(trained.loss(alone, torch.Generator().manual_seed(0)).total)


def test_guidance_by_text_goes_further(trained):
    held, which = told(seed=999)
    settings = dataclasses.replace(trained.settings, guidance=(0.0, 0.0, 0.0, 0.0, 0.5))
    guided = type(trained)(SIGNATURE, settings).eval()
    guided.load_state_dict(trained.state_dict())
    words = torch.from_numpy(np.stack([words_of(TEXTS[int(k)]) for k in which]))
    with torch.no_grad():
        state, now = guided.start(held.frames[:, :1], held.view[:, 0], None, words), held.controls[:, 0]
        first = guided.decoded(guided.answer(guided.ready(state), now, *guided.pure_noise(now)))  # of a sample
    smoke = first[..., 0].mean(dim=(1, 2)) / 25 - held.frames[:, 0, ..., 0].mean(dim=(1, 2)) / 25
    assert float(smoke[which == 1].mean() - smoke[which == 0].mean()) > 1.3 * apart(trained, held, which)
    assert apart(guided, held, which, 3) > 1.05 * apart(trained, held, which, 3)  # the end of it is nearer
    assert apart(guided, held, which) == apart(trained, held, which)  # the mean is that of what is known
    torch.testing.assert_close(change(guided, held, None, 3), change(trained, held, None, 3))


def test_a_text_stays_in_a_rollout_and_in_a_checkpoint(trained, tmp_path):
    held, which = told(seed=999)
    checkpoint.save(trained, tmp_path / checkpoint.FILE)
    with torch.no_grad():
        one, other = (
            model.rollout(
                model.start(held.frames[:, :1], held.view[:, 0], None, held.words), held.controls.repeat(1, 2, 1), None
            )[0][..., 0].mean(dim=(2, 3))
            for model in (trained, checkpoint.load(tmp_path))
        )
    assert torch.equal(one, other)
    gap = one[which == 1].mean(dim=0) - one[which == 0].mean(dim=0)
    assert gap[0] > 35 and gap[1] > gap[0] + 15  # 50 and 100 in truth


def test_a_model_that_does_not_read_is_the_same_without_words():
    held, _ = told()
    torch.manual_seed(0)
    model = Diffusion(SIGNATURE, DiffusionSettings(**TINY))
    assert model.conditioning.words is None and model.conditioning.columns_of("text") == []
    assert torch.equal(change(model, held, ["smoke"] * 24), change(model, held, None))


@pytest.mark.parametrize("apart", [False, True])
def test_text_is_dropped_alone_and_in_its_share_of_rows(apart):
    torch.manual_seed(0)
    model = Conditioning(SIGNATURE, 16, apart=apart, reads=True)
    torch.nn.init.normal_(model.words.weight)
    words = torch.from_numpy(words_of("dry road")).repeat(4000, 1)
    view = torch.zeros(4000, 6, dtype=torch.float64)
    known, controls = model.known(view, None, words), torch.ones(4000, 3)
    rates = tuple(0.3 if kind == "text" else 0.0 for kind in KINDS)
    given, left = model.dropped(controls, known, rates, torch.Generator().manual_seed(0))
    lost = torch.isnan(left)
    assert torch.equal(given, controls) and lost.shape == (4000, COUNT) and torch.equal(lost[:, 0], lost.any(dim=1))
    assert lost[:, 0].float().mean() == pytest.approx(0.3, abs=0.03)
    found, none, full = (
        model.embed(controls, torch.ones(4000), view, rows)[int(apart)]
        for rows in (left, model.known(view, None, None), known)
    )
    assert torch.equal(found[lost[:, 0]], none[lost[:, 0]]) and torch.equal(found[~lost[:, 0]], full[~lost[:, 0]])
    assert not torch.equal(full[0], none[0])


def test_a_store_with_descriptions_trains(tmp_path):
    store = Store.create(tmp_path / "told.zarr")
    store.append([toy.make(seed=k).assign_attrs(description=TEXTS[k % 2]) for k in range(4)])
    windows = Windows(store, 1, 1)
    torch.manual_seed(0)
    model = Diffusion(Signature.of(windows), DiffusionSettings(**FEW, **DROPPED, decoder_blocks=1))
    fit(model, windows, tmp_path / "run", FitSettings(steps=5, batch=8, warmup=1, log_every=5, diagnostic_every=5))
    learned = model.conditioning.words.weight.any(dim=1).nonzero().flatten()
    assert set(learned.tolist()) == {int(n) for text in TEXTS for n in words_of(text) if n}


def test_words_stand_after_the_covariates():
    model = Conditioning(SIGNATURE, 16, reads=True)
    view, covariates = torch.zeros(2, 6), torch.tensor([[5.0, 1.0], [torch.nan, 0.0]], dtype=torch.float64)
    words = torch.arange(2 * COUNT).reshape(2, COUNT)
    known = model.known(view, covariates, words)
    assert known.dtype == torch.float32 and torch.equal(known[:, 2:].long(), words)
    assert torch.equal(known[:, :2].nan_to_num(-1), covariates.float().nan_to_num(-1))
    assert Conditioning(SIGNATURE, 16).known(view, covariates, words) is covariates
