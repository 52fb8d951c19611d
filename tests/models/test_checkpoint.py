from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import linear_world
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from sciworld import models
from sciworld.errors import CheckpointError, ModelError
from sciworld.models import checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    checkpoint.save(linear_world.linear(hears=False), path, extra={"step": 7})
    return path


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **facts: Any) -> None:
    """Write the file again, whole and with a true digest, but with other tensors or facts."""
    held, known = checkpoint.read_tensors(path, "model")
    known |= {name: json.dumps(fact) for name, fact in facts.items()}
    checkpoint.write_tensors(path, held if tensors is None else tensors, "model", known)


def test_a_model_comes_back(path: Path) -> None:
    saved = linear_world.linear(hears=False)
    before = torch.random.get_rng_state()
    loaded = checkpoint.load(path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert isinstance(loaded, linear_world.Linear) and not loaded.training
    assert loaded.settings == saved.settings and loaded.signature == saved.signature
    assert all(
        torch.equal(a, b) for a, b in zip(saved.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert checkpoint.extra(path) == {"step": 7}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@settings(max_examples=25)
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool]),
    seed=st.integers(0, 99),
)
def test_tensors_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], dtype: torch.dtype, seed: int
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "t.safetensors"
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=shape)) * 3
    written = {"a": values.to(dtype), "b": torch.arange(12.0).reshape(3, 4).T}
    checkpoint.write_tensors(path, written, "model", {})
    read, _ = checkpoint.read_tensors(path, "model")
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file; check the path"):
        checkpoint.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated, or no safetensors file"):
        checkpoint.load(path)


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 97), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            checkpoint.load(path)


def test_tampered_weights_and_facts(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.load(path)
    path.write_bytes(whole.replace(b"300.0", b"301.0"))
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.load(path)


def test_a_foreign_safetensors_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: safetensors, but not written by sciworld"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    checkpoint.write_tensors(tmp_path / "o.safetensors", {"a": torch.zeros(2)}, "optimizer", {})
    with pytest.raises(CheckpointError, match="the file of the optimizer, not of the model"):
        checkpoint.load(tmp_path / "o.safetensors")


def test_another_family(path: Path) -> None:
    rewrite(path, family="oracle")
    with pytest.raises(CheckpointError, match="family 'oracle'; known are causal, diffusion"):
        checkpoint.load(path)
    rewrite(path, family=[])
    with pytest.raises(CheckpointError, match="MODELS if it is yours"):
        checkpoint.load(path)


def test_the_folder_of_an_ensemble_is_no_run(path: Path, tmp_path: Path) -> None:
    for name in ("member-0", "member-1"):
        (tmp_path / "all" / name).mkdir(parents=True)
        checkpoint.save(linear_world.linear(), tmp_path / "all" / name / checkpoint.FILE)
    with pytest.raises(CheckpointError, match=r"all: holds several runs, .* or use Ensemble.load"):
        checkpoint.load(tmp_path / "all")


@pytest.mark.parametrize(
    ("field", "value"),
    [("mean", []), ("mean", ["a"]), ("scale", [0.0, 1.0]), ("shape", [8, 12]), ("shape", [8, 12, 0]),
     ("control_mean", None), ("view_step", None), ("view_step", float("nan"))],
)  # fmt: skip
def test_a_signature_that_no_windows_have(path: Path, field: str, value: Any) -> None:
    rewrite(path, signature=checkpoint.signature_to_dict(linear_world.SIGNATURE) | {field: value})
    with pytest.raises(CheckpointError, match="cannot be rebuilt"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"hears": True, "depth": 3}, "unknown setting depth"), ({"noise": -1.0}, "use at least 0")],
)
def test_settings_that_do_not_fit(path: Path, fields: dict[str, Any], message: str) -> None:
    rewrite(path, settings=fields)
    with pytest.raises(CheckpointError, match=rf"cannot be rebuilt: .*{message}.* sciworld 0"):
        checkpoint.load(path)


def test_a_signature_that_does_not_fit(path: Path) -> None:
    fields = checkpoint.signature_to_dict(linear_world.SIGNATURE)
    del fields["controls"]
    rewrite(path, signature=fields)
    with pytest.raises(CheckpointError, match="cannot be rebuilt: 'controls'"):
        checkpoint.load(path)


def test_a_newer_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 2)
        checkpoint.save(linear_world.linear(), path)
    with pytest.raises(CheckpointError, match="format 2, newer than the 1 known here; upgrade"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {"odd": torch.zeros(1)}, r"'odd' is \(1,\) float32, the model's is missing"),
        (lambda t: {n: v for n, v in t.items() if n != "count"}, r"'count' is missing, the model's is \(\) int64"),
        (lambda t: t | {"frame.bias": torch.zeros(3)}, r"'frame.bias' is \(3,\) float32, the model's is \(2,\)"),
        (lambda t: t | {"frame.bias": torch.zeros(2).double()}, r"'frame.bias' is \(2,\) float64, the model's"),
    ],
)
def test_other_tensors(path: Path, change: Any, message: str) -> None:
    rewrite(path, change(checkpoint.read_tensors(path, "model")[0]))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


def test_a_full_disk_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: cannot be written .*No space left.*free some space"
    ):
        checkpoint.save(linear_world.linear(seed=5), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_signature_comes_back() -> None:
    fields = json.loads(json.dumps(checkpoint.signature_to_dict(linear_world.SIGNATURE)))
    assert checkpoint.signature_from_dict(fields) == linear_world.SIGNATURE
    assert fields.keys() == {field.name for field in dataclasses.fields(linear_world.SIGNATURE)}


def test_metadata_say_what_the_file_is(path: Path) -> None:
    facts = metadata(path)
    assert facts["kind"] == "model" and json.loads(facts["family"]) == "linear"
    assert json.loads(facts["settings"]) == {"hears": False, "noise": 0.1}


def test_families_are_found_by_name() -> None:
    assert models.family("linear") is linear_world.Linear
    with pytest.raises(ModelError, match="no model family 'oracle'; there are causal, diffusion"):
        models.family("oracle")
