"""The ablations: what is left out is what is said to be, and figures follow from what was scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sciworld import models
from sciworld.testing import signature, windows


@pytest.fixture(scope="module")
def modules(benchmarks: Callable[..., Any]) -> Any:
    return benchmarks("ablations", "contest_entrants", "contest_jobs", "harness")


def test_every_variant_can_be_built_and_differs_from_the_others(modules: Any) -> None:
    for part in modules.ablations.PARTS:
        for store, variants in part.stores.items():
            assert len(variants) > 1
            made = [entrant for _, entrant in variants.values()]
            for entrant in made:
                assert store in entrant.stores
                modules.contest_jobs.kind_of(entrant.family).Settings(**entrant.resolved(store))
            told = [
                (one.family, str(one.resolved(store)), one.evaluations, one.seeds, one.focus, str(one.asked))
                for one in made
            ]
            assert len(set(told)) == len(told), part.name


def test_one_name_keeps_one_result(modules: Any) -> None:
    """Results are kept by name and settings; a name that meant two entrants would only confuse."""
    known: dict[str, Any] = {}
    for part in modules.ablations.PARTS:
        for variants in part.stores.values():
            for name, entrant in variants.values():
                assert known.setdefault(name, entrant) == entrant


@pytest.mark.parametrize("level", [0.7, torch.inf])
def test_without_its_residual_a_model_gives_the_frame_itself(modules: Any, level: float) -> None:
    absolute = modules.contest_jobs.kind_of("absolute")
    torch.manual_seed(0)
    model = absolute(signature(8, 12), absolute.presets["tiny"])
    for parameter in model.decoder.parameters():  # the change is nothing
        torch.nn.init.zeros_(parameter)
    shown = windows(signature(8, 12), 2, 3)
    state, controls = model.start(shown.frames[:, :1], shown.view[:, 0]), shown.controls[:, 0]
    noised, at = torch.randn(3, 2, 8, 12), torch.full((3,), level)
    found = model.denoised(state, controls, state.covariates, noised, at)
    skip = 0.0 if level == torch.inf else 1 / (1 + level**2)
    torch.testing.assert_close(found, skip * noised)


def test_settings_of_asking_change_no_weight(modules: Any) -> None:
    kind = models.family("diffusion")
    settings = kind.Settings(dropout=(0.1, 0.0, 0.0, 0.0, 0.0))
    model = kind(signature(8, 12), settings)
    found = modules.contest_jobs.asked(model, {"guidance": [2.0, 0.0, 0.0, 0.0, 0.0]})
    assert found.settings.guidance == (2.0, 0.0, 0.0, 0.0, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), found.parameters(), strict=True))
    assert modules.contest_jobs.asked(model, {}) is model


def test_a_figure_is_the_loss_without_the_part(modules: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crps = {"diffusion": 2.0, "ensemble": 1.0, "ensemble_certain": 4.0}

    def scored(run: Any, options: Any, store: str, name: str, entrant: Any) -> dict[str, Any]:
        each = {h: [crps[name], 3 * crps[name]] for h in ("1", "4", "16")}
        return {
            "guesses": {"model": dict.fromkeys(("psnr_moving", "crps"), each)},
            "model": {"coverage": each, "control_gain": each}, "frames_per_second": [10.0 * crps[name]],
            **dict.fromkeys(
                ("seconds", "steps", "parameters", "evaluations", "members", "training_mb", "imagining_mb", "starts"), 1
            ),
        }  # fmt: skip

    monkeypatch.setattr(modules.ablations, "scored", scored)
    part = next(one for one in modules.ablations.PARTS if one.name == "ensemble")
    made = modules.ablations.Ablations(modules.contest_entrants.Options())
    found = made.figures(part, modules.harness.Run(True, tmp_path / "ablations"))
    assert found["ensemble"].value == pytest.approx((2.0 * 0.5 * 0.5) ** (1 / 3))
    assert found["ensemble"].spread == pytest.approx((found["ensemble"].value,) * 2)  # recordings are drawn in pairs
    assert found["cost_ensemble"].rows == [2.0, 0.5, 0.5]
    monkeypatch.setattr(modules.ablations, "PARTS", [part])
    lines = modules.ablations.written(found["ensemble"].rows).splitlines()
    assert len(lines) == 2 + 6 and lines[2].startswith("| members, trained for the same seconds together | stem | 3 ")
