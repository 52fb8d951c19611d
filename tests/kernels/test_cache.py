"""Machine code on the disk is as fresh as all sources of the kernels, wherever Numba keeps it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[2] / "kernels"
CALLER = """
from numba import njit
from sciworld.kernels.callee import inner
@njit(cache=True)
def outer(x):
    return inner(x) + 1
"""
CALLEE = """
from numba import njit
@njit(cache=True)
def inner(x):
    return 10 * x
"""
# Someone else's function, which is as fresh as its own file, in Numba's own place.
OTHER = """
from numba import njit
@njit(cache=True)
def other(x):
    return x
"""
RUN = """
from sciworld.kernels.caller import outer
from other import other
print(outer(2), other(3), *(sum(f.stats.cache_hits.values()) for f in (outer, other)))
"""


@pytest.fixture
def package(tmp_path):
    """A package of that name with two kernels, and what runs them: results, and whether they came from the disk."""
    folder = tmp_path / "code/sciworld/kernels"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    shutil.copy(KERNELS / "__init__.py", folder)
    for path, text in ((folder / "caller.py", CALLER), (folder / "callee.py", CALLEE)):
        path.write_text(text)
    (tmp_path / "code/other.py").write_text(OTHER)

    def run(**changes):
        """In a folder of its own: Python looks there first."""
        environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
        environment |= {"PYTHONPATH": str(tmp_path / "code"), "PYTHONDONTWRITEBYTECODE": "1", **changes}
        given = {"env": environment, "cwd": tmp_path / "code", "capture_output": True, "text": True}
        done = subprocess.run([sys.executable, "-c", RUN], **given)
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]

    return folder, run


@pytest.mark.parametrize("place", ["beside the sources", "a read-only install", "a folder of the user's"])
def test_an_edit_of_a_callee_in_another_file_is_seen(package, tmp_path, place):
    folder, run = package
    changes = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    if place == "a read-only install":
        (folder / "__pycache__").touch()  # no folder can be made there, not even by root
    elif place == "a folder of the user's":
        changes["NUMBA_CACHE_DIR"] = str(tmp_path / "mine")
    assert run(**changes) == [21, 3, 0, 0]
    assert run(**changes) == [21, 3, 1, 1]
    (folder / "callee.py").write_text(CALLEE.replace("10", "100"))
    assert run(**changes) == [201, 3, 0, 1]
    assert run(**changes) == [201, 3, 1, 1]
    assert len(folders_of(tmp_path)) == 2


def folders_of(path):
    """Where machine code of kernels lies."""
    return {file.parent for file in path.rglob("*.nbi") if file.name.startswith("caller")}


def test_machine_code_that_nobody_used_for_long_is_removed(package, tmp_path):
    folder, run = package
    run()
    (old,) = folders_of(tmp_path)
    day = time.time() - 86400
    for used, kept in ((day + 600, True), (day - 600, False)):
        os.utime(old, (used, used))
        (folder / "callee.py").write_text(CALLEE.replace("10", "100"))
        assert run()[0] == 201 and old.is_dir() == kept
    (folder / "callee.py").write_text(CALLEE)
    assert run()[::2] == [21, 0]
