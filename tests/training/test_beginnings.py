"""What training begins from: presets with changes, and weights that learned other columns."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

import linear_world
import pytest
import torch
import toy
from toy_model import SIGNATURE, TINY

from sciworld import models
from sciworld.controls import ColumnTable
from sciworld.errors import ModelError, SettingsError, TrainingError
from sciworld.models import checkpoint
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.models.masked_settings import PRESETS
from sciworld.store import Store
from sciworld.training.beginnings import changes_of, for_windows, settings_of
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

FIT = FitSettings(steps=2, batch=4)


@dataclass(frozen=True)
class Settings:
    width: int = 8
    rate: float = 0.5
    deep: bool = False
    name: str = "a"
    shares: tuple[float, ...] = ()
    window: int | None = None


class Other(linear_world.Linear):
    Settings = Settings
    presets = {"tiny": Settings()}  # noqa: RUF012


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("toys") / "store")
    store.append(toy.recordings(3))
    return store


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(models.MODELS, "other", f"{__name__}:Other")
    return "other"


def test_settings_are_read_by_their_types(other: str) -> None:
    texts = ["width=16", "rate = 1e-3", "deep=True", "name=b=c", "shares=0.5, 1", "window=4"]
    found = changes_of(other, texts)
    assert found == {"width": 16, "rate": 1e-3, "deep": True, "name": "b=c", "shares": (0.5, 1.0), "window": 4}
    assert type(found["width"]) is int and type(found["rate"]) is float
    assert changes_of(other, ["window=none", "shares="]) == {"window": None, "shares": ()}
    assert settings_of(other, "tiny", found) == Settings(**found)
    assert settings_of(other, "tiny") == Settings()
    assert settings_of("diffusion", "tiny", {"context": 2, "width": 64}) == DiffusionSettings(context=2, width=64)


def test_settings_of_a_part_have_a_dot() -> None:
    found = changes_of("masked", ["tokenizer.patch=4", "width=16", "tokenizer.levels=5,3"])
    assert found == {"tokenizer": {"patch": 4, "levels": (5, 3)}, "width": 16}
    made = settings_of("masked", "small", found)
    kept = PRESETS["small"]
    tokenizer = dataclasses.replace(kept.tokenizer, patch=4, levels=(5, 3))
    assert made == dataclasses.replace(kept, width=16, tokenizer=tokenizer)
    with pytest.raises(SettingsError, match=r"tokenizer\.patches=4': write NAME=VALUE, .*tokenizer\.patch \(int\)"):
        changes_of("masked", ["tokenizer.patches=4"])


@pytest.mark.parametrize("text", ["depth=2", "width", "=3", ""])
def test_a_setting_that_is_not_there_names_those_that_are(other: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"set '{text}': write NAME=VALUE, .*width \(int\), .*int \| None\)$"):
        changes_of(other, [text])
    with pytest.raises(SettingsError, match=r"other tiny: unknown setting depth; known are deep, name"):
        settings_of(other, "tiny", {"depth": 2})


@pytest.mark.parametrize("text", ["width=1.5", "width=many", "rate=", "deep=1", "shares=1,x", "window=x"])
def test_a_value_of_another_type_is_refused(other: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"set '{text}': {text.partition('=')[0]} is of type"):
        changes_of(other, [text])


def test_a_change_that_cannot_be_is_refused_by_the_settings(toys: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="context is 0"):
        train(toys, tmp_path / "run", FIT, changes={"context": 0})
    with pytest.raises(ModelError, match="no preset 'huge'; there are tiny"):
        settings_of("diffusion", "huge")
    assert not (tmp_path / "run").exists()


def test_training_takes_changes(toys: Store, tmp_path: Path) -> None:
    changes = {"width": 8, "coarse": 8, "embedding": 8, "context": 2}
    run = train(toys, tmp_path / "run", FIT, changes=changes, progress=False)
    assert run.model().settings == DiffusionSettings(**changes) and run.config["windows"]["context"] == 2
    for told in ({"changes": changes}, {"family": "causal"}, {"preset": "certain"}):
        with pytest.raises(SettingsError, match=r"run brings its own family and settings; leave out either"):
            train(toys, tmp_path / "more", FIT, start_from=run.path, **told)  # type: ignore[arg-type]


def test_the_same_columns_keep_the_model_and_its_normalisation(toys: Store, tmp_path: Path) -> None:
    windows = Windows(toys, 1, 1)
    signature = dataclasses.replace(Signature.of(windows), mean=(1.0, 2.0))
    model = Diffusion(signature, DiffusionSettings(**TINY))  # type: ignore[arg-type]
    assert for_windows(model, windows, 0, "run") is model
    checkpoint.save(model, tmp_path / "old.safetensors")
    run = train(toys, tmp_path / "run", FIT, start_from=tmp_path / "old.safetensors", progress=False)
    assert run.model().signature == signature


def test_other_columns_take_the_weights_that_fit(toys: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    signature = Signature.of(Windows(toys, 1, 1))
    fewer = dataclasses.replace(
        signature,
        shape=(toy.Y * 2, toy.X, 2),
        controls=ColumnTable(signature.controls.columns[:2]),
        control_mean=signature.control_mean[:2],
        control_scale=signature.control_scale[:2],
    )
    old = Diffusion(fewer, DiffusionSettings(**TINY))  # type: ignore[arg-type]
    checkpoint.save(old, tmp_path / "old.safetensors")
    with caplog.at_level(logging.INFO):
        run = train(toys, tmp_path / "run", FIT, start_from=tmp_path / "old.safetensors", progress=False)
    warning = next(record.getMessage() for record in caplog.records if "made for other" in record.getMessage())
    new = run.model()
    assert new.signature.controls.names == SIGNATURE.controls.names and new.signature.shape == SIGNATURE.shape
    theirs = dict(old.named_parameters())
    agree = {name for name, weight in new.named_parameters() if name in theirs and theirs[name].shape == weight.shape}
    anew = [name for name, _ in new.named_parameters() if name not in agree]
    assert anew and len(agree) > len(anew)
    assert f"made for other frames, controls; of {len(agree) + len(anew)} weights {len(agree)} are copied" in warning
    assert all(name in warning for name in anew)
    assert f"the weights of {tmp_path / 'old.safetensors'}" in run.config["sources"]

    begun = for_windows(old, Windows(toys, 1, 1), 3, "old")
    for name, weight in begun.named_parameters():
        assert (name in agree and torch.equal(weight, theirs[name])) or name in anew


def test_columns_in_another_order_make_another_model(toys: Store, caplog: pytest.LogCaptureFixture) -> None:
    signature = Signature.of(Windows(toys, 1, 1))
    turned = ColumnTable(signature.controls.columns[::-1])
    old = Diffusion(dataclasses.replace(signature, controls=turned), DiffusionSettings(**TINY))  # type: ignore[arg-type]
    new = for_windows(old, Windows(toys, 1, 1), 0, "old")
    assert new is not old and new.signature.controls.names == SIGNATURE.controls.names == turned.names[::-1]
    assert "made for other controls;" in caplog.text and "0 begin anew: none" in caplog.text


def test_a_model_without_a_weight_that_fits_is_refused(toys: Store) -> None:
    one = linear_world.SIGNATURE
    signature = dataclasses.replace(
        one, channels=ColumnTable(one.channels.columns[:1]), shape=(5, 7, 1), mean=(0.0,), scale=(1.0,)
    )
    with pytest.raises(
        TrainingError, match="old: it was made for other frames, channels, controls, covariates, and none of its"
    ):
        for_windows(linear_world.linear(signature=signature), Windows(toys, 2, 1), 0, "old")
