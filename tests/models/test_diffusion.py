"""The diffusion model, on frames that are not square, with two channels, a position and a categorical control."""

import dataclasses

import numpy as np
import pytest
import torch
import toy
from toy_model import SIGNATURE, TINY, batch, tiny

from sciworld import config
from sciworld.errors import ModelError, SettingsError
from sciworld.models import checkpoint, family
from sciworld.models.base import Signature
from sciworld.models.diffusion import PRESETS, Diffusion, DiffusionSettings
from sciworld.store import Store
from sciworld.testing import _Few
from sciworld.training.diagnostics import control_gain, controls_are_ignored
from sciworld.windows import Windows


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def started(model, windows):
    """The state after the first frames of `windows`, and the controls (b, 1, control) that follow."""
    last = model.context - 1
    return model.start(windows.frames[:, : last + 1], windows.view[:, last]), windows.controls[:, last : last + 1]


def predicted(model, windows, evaluations=1, seed=0):
    with torch.no_grad():
        return model.step(*started(model, windows), noise(seed), evaluations)[0]


def close(a, b, tolerance=1e-4):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("context", [1, 2])
@pytest.mark.parametrize("evaluations", [1, 2, 4])
def test_shapes(context, evaluations):
    model, windows = tiny(context=context), batch(t=context + 1)
    state, controls = started(model, windows)
    frames, following = model.step(state, controls, noise(), evaluations)
    assert frames.shape == (6, 1, 8, 12, 2) and frames.dtype == torch.float32
    again, _ = model.step(following, controls, noise(), evaluations)
    assert again.shape == frames.shape and not torch.equal(again, frames)
    losses = model.loss(windows, noise())
    assert losses.total.shape == () and losses.total.requires_grad and not losses.parts["total"].requires_grad


@pytest.mark.parametrize(
    ("mean", "scale", "fine"), [(1e9, 1e-3, False), (1e9, 1e3, True), (5.0, 1e-3, True), (7.0, 0.0, True)]
)
def test_what_float32_does_not_tell_is_refused(mean, scale, fine, tmp_path):
    recordings = []
    for seed, ds in enumerate(toy.recordings(2)):
        drawn = np.random.default_rng(seed).normal(mean, scale, ds["frames"].shape)
        recordings.append(ds.assign(frames=ds["frames"].copy(data=drawn)))
    store = Store.create(tmp_path / "store")
    store.append(recordings)
    if fine:
        assert Signature.of(Windows(store, 1, 1)).mean[0] == pytest.approx(mean, rel=1e-3)
    else:
        with pytest.raises(ModelError, match=r"which float32 does not tell; subtract an offset"):
            Signature.of(Windows(store, 1, 1))


@pytest.mark.parametrize("floor", [0.02, 0.5])
def test_a_camera_begins_with_the_noise_that_recordings_show(floor):
    windows, share = batch(b=64, t=3), 0.3
    model = tiny(trained=False, camera=True, context=2)
    zero = -model.mean / model.scale
    dark, bright = torch.full((64, 2, 8, 6), 0.5), torch.full((64, 2, 8, 6), 4.0)
    intensity = torch.cat([dark, bright], dim=3)[:, None].expand(-1, 3, -1, -1, -1)
    spread = (floor + share * intensity).sqrt()
    images = zero[:, None] + intensity + spread * torch.randn(intensity.shape, generator=noise())
    frames = (images * model.scale + model.mean).movedim(2, 4)
    model.prepare(_Few(dataclasses.replace(windows, frames=frames)))
    found = model.noise.detach().exp()[:, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([[floor] * 2, [share] * 2]), rtol=0.2, atol=0.04)
    learned = model.noise.detach().clone()
    model.prepare(_Few(windows))  # as a run that goes on from another does
    assert torch.equal(model.noise, learned)


@pytest.mark.parametrize("context", [1, 2])
def test_an_untrained_model_predicts_the_last_frame(context):
    windows = batch(t=context + 1)
    close(predicted(tiny(trained=False, context=context), windows)[:, 0], windows.frames[:, context - 1])


def test_its_first_loss_is_the_change_of_the_frames():
    windows, model = batch(b=16), tiny(trained=False, pure=1.0, undecided=0.0)
    change = (windows.frames[:, 1] - windows.frames[:, 0]) / torch.tensor(SIGNATURE.scale)
    close(model.loss(windows, noise()).total, change.square().mean())
    weights = torch.rand((16, 8, 12), generator=noise(1))
    close(model.loss(windows, noise(), weights).total, (change.square().mean(dim=-1) * weights).mean())
    assert model.loss(windows, noise(), 0 * weights).total == 0


def test_undecided_rows_lie_between_the_truth_and_the_posterior_mean():
    windows, model = batch(b=16), tiny(trained=False, undecided=0.25)  # untrained, the mean is the last frame
    state, controls = started(model, windows)
    target = model.normalised(windows.frames[:, 1])
    shown, mean = model._blurred(state, controls[:, 0], target, noise()), state.latents
    assert torch.equal(shown[4:], target[4:])
    change, moved = (target - mean)[:4].flatten(1), (shown - mean)[:4].flatten(1)
    truth = (moved * change).sum(dim=1) / change.square().sum(dim=1)
    close(moved, truth[:, None] * change)
    assert (truth > 0.499).all() and (truth < 1).any() and len(truth.unique()) == 4
    levels = model.draw_levels((16,), noise(), target.device)
    assert (levels[:4] < model.settings.decided).all()


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (2, 1), (4, 1), (16, 2), (17, 3)])
def test_some_windows_of_every_batch_are_undecided_but_never_all(n, expected):
    assert tiny(trained=False).undecided(n) == expected


def test_the_generator_decides():
    model, windows = tiny(), batch()
    assert torch.equal(predicted(model, windows, 3, seed=1), predicted(model, windows, 3, seed=1))
    assert not torch.equal(predicted(model, windows, 3, seed=1), predicted(model, windows, 3, seed=2))
    assert torch.equal(model.loss(windows, noise(1)).total, model.loss(windows, noise(1)).total)
    assert not torch.equal(model.loss(windows, noise(1)).total, model.loss(windows, noise(2)).total)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    predicted(model, windows, 3)
    model.loss(windows, noise())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_posterior_mean_needs_no_generator():
    model, windows = tiny(), batch()
    state, controls = started(model, windows)
    one, two = model.step(state, controls, None)[0], model.step(state, controls, noise(3))[0]
    assert torch.equal(one, two)
    with pytest.raises(ModelError, match="a sample in 2 evaluations is drawn from a generator; give one"):
        model.step(state, controls, None, 2)


def test_expanding_a_state_is_starting_from_repeated_frames():
    model, windows = tiny(context=2), batch(t=3)
    state, _ = started(model, windows)
    many = model.expand(state, 3)
    repeated = model.start(
        windows.frames[:, :2].repeat_interleave(3, dim=0), windows.view[:, 1].repeat_interleave(3, dim=0)
    )
    other = batch(b=18, seed=2).controls[:, :1]
    expected, after = model.step(repeated, other, None)
    found, after_many = model.step(many, other, None)
    close(found, expected)
    # An imagined state, whose frames are not encoded yet, expands as well.
    close(
        model.step(model.expand(after_many, 2), other.repeat_interleave(2, dim=0), None)[0][::2],
        model.step(after, other, None)[0],
    )


def test_rows_do_not_look_at_each_other():
    model, windows = tiny(), batch()
    alone = dataclasses.replace(
        windows, frames=windows.frames[2:3], controls=windows.controls[2:3], view=windows.view[2:3]
    )
    close(predicted(model, windows)[2:3], predicted(model, alone))


def test_a_step_remembers_what_it_predicted():
    model, windows = tiny(context=2), batch(t=3)
    state, controls = started(model, windows)
    frame, following = model.step(state, controls, None)
    history = torch.cat([windows.frames[:, 1:2], frame], dim=1)
    expected = model.step(model.start(history, windows.view[:, 1]), controls, None)[0]
    close(model.step(following, controls, None)[0], expected, 0.01)  # 300.4 K in float32 is known to 1e-4 of the scale
    assert torch.equal(state.latents, started(model, windows)[0].latents)  # the old state is as it was


def test_everything_that_is_given_matters():
    model, windows = tiny(context=2), batch(t=3)
    base = predicted(model, windows)
    for column, change in ((0, 1.0), (1, 1.0), (2, 0.0)):
        controls = windows.controls.clone()
        controls[:, 1, column] = (controls[:, 1, column] + 1) % 3 if column == 2 else controls[:, 1, column] + change
        moved = predicted(model, dataclasses.replace(windows, controls=controls))
        assert ((moved - base).abs().amax(dim=(1, 2, 3, 4)) > 1e-5).all(), column
    for row in (0, 1):
        frames = windows.frames.clone()
        frames[:, row] *= 1.01
        assert (predicted(model, dataclasses.replace(windows, frames=frames)) - base).abs().max() > 1e-4
    frames, controls = windows.frames.clone(), windows.controls.clone()
    frames[:, 2], controls[:, 0] = 0.0, 0.0
    assert torch.equal(predicted(model, dataclasses.replace(windows, frames=frames, controls=controls)), base)


def test_the_loss_is_that_of_the_frame_after_the_context():
    model, windows = tiny(context=2), batch(t=3)
    base = model.loss(windows, noise()).total
    for part, row, matters in (("controls", 0, False), ("controls", 1, True), ("frames", 2, True)):
        changed = getattr(windows, part).clone()
        changed[:, row] = changed[:, row].roll(1, dims=0)
        other = model.loss(dataclasses.replace(windows, **{part: changed}), noise()).total
        assert torch.equal(other, base) != matters


def test_gradients_reach_the_controls_and_every_weight():
    model, windows = tiny(), batch()
    state, controls = started(model, windows)
    controls = controls.clone().requires_grad_()
    model.step(state, controls, None)[0].square().sum().backward()
    assert (controls.grad[:, 0, :2].abs().amax(dim=1) > 0).all()
    model.zero_grad()
    model.loss(windows, noise()).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_a_checkpoint_brings_it_back(tmp_path):
    model, windows = tiny(context=2, pure=0.5), batch(t=3)
    checkpoint.save(model, tmp_path / "model.safetensors", {"step": 3})
    loaded = checkpoint.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, Diffusion) and loaded.settings == model.settings and loaded.signature == SIGNATURE
    assert torch.equal(predicted(loaded, windows, 4), predicted(model, windows, 4))
    assert torch.equal(loaded.loss(windows, noise()).total, model.loss(windows, noise()).total)


def test_samples_scatter_around_the_posterior_mean():
    """Of an untrained model all of the noise but a little is taken out again."""
    model, windows = tiny(trained=False, first=16.0, last=2.0), batch(b=1)
    state, controls = started(model, windows)
    samples = model.step(model.expand(state, 200), controls.repeat(200, 1, 1), noise(), 4)[0]
    mean, scale = model.step(state, controls, None)[0], torch.tensor(SIGNATURE.scale)
    deviation = (samples - mean) / scale
    assert deviation.mean().abs() < 0.01 and 0.01 < deviation.std() < 0.5


def test_a_short_fit_learns_and_listens_to_the_controls():
    model = tiny(trained=False).train()
    windows = batch(b=32, seed=1, seconds=2.0)
    adamw = torch.optim.AdamW(model.parameters(), lr=5e-3)
    generator, losses = noise(), []
    for _ in range(80):
        loss = model.loss(windows, generator).total
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    gain = control_gain(model.eval(), [(windows, None)] * 3, generator)
    assert gain["control_gain"] > 0.3 and not controls_are_ignored(gain)
    untrained = control_gain(tiny(trained=False), [(windows, None)] * 3, generator)
    assert untrained["control_gain"] == 0 and controls_are_ignored(untrained)
    assert (predicted(model, windows) - windows.frames[:, 1:]).square().mean() < (
        windows.frames[:, :1] - windows.frames[:, 1:]
    ).square().mean()


def test_frames_of_whole_numbers_train_too():
    windows = batch()
    counts = dataclasses.replace(windows, frames=windows.frames.to(torch.uint16))
    close(
        tiny().loss(counts, noise()).total,
        tiny().loss(dataclasses.replace(windows, frames=counts.frames.float()), noise()).total,
    )


def test_sizes_that_do_not_fit():
    model, windows = tiny(), batch()
    state, controls = started(model, windows)
    with pytest.raises(ModelError, match="start: 2 frames; the model needs a context of 1"):
        model.start(windows.frames, windows.view[:, 0])
    with pytest.raises(ModelError, match=r"start: frames are \(8, 8, 2\) .*made for \(8, 12, 2\)"):
        model.start(windows.frames[:, :1, :, :8], windows.view[:, 0])
    with pytest.raises(ModelError, match=r"start: frames are \(8, 12, 1\)"):
        model.start(windows.frames[:, :1, ..., :1], windows.view[:, 0])
    with pytest.raises(ModelError, match=r"step: controls are \(6, 3\); one step takes \(b, 1, control\)"):
        model.step(state, controls[:, 0], None)
    with pytest.raises(ModelError, match="step: controls are"):
        model.step(state, controls.repeat(1, 2, 1), None)
    with pytest.raises(ModelError, match="step: 4 controls; the model was made for 3: fan_x, fan_y, mode"):
        model.step(state, torch.cat([controls, controls[..., :1]], dim=2), None)
    with pytest.raises(ModelError, match="batch: 2 controls; the model was made for 3"):
        model.loss(dataclasses.replace(windows, controls=windows.controls[..., :2]), noise())
    odd = dataclasses.replace(SIGNATURE, shape=(10, 12, 2))
    with pytest.raises(ModelError, match="frames of 10 x 12 pixels: both must be multiples of 4; crop or pad"):
        Diffusion(odd, DiffusionSettings(**TINY))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": 0}, "context is 0; use an integer"),
        ({"width": 20}, "multiples of 8"),
        ({"pure": 1.5}, "pure is 1.5; it is a share"),
        ({"low": 30.0}, "noise levels from 30.0 to 25.0"),
        ({"undecided": 1.0}, "undecided is 1.0; it is a share below 1"),
        ({"decided": 1.0}, "decided is 1.0; it must be above low, 1.0"),
        ({"last": 20.0}, "from 8.0 to 20.0: swap them"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(SettingsError, match=message):
        DiffusionSettings(**settings)


def test_the_family_and_its_presets():
    assert (
        family("diffusion") is Diffusion and Diffusion.presets is PRESETS and {"tiny", "small", "base"} <= set(PRESETS)
    )
    for settings in PRESETS.values():
        assert config.from_dict(DiffusionSettings, config.to_dict(settings)) == settings
