"""Shards that others read as they are meant."""

from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec, ZstdCodec

from sciworld.shards import Shards

axis = st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 3))


@settings(max_examples=40)
@given(
    axes=st.lists(axis, min_size=1, max_size=3),
    dtype=st.sampled_from(["uint8", ">u2", "float32", "bool", "complex64"]),
    rows=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_zarr_and_tensorstore_read_what_was_put(tmp_path_factory, axes, dtype, rows, seed):
    shape, chunk, times = zip(*axes, strict=True)
    shard = tuple(each * many for each, many in zip(chunk, times, strict=True))
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    folder = tmp_path_factory.mktemp("array")
    array = zarr.create_array(
        folder, shape=shape, dtype=values.dtype.newbyteorder("="), chunks=chunk, shards=shard, fill_value=0,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
    )  # fmt: skip
    with Shards(folder, shape, chunk, shard, values.dtype) as shards:
        for start in range(0, shape[0], rows * chunk[0]):
            shards.put(start, values[start : start + rows * chunk[0]])
        shards.finish()
    np.testing.assert_array_equal(array[...], values)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}, "fill_missing_data_reads": False}
    np.testing.assert_array_equal(tensorstore.open(spec, read=True).result().read().result(), values)


def test_a_chunk_is_written_as_soon_as_it_came_and_no_index_before_the_end(tmp_path: Path) -> None:
    values = np.arange(96, dtype="uint16").reshape(12, 8)
    with pytest.raises(ZeroDivisionError), Shards(tmp_path, (12, 8), (2, 5), (12, 10), values.dtype) as shards:
        shards.put(0, values[:4])
        (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
        1 / 0  # noqa: B018
    assert file == tmp_path / "c" / "0" / "0"
    zarr.create_array(
        tmp_path, shape=(12, 8), dtype="uint16", chunks=(2, 5), shards=(12, 10),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
    )  # fmt: skip
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(tmp_path, mode="r")[0]


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    shape, values = (2,), np.ones(2, "u1")
    with Shards(tmp_path, shape, shape, shape, values.dtype) as shards:
        shards.put(0, values)
        shards.finish()
    with pytest.raises(FileExistsError), Shards(tmp_path, shape, shape, shape, values.dtype) as shards:
        shards.put(0, values)
