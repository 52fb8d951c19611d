"""The surrogate: the recordings' units in and out, futures, histories, and what it costs."""

import dataclasses

import numpy as np
import pytest
import torch
import toy
from toy_model import SIGNATURE, TINY, batch, tiny

from sciworld.controls import Column, ColumnTable
from sciworld.errors import CheckpointError, ControlError, ModelError, SettingsError
from sciworld.models import checkpoint
from sciworld.models.causal import Causal
from sciworld.models.causal_settings import CausalSettings
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate


def seen(n=3, seed=0, time=10.0):
    """What a camera gives of n blobs."""
    frames = batch(b=n, seed=seed).frames[:, 0].numpy()
    return Observation(frames, np.full(n, time), np.tile(toy.VIEW, (n, 1)))


def controls(*shape, seed=0):
    return toy.SPACE.sample(np.random.default_rng(seed), shape)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_frames_go_in_and_come_out_in_their_units():
    surrogate = Surrogate(tiny(trained=False), evaluations=1)
    present = seen()
    observation, _ = surrogate.step(surrogate.start(present), controls(3), rng())
    assert observation.frames.shape == (3, 8, 12, 2) and observation.frames.dtype == np.float32
    assert np.abs(observation.frames - present.frames).max() < 1e-3  # counts and kelvins, as before
    assert (observation.view == present.view).all() and observation.time == pytest.approx(11.0)
    counts = dataclasses.replace(present, frames=present.frames.astype(np.uint16))
    again, _ = surrogate.step(surrogate.start(counts), controls(3), rng())
    assert np.abs(again.frames - counts.frames).max() < 1e-3


def test_what_was_not_seen_is_not_imagined_from():
    surrogate, present = Surrogate(tiny(), evaluations=1), seen()
    for name in ("frames", "view"):
        for value in (np.nan, np.inf):
            wrong = getattr(present, name).copy()
            wrong.flat[3] = value
            with pytest.raises(ModelError, match=f"start: {name} are NaN or infinite"):
                surrogate.start(dataclasses.replace(present, **{name: wrong}))
    blind = dataclasses.replace(present, frames=np.full_like(present.frames, np.nan))
    with pytest.raises(ModelError, match="observe: frames are NaN"):
        surrogate.observe(surrogate.start(present), blind)
    for covariates, said in (([np.inf], "infinite"), (["a"], "give numbers")):
        with pytest.raises(ModelError, match=said):
            surrogate.start(present, covariates=covariates)
    with pytest.raises(ModelError, match="text is 3"):
        surrogate.start(present, text=3)


def test_shapes_that_do_not_fit_are_refused():
    surrogate, present = Surrogate(tiny(context=2), evaluations=1), seen()
    state = surrogate.start(present)
    for shape in ((1, 4, 2), (1, 2, 4), (2, 4, 1), (4, 4, 1)):
        with pytest.raises(ModelError, match=r"futures: controls are .*give \(3, candidate, step, 3\)"):
            surrogate.futures(state, controls(*shape), 0, rng())
    with pytest.raises(ModelError, match=r"step: controls are .*give \(3, 3\)"):
        surrogate.step(state, controls(2), rng())
    for samples in (-1, 1.5):
        with pytest.raises(SettingsError, match="samples is"):
            surrogate.futures(state, controls(3, 1, 1), samples, rng())
    with pytest.raises(ModelError, match="of 2 candidates, the present has 3"):
        surrogate.start([seen(2), present])
    with pytest.raises(ModelError, match="start: frames are"):
        surrogate.start([dataclasses.replace(present, frames=present.frames[:, :4]), present])
    with pytest.raises(SettingsError, match=r"evaluations is 1\.5"):
        Surrogate(tiny(), evaluations=1.5)


def test_a_step_lasts_as_long_as_is_said():
    surrogate = Surrogate(tiny(), seconds=0.25)
    observation, _ = surrogate.step(surrogate.start(seen()), controls(3), rng())
    assert observation.time == pytest.approx([10.25] * 3)


def test_time_passes_as_a_control_says():
    surrogate = Surrogate(tiny(), seconds=("fan_x", 2.0))
    chosen = controls(3)
    chosen[:, 0] = [0.5, 1.0, 5.0]
    observation, state = surrogate.step(surrogate.start(seen()), chosen, rng())
    assert observation.time == pytest.approx([12.5, 13.0, 17.0])
    assert surrogate.step(state, chosen, rng())[0].time == pytest.approx([15.0, 16.0, 24.0])


def test_controls_without_bounds_are_imagined():
    model = tiny()
    bounded, chosen = Surrogate(model, evaluations=1), controls(3, 1, 4)
    expected = bounded.futures(bounded.start(seen()), chosen, 0, rng())
    model.signature = dataclasses.replace(model.signature, controls=toy.CONTROLS.unbounded())
    free = Surrogate(model, evaluations=1)
    np.testing.assert_array_equal(free.futures(free.start(seen()), chosen, 0, rng()), expected)
    chosen[..., 0] += 100.0  # mm, beyond the frame
    assert np.isfinite(free.futures(free.start(seen()), chosen, 0, rng())).all()
    with pytest.raises(ControlError, match="'fan_x'"):
        bounded.futures(bounded.start(seen()), chosen, 0, rng())


def test_mean_futures_are_repeated_steps():
    surrogate = Surrogate(tiny(context=2), evaluations=1)  # one evaluation is the posterior mean
    state, chosen = surrogate.start(seen()), controls(3, 1, 4)
    futures = surrogate.futures(state, chosen, 0, rng())
    assert futures.shape == (3, 1, 1, 4, 8, 12, 2) and futures.dtype == np.float32
    for step in range(4):
        observation, state = surrogate.step(state, chosen[:, 0, step], rng())
        assert np.abs(futures[:, 0, 0, step] - observation.frames).max() < 1e-2


def test_a_sampled_future_is_a_step_from_the_same_generator():
    surrogate = Surrogate(tiny(), evaluations=3)
    state, chosen = surrogate.start(seen()), controls(3, 1, 1)
    futures = surrogate.futures(state, chosen, 1, rng(5))
    observation, _ = surrogate.step(state, chosen[:, 0, 0], rng(5))
    assert np.abs(futures[:, 0, 0, 0] - observation.frames).max() < 1e-3
    assert np.abs(futures - surrogate.futures(state, chosen, 1, rng(6))).max() > 1.0
    assert (futures == surrogate.futures(state, chosen, 1, rng(5))).all()


def test_every_candidate_has_its_problems_frames_its_controls_and_its_own_samples():
    surrogate = Surrogate(tiny(), evaluations=1)
    present, chosen = seen(), controls(3, 4, 2)
    futures = surrogate.futures(surrogate.start(present), chosen, 5, rng())
    assert futures.shape == (3, 4, 5, 2, 8, 12, 2)
    for problem in range(3):
        state = surrogate.start(present.take(np.array([problem])))
        for candidate in range(4):
            alone = surrogate.futures(state, chosen[problem, candidate][None, None], 0, rng())
            assert np.abs(futures[problem, candidate] - alone[0, 0]).max() < 1e-2
    assert np.abs(np.diff(futures, axis=1)).max(axis=(2, 3, 4, 5, 6)).min() > 0.1
    noisy = Surrogate(tiny(), evaluations=2).futures(surrogate.start(present), chosen, 5, rng())
    assert np.abs(np.diff(noisy, axis=2)).max(axis=(3, 4, 5, 6)).min() > 0.1


@pytest.mark.parametrize("size", [1, 5, 12])
def test_the_batch_size_does_not_change_the_posterior_mean(size):
    model, present, chosen = tiny(), seen(), controls(3, 4, 2)
    whole = Surrogate(model)
    parts = Surrogate(model, batch=size)
    expected = whole.futures(whole.start(present), chosen, 0, rng())
    assert np.abs(parts.futures(parts.start(present), chosen, 0, rng()) - expected).max() < 1e-2


@pytest.mark.parametrize("samples", [0, 3])
def test_evaluations_are_counted(samples):
    model = tiny()
    surrogate = Surrogate(model, evaluations=4, batch=7)
    rows = []
    model.decoder.register_forward_hook(lambda module, given, found: rows.append(len(found)))
    surrogate.futures(surrogate.start(seen(1)), controls(1, 5, 2), samples, rng())
    assert surrogate.evaluations(5, 2, samples) == sum(rows) == (10 if samples == 0 else 5 * 2 * 3 * 4)


def history(surrogate, *observations):
    """The frames (candidate, context, y, x, channel) that the model is started from."""
    images = surrogate.start(observations).state.latents
    n, _, y, x = images.shape
    normal = images.reshape(n, -1, 2, y, x).movedim(2, -1).numpy()
    return normal * surrogate.model.signature.scale + surrogate.model.signature.mean


def same(found, expected):
    return np.abs(found - expected).max() < 1e-2


def test_a_history_is_oldest_first_and_filled_up_with_the_oldest():
    surrogate = Surrogate(tiny(context=3))
    a, b, c, d = (seen(seed=seed) for seed in range(4))
    for given, used in (((a,), (a, a, a)), ((a, b), (a, a, b)), ((a, b, c), (a, b, c)), ((a, b, c, d), (b, c, d))):
        assert same(history(surrogate, *given), np.stack([o.frames for o in used], axis=1))
    assert surrogate.start([a, b]).observation is b


def test_frames_through_another_view_are_left_out():
    surrogate = Surrogate(tiny(context=3))
    a, b, c = (seen(seed=seed) for seed in range(3))
    moved = b.view.copy()
    moved[1, 2] += 1.0
    found = history(surrogate, a, dataclasses.replace(b, view=moved), c)
    assert same(found[[0, 2]], np.stack([a.frames, b.frames, c.frames], axis=1)[[0, 2]])
    assert same(found[1], np.stack([a.frames, c.frames, c.frames], axis=1)[1])
    after = history(surrogate, *(dataclasses.replace(o, view=moved) for o in (a, b)), c)
    assert same(after[1], np.stack([c.frames, c.frames, c.frames], axis=1)[1])


def test_a_measured_frame_replaces_the_imagined_one():
    surrogate = Surrogate(tiny(context=2))
    state = surrogate.start(seen())
    for _ in range(2):
        _, state = surrogate.step(state, controls(3), rng())
    measured = seen(seed=9, time=40.0)
    anchored = surrogate.observe(state, measured)
    own = surrogate.start(measured).state.latents[:, 2:]
    assert torch.equal(anchored.state.latents[:, 2:], own)
    assert torch.equal(anchored.state.latents[:, :2], state.state.latents[:, :2])  # what came before is remembered
    assert anchored.observation is measured
    moved = dataclasses.replace(measured, view=measured.view + 1.0)
    assert torch.equal(surrogate.observe(state, moved).state.latents, surrogate.start(moved).state.latents)
    assert surrogate.step(anchored, controls(3), rng())[0].time == pytest.approx(41.0)


def test_imagining_leaves_the_present_as_it_is():
    model = tiny().train()
    surrogate = Surrogate(model)
    assert not model.training
    state = surrogate.start(seen())
    before = {name: value.clone() for name, value in vars(state.state).items() if value is not None}
    surrogate.futures(state, controls(3, 4, 2), 2, rng())
    surrogate.step(state, controls(3), rng())
    assert all(torch.equal(value, vars(state.state)[name]) for name, value in before.items())


def test_a_checkpoint_becomes_a_surrogate(tmp_path):
    model = tiny()
    checkpoint.save(model, tmp_path / "model.safetensors")
    loaded = Surrogate.load(tmp_path / "model.safetensors", evaluations=2, batch=3)
    assert loaded.space.names == ("fan_x", "fan_y", "mode") and loaded.evaluations(1, 1, 1) == 2
    chosen, present = controls(3, 4, 1), seen()
    surrogate = Surrogate(model)
    expected = surrogate.futures(surrogate.start(present), chosen, 0, rng())
    assert np.abs(loaded.futures(loaded.start(present), chosen, 0, rng()) - expected).max() < 1e-2
    assert Surrogate.load(tmp_path).space == loaded.space  # the folder of a run
    with pytest.raises(CheckpointError, match="no such file"):
        Surrogate.load(tmp_path / "none.safetensors")


def test_what_does_not_fit():
    surrogate = Surrogate(tiny())
    state = surrogate.start(seen())
    with pytest.raises(ModelError, match="the history is empty; give at least the present"):
        surrogate.start([])
    small = Observation(np.zeros((1, 8, 8, 2)), np.zeros(1), np.tile(toy.VIEW, (1, 1)))
    with pytest.raises(ModelError, match=r"start: frames are \(8, 8, 2\)"):
        surrogate.start(small)
    for column, value, message in ((0, 99.0, "'fan_x' is 99 mm, outside"), (2, 3.0, "'mode'"), (1, np.nan, "is NaN")):
        wrong = controls(3)
        wrong[1, column] = value
        with pytest.raises(ControlError, match=message):
            surrogate.step(state, wrong, rng())
        with pytest.raises(ControlError, match=message):
            surrogate.futures(state, wrong[:, None, None], 0, rng())
    with pytest.raises(SettingsError, match="evaluations is 0"):
        Surrogate(tiny(), evaluations=0)
    with pytest.raises(SettingsError, match="batch is 0"):
        Surrogate(tiny(), batch=0)


def test_covariates_reach_the_model_and_stay():
    torch.manual_seed(0)
    table = ColumnTable((Column("sun", "K"), Column("sky", "1", kind="categorical", levels=("dry", "wet"))))
    told = dataclasses.replace(SIGNATURE, covariates=table, covariate_mean=(0.0, 0.0), covariate_scale=(1.0, 1.0))
    model = Diffusion(told, DiffusionSettings(**TINY))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    surrogate = Surrogate(model)
    found = {}
    for name, covariates in (
        ("nothing", None), ("unknown", [np.nan, np.nan]), ("dry", [1.0, 0.0]), ("wet", [1.0, 1.0]),
        ("each", np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])),
    ):  # fmt: skip
        state = surrogate.start(seen(), covariates)
        _, state = surrogate.step(state, controls(3), rng())
        found[name] = surrogate.step(surrogate.observe(state, seen(seed=4)), controls(3), rng())[0].frames
    assert same(found["nothing"], found["unknown"]) and not same(found["dry"], found["wet"])
    assert same(found["each"][:1], found["dry"][:1]) and same(found["each"][1:], found["wet"][1:])
    knows = surrogate.knowing([1.0, 1.0])
    for covariates, expected in ((None, "wet"), ([1.0, 0.0], "dry")):
        _, state = knows.step(knows.start(seen(), covariates), controls(3), rng())
        assert same(knows.step(knows.observe(state, seen(seed=4)), controls(3), rng())[0].frames, found[expected])
    _, state = surrogate.step(surrogate.start(seen()), controls(3), rng())  # which itself learned nothing
    assert same(surrogate.step(surrogate.observe(state, seen(seed=4)), controls(3), rng())[0].frames, found["nothing"])
    with pytest.raises(ModelError, match=r"covariates are \(3,\); the model knows \(2,\) or \(3, 2\): sun, sky"):
        surrogate.start(seen(), [1.0, 2.0, 3.0])


def test_a_text_reaches_the_model_and_stays():
    surrogate = Surrogate(tiny(text="words"))
    found = {}
    for name, text in (("nothing", None), ("silent", ""), ("dry", "dry road"), ("wet", "wet road"),
                       ("each", ["dry road", "wet road", "wet road"])):  # fmt: skip
        state = surrogate.start(seen(), text=text)
        _, state = surrogate.step(state, controls(3), rng())
        state = surrogate.observe(state, seen(seed=4))
        moved = surrogate.observe(state, dataclasses.replace(seen(seed=4), view=seen().view + 1))
        found[name] = np.stack([surrogate.step(each, controls(3), rng())[0].frames for each in (state, moved)], axis=1)
    assert same(found["nothing"], found["silent"]) and not same(found["dry"], found["wet"])
    assert not same(found["dry"][:, 1], found["wet"][:, 1])
    assert same(found["each"][:1], found["dry"][:1]) and same(found["each"][1:], found["wet"][1:])
    for wrong in (["dry"], ["dry", "wet", 3], 3 * [b"dry"]):
        with pytest.raises(ModelError, match="give a string, or one for each of 3 candidates"):
            surrogate.start(seen(), text=wrong)


def test_a_model_that_takes_a_short_history_is_not_given_a_longer_one():
    torch.manual_seed(0)
    model = Causal(SIGNATURE, CausalSettings(context=3, width=16, coarse=16, embedding=16))
    surrogate = Surrogate(model)
    for n, kept in ((1, 1), (2, 2), (4, 3)):
        state = surrogate.start([seen(seed=seed) for seed in range(n)]).state
        assert state.times.shape == (3, kept)
