"""Developed wakes are made once, found again by any process, and never mistaken for others."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from sciworld.config import CACHE_VARIABLE, cache_dir
from sciworld.domains.fluid import developed as module
from sciworld.domains.fluid.developed import digest
from sciworld.domains.fluid.simulator import CylinderSimulator, simulator
from sciworld.errors import SimulatorError

COARSE = {"cells": 10, "lattice_speed": 0.05}


def path_of(wake: CylinderSimulator):
    return cache_dir() / "flows" / f"wake-{digest(wake.lattice, wake.steps)[:16]}.bin"


def test_two_processes_name_a_wake_alike():
    code = (
        "from sciworld.domains.fluid.developed import digest; from sciworld.domains.fluid.simulator import simulator;"
        f"w = simulator(**{COARSE}); print(digest(w.lattice, w.steps))"
    )
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout}
    wake = simulator(**COARSE)
    assert found == {digest(wake.lattice, wake.steps) + "\n"}


@pytest.mark.parametrize("change", [{"reynolds": 90.0}, {"cells": 20}, {"lattice_speed": 0.06}, {"collision": "bgk"}])
def test_another_flow_has_another_name(change):
    one, other, turning = simulator(**COARSE), simulator(**COARSE | change), simulator(**COARSE, actuator="rotation")
    assert digest(one.lattice, one.steps) != digest(other.lattice, other.steps)
    assert digest(one.lattice, one.steps) == digest(turning.lattice, turning.steps)  # still, it is the same flow


def test_a_wake_is_kept_and_one_that_is_damaged_or_foreign_is_made_again(monkeypatch):
    first, made = simulator(**COARSE)._developed(), []
    kept = path_of(simulator(**COARSE))
    monkeypatch.setattr(module, "_develop", lambda *given: made.append(given) or first)
    whole = kept.read_bytes()
    again = simulator(**COARSE)._developed()
    assert again.baseline == first.baseline and not made
    np.testing.assert_array_equal(again.coefficients, first.coefficients)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    foreign = whole.replace(digest(simulator(**COARSE).lattice, simulator(**COARSE).steps).encode(), b"0" * 64)
    for count, damage in enumerate((whole[:1000], whole[:-9], b"", b"PK\x03\x04", bytes(flipped), foreign), start=1):
        kept.write_bytes(damage)
        assert simulator(**COARSE).baseline == first.baseline and len(made) == count
        assert kept.read_bytes() == whole


def test_wakes_that_were_not_used_for_longest_make_room(tmp_path, monkeypatch):
    first = simulator(**COARSE)._developed()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(module, "_develop", lambda *given: first)
    one, two, three = (simulator(**COARSE | {"reynolds": reynolds}) for reynolds in (80.0, 90.0, 100.0))
    assert one.baseline == two.baseline
    monkeypatch.setattr(module, "KEPT_BYTES", int(2.5 * path_of(one).stat().st_size))
    for wake, age in ((one, 10), (two, 20)):
        os.utime(path_of(wake), (time.time() - age,) * 2)
    left = path_of(one).with_name(".wake-0.bin.given-up")
    left.write_bytes(b"")
    os.utime(left, (time.time() - 1e6,) * 2)
    assert three.baseline == first.baseline
    assert path_of(one).exists() and not path_of(two).exists() and path_of(three).exists() and not left.exists()


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    first = simulator(**COARSE)._developed()
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    monkeypatch.setattr(module, "_develop", lambda *given: first)
    assert simulator(**COARSE).baseline == first.baseline


@pytest.mark.parametrize("reynolds", [20.0, 45.0])
def test_a_wake_that_does_not_shed_is_told(monkeypatch, reynolds):
    for name, short in (("DEVELOP", 60), ("MEASURE", 10)):
        monkeypatch.setattr(module, name, short)
    told = rf"reynolds {reynolds:g} does not shed vortices evenly after 60 D/U, the rms of C_L goes from .*; use"
    with pytest.raises(SimulatorError, match=told):
        _ = simulator(**COARSE, reynolds=reynolds).baseline


def test_starts_take_each_phase_once_before_any_again():
    wake = simulator(**COARSE)
    phases = len(wake._developed().coefficients)
    lifts = wake.start(phases + 3, np.random.default_rng(0)).coefficients[:, 1]
    assert len(set(lifts[:phases])) == phases == 14
    np.testing.assert_array_equal(wake.at_phases(np.array([2, 16])).coefficients[0], wake._developed().coefficients[2])
    assert len(set(wake.at_phases(np.array([2, 16])).coefficients[:, 1])) == 1
