"""How inputs are made bad on purpose: bombs, ways out, loops, and statements that contradict each other.

Most functions here give a change of a file or folder, for `trick`; `plain` writes a file from nothing. A bomb is small
on disk.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq

from data_bombs import picture
from data_files import FILES, READER, test_readers

Maker = Callable[[Path], Path]
Trick = tuple[Maker, str | None, str]
ODD = "a|b ü 'x' %d\n;c"


def trick(kind: str, change: Callable[[Path], Path | None], expected: str = "error", auto: bool = False) -> Trick:
    """A whole file of a kind, changed; `change` may give another path than the file's."""

    def make(folder: Path) -> Path:
        path = FILES[kind](folder)
        return change(path) or path

    return make, None if auto else READER.get(kind), expected


def plain(write: Callable[[Path], object], name: str, reader: str | None, expected: str = "error") -> Trick:
    """A file that is written from nothing."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / name)
        return folder / name

    return make, reader, expected


def replaced(old: bytes, new: bytes, name: str = "", count: int = -1) -> Callable[[Path], None]:
    """Other bytes in place of some, in the file or in the file `name` of the folder. They must be there."""

    def change(path: Path) -> None:
        file = path / name if name else path
        content = file.read_bytes()
        if old not in content:
            raise ValueError(f"{file}: no {old!r}")
        file.write_bytes(content.replace(old, new, count))

    return change


def text(content: str | bytes, name: str = "") -> Callable[[Path], None]:
    """Another content."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda path: (path / name if name else path).write_bytes(data) and None


def hdf5(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """An open HDF5 file, changed."""

    def changed(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return changed


def put(name: str, values: Any, **settings: Any) -> Callable[[Any], None]:
    """Another array in the place of one, with its attributes."""

    def change(file: Any) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        if isinstance(values, h5py.SoftLink | h5py.ExternalLink):
            file[name] = values
            return
        node = file.create_dataset(name, data=values, **settings)
        node.attrs.update(attributes)

    return change


def never_written(name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Callable[[Any], None]:
    """A huge array of chunks in the place of one, none of which is in the file."""

    def change(file: Any) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        node = file.create_dataset(name, shape=shape, chunks=chunks, dtype="float32", compression="gzip")
        node.attrs.update(attributes)

    return change


def rows(name: str, edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A JSON file of a folder, edited."""

    def change(path: Path) -> None:
        value = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(edit(value)))

    return change


def second(**fields: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Other fields in the second row of a table."""
    return lambda table: [table[0], {**table[1], **fields}, *table[2:]]


def table(name: str, edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A Parquet file of a folder, edited as a pandas frame."""

    def change(path: Path) -> None:
        file = path / name if name else path
        frame = edit(pq.read_table(file).to_pandas())
        frame.to_parquet(file)

    return change


def nion(**changes: Any) -> Callable[[Path], None]:
    """A .ndata with other properties."""
    return lambda path: test_readers.write_ndata(path, test_readers.counts(), **changes)


def tag(number: int, value: int) -> Callable[[Path], None]:
    """Another value of a tag of the first page of a little-endian TIFF file."""

    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        (offset,) = struct.unpack_from("<I", content, 4)
        (count,) = struct.unpack_from("<H", content, offset)
        for k in range(count):
            place = offset + 2 + 12 * k
            if struct.unpack_from("<H", content, place)[0] == number:
                struct.pack_into("<HII", content, place + 2, 4, 1, value)
        path.write_bytes(bytes(content))

    return change


def tags(values: dict[int, int]) -> Callable[[Path], None]:
    """Other values of several tags."""

    def change(path: Path) -> None:
        for number, value in values.items():
            tag(number, value)(path)

    return change


def page_loop(path: Path) -> None:
    """The last page is followed by the first."""
    content = bytearray(path.read_bytes())
    (offset,) = start = struct.unpack_from("<I", content, 4)
    while offset:
        (count,) = struct.unpack_from("<H", content, offset)
        place = offset + 2 + 12 * count
        (offset,) = struct.unpack_from("<I", content, place)
    struct.pack_into("<I", content, place, *start)
    path.write_bytes(bytes(content))


def huge_picture(kind: str, pattern: str) -> Callable[[Path], None]:
    """The first picture of a folder states huge dimensions."""
    return lambda path: sorted(path.rglob(pattern))[0].write_bytes(picture(kind)) and None


def loop(name: str) -> Callable[[Path], None]:
    """A link in the folder that leads back to it."""
    return lambda path: (path / name).symlink_to(path, target_is_directory=True)


def to_itself(pattern: str = "") -> Callable[[Path], None]:
    """A file that is a link to itself."""

    def change(path: Path) -> None:
        file = sorted(path.rglob(pattern))[0] if pattern else path
        file.unlink()
        file.symlink_to(file)

    return change


def pipe(pattern: str = "") -> Callable[[Path], None]:
    """A pipe without a writer in the place of a file: who opens it waits for ever."""

    def change(path: Path) -> None:
        file = sorted(path.rglob(pattern))[0] if pattern else path
        file.unlink()
        os.mkfifo(file)

    return change


def moved(path: Path) -> Path:
    """The same input below a folder of an odd name."""
    folder = path.parent / ODD
    folder.mkdir()
    return Path(shutil.move(path, folder / f"{ODD[:6]}{path.name}"))


def column(index: int, edit: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    """A CSV file with one column edited."""

    def change(path: Path) -> None:
        head, *lines = path.read_text().splitlines()
        cells = np.array([line.split(",") for line in lines])
        cells[:, index] = edit(cells[:, index])
        path.write_text("\n".join([head, *(",".join(row) for row in cells)]) + "\n")

    return change


def sparse(size: int, start: bytes = b"") -> Callable[[Path], None]:
    """A file of `size` bytes of which none but the first are on the disk."""

    def change(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, size)

    return change


def array(name: str, edit: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    """An array of a segment of comma2k19, edited."""

    def change(path: Path) -> None:
        with (path / name).open("rb") as file:
            values = np.load(file)
        with (path / name).open("wb") as file:
            np.save(file, edit(values))

    return change


def swapped(values: Any) -> Any:
    """The first two entries in each other's place."""
    values = np.array(values)
    values[[0, 1]] = values[[1, 0]]
    return values


def with_nan(values: Any) -> Any:
    """The third entry is not a number."""
    values = np.array(values, dtype=float)
    values.reshape(-1)[2] = np.nan
    return values


def twice(values: Any) -> Any:
    """The third entry is the second again."""
    values = np.array(values)
    values[2] = values[1]
    return values


def circle(path: Path) -> None:
    """The last frame of each scene of nuScenes is followed by its first."""
    file = path / "v1.0-mini/sample_data.json"
    frames = json.loads(file.read_text())
    front = [row for row in frames if row["is_key_frame"] and "CAM_FRONT" in row["filename"]]
    file.write_text(json.dumps([row | {"next": row["next"] or front[0]["token"]} for row in frames]))
