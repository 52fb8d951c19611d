"""The causal model: what is remembered step by step is what training sees side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from sciworld.errors import ModelError, SettingsError
from sciworld.models.causal import Causal, _Around
from sciworld.models.causal_settings import PRESETS, CausalSettings
from sciworld.models.schedules import levels_of
from sciworld.testing import signature, windows
from sciworld.windows import Batch

FEW: dict[str, Any] = {"width": 16, "coarse": 16, "embedding": 16, "layers": 2}
FRAMES = 9


def made(**settings: Any) -> Causal:
    torch.manual_seed(0)
    model = Causal(signature(8, 12), CausalSettings(**{**FEW, "context": 2, **settings}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


def batch(n: int = 3, frames: int = FRAMES) -> Batch:
    return windows(signature(8, 12), frames, n)


def means(model: Causal, shown: Batch) -> torch.Tensor:
    """The posterior mean of every frame but the first, of clean history, as training computes it, all at once."""
    latents = model.encoded(shown.frames)
    unknown = torch.full_like(shown.controls[:, :1], torch.nan)
    around = _Around(shown.view[:, 0], None, torch.cat([unknown, shown.controls], dim=1))
    level = torch.zeros(latents.shape[0], latents.shape[1] - 1)
    with torch.no_grad():
        return model._side_by_side(
            latents[:, :-1],
            level,
            torch.zeros_like(latents[:, 1:]),
            torch.full_like(level, torch.inf),
            (around, around),
        )


@pytest.mark.parametrize(
    "settings", [{}, {"backbone": "attention"}, {"memory": 2, "stride": 2}, {"codec": "pod", "modes": 7}], ids=str
)
def test_steps_see_what_training_sees(settings: dict[str, Any]) -> None:
    """True frames are put in place of the imagined ones; from the first on nothing else can differ."""
    model, shown = made(**settings), batch()
    latents, expected = model.encoded(shown.frames), means(model, shown)
    state = model.start(shown.frames[:, :1], shown.view[:, 0])
    for step in range(FRAMES - 1):
        now = shown.controls[:, step]
        found = model.answer(model.ready(state), now, *model.pure_noise(now))
        torch.testing.assert_close(found, expected[:, step], rtol=1e-4, atol=1e-4)
        _, after = model.step(state, shown.controls[:, step : step + 1], None)
        state = dataclasses.replace(after, last=latents[:, step + 1])


def test_what_the_window_left_behind_is_forgotten() -> None:
    model, shown = made(), batch()
    state = model.start(shown.frames[:, :2], shown.view[:, 0])
    held = []
    for step in range(1, FRAMES - 1):
        _, state = model.step(state, shown.controls[:, step : step + 1], None)
        held.append(state.times[0].tolist())  # type: ignore[index]
    assert held[:3] == [[0, 1], [1, 2], [2, 3]] and held[-1] == [6, 7]


@pytest.mark.parametrize(("memory", "kept"), [(0, [6, 7]), (1, [3, 6, 7]), (2, [0, 3, 6, 7])])
def test_key_frames_stay(memory: int, kept: list[int]) -> None:
    model, shown = made(memory=memory, stride=3, horizon=5), batch()
    state = model.start(shown.frames[:, :2], shown.view[:, 0])
    for step in range(1, FRAMES - 1):
        _, state = model.step(state, shown.controls[:, step : step + 1], None)
    assert state.times is not None and state.times[0].tolist() == kept


def test_frames_of_the_window_matter_and_older_ones_do_not() -> None:
    model, shown = made(layers=1), batch()
    base = means(model, shown)
    for frame, seen in ((3, False), (4, True), (5, True), (6, True)):
        frames = shown.frames.clone()
        frames[:, frame] += 0.3
        moved = (means(model, dataclasses.replace(shown, frames=frames)) - base).abs().amax(dim=(0, 2, 3, 4))
        # Frame 7 is asked for: number 6 of the answers. It looks back at 5 and 6, and the one before each shows in it.
        assert (moved[6] > 1e-6) == seen, frame
        assert (moved[: frame - 1] == 0).all()


def test_a_start_takes_fewer_frames_than_the_window() -> None:
    model, shown = made(context=3), batch()
    found = [model.start(shown.frames[:, 3 - n : 3], shown.view[:, 2]) for n in (1, 2, 3)]
    one, two, three = (model.step(state, shown.controls[:, 2:3], None)[0] for state in found)
    assert not torch.equal(one, two) and not torch.equal(two, three)
    with pytest.raises(ModelError, match="start: 4 frames; the model looks back at 1 to 3"):
        model.start(shown.frames[:, :4], shown.view[:, 3])


def test_training_hides_what_a_start_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """What led to frames is unknown in history for the first 1 to context of them, drawn by row, and nowhere else."""
    model, shown = made(context=4, horizon=2).train(), batch(frames=6)
    side_by_side, told = model._side_by_side, []

    def spied(*given: Any) -> torch.Tensor:
        told.append([around.controls for around in given[-1]])
        return side_by_side(*given)

    monkeypatch.setattr(model, "_side_by_side", spied)
    hidden = set()
    for seed in range(8):
        model.loss(shown, torch.Generator().manual_seed(seed))
        recalled, asked = told.pop()
        unknown = recalled.isnan().all(dim=-1)
        hidden |= set(unknown.sum(dim=1).tolist())
        for row, count in enumerate(unknown.sum(dim=1).tolist()):
            assert unknown[row, :count].all()
            torch.testing.assert_close(recalled[row, count:], shown.controls[row, count - 1 :], rtol=0, atol=0)
        assert asked[:, 0].isnan().all() and torch.equal(asked[:, 1:], shown.controls)
    assert hidden == {1, 2, 3, 4}


def test_the_undecided_are_whole_windows() -> None:
    model, shown = made(context=2, horizon=3, undecided=0.4).train(), batch(n=4, frames=5)
    latents = model.encoded(shown.frames)
    around = _Around(shown.view[:, 0], None, torch.cat([shown.controls[:, :1], shown.controls], dim=1))
    told, noise = torch.zeros(4, 4), torch.Generator().manual_seed(0)
    found = model._blurred(latents[:, :-1], told, latents[:, 1:], (around, around), noise)
    apart = (found - latents[:, 1:]).abs().amax(dim=(2, 3, 4))
    assert (apart[:2] > 0).all() and (apart[2:] == 0).all()
    levels = model.draw_levels((4, 4), noise, torch.device("cpu"))
    assert (levels[:2] <= model.settings.decided).all() and levels[2:].isinf().any()


@pytest.mark.parametrize(("forcing", "expected"), [(0.0, [4, 0]), (0.3, [2, 2]), (1.0, [0, 4])])
def test_a_share_of_windows_is_forced(forcing: float, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = made(forcing=forcing), [0, 0]
    for k, name in enumerate(("_side_by_side", "_forced")):
        whole = getattr(model, name)

        def spied(*given: Any, whole: Any = whole, k: int = k) -> torch.Tensor:
            asked[k] = max(asked[k], len(given[0]))  # of undecided windows the mean is asked for, too
            found: torch.Tensor = whole(*given)
            return found

        monkeypatch.setattr(model, name, spied)
    assert torch.isfinite(model.loss(batch(n=4), torch.Generator().manual_seed(0)).total) and asked == expected


def test_checkpointing_changes_no_gradient() -> None:
    shown, found = batch(frames=6), []
    for checkpointing in (False, True):
        model = made(checkpointing=checkpointing).train()
        model.loss(shown, torch.Generator().manual_seed(0)).total.backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_presets_are_there_and_settings_are_checked() -> None:
    assert {"tiny", "small", "base"} <= set(PRESETS)
    for settings, said in (
        ({"horizon": 0}, "horizon is 0"), ({"layers": 0}, "layers is 0"), ({"backbone": "rnn"}, "use one of conv"),
        ({"history": 2.0}, "must be below low"), ({"imagined": 0.5}, "use 0 to history"), ({"forcing": 2}, "a share"),
        ({"stride": 0}, "stride is 0"),
        ({"memory": 3}, "needs a horizon of 10 frames to be trained"), ({"codec": "jpeg"}, "use one of pixels"),
        ({"dropout": (1.0,)}, "give 5 numbers"),
        ({"guidance": (1.0, 0.0, 0.0, 0.0, 0.0)}, "needs a model that was trained"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=said):
            CausalSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["full", "pyramid"])
@pytest.mark.parametrize("evaluations", [1, 3])
def test_frames_that_are_denoised_together(schedule: str, evaluations: int) -> None:
    model, shown = made(context=3, schedule=schedule, forcing=0.5), batch()

    def rollout(controls: torch.Tensor, seed: int = 0) -> torch.Tensor:
        state = model.start(shown.frames[:, :2], shown.view[:, 1])
        with torch.no_grad():
            return model.rollout(state, controls, torch.Generator().manual_seed(seed), evaluations)[0]

    controls = shown.controls[:, 1:6]
    base = rollout(controls)
    assert base.shape == (3, 5, 8, 12, 2) and torch.isfinite(base).all()
    assert torch.equal(base, rollout(controls)) and torch.equal(base, rollout(controls, 1)) == (evaluations == 1)
    changed = controls.clone()
    changed[:, 2] += 0.4
    moved = (rollout(changed) - base).abs().amax(dim=(0, 2, 3, 4))
    assert (moved[:2] == 0).all() and (moved[2:] > 0).all()  # nothing looks ahead, not within a pass either


@pytest.mark.parametrize("evaluations", [1, 3])
def test_frames_denoised_together_have_the_cameras_noise(evaluations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, shown = made(context=3, schedule="full", forcing=0.5, camera=True), batch()
    state = model.start(shown.frames[:, :2], shown.view[:, 1])
    asked = []
    monkeypatch.setattr(model, "pictured", lambda images, generator: asked.append(images.shape[:2]) or images)
    model.rollout(state, shown.controls[:, 1:6], torch.Generator().manual_seed(0), evaluations)
    assert asked == ([] if evaluations == 1 else [(3, 3), (3, 2)])


def test_a_pyramid_of_one_frame_is_a_step() -> None:
    model, shown = made(context=1, schedule="pyramid", forcing=0.5), batch()
    state = model.start(shown.frames[:, :1], shown.view[:, 0])
    together, one = (call(state, shown.controls[:, :1], None)[0] for call in (model.rollout, model.step))
    torch.testing.assert_close(together, one)


def test_levels_of_schedules() -> None:
    inf = float("inf")
    assert levels_of("full", 2, [inf, 3.0]) == [[inf, inf], [3.0, 3.0], [0.0, 0.0]]
    assert levels_of("pyramid", 2, [inf, 3.0]) == [[inf, inf], [3.0, inf], [0.0, 3.0], [0.0, 0.0]]
    with pytest.raises(SettingsError, match="a full one or a pyramid"):
        levels_of("sequential", 2, [inf])
    with pytest.raises(SettingsError, match="needs a model that was trained with forcing"):
        CausalSettings(schedule="full")
