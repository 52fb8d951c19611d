"""The Well: many trajectories in one HDF5 file (Ohana et al. 2024, arXiv:2412.00568, and its format page).

Frames keep the axes as (y, x) for spatial dimensions named (x, y). What varies in time becomes channels; what does not,
variables of its own; time-varying scalars become controls, constant ones covariates. The layout states no units: they
are those of our own export where that wrote the file (`sciworld/columns`, attribute `units` of each axis), else "1".
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import (
    Field,
    even_view,
    frame_field,
    lazy_array,
    lazy_frames,
    own_axes,
    require_plausible,
)
from sciworld.domains.fluid.series import control_parts
from sciworld.domains.hdf5 import dataset, numbers, opened
from sciworld.errors import FormatError

ORDERS = ("t0_fields", "t1_fields", "t2_fields")


def key_of(name: str) -> str:
    """The name that a column has in the file: one that HDF5 can have."""
    return re.sub(r"[/\0]", "_", name).strip(".") or "_"


def is_well(file: h5py.File) -> bool:
    """Whether an HDF5 file has The Well's layout."""
    return "dimensions" in file and any(order in file for order in ORDERS)


def read_well(path: Path) -> list[xr.Dataset]:
    """One recording a trajectory, its frames still in the file. Raises FormatError where the layout is broken."""
    with opened(path) as file:
        whole = _Whole(file, path)
        return [whole.trajectory(index) for index in range(whole.trajectories)]


class _Whole:
    """The parts that all trajectories of a file share."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.file, self.path = file, path
        self.trajectories = self._count("n_trajectories")
        dimensions = self._node("dimensions")
        self.spatial = [_text(name) for name in np.ravel(self._attribute(dimensions, "spatial_dims"))]
        if not 1 <= len(self.spatial) <= 3:
            raise FormatError(f"{path}: {len(self.spatial)} spatial dimensions; frames have 1, 2 or 3")
        self.time = self._times()
        require_plausible(path, self.trajectories, self.time.shape[-1])
        self.axes = {name: self._axis(name) for name in self.spatial}
        self.sizes = tuple(axis.shape[-1] for axis in self.axes.values())
        self.units = {name: _text(file[f"dimensions/{name}"].attrs.get("units", "1")) for name in self.spatial}
        self.view = self._view()
        self.columns = self._columns()
        self.fields = [self._field(order, name) for order in range(3) for name in self._names(ORDERS[order])]
        self.moving = [field for field in self.fields if field.in_time]
        if not self.moving:
            raise FormatError(f"{path}: no field varies in time; there is no film to read")

    def trajectory(self, index: int) -> xr.Dataset:
        """The recording of one trajectory."""
        time = self.time[index] if self.time.ndim == 2 else self.time
        controls, covariates, notes = self._scalars(index, len(time))
        if self.columns:
            notes.append("units, names and bounds are those of its sciworld/columns")
        units = "" if self.view is None else self.units[self.spatial[0]]
        series = np.stack(list(controls.values()), axis=1) if controls else np.empty((len(time), 0))
        covariate_table = self._table("covariates", [[name] for name in covariates])
        ds = recording.make(
            lazy_frames(self.path, self.moving, index, len(time), self.sizes),
            time,
            channels=self._table("frames", [field.names for field in self.moving], self.moving),
            session=f"{self.path.stem}/{index}",
            source=self.path.name,
            licence="",
            citation="",
            view=self.view,
            view_units=units,
            covariates=dict(zip(covariate_table.names, covariates.values(), strict=True)) or None,
            covariate_table=covariate_table if covariates else None,
            **control_parts(
                series, self._placed(self._table("controls", [[name] for name in controls]), units, notes), time
            ),
            history="; ".join([f"read {self.path.name} as trajectory {index} of The Well's layout", *notes]),
        )
        ds = ds.assign({field.path.replace("/", "_"): self._constant(field, index) for field in self._constants()})
        grids = {
            f"grid_{name}": own_axes(f"grid_{name}", axis, {"units": self.units[name]})
            for name, axis in self.axes.items()
        }
        facts = {key: _text(self.file.attrs.get(key, "")) for key in ("dataset_name", "grid_type")}
        return ds.assign(grids).assign(self._boundaries()).assign_attrs(facts)

    def _node(self, name: str) -> Any:
        if name not in self.file:
            raise FormatError(f"{self.path}: no '{name}', which The Well's layout has; copy the file anew")
        return self.file[name]

    def _attribute(self, node: Any, name: str) -> Any:
        if name not in node.attrs:
            raise FormatError(f"{self.path}: '{node.name}' has no attribute '{name}'; The Well's layout states it")
        return node.attrs[name]

    def _count(self, name: str) -> int:
        value = np.ravel(self._attribute(self.file, name))
        if value.dtype.kind not in "iu" or value.size != 1:
            raise FormatError(f"{self.path}: {name} is {value}; it is one whole number")
        return int(value[0])

    def _names(self, group: str) -> list[str]:
        """The names in a group, which may be missing or empty."""
        if group not in self.file:
            return []
        node = self.file[group]
        return [_text(name) for name in np.ravel(node.attrs.get("field_names", list(node)))]

    def _times(self) -> np.ndarray:
        """Seconds : (time,) or (trajectory, time) float64."""
        time = numbers(self.file, "dimensions/time", self.path)
        if time.ndim not in (1, 2) or (time.ndim == 2 and len(time) != self.trajectories):
            raise FormatError(
                f"{self.path}: dimensions/time is {time.shape}; expected (time,) or ({self.trajectories}, time)"
            )
        return time

    def _axis(self, name: str) -> np.ndarray:
        """Coordinates along one spatial dimension : ([trajectory,] point)."""
        axis = numbers(self.file, f"dimensions/{name}", self.path)
        if self.file[f"dimensions/{name}"].attrs.get("time_varying", False):
            raise FormatError(f"{self.path}: dimensions/{name} moves in time; only fixed grids are read")
        if axis.ndim == 0:
            raise FormatError(f"{self.path}: dimensions/{name} is one number; a dimension has a list of them")
        return axis

    def _field(self, order: int, name: str) -> Field:
        path = f"{ORDERS[order]}/{name}"
        node, n = dataset(self.file, path, self.path), len(self.spatial)
        varies = tuple(bool(value) for value in np.ravel(self._attribute(node, "dim_varying")))
        in_samples, in_time = (bool(self._attribute(node, key)) for key in ("sample_varying", "time_varying"))
        if len(varies) != n:
            raise FormatError(f"{self.path}: '{path}' states dim_varying for {len(varies)} of {n} dimensions")
        lead = in_samples + in_time
        spatial = node.ndim - lead - order
        # Axes along which a field does not vary are absent, or of size 1.
        if spatial not in (n, sum(varies)):
            raise FormatError(
                f"{self.path}: '{path}' is {node.shape}, but states {lead} leading and {sum(varies)} spatial axes"
            )
        axes = varies if spatial == sum(varies) else (True,) * n
        expected = [size for size, there in zip(self.sizes, axes, strict=True) if there]
        given = list(node.shape[lead : lead + spatial])
        if any(g not in ((e,) if v else (1, e)) for g, e, v in zip(given, expected, _kept(varies, axes), strict=True)):
            raise FormatError(
                f"{self.path}: '{path}' has {given} points along its dimensions; the axes have {expected}"
            )
        stated = [("trajectories", self.trajectories)] * in_samples + [("times", self.time.shape[-1])] * in_time
        for (what, size), held in zip(stated, node.shape, strict=False):
            if held != size:
                raise FormatError(f"{self.path}: '{path}' holds {held} {what}; the file states {size}")
        if in_time:
            frame_field(self.file, path, self.path)
        parts = itertools.product(self.spatial, repeat=order)
        names = tuple(f"{name}_{''.join(part)}" if part else name for part in parts)
        if len(names) != int(np.prod(node.shape[node.ndim - order :], dtype=int)):
            raise FormatError(
                f"{self.path}: '{path}' has components {node.shape[node.ndim - order :]}, not {len(names)}"
            )
        return Field(path, in_samples, in_time, axes, names, node.dtype, node.shape)

    def _scalars(self, index: int, times: int) -> tuple[dict[str, np.ndarray], dict[str, float], list[str]]:
        """Controls by name : (time,), covariates by name, and contradictions between them, of one trajectory."""
        notes: list[str] = []
        controls: dict[str, np.ndarray] = {}
        covariates: dict[str, float] = {}
        for name in np.ravel(self.file.attrs.get("simulation_parameters", [])):
            value = self.file.attrs.get(_text(name))
            if isinstance(value, int | float | np.number):
                covariates[_text(name)] = float(value)
        for name in self._names("scalars"):
            values = numbers(self.file, f"scalars/{name}", self.path)
            node = self.file[f"scalars/{name}"]
            if self._attribute(node, "sample_varying"):
                if values.ndim == 0 or len(values) != self.trajectories:
                    raise FormatError(
                        f"{self.path}: 'scalars/{name}' is {values.shape}; one row a trajectory is stated"
                    )
                values = values[index]
            if self._attribute(node, "time_varying"):
                if values.shape != (times,):
                    raise FormatError(f"{self.path}: 'scalars/{name}' is {values.shape} for {times} times")
                controls[name] = values
            elif values.size != 1:
                raise FormatError(f"{self.path}: 'scalars/{name}' is {values.shape}; a constant is one number")
            else:
                value = float(values.reshape(()))
                if name in covariates and not np.isclose(covariates[name], value, rtol=1e-6):
                    notes.append(f"'{name}' is {value:g} as a scalar, used, and {covariates[name]:g} as an attribute")
                covariates[name] = value
        return controls, covariates, notes

    def _columns(self) -> dict[str, dict[str, Column]]:
        """What our own export wrote of frames, controls and covariates, by the names in the file; else nothing."""
        if "sciworld/columns" not in self.file:
            return {}
        found = json.loads(self.file["sciworld/columns"].asstr()[()])
        tables = {
            "frames" if name.startswith("frames") else name: ColumnTable.from_json(
                json.dumps(rows), f"{self.path}: {name}"
            )
            for name, rows in found.items()
        }
        return {name: {key_of(column.name): column for column in table} for name, table in tables.items()}

    def _table(self, kind: str, names: Sequence[Sequence[str]], fields: Sequence[Field] = ()) -> ColumnTable:
        """The columns of `kind`, as far as the file describes them. names : of the components of each of `fields`."""
        known = self.columns.get(kind, {})
        found: list[Column] = []
        for k, components in enumerate(names):
            group = [column for column in known.values() if fields and key_of(column.group) == _name(fields[k])]
            if not set(components) <= set(known) and len(group) == len(components):
                found += group
            else:
                role = "commanded" if kind == "controls" else "measured"
                found += [known.get(name) or Column(name, "1", role=role) for name in components]
        return ColumnTable(tuple(found))

    def _placed(self, columns: ColumnTable, units: str, notes: list[str]) -> ColumnTable:
        """Controls whose positions are in the units of the view; others are numbers alone, which is noted."""
        lost = [column for column in columns if column.frame == "lab" and column.units != (units or "pixel")]
        if not lost:
            return columns
        names = ", ".join(column.name for column in lost)
        notes.append(f"{names}: positions in {lost[0].units}, which the axes of the file are not in: numbers alone")
        return ColumnTable(tuple(replace(one, axis="", frame="") if one in lost else one for one in columns))

    def _view(self) -> np.ndarray | None:
        """Columns and rows to x and y, where the grid is even and Cartesian; None elsewhere."""
        if len(self.spatial) < 2 or _text(self.file.attrs.get("grid_type", "")) != "cartesian":
            return None
        x, y = self.spatial[:2]
        return even_view(self.axes[x], self.axes[y]) if self.units[x] == self.units[y] else None

    def _constants(self) -> list[Field]:
        return [field for field in self.fields if not field.in_time]

    def _constant(self, field: Field, index: int) -> xr.Variable:
        """A field that does not vary in time, its axes as in the file but for the sample's."""
        values = lazy_array(self.path, self.file[field.path], index if field.in_samples else None)
        facts = {"axes": self.spatial, "axis_varies": list(field.axes)}
        return own_axes(_name(field), values, facts)

    def _boundaries(self) -> dict[str, xr.Variable]:
        """Masks and values of the boundary conditions, with what they are as attributes."""
        found: dict[str, xr.Variable] = {}
        for name, group in self.file.get("boundary_conditions", {}).items():
            attributes = {
                "bc_type": _text(group.attrs.get("bc_type", "")).upper(),
                "associated_dims": [_text(one) for one in np.ravel(group.attrs.get("associated_dims", []))],
                "associated_fields": [_text(one) for one in np.ravel(group.attrs.get("associated_fields", []))],
            }
            for part in ("mask", "values"):
                if part in group:
                    key = f"boundary_{name}_{part}"
                    found[key] = own_axes(key, lazy_array(self.path, dataset(group, part, self.path)), attributes)
        return found


def _kept(varies: tuple[bool, ...], axes: tuple[bool, ...]) -> list[bool]:
    return [vary for vary, there in zip(varies, axes, strict=True) if there]


def _name(field: Field) -> str:
    return field.path.split("/", 1)[1]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
