"""What the command line says of models, and of training that begins from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy
import xarray as xr
from typer.testing import CliRunner

from sciworld import cli, models
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.recording import control_table
from sciworld.store import Store
from sciworld.training import ensemble
from sciworld.training.run import Run
from sciworld.training.trainer import FitSettings

runner = CliRunner()
NARROW = ("--set", "width=8", "--set", "coarse=8", "--set", "embedding=8")


def good(*args: object) -> str:
    """What a command that must succeed prints."""
    result = runner.invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.output


def bad(*args: object) -> str:
    """The one line that a command that must fail prints."""
    result = runner.invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "store"
    Store.create(folder).append(toy.recordings(4))
    return folder


def test_models_lists_presets_or_why_not(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MODELS", {"diffusion": models.MODELS["diffusion"]})
    monkeypatch.setattr(
        Diffusion, "presets", {name: DiffusionSettings(width=8, coarse=8) for name in ("tiny", "other")}
    )
    out = good("models", "--shape", "16x24x3", "--controls", 4, "--evaluations", 2, "--batch", 4)
    assert all(name in out for name in models.family("diffusion").presets)
    assert "16 x 24 pixels and 3 channels, 4 controls" in out and "takes 2 evaluations" in out
    out = good("models", "--store", store)
    assert f"{toy.Y} x {toy.X} pixels and 2 channels, 3 controls" in out and "warning" not in out
    assert "warning: diffusion tiny: frames of 7 x 24 pixels" in good("models", "--shape", "7x24x1")
    assert "shape is '7x24'; write YxXxCHANNELS" in bad("models", "--shape", "7x24")
    assert "evaluations and batch are 1 or more" in bad("models", "--batch", 0)


def test_train_takes_settings_and_begins_from_a_run(store: Path, tmp_path: Path) -> None:
    few = ("--steps", 2, "--batch", 4)
    good("train", store, "--run", tmp_path / "one", *few, *NARROW, "--set", "context=2", "--precision", "bfloat16")
    made = Run(tmp_path / "one")
    assert made.model().settings == DiffusionSettings(width=8, coarse=8, embedding=8, context=2)
    assert made.config["fit"]["precision"] == "bfloat16"
    good("train", store, "--run", tmp_path / "two", *few, "--start-from", tmp_path / "one")
    assert Run(tmp_path / "two").model().settings == made.model().settings
    assert "set 'depth=2': write NAME=VALUE" in bad("train", store, "--run", tmp_path / "no", "--set", "depth=2")
    assert "width is of type int" in bad("train", store, "--run", tmp_path / "no", "--set", "width=wide")
    for told in (("--set", "width=8"), ("--model", "causal"), ("--preset", "tiny")):
        assert "leave out either" in bad(
            "train", store, "--run", tmp_path / "no", "--start-from", tmp_path / "one", *told
        )
    assert "precision is 'half'" in bad("train", store, "--run", tmp_path / "no", "--precision", "half")


def test_train_makes_an_ensemble(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fake(store: Store, folder: Path, settings: FitSettings, members: int, **given: Any) -> list[Run]:
        asked.append((folder, settings.seed, members, given["bootstrap"], given["workers"], given["changes"]))
        return []

    monkeypatch.setattr(ensemble, "train_ensemble", fake)
    more = ("--members", 3, "--bootstrap", "--workers", 2, "--seed", 5)
    good("train", store, "--run", tmp_path / "all", *more, "--set", "width=8")
    assert asked == [(tmp_path / "all", 5, 3, True, 2, {"width": 8})]
    assert "--workers is for several --members" in bad("train", store, "--run", tmp_path / "no", "--workers", 2)


def test_the_folder_of_an_ensemble_stands_for_a_run(store: Path, tmp_path: Path) -> None:
    for seed in range(2):
        run = tmp_path / "all" / f"member-{seed}"
        good("train", store, "--run", run, "--steps", 2, "--batch", 4, *NARROW, "--seed", seed)
    out = good("rollout", tmp_path / "all", store, "--steps", 2, "--out", tmp_path / "page.html")
    assert "Training did not see it" in out
    few = ("--steps", 1, "--starts", 1)
    good("evaluate", tmp_path / "all", store, *few, "--out", tmp_path / "all.nc")
    good("evaluate", run, store, *few, "--member", tmp_path / "all" / "member-0", "--out", tmp_path / "two.nc")
    good("evaluate", run, store, *few, "--out", tmp_path / "one.nc")
    error = {
        name: float(xr.open_dataset(tmp_path / f"{name}.nc", engine="h5netcdf").rmse.sel(guess="model").mean())
        for name in ("all", "two", "one")
    }
    assert error["all"] == pytest.approx(error["two"], rel=0.05) and error["all"] != error["one"]

    Store.create(tmp_path / "elsewhere").append(toy.recordings(8))
    third = tmp_path / "all" / "member-2"
    good("train", tmp_path / "elsewhere", "--run", third, "--steps", 2, "--batch", 4, *NARROW)
    wrong = bad("rollout", tmp_path / "all", store, "--out", tmp_path / "page.html")
    assert "member-0 and member-2 were not trained on the same recordings" in wrong
    (third / "model.safetensors").unlink()
    assert "member-2/model.safetensors: no such file" in bad("evaluate", tmp_path / "all", store)


SMALL = ("--set", "width=8", "--set", "layers=1", "--steps", 3)


def test_a_masked_model_takes_the_tokenizer_of_a_run(store: Path, tmp_path: Path) -> None:
    out = good("train", store, "--run", tmp_path / "codes", "--model", "vivit", "--set", "patch=4", *SMALL)
    assert "rmse_smoke" in out and "codes_used" in out
    masked = ("--model", "masked", *SMALL, "--set", "embedding=8", "--tokenizer", tmp_path / "codes")
    assert "controls the loss is" in good("train", store, "--run", tmp_path / "run", *masked)
    run = Run(tmp_path / "run")
    codes = Run(tmp_path / "codes").tokenizer()
    assert run.model().tokenizer.digest == codes.digest
    assert any(codes.digest[:16] in source for source in run.config["sources"])
    good("evaluate", tmp_path / "run", store, "--starts", 1, "--steps", 1, "--samples", 2)
    alone = ("--model", "masked", *SMALL, "--set", "tokenizer.patch=4")
    assert "name its run" in bad("train", store, "--run", tmp_path / "x", *alone, "--set", "joint=false")
    given = ("--run", tmp_path / "x", "--tokenizer", tmp_path / "codes")
    assert "leave out those of your own" in bad("train", store, *alone, *given)
    assert "must be multiples of 8" in bad("train", store, "--run", tmp_path / "x", "--model", "masked", *SMALL)
    assert "has no tokenizer" in bad("train", store, "--run", tmp_path / "y", "--tokenizer", tmp_path / "codes")
    assert "the file of the tokenizer, not of the model" in bad(
        "evaluate", tmp_path / "codes", store, "--starts", 1, "--steps", 1
    )


def test_another_tokenizer_does_not_go_on_with_a_run(store: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("other", 1)):
        good("train", store, "--run", tmp_path / name, "--model", "vivit", "--set", "patch=4", *SMALL, "--seed", seed)
    masked = ("--model", "masked", *SMALL, "--set", "embedding=8", "--run", tmp_path / "run")
    good("train", store, *masked, "--tokenizer", tmp_path / "one")
    assert "begun otherwise: sources" in bad("train", store, *masked, "--tokenizer", tmp_path / "other", "--resume")


def test_actions_are_learned_and_stored(store: Path, tmp_path: Path) -> None:
    good("train", store, "--run", tmp_path / "run", "--model", "latent", "--set", "width=8", "--steps", 3)
    assert "4 recordings" in good("label", tmp_path / "run", store, "--out", tmp_path / "new")
    assert "action" in control_table(Store.open(tmp_path / "new")[0]).names
    assert "exists already" in bad("label", tmp_path / "run", store, "--out", tmp_path / "new")
    assert "the file of the actions, not of the model" in bad("evaluate", tmp_path / "run", store)
