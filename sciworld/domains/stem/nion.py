"""Nion Swift's files: .ndata (a zip of data.npy and metadata.json), .h5 and .nhdf (properties as a JSON attribute)."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.domains.base import reading
from sciworld.domains.hdf5 import MOST
from sciworld.domains.stem.blocks import Blocks
from sciworld.domains.stem.npy import member_of, zipped
from sciworld.domains.stem.raw import Raw, ReadOptions, choose, length, stack
from sciworld.errors import FormatError


def load_ndata(path: Path, options: ReadOptions) -> Raw:
    """A .ndata or .ndata1 file."""
    with reading(path, "a Nion .ndata file"), zipfile.ZipFile(path) as archive:
        for name in ("data.npy", "metadata.json"):
            if name not in archive.namelist():
                raise FormatError(
                    f"{path}: holds no {name}; it is not a Nion file, or was packed by hand: export it anew"
                )
        metadata = archive.read(member_of(archive, "metadata.json", path, most=MOST))
        return interpret(zipped(archive, "data.npy", path), json.loads(metadata), path)


def interpret(data: Blocks, properties: dict[str, Any], path: Path) -> Raw:
    """What Nion's properties say of an array of (y, x) or (time, y, x)."""
    # Older files keep one data source inside the item; the keys are the same there.
    sources = properties.get("data_sources") or [properties]
    properties = {**properties, **sources[0]}
    if data.ndim not in (2, 3) or 0 in data.shape:
        raise FormatError(f"{path}: data of shape {data.shape}; only images and sequences of images are frames")
    frames = stack(data)
    metadata = properties.get("metadata") or {}
    notes: list[str] = []
    axes = properties.get("dimensional_calibrations") or properties.get("spatial_calibrations") or []
    if axes and len(axes) != data.ndim:
        raise FormatError(
            f"{path}: {len(axes)} calibrations for data of shape {data.shape}; export the item anew, with all its axes"
        )
    step, origin = _geometry(axes, metadata, frames.shape, notes)
    time = None
    if data.ndim == 3 and axes and axes[0].get("units") == "s" and (axes[0].get("scale") or 0) > 0:
        time = axes[0].get("offset", 0.0) + axes[0]["scale"] * np.arange(len(frames))
    hardware, facts = metadata.get("hardware_source") or {}, {}
    for name, value, units in (
        ("voltage", _number(metadata, "instrument", "high_tension"), "V"),
        ("scan_rotation", _number(metadata, "scan", "rotation"), "rad"),
        ("pixel_time", _micro(_number(hardware, "pixel_time_us")), "s"),
    ):
        if value is not None:
            facts[name] = (value, units)
    intensity = properties.get("intensity_calibration") or {}
    scale, offset = intensity.get("scale") or 1.0, intensity.get("offset") or 0.0
    units = str(intensity.get("units") or "")
    if units and (scale != 1.0 or offset != 0.0):
        notes.append(f"intensity in {units} would be {offset:g} + {scale:g} times the stored values, which are kept")
        units = ""
    return Raw(
        frames, "a Nion file", step=step, origin=origin, time=time, exposure=_number(hardware, "exposure"),
        units=units, facts=facts, notes=tuple(notes),
    )  # fmt: skip


def _geometry(
    axes: list[dict[str, Any]], metadata: dict[str, Any], shape: tuple[int, ...], notes: list[str]
) -> tuple[tuple[float, float] | None, tuple[float, float]]:
    """Pixel size along x and y, and where the pixel (0, 0) lies, in A. A calibration is offset + scale * index."""
    fov = _number(metadata, "scan", "fov_nm")
    # The field of view is that of the longer side.
    field = None if fov is None or fov <= 0 else 10.0 * fov / max(shape[1:3])
    steps, origin = [], []
    for name, axis in (("x", axes[-1:]), ("y", axes[-2:-1])):
        calibration = axis[0] if axis else {}
        units = calibration.get("units")
        stated = length(calibration.get("scale"), units)
        step = choose(f"the pixel size along {name}", "A", [("its calibration", stated), ("scan.fov_nm", field)], notes)
        steps.append(step)
        origin.append((length(calibration.get("offset"), units) or 0.0) if stated is not None else 0.0)
    if steps[0] is None or steps[1] is None:
        return None, (0.0, 0.0)
    return (steps[0], steps[1]), (origin[0], origin[1])


def _number(tree: dict[str, Any], *keys: str) -> float | None:
    """The finite number at a place in nested metadata, or None."""
    node: Any = tree
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    usable = isinstance(node, int | float) and not isinstance(node, bool) and math.isfinite(node)
    return float(node) if usable else None


def _micro(value: float | None) -> float | None:
    return None if value is None else 1e-6 * value
