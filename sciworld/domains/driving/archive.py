"""Archives of drives (.tar, .tar.gz), unpacked once into the cache: frames then stay in files, for other processes too.

An archive is what anyone may have made. Nothing is written outside a folder of its own, links and devices are refused,
and what it may unpack to is bounded; the folder is named by the archive's content, and exists only when it is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from sciworld import config
from sciworld.domains.driving.paths import stays
from sciworld.errors import FormatError
from sciworld.files import staged

RATIO = 50  # what is unpacked is at most so many times the archive
LEAST = 64 << 20  # bytes that even a small archive may unpack to
MOST = 20 << 30  # bytes
LOOKED_AT = 64  # members by which the kind of an archive is told
LOOKED_BYTES = 64 << 20
ONE_READ = 64 << 20  # bytes; tarfile reads the extended headers of a member at once
BLOCK = 1 << 20


class _Bounded(io.RawIOBase):
    """The unpacked bytes of an archive, which end with FormatError where `left` are used up."""

    def __init__(self, file: IO[bytes], path: Path, left: int) -> None:
        self._file, self._path, self._left = file, path, left

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > min(self._left, ONE_READ):
            raise FormatError(
                f"{self._path}: unpacks to far more than its size, as no recording does; unpack it yourself if you "
                "trust it, and read the folder"
            )
        found = self._file.read(size)
        self._left -= len(found)
        return found


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, or compressed by gzip, by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(512)
    return head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar"


def archive_names(path: Path) -> list[str]:
    """The names of the first members; none if the archive is damaged."""
    names: list[str] = []
    try:
        for member, _ in _members(path, LOOKED_BYTES):
            names.append(member.name)
            if len(names) == LOOKED_AT:
                break
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error):
        pass
    return names


def unpack(path: Path, wanted: Callable[[str], bool]) -> Path:
    """The folder with the members of an archive whose last name is `wanted`, unpacked unless it was before.

    Raises FormatError for an archive that is damaged, leads outside its folder, holds links, or is too large.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    home = config.cache_dir() / "unpacked"
    target = home / digest.hexdigest()
    if target.is_dir():
        return target
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    limit = min(max(RATIO * path.stat().st_size, LEAST), MOST, free)
    try:
        with staged(target) as stage:
            stage.mkdir()
            for member, content in _members(path, limit):
                place = _place(path, member, stage)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif wanted(place.name) and content is not None:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with place.open("wb") as file:
                        shutil.copyfileobj(content, file, BLOCK)
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"{path}: the archive is truncated or damaged ({error}); copy it anew") from error
    except FileExistsError:
        if not target.is_dir():  # else another process was faster, with the same content
            raise
    return target


def _members(path: Path, limit: int) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member with its content, from beginning to end, while all unpacked bytes stay below `limit`."""
    with path.open("rb") as packed:
        compressed = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        file: Any = gzip.GzipFile(fileobj=packed) if compressed else packed
        bounded = _Bounded(file, path, limit)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                yield member, archive.extractfile(member) if member.isreg() else None
        while bounded.read(BLOCK):  # to the end, where the checksum is
            pass


def _place(path: Path, member: tarfile.TarInfo, folder: Path) -> Path:
    """Where a member belongs in `folder`. Raises FormatError for one that leads outside, and for links."""
    if not stays(member.name):
        raise FormatError(f"{path}: member '{member.name}' leads outside the archive's folder; it is not to be trusted")
    if not (member.isreg() or member.isdir()):
        raise FormatError(f"{path}: member '{member.name}' is a link or device; pack the files themselves")
    return folder / member.name
