"""The zarr.json of groups and arrays, as text: what writes Zarr v3 by itself needs no more of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def group_json(attributes: Mapping[str, Any]) -> bytes:
    """The zarr.json of a group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}).encode()


def array_json(
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    dtype: str,
    fill: Any,
    dims: tuple[str, ...],
    attributes: Mapping[str, Any],
) -> bytes:
    """The zarr.json of an array whose chunks are plain little-endian bytes."""
    node = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": attributes,
        "dimension_names": dims,
        "storage_transformers": [],
    }
    return json.dumps(node).encode()
