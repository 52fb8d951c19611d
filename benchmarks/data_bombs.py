"""Bombs and false promises: small files that claim, or unpack to, far more than they hold."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data_files import test_donkeycar, test_nuscenes

member = test_donkeycar.member
FLUSHED = 20 << 20  # zeros whose packed form is repeated in a bomb

DEEP = 100_000
NESTED = "[" * DEEP + "]" * DEEP
HALF = "[" * DEEP
BIG = 10**12


def npy_header(shape: str, descr: str = "'<f4'") -> bytes:
    """A header of NumPy's format that promises any shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


class Evil:
    """What writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(Path.cwd() / "evil"),)


def pickled() -> bytes:
    """An array of objects."""
    out = io.BytesIO()
    np.save(out, np.array([Evil(), 1], dtype=object), allow_pickle=True)
    return out.getvalue()


def zeros(size: int) -> tuple[bytes, int]:
    """`size` zeros or a little more, as a raw stream of deflate, and their checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(FLUSHED)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size // FLUSHED) + zlib.compressobj(9, zlib.DEFLATED, -15).flush(), 0


def zip_bomb(path: Path, member: str, head: bytes = b"", claimed: int = 50 << 30, real: int = 4 << 30) -> None:
    """A member that states `claimed` bytes, and unpacks to `real` zeros after its head."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(real)[0]
    name, extra = member.encode(), struct.pack("<HHQQ", 1, 16, claimed, len(body))
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 8, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(extra))
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 45, 45, 0, 8, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(extra), 0, 0, 0,
        0, 0,
    ) + name + extra  # fmt: skip
    content = local + name + extra + body
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(content), 0)
    path.write_bytes(content + central + end)


def add_bomb(path: Path) -> None:
    """A .ndata whose metadata are a bomb."""
    zip_bomb(path, "metadata.json", b"{")
    bomb = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", npy_header("(2, 2, 2)"))
    # The member with the array first, then the bomb, whose entry in the directory is moved there.
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
        entry = path.read_bytes()[start:-22]
    local = path.read_bytes()[:start]
    at = bomb.rindex(b"PK\1\2")
    central = bytearray(bomb[at:-22])
    struct.pack_into("<I", central, 42, len(local))
    directory = entry + bytes(central)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(local) + at, 0)
    path.write_bytes(local + bomb[:at] + directory + end)


def zip_of(**members: bytes) -> Callable[[Path], None]:
    """A zip of such members; `_` stands for a dot in their names."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/").replace("_", "."), content)

    return write


def tar(*members: tuple[Any, Any], mode: str = "w:gz") -> Callable[[Path], None]:
    """An archive that begins as that of a tub does."""

    def write(path: Path) -> None:
        with tarfile.open(path, mode) as file:
            file.addfile(*member("tub/manifest.json", b"{}"))
            for info, content in members:
                content.seek(0)
                file.addfile(info, content)

    return write


def tar_bomb(path: Path) -> None:
    """An archive with 4 GB of zeros, of which it states 50."""
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w") as file:
        file.addfile(*member("tub/manifest.json", b"{}"))
    info = tarfile.TarInfo("tub/images/0_cam_image_array_.jpg")
    info.size = 50 << 30
    start = head.getvalue()[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(4 << 30)[0]
    path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", 0, 0))


def picture(kind: str, pixels: int = 60_000) -> bytes:
    """The head of a picture of 60000 by 60000 pixels, with a body that is none."""
    body = zlib.compress(bytes(1000))
    if kind == "bmp":
        head = struct.pack("<IiiHHIIiiII", 40, pixels, pixels, 1, 24, 0, 0, 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body
    if kind == "jpeg":
        whole = test_nuscenes.jpeg(3)
        at = whole.index(b"\xff\xc0")
        return whole[: at + 5] + struct.pack(">HH", pixels, pixels) + whole[at + 9 :]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def varint(number: int) -> bytes:
    """A whole number as Thrift's compact protocol has it."""
    number <<= 1
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def promised_rows(count: int, name: str = "") -> Callable[[Path], None]:
    """A Parquet file whose footer promises many rows of as many as there are."""

    def change(path: Path) -> None:
        file = path / name if name else path
        content, there = file.read_bytes(), pq.read_metadata(file).num_rows
        (size,) = struct.unpack("<I", content[-8:-4])
        footer = content[-8 - size : -8].replace(b"\x16" + varint(there), b"\x16" + varint(count), 1)
        file.write_bytes(content[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")

    return change
