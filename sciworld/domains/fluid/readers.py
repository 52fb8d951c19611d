"""Files of flows become recordings: fields on grids (The Well, PDEBench), particle images, and vectors from them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import config, recording
from sciworld.config import require, require_positive
from sciworld.controls import Column, ColumnTable
from sciworld.domains.base import reading
from sciworld.domains.fluid.images import is_folder_of_images, read_images
from sciworld.domains.fluid.jhtdb import is_jhtdb, read_jhtdb
from sciworld.domains.fluid.netcdf import read_netcdf
from sciworld.domains.fluid.pdebench import is_pdebench, read_pdebench
from sciworld.domains.fluid.piv import Vectors, read_davis, read_insight, read_openpiv, read_pivlab
from sciworld.domains.fluid.well import is_well, read_well
from sciworld.domains.hdf5 import opened
from sciworld.domains.pictures import picture_kind
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.units import canonical

FIELDS: dict[str, Callable[[Path], list[xr.Dataset]]] = {
    "well": read_well,
    "pdebench": read_pdebench,
    "jhtdb": read_jhtdb,
    "netcdf": read_netcdf,
}
VECTORS: dict[str, Callable[[Path], Vectors]] = {
    "openpiv": read_openpiv,
    "insight": read_insight,
    "davis": read_davis,
    "pivlab": read_pivlab,
}
IMAGES = "images"
READERS = (*FIELDS, *VECTORS, IMAGES)
HDF5 = b"\x89HDF\r\n\x1a\n"
TEXT = (".txt", ".vec", ".dat")


@dataclass(frozen=True)
class FluidOptions:
    """What the user states about files of vectors or images: what they do not say.

    Parameters
    ----------
    frame_seconds : from one field, image or pair of images to the next; without it they are counted.
    pulse_seconds : from the first to the second image of a pair.
    pixel_size : A a pixel, of images and of vectors on a grid of pixels.
    session, licence, citation : texts of the recordings; the session is the file's name unless given.
    """

    frame_seconds: float | None = None
    pulse_seconds: float | None = None
    pixel_size: float | None = None
    session: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        require_positive(self, "frame_seconds", "pulse_seconds", "pixel_size")
        frame, pulse = self.frame_seconds, self.pulse_seconds
        require(
            frame is None or pulse is None or pulse < frame,
            f"pulse_seconds is {pulse}, frame_seconds {frame}; the second image of a pair comes before the next pair",
        )


def kind_of(path: Path) -> str | None:
    """The format of a file by what it holds, never by its name alone; None if it is none of a flow.

    A folder of BMP, JPEG or PNG files is one of images. TIFF files are so only if the reader is named.
    """
    try:
        if path.is_dir():
            return IMAGES if is_folder_of_images(path) else None
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise FormatError(f"{path}: cannot be opened ({error}); mend the path or its permissions") from error
    if picture_kind(head) in ("BMP", "JPEG", "PNG"):
        return IMAGES
    if head.startswith(HDF5):
        return _kind_of_hdf5(path)
    if head.startswith(b"CDF"):
        return "netcdf"
    if head.startswith(b"#DaVis"):
        return "davis"
    if b"VARIABLES" in head and b"CHC" in head:
        return "insight"
    return "openpiv" if path.suffix.lower() in TEXT and _rows_of_numbers(head) else None


def read(path: str | Path | Sequence[str | Path], reader: str = "", **options: Any) -> list[xr.Dataset]:
    """Read files of a flow: one recording a trajectory or sample; of vector fields or images one recording of all.

    path : a file, a list of files with successive vector fields or images, or a folder of images. reader : a name in
    READERS, in place of the one that the file shows. options : the fields of `FluidOptions`.
    Raises FormatError naming the file, SettingsError for an option or reader that nobody knows.
    """
    settings = config.from_dict(FluidOptions, options, "read")
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not paths:
        raise SettingsError("read: an empty list of files; give at least one")
    if reader and reader not in READERS:
        raise SettingsError(f"no reader '{reader}' of flows; there are {', '.join(READERS)}")
    with _naming(paths[0]):
        return _read(paths[0] if isinstance(path, str | Path) else paths, paths, reader, settings)


def _read(path: Path | list[Path], paths: list[Path], reader: str, settings: FluidOptions) -> list[xr.Dataset]:
    """The recordings of `paths`, which `path` is one of, or all."""
    first = _kind(paths[0], reader)
    if first == IMAGES:
        with reading(paths[0], IMAGES):
            found = read_images(path, settings.frame_seconds, settings.pulse_seconds, settings.pixel_size)
        return [_stated(found[0], settings, None)]
    if settings.pulse_seconds is not None:
        raise SettingsError(f"{paths[0]}: is {first}, no images; leave out pulse_seconds")
    kinds = [first, *(_kind(one, reader) for one in paths[1:])]
    if kinds[0] in FIELDS:
        if len(paths) > 1:
            raise FormatError(f"{paths[1]}: files of this format hold whole films; read them one by one")
        with reading(paths[0], kinds[0]):
            found = FIELDS[kinds[0]](paths[0])
        for name in ("frame_seconds", "pixel_size"):
            if getattr(settings, name) is not None:
                raise SettingsError(f"{paths[0]}: is {first}, which states its times and places; leave out {name}")
        return [_stated(ds, settings, index if len(found) > 1 else None) for index, ds in enumerate(found)]
    vectors = []
    for one, kind in zip(paths, kinds, strict=True):
        if kind not in VECTORS:
            raise FormatError(f"{one}: is {kind}, which is no vector field as {paths[0].name} is; read it alone")
        with reading(one, f"{kind} vectors"):
            vectors.append(VECTORS[kind](one))
    return [_stated(_film(vectors, paths, settings), settings, None)]


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of ours that do not name the file, since a table or a recording was at fault, do so."""
    try:
        yield
    except SettingsError:
        raise
    except SciworldError as error:
        if path.name in str(error) or isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: {error}") from error


def _kind(path: Path, reader: str) -> str:
    with reading(path, "a flow"):
        kind = reader or kind_of(path)
    if not kind:
        raise FormatError(f"{path}: no format of a flow; name the reader: {', '.join(READERS)}")
    return kind


def _kind_of_hdf5(path: Path) -> str | None:
    with reading(path, "an HDF5 file"), opened(path) as file:
        if is_well(file):
            return "well"
        if is_jhtdb(file):
            return "jhtdb"
        if "_NCProperties" in file.attrs or path.suffix.lower() == ".nc":
            return "netcdf"
        if "u_0" in file and "v_0" in file:
            return "pivlab"
        return "pdebench" if is_pdebench(file) else None


def _rows_of_numbers(head: bytes) -> bool:
    """Whether a text begins with rows of four to six numbers, perhaps after lines with #."""
    try:
        lines = [line for line in head.decode("utf-8-sig").splitlines()[:-1] if line.strip() and line[0] != "#"]
        return bool(lines) and all(4 <= len([float(value) for value in line.split()]) <= 6 for line in lines)
    except ValueError:
        return False


def _stated(ds: xr.Dataset, settings: FluidOptions, index: int | None) -> xr.Dataset:
    texts = {key: getattr(settings, key) for key in ("session", "licence", "citation") if getattr(settings, key)}
    if "session" in texts and index is not None:
        texts["session"] = f"{texts['session']}/{index}"
    return ds.assign_attrs(texts)


def _film(vectors: list[Vectors], paths: list[Path], settings: FluidOptions) -> xr.Dataset:
    """Successive fields on one grid as a recording."""
    vectors = [_scaled(one, paths[0], settings) for one in vectors]
    first = vectors[0]
    for one, path in zip(vectors[1:], paths[1:], strict=True):
        same = one.names == first.names and one.units == first.units and one.length == first.length
        if not (same and np.array_equal(one.x, first.x) and np.array_equal(one.y, first.y)):
            raise FormatError(f"{path}: other columns or another grid than {paths[0].name}; read them apart")
    frames = np.concatenate([one.frames for one in vectors])
    time = np.arange(len(frames)) * (settings.frame_seconds or 1.0)
    notes = [note for one, path in zip(vectors, paths, strict=True) for note in _named(one.notes, path, len(paths))]
    if first.view is None:
        notes.append("the grid is uneven: the view is the pixel grid")
    if settings.frame_seconds is None and len(frames) > 1:
        notes.append("the files state no times: fields are counted as seconds 0, 1, 2, ...")
    columns = [
        Column(name, units, role="measured", group="velocity" if name in ("u", "v") else "")
        for name, units in zip(first.names, first.units, strict=True)
    ]
    source = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    return recording.make(
        frames,
        time,
        counted=settings.frame_seconds is None and len(frames) > 1,
        channels=ColumnTable(tuple(columns)),
        session=paths[0].stem,
        source=source,
        licence="",
        citation="",
        history="; ".join([f"read {source} as {first.kind}", *notes]),
        view=first.view,
        view_units="" if first.view is None else first.length,
    )


def _scaled(vectors: Vectors, path: Path, settings: FluidOptions) -> Vectors:
    """Vectors with their grid in A, if the user states the size of its pixels. Raises SettingsError if it has units."""
    size = settings.pixel_size
    if size is None:
        return vectors
    if canonical(vectors.length) != "pixel":
        raise SettingsError(f"{path}: states its places in {vectors.length}; leave out pixel_size")
    note = f"the pixel size is {size:g} A, as stated by the user; velocities are as they were"
    return replace(vectors, x=vectors.x * size, y=vectors.y * size, length="A", notes=(*vectors.notes, note))


def _named(notes: Sequence[str], path: Path, files: int) -> list[str]:
    return [f"{path.name}: {note}" if files > 1 else note for note in notes]
