"""Numba kernels: arrays in, arrays out.

Numba takes machine code from the disk for as long as the file of a function is the same. But kernels hold the code of
those that they call, from other files: so theirs lies in a folder that is another one for any other sources.
"""

import hashlib
import os
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching

if __name__ != "sciworld.kernels":
    raise ImportError("these kernels are imported as sciworld.kernels; install sciworld and import them from there")

_HERE = Path(__file__).parent
_SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_HERE.glob("*.py")))).hexdigest()[:16]
_PREFIX = "kernels-"  # of the folders with machine code
_DAY = 86400.0  # s, after which machine code that nobody used is removed


def _place(numba_s: Any) -> Any:
    """One of the places where Numba keeps machine code, as it is for kernels; it has none for other functions."""

    class Place(numba_s):  # type: ignore[misc]
        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            found = super().from_function(py_func, py_file) if Path(py_file).parent == _HERE else None
            if found is not None:
                _tidy(Path(found.get_cache_path()))
            return found

        def get_cache_path(self) -> str:
            return os.path.join(super().get_cache_path(), _PREFIX + _SOURCES)

    return Place


@cache
def _tidy(folder: Path) -> None:
    """Mark the folder as used, and remove those of other sources beside it that were not used for long.

    A process that still uses one of these compiles anew.
    """
    with suppress(OSError):
        os.utime(folder)
        for other in folder.parent.glob(f"{_PREFIX}*"):
            if time.time() - other.stat().st_mtime > _DAY:
                shutil.rmtree(other, ignore_errors=True)


# Before Numba's own, in their order. Where another Numba has no such list, kernels are kept as all functions are.
_known = getattr(getattr(caching, "CacheImpl", None), "_locator_classes", None)
if _known is not None:
    _known[:0] = [_place(numba_s) for numba_s in _known]
