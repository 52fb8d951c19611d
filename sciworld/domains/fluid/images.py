"""Images of particles as a film: a folder or list of numbered pictures, single or in pairs, read when they are used."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.base import reading
from sciworld.domains.fluid.times import count
from sciworld.domains.media import open_images
from sciworld.domains.pictures import SUFFIXES, read_picture
from sciworld.errors import FormatError, SettingsError

# What may lie beside pictures in a folder that is a film of them.
BESIDE = (".txt", ".md", ".csv", ".json", ".xml", ".ini", ".db", ".set", ".log")
# The two exposures of a pair: Jet_0001A, exp1_001_b, Run000001.T000.D000.P000.H001.LA; and frame_0001_0.
LETTERS = re.compile(r"(.*(?:[0-9_\-. ]|\.L))([ABab])")
DIGITS = re.compile(r"(.*[0-9][_\-])([01])")


def is_folder_of_images(folder: Path) -> bool:
    """Whether a folder holds BMP, JPEG or PNG pictures and nothing but notes beside them."""
    suffixes = {file.suffix.lower() for file in _files(folder)} - set(BESIDE)
    return bool(suffixes) and all(SUFFIXES.get(suffix, "TIFF") != "TIFF" for suffix in suffixes)


def read_images(
    path: Path | Sequence[Path],
    frame_seconds: float | None,
    pulse_seconds: float | None,
    pixel_size: float | None,
) -> list[xr.Dataset]:
    """One recording of all pictures, in the order of the numbers in their names; a pair is two frames.

    path : a folder, or the files. frame_seconds : from one picture, or one pair, to the next. pulse_seconds : from the
    first to the second exposure of a pair. Without them frames are counted. pixel_size : A a pixel; without it the
    view is the pixel grid.
    Raises FormatError naming the file that is of another format, shape or dtype than the first, or lacks its partner;
    SettingsError where the seconds do not fit what the names say.
    """
    folder = path if isinstance(path, Path) and path.is_dir() else None
    given = [path] if isinstance(path, Path) else list(path)
    paths, notes = _listed(folder) if folder else (sorted(given, key=_by_number), [])
    kind = _one_kind(paths, folder or paths[0])
    for one in paths:
        with reading(one, "a picture"):
            pass  # it is there and not empty; what it holds is seen when it is used
    pairs = _in_pairs(paths)
    paths = pairs or paths
    time = _time(paths[0], len(paths), bool(pairs), frame_seconds, pulse_seconds)
    frames = open_images(paths, read_picture)
    what = f"{len(paths) // 2} pairs of exposures A and B" if pairs else f"a sequence of {len(paths)}"
    notes = [f"the names say: {what}, in the order of their numbers", *notes]
    if time is None and len(paths) > 1:
        notes.append("the files state no times: frames are counted as seconds 0, 1, 2, ...")
    if pixel_size is not None:
        notes.append(f"the pixel size is {pixel_size:g} A, as stated by the user")
    name = folder.absolute().name if folder else paths[0].name
    source = name if folder or len(paths) == 1 else f"{name} and {len(paths) - 1} more"
    ds = recording.make(
        frames,
        count(len(paths)) if time is None else time,
        counted=time is None and len(paths) > 1,
        channels=colours(frames.shape[-1]),
        session=name if folder else paths[0].stem,
        source=source,
        licence="",
        citation="",
        history="; ".join([f"read {source} as {kind} images", *notes]),
        view=None if pixel_size is None else np.array([pixel_size, 0.0, 0.0, 0.0, pixel_size, 0.0]),
        view_units="" if pixel_size is None else "A",
        states=np.arange(len(paths), dtype=np.float64)[:, None] % 2 if pairs else None,
        state_table=ColumnTable((Column("exposure", "1", kind="categorical", levels=("A", "B"), role="measured"),))
        if pairs
        else None,
    )
    return [ds]


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file()]


def _listed(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures of a folder in order, and what is to be said of the rest."""
    files = sorted(_files(folder), key=_by_number)
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not pictures:
        raise FormatError(f"{folder}: a folder without pictures; it needs files {', '.join(SUFFIXES)}")
    others = [file.name for file in files if file not in set(pictures)]
    return pictures, [f"{len(others)} other files are left out, {others[0]} the first"] if others else []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """A sort key by which 2 comes before 10, whatever the case of letters."""
    parts = re.split(r"([0-9]+)", str(path))
    key = [(int(part[:4000]), "") if k % 2 else (-1, part.casefold()) for k, part in enumerate(parts)]
    return [*key, (-1, str(path))]


def _one_kind(paths: Sequence[Path], where: Path) -> str:
    """The format that all names state. Raises FormatError for several, for another, and for a file that comes twice."""
    kinds: dict[str, str] = {}
    for one, following in zip(paths, [*paths[1:], None], strict=True):
        if one == following:
            raise FormatError(f"{one}: is in the list twice; list each picture once")
        kinds.setdefault(SUFFIXES.get(one.suffix.lower(), one.suffix), one.name)
    if len(kinds) > 1:
        found = ", ".join(f"{kind} ({name})" for kind, name in kinds.items())
        raise FormatError(f"{where}: pictures of several formats, {found}; list or keep apart those of one film")
    return next(iter(kinds))


def _in_pairs(paths: Sequence[Path]) -> list[Path]:
    """The exposures A, B, A, B, ... if by their names every picture is one of a pair; none if not.

    Letters without their partner are an error, unless all are A, or all B; digits without are a sequence.
    """
    for pattern in (LETTERS, DIGITS):
        pairs: dict[Path, dict[str, Path]] = defaultdict(dict)
        for path in paths:
            match = pattern.fullmatch(path.stem)
            if match is None:
                break
            pairs[path.with_name(match[1])][match[2].lower()] = path
        else:
            alone = [next(iter(pair.values())) for pair in pairs.values() if len(pair) == 1]
            if 2 * len(pairs) == len(paths) and not alone:
                return [path for base in sorted(pairs, key=_by_number) for _, path in sorted(pairs[base].items())]
            if pattern is LETTERS and alone and len({half for pair in pairs.values() for half in pair}) == 2:
                raise FormatError(f"{alone[0]}: has no partner A or B, as others have; add it, or leave this out")
    return []


def _time(path: Path, n: int, pairs: bool, frame: float | None, pulse: float | None) -> np.ndarray | None:
    """Time of each frame : (time,) s; None if nothing is stated. Raises SettingsError where half is stated."""
    if not pairs:
        if pulse is not None:
            raise SettingsError(f"{path}: the names say that these are no pairs; leave out pulse_seconds")
        return None if frame is None else frame * np.arange(n)
    if frame is None and pulse is None:
        return None
    if pulse is None or (frame is None and n > 2):
        raise SettingsError(f"{path}: the names say pairs; give both frame_seconds and pulse_seconds, or neither")
    start = (frame or 0.0) * np.arange(n // 2)
    return np.stack([start, start + pulse], axis=1).ravel()
