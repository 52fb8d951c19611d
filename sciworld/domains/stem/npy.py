"""NumPy's format, in a file of its own and as a member of a zip: the header says where each number lies.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import struct
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.domains.stem.blocks import Blocks, mapped
from sciworld.errors import FormatError
from sciworld.lazy import Key

RATIO = 200  # what a member unpacks to is at most so many times its size
LEAST = 64 << 20  # bytes that even a small one may unpack to
LOCAL = struct.Struct("<4s22xHH")  # a member's own header: its mark, and how long its name and its extra field are


def npy(path: Path) -> Blocks:
    """The array of a .npy file. Raises FormatError if the file is shorter than its header says."""
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        start = file.tell()
    size = path.stat().st_size - start
    return mapped(path, start, shape, dtype, size, "an array", "F" if fortran else "C")


def member_of(archive: zipfile.ZipFile, name: str, path: Path, most: int | None = None) -> zipfile.ZipInfo:
    """What the zip says of the member `name`. Raises FormatError if that unpacks to over `most` bytes, or to far more
    than its size."""
    found = archive.getinfo(name)
    if found.file_size > (max(LEAST, RATIO * found.compress_size) if most is None else most):
        raise FormatError(
            f"{path}: '{name}' unpacks from {found.compress_size} to {found.file_size} bytes, far more than is "
            "expected; unpack it yourself if you trust it, and save the array as .npy"
        )
    return found


def zipped(archive: zipfile.ZipFile, name: str, path: Path) -> Blocks:
    """The array that the member `name` of a zip holds: read where it lies, or decompressed when it is used."""
    member = member_of(archive, name, path)
    with archive.open(name) as file:
        shape, fortran, dtype = _header(file, path)
        start = file.tell()
    size, order = member.file_size - start, "F" if fortran else "C"
    if member.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(member.header_offset)
            mark, name_length, extra_length = LOCAL.unpack(file.read(LOCAL.size))
        begin = member.header_offset + LOCAL.size + name_length + extra_length
        there = min(size, path.stat().st_size - begin - start)
        if mark != b"PK\x03\x04":
            raise FormatError(f"{path}: '{name}' is not where the archive says; copy the file anew")
        return mapped(path, begin + start, shape, dtype, there, f"'{name}'", order)
    blocks = mapped(path, 0, shape, dtype, size, f"'{name}'", order)
    read = partial(_read_compressed, path, name, start, blocks.shape, dtype, order)
    return Blocks(path, blocks.shape, blocks.dtype, read)


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, dtype; the file then stands at the first number."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise FormatError(f"{path}: an array of NumPy's format {version}, for records; save it as numbers")


def _read_compressed(
    path: Path, name: str, start: int, shape: tuple[int, ...], dtype: np.dtype, order: Any, key: Key
) -> np.ndarray:
    """A block of a compressed member: all before it must be decompressed too, but is not kept."""
    rows = key[0] if key and order == "C" else slice(0, shape[0] if shape else 1)
    inner = shape[1:]
    row = math.prod(inner) * dtype.itemsize
    with zipfile.ZipFile(path) as archive, archive.open(name) as file:
        file.seek(start + rows.start * row)
        content = file.read((rows.stop - rows.start) * row)
    block = np.frombuffer(content, dtype).reshape((rows.stop - rows.start, *inner), order=order)
    if order == "C":
        key = (slice(None, None, rows.step), *key[1:])
    return block[key].astype(dtype.newbyteorder("="))
