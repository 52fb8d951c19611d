"""TIFF stacks: plain, ImageJ and OME."""

from __future__ import annotations

import math
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sciworld.domains.base import reading
from sciworld.domains.pictures import quiet
from sciworld.domains.stem.blocks import Blocks, mapped
from sciworld.domains.stem.raw import Raw, ReadOptions, length
from sciworld.errors import FormatError
from sciworld.lazy import Key
from sciworld.units import TIMES


def load_tiff(path: Path, options: ReadOptions) -> Raw:
    """A TIFF stack; pages are frames. Calibration from ImageJ or OME metadata; resolution tags alone are no lengths."""
    kind = "a TIFF stack"
    with reading(path, kind), quiet(), tifffile.TiffFile(path) as file:
        series = _series(file, options, path)
        pages = _pages(file, series, path)
        notes: list[str] = []
        frames = _order(_blocks(file, series, pages, path), series.axes, path, notes)
        step, time, stated = None, None, ""
        if file.is_imagej:
            stated = " with ImageJ metadata"
            step, time = _imagej(file, series, len(frames), notes)
        elif file.is_ome:
            stated = " with OME metadata"
            step, time = _ome(file, series, len(frames), notes)
        elif "XResolution" in file.pages.first.tags:
            notes.append("its resolution tags are of print, and not taken as a calibration")
        return Raw(frames, kind + stated, step=step, time=time, notes=tuple(notes))


def _series(file: tifffile.TiffFile, options: ReadOptions, path: Path) -> tifffile.TiffPageSeries:
    count = len(file.series)
    index = 0 if count == 1 and not options.array else int(options.array) if options.array.isdigit() else -1
    if not 0 <= index < count:
        shapes = ", ".join(f"{k}: {series.shape}" for k, series in enumerate(file.series)) or "none"
        raise FormatError(f"{path}: {count} images of different kinds; choose one by its number with array=: {shapes}")
    return file.series[index]


def _pages(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> list[Any]:
    """The pages of a series, each parsed once: every one that the metadata promise, whole, and none is left out.

    Of a stack as ImageJ writes it only the first, behind which all frames lie in a row, whatever other pages say.
    """
    size = path.stat().st_size
    if not _chain_is_whole(file.tiff, path, size):
        raise FormatError(f"{path}: truncated or damaged, a page points beyond its {size} bytes; copy it anew")
    in_a_row = series.kind == "imagej" and series.dataoffset is not None
    found = [series.pages[0]] if in_a_row else list(series.pages)
    pages = [page for page in found if page is not None]
    if len(pages) < len(found):
        raise FormatError(
            f"{path}: metadata of {len(found)} frames, but {len(found) - len(pages)} of them are not in the file; "
            "copy it anew"
        )
    if any(page.parent is not file for page in pages):
        raise FormatError(
            f"{path}: some of its frames lie in other files, which are not followed; save all in one file"
        )
    for page in pages:
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if max(ends, default=0) > size:
            raise FormatError(f"{path}: truncated, page {page.index} would end beyond its {size} bytes; copy it anew")
    used = sum(other.size // max(other.keyframe.size, 1) for other in file.series)
    if 1 < len(file.pages) != used:
        raise FormatError(
            f"{path}: metadata of {used} frames, but {len(file.pages)} pages; one of them is wrong: save the stack anew"
        )
    return pages


def _chain_is_whole(tiff: Any, path: Path, size: int) -> bool:
    """Whether every page's directory, and what its tags point to, lies in the file; tifffile drops what does not."""
    tag = struct.Struct(tiff.byteorder + ("HHQQ" if tiff.is_bigtiff else "HHII"))
    widths = {kind: struct.calcsize(tiff.byteorder + form) for kind, form in tifffile.TIFF.DATA_FORMATS.items()}
    with path.open("rb") as file:

        def number(form: str, place: int) -> int:
            file.seek(place)
            return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])

        offset, seen = number(tiff.offsetformat, tiff.offsetsize if tiff.is_bigtiff else 4), set()
        while offset:
            if offset in seen or offset + tiff.tagnosize > size:
                return False
            seen.add(offset)
            tags = number(tiff.tagnoformat, offset)
            following = offset + tiff.tagnosize + tags * tiff.tagsize
            if following + tiff.offsetsize > size:
                return False
            for _, kind, count, value in tag.iter_unpack(file.read(tags * tiff.tagsize)):
                extent = widths.get(kind, 0) * count
                if extent > tiff.offsetsize and value + extent > size:
                    return False
            offset = number(tiff.offsetformat, following)
    return True


def _blocks(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, pages: Sequence[Any], path: Path) -> Blocks:
    """The images of a series, with the axes that tifffile names: mapped where they lie in a row, else page by page."""
    shape, dtype, first = tuple(series.shape), np.dtype(series.dtype), series.keyframe
    if series.dataoffset is not None:
        size = path.stat().st_size - series.dataoffset
        return mapped(path, series.dataoffset, shape, dtype.newbyteorder(file.byteorder), size, "frames")
    if first.compression not in tifffile.TIFF.DECOMPRESSORS:
        name = getattr(first.compression, "name", first.compression)
        raise FormatError(f"{path}: compressed as {name}, which is not read here; save it uncompressed or as deflate")
    places = tuple(page.offset for page in pages)
    fit = [
        k for k in range(len(shape) + 1) if math.prod(shape[:k]) == len(pages) and first.size == math.prod(shape[k:])
    ]
    if not fit:
        raise FormatError(f"{path}: {len(pages)} pages of {first.shape} for frames of {shape}; save the stack anew")
    return Blocks(path, shape, dtype, partial(_read_pages, path, places, shape, fit[0], dtype))


def _read_pages(
    path: Path, pages: tuple[int, ...], shape: tuple[int, ...], outer: int, dtype: np.dtype, key: Key
) -> np.ndarray:
    """A block of images whose first `outer` axes count pages, at these offsets; no other page is decoded."""
    numbers = np.arange(len(pages)).reshape(shape[:outer])[key[:outer]]
    found = []
    with tifffile.TiffFile(path) as file:  # its log is left alone: other threads may be reading too
        for number in np.ravel(numbers).tolist():
            file.filehandle.seek(pages[number])
            page = tifffile.TiffPage(file, number)
            found.append(np.asarray(page.asarray(maxworkers=1)).reshape(shape[outer:])[key[outer:]])
    return np.stack(found).reshape((*np.shape(numbers), *found[0].shape)).astype(dtype, copy=False)


def _order(frames: Blocks, axes: str, path: Path, notes: list[str]) -> Blocks:
    """An array with the axes that tifffile names as (time, y, x, channel)."""
    times = [k for k, axis in enumerate(axes) if axis not in "YXCS" and frames.shape[k] > 1]
    channels = [k for k, axis in enumerate(axes) if axis in "CS" and frames.shape[k] > 1]
    if len(times) > 1 or len(channels) > 1 or "Y" not in axes or "X" not in axes:
        raise FormatError(
            f"{path}: axes {axes} of shape {frames.shape}; save frames along one axis, channels along one"
        )
    if times and axes[times[0]] != "T":
        notes.append(f"the axis '{axes[times[0]]}' is taken as time")
    ends = [one[0] if one else None for one in (times, channels)]
    return frames.arranged((ends[0], axes.index("Y"), axes.index("X"), ends[1]))


def _imagej(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, n: int, notes: list[str]
) -> tuple[tuple[float, float] | None, np.ndarray | None]:
    """Pixel size in A and times in s, from ImageJ's metadata; its units may be missing."""
    data: dict[str, Any] = file.imagej_metadata or {}
    stated, there = data.get("images"), series.size // max(series.keyframe.size, 1)
    if stated is not None and stated != there:
        notes.append(f"its ImageJ metadata state {stated} images and {there} are there: these are used")
    units, tags = data.get("unit"), file.pages.first.tags
    steps = [length(_per_unit(tags.get(name)), units) for name in ("XResolution", "YResolution")]
    if units is not None and None in steps:
        notes.append(f"its unit '{units}' gives no pixel size")
    interval = data.get("finterval") or (1.0 / data["fps"] if data.get("fps") else None)
    seconds = TIMES.get(str(data.get("tunit", "s")))
    time = interval * seconds * np.arange(n) if interval and seconds and n > 1 else None
    return (None if None in steps else (steps[0], steps[1])), time  # type: ignore[return-value]


def _per_unit(tag: tifffile.TiffTag | None) -> float | None:
    """Units a pixel, of a resolution tag that says pixels a unit as a fraction."""
    if tag is None or not tag.value[0]:
        return None
    return float(tag.value[1] / tag.value[0])


def _ome(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, n: int, notes: list[str]
) -> tuple[tuple[float, float] | None, np.ndarray | None]:
    """Pixel size in A and times of n frames in s, from OME's XML."""
    images = ElementTree.fromstring(file.ome_metadata or "<none/>").findall(".//{*}Pixels")
    if not images:
        return None, None
    number = next(k for k, one in enumerate(file.series) if one is series)
    pixels = images[number if len(images) == len(file.series) else 0]
    page = series.keyframe
    stated = int(pixels.get("SizeY", "0")), int(pixels.get("SizeX", "0"))
    if stated != (page.imagelength, page.imagewidth):
        notes.append(
            f"its OME metadata state {stated[0]} x {stated[1]} pixels, its pages have {page.imagelength} x "
            f"{page.imagewidth}: the pages are used"
        )
    steps = []
    for axis in "XY":
        value, units = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        steps.append(None if value is None else length(float(value), units))
        if value is not None and steps[-1] is None:
            notes.append(f"its PhysicalSize{axis} {value} '{units}' gives no pixel size")
    return (None if None in steps else (steps[0], steps[1])), _ome_times(pixels, n, notes)  # type: ignore[return-value]


def _ome_times(pixels: ElementTree.Element, n: int, notes: list[str]) -> np.ndarray | None:
    """Times of n frames : (time,) s; of each plane where they are stated, else of all by their increment."""
    planes = [plane for plane in pixels.findall("{*}Plane") if plane.get("TheC", "0") == "0"]
    planes.sort(key=lambda plane: [int(plane.get(axis, "0")) for axis in ("TheT", "TheZ")])
    deltas = np.array([_ome_seconds(plane, "DeltaT") for plane in planes])
    increment = _ome_seconds(pixels, "TimeIncrement")
    if not (np.isfinite(increment) and increment > 0):
        if "TimeIncrement" in pixels.attrib and n > 1:
            units = pixels.get("TimeIncrementUnit", "s")
            notes.append(f"its TimeIncrement {pixels.get('TimeIncrement')} '{units}' gives no times")
        increment = np.nan
    elif int(pixels.get("SizeT", "0")) != n:
        notes.append(f"its TimeIncrement is of {pixels.get('SizeT')} times, not of these {n} frames: it is not used")
        increment = np.nan
    if np.isfinite(deltas).all() and len(deltas) > 0 and (np.diff(deltas) > 0).all():
        own = np.diff(deltas).mean() if len(deltas) > 1 else np.nan
        if not np.isclose(own, increment, rtol=1e-2) and np.isfinite([own, increment]).all():
            notes.append(
                f"its planes are {own:g} s apart by DeltaT and {increment:g} s by TimeIncrement; the former is used"
            )
        return deltas
    if np.isfinite(deltas).any() and n > 1:
        notes.append("its DeltaT are not of every plane, or do not increase: they are not used")
    return increment * np.arange(n) if n > 1 and np.isfinite(increment) else None


def _ome_seconds(element: ElementTree.Element, name: str) -> float:
    """Seconds in an attribute that may have a unit; NaN where it is missing or no time."""
    return float(element.get(name, "nan")) * TIMES.get(element.get(f"{name}Unit", "s"), np.nan)
