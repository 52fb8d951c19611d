"""OME-Zarr images: NGFF 0.4 (Zarr v2) and 0.5 (Zarr v3), and what our own export keeps beside an image.

Specification: ngff.openmicroscopy.org/0.4 and /0.5, `multiscales`. The level of full size is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.domains.base import reading
from sciworld.domains.hdf5 import MOST
from sciworld.domains.stem.blocks import Blocks
from sciworld.domains.stem.chunks import zarr_blocks
from sciworld.domains.stem.raw import Raw, ReadOptions
from sciworld.errors import FormatError, SettingsError
from sciworld.units import TIMES

if TYPE_CHECKING:
    import zarr

NODES = ("zarr.json", ".zgroup", ".zarray")  # one of which every Zarr folder has
AXES = "tczyx"
# Powers of ten, by the prefixes with which the specification names units.
PREFIXES = {
    "yocto": -24, "zepto": -21, "atto": -18, "femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3,
    "centi": -2, "deci": -1, "": 0, "deca": 1, "hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15,
    "exa": 18, "zetta": 21, "yotta": 24,
}  # fmt: skip
SPACE = {f"{prefix}meter": float(f"1e{power + 10}") for prefix, power in PREFIXES.items()}  # A
SPACE |= {"angstrom": 1.0, "inch": 2.54e8, "foot": 3.048e9, "yard": 9.144e9, "mile": 1.609344e13}
SECONDS = {f"{prefix}second": float(f"1e{power}") for prefix, power in PREFIXES.items()} | TIMES


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).is_file() for name in NODES)


def metadata(group: zarr.Group) -> dict[str, Any]:
    """What a group's metadata say of the images that it is, `multiscales` and `omero`; empty if it is none."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, dict) and ome.get("multiscales") else {}


def load_image(path: Path, group: zarr.Group, options: ReadOptions) -> Raw:
    """The image that `group` is. Raises FormatError where its metadata contradict its arrays."""
    import zarr

    ome = metadata(group)
    image = ome["multiscales"][0]
    version = ome.get("version", image.get("version", "not stated"))
    levels = {str(level["path"]): level for level in image["datasets"]}
    name = options.array or next(iter(levels))
    if name not in levels or {"", ".", ".."} & set(name.split("/")):
        raise FormatError(f"{path}: no level '{name}'; choose one with array=: {', '.join(levels)}")
    node = zarr.open_array(path / name, mode="r")
    axes = _axes(image, node.shape, path)
    notes = [f"level '{name}' of {', '.join(levels)}"] if len(levels) > 1 else []
    if len(ome["multiscales"]) > 1:
        notes.append(f"the first of {len(ome['multiscales'])} images of the group is read")
    places = [axes.get(letter) for letter in ("tzyxc" if "z" in axes and node.shape[axes["z"]] > 1 else "tyxc")]
    frames, absent = zarr_blocks(path, name, node)
    scale, shift = _transformed(image, levels[name], node.ndim, path)
    units = {letter: str(image["axes"][axis].get("unit") or "") for letter, axis in axes.items()}
    time = None
    if "t" in axes and node.shape[axes["t"]] > 1:
        time = _times(node.shape[axes["t"]], scale[axes["t"]], shift[axes["t"]], units["t"], notes)
    step, origin = _lengths(axes, scale, shift, units, notes)
    if len(places) == 5:
        notes.append(f"planes along z are {scale[axes['z']]:g} {units['z'] or 'of no unit'} apart")
    channels = _channels(ome, node.shape[axes["c"]] if "c" in axes else 1, notes)
    return Raw(
        frames.arranged(places), f"an OME-Zarr image, version {version}", step=step, origin=origin,
        time=time, channels=channels, notes=(*notes, *absent),
    )  # fmt: skip


def _axes(image: dict[str, Any], shape: tuple[int, ...], path: Path) -> dict[str, int]:
    """Which axis of the array is t, c, z, y and x, as far as they are there; by their types, then by their names."""
    stated = image.get("axes")
    if not stated or not all(isinstance(axis, dict) for axis in stated):
        raise FormatError(f"{path}: states no axes as NGFF 0.4 and 0.5 do; convert it to one of them")
    if len(stated) != len(shape):
        raise FormatError(f"{path}: {len(stated)} axes for an array of shape {shape}; mend its metadata")
    usual = {"t": "time", "c": "channel"} | dict.fromkeys("zyx", "space")
    names = [str(axis.get("name", "")) for axis in stated]
    types = [str(axis.get("type") or usual.get(name.lower(), "")) for axis, name in zip(stated, names, strict=True)]
    space = [k for k, kind in enumerate(types) if kind == "space"]
    named = {names[k].lower(): k for k in space}
    # Axes of other names are in the order that the specification wants, z before y before x.
    found = named if set(named) in ({"y", "x"}, {"z", "y", "x"}) else dict(zip("xyz", reversed(space), strict=False))
    found |= {letter: types.index(kind) for letter, kind in (("t", "time"), ("c", "channel")) if kind in types}
    lost = [names[k] for k, size in enumerate(shape) if size > 1 and k not in found.values()]
    if lost or not {"y", "x"} <= set(found):
        raise FormatError(
            f"{path}: axes {', '.join(names)} of shape {shape}; frames have t, c, z, y and x: "
            f"{'take one place along ' + ', '.join(lost) if lost else 'state which are y and x'}"
        )
    return found


def _transformed(
    image: dict[str, Any], level: dict[str, Any], ndim: int, path: Path
) -> tuple[list[float], list[float]]:
    """Scale and shift along each axis, by the transformations of the level, then those of all levels."""
    scale, shift = np.ones(ndim), np.zeros(ndim)
    for one in (*level.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        kind = one.get("type")
        values = np.array(one.get(kind, np.nan), dtype=np.float64)
        good = values.shape == (ndim,) and np.isfinite(values).all() and (kind != "scale" or values.all())
        if kind == "identity":
            continue
        if kind not in ("scale", "translation") or not good:
            raise FormatError(
                f"{path}: the transformation {json.dumps(one):.80} is none of {ndim} axes by scale or translation; "
                "write its numbers into the metadata"
            )
        if kind == "scale":
            scale, shift = scale * values, shift * values
        else:
            shift = shift + values
    return scale.tolist(), shift.tolist()


def _times(n: int, step: float, first: float, unit: str, notes: list[str]) -> np.ndarray | None:
    """Start of each frame : (time,) s; None if they are counted."""
    if unit not in SECONDS or step <= 0:
        if unit or step != 1:
            notes.append(f"its time step {step:g} '{unit}' is no time, and is not used")
        return None
    return (first + step * np.arange(n)) * SECONDS[unit]


def _lengths(
    axes: dict[str, int], scale: list[float], shift: list[float], units: dict[str, str], notes: list[str]
) -> tuple[tuple[float, float] | None, tuple[float, float]]:
    """A a pixel along x and y, None if that is not stated; and A at which the pixel (0, 0) lies."""
    x, y = axes["x"], axes["y"]
    if not {units["x"], units["y"]} <= set(SPACE):
        if units["x"] or units["y"] or (scale[x], scale[y]) != (1, 1):
            notes.append(f"its pixels of {scale[x]:g} '{units['x']}' by {scale[y]:g} '{units['y']}' are no lengths")
        return None, (0.0, 0.0)
    a, b = SPACE[units["x"]], SPACE[units["y"]]
    return (scale[x] * a, scale[y] * b), (shift[x] * a, shift[y] * b)


def _channels(ome: dict[str, Any], n: int, notes: list[str]) -> tuple[str, ...]:
    """The channels' labels; none where they are not stated, or do not tell the channels apart."""
    stated = (ome.get("omero") or {}).get("channels") or []
    labels = tuple(str(one.get("label") or "") for one in stated)
    if not any(labels):
        return ()
    if len(labels) != n or len(set(labels)) < n or not all(labels):
        notes.append(f"its labels {', '.join(labels)} do not name {n} channels, and are not used")
        return ()
    return labels


def is_own(path: Path) -> bool:
    """Whether a folder is a recording that sciworld exported, all that is no image beside the image."""
    return is_zarr(path) and (path / "sciworld").is_dir()


def restored(path: Path, options: ReadOptions) -> xr.Dataset:
    """The recording that was exported to a folder, its frames still there.

    Raises FormatError where it is damaged, SettingsError for options of what it states itself.
    """
    for name in ("pixel_size", "frame_seconds", "frames", "array"):
        if getattr(options, name):
            raise SettingsError(f"{path}: is an export of a whole recording; leave out {name}")
    with reading(path, "an exported recording"):
        import zarr

        root, beside = (zarr.open_group(one, mode="r") for one in (path, path / "sciworld"))
        image = zarr.open_array(path / "0", mode="r")
        frames = _present(path, "0", image)
        places = (0, *range(2, frames.ndim), 1)  # (t, c, [z,] y, x)
        dims = ("time", *("zyx"[5 - frames.ndim :]), "channel")
        variables = {"frames": xr.Variable(dims, frames.arranged(places).lazy(), dict(image.attrs))}
        camera = str(root.attrs.get("sciworld_camera", "frames")).removeprefix("frames")
        for name, node in beside.arrays():
            stated: Any = node.metadata
            variables[name] = xr.Variable(stated.dimension_names, _values(path, name, node), dict(node.attrs))
        history = f"{beside.attrs['history']}; read back from {path.name}"
        if camera:  # the frames of the others were left out: so are their places
            history += f"; its frames are those of the camera '{camera.removeprefix('_')}'"
            for name in ("view", "view_standard_error"):
                variables.pop(name, None)
                if f"{name}{camera}" in variables:
                    variables[name] = variables.pop(f"{name}{camera}")
        texts = {key: getattr(options, key) for key in ("session", "licence", "citation") if getattr(options, key)}
        ds = xr.Dataset(variables, attrs={**beside.attrs, "history": history, **texts})
        return recording.check(ds, str(path))


def _values(path: Path, name: str, node: zarr.Array[Any]) -> Any:
    """A variable beside the image: columns are read, whatever has more axes stays in its file."""
    held = _present(path, f"sciworld/{name}", node)
    if node.ndim > 2:
        return held.lazy()
    if node.size > MOST:
        raise FormatError(
            f"{path}: 'sciworld/{name}' states {node.shape} values where at most {MOST} are expected; it is damaged"
        )
    return held.read(tuple(slice(0, size, 1) for size in node.shape))


def _present(path: Path, name: str, node: zarr.Array[Any]) -> Blocks:
    """An array of our own, of which every chunk was written. Raises FormatError if one is not there."""
    held, absent = zarr_blocks(path, name, node)
    if absent:
        raise FormatError(f"{path}: '{name}': {absent[0]}, but all were written: copy it anew")
    return held
