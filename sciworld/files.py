"""Files and folders that are there whole or not at all, and that one process at a time works on."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

STAGE = ".sciworld-stage-"  # how the folders begin that `staged` makes; a killed process leaves its own
# After which a stage that nobody holds locked was left behind: a day, for some locks hold on one machine alone.
SECONDS_TO_LOCK = 86400.0


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk. Raises OSError."""
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a reader sees all of it or what was there before.

    Raises OSError, plain and with a text for users, if that cannot be done.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        write_file(Path(temporary), content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error}); free some space or mend the permissions") from error
    finally:
        if temporary:
            os.unlink(temporary)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk. Raises OSError."""
    if os.name == "posix":  # Windows cannot open a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def lock(path: Path, wait: bool = False, shared: bool = False) -> Iterator[bool]:
    """Lock a file or folder that exists, until the end or the process's; whether that could be done.

    It could not where the system, or the file system, has no locks. wait : for others that hold it; without, it raises
    BlockingIOError. shared : in common with others that share it. Raises OSError if `path` cannot be opened.
    """
    if fcntl is None:
        yield False
        return
    # Some network file systems lock alone only what is open for writing.
    writing = path.is_file() and os.access(path, os.W_OK)
    handle = os.open(path, os.O_RDWR if writing else os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            locked = True
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            locked = False
        yield locked
    finally:
        os.close(handle)


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A path beside `out`, of its name, at which to make a file or folder; once on the disk it is moved to `out`.

    The folder that holds `out` must exist; what killed processes left in it is removed. Nothing is left of what was
    made if anything fails. Raises FileExistsError if something came to be at `out` meanwhile, which stays; OSError.
    """
    _clear(out.parent)
    folder = Path(tempfile.mkdtemp(prefix=STAGE, dir=out.parent))
    try:
        with lock(folder, wait=True, shared=True):
            yield folder / out.name
            _sync(folder / out.name)
            move(folder / out.name, out)
            sync_folder(out.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(made: Path) -> None:
    """Wait until a file, or all that is in a folder, is on the disk: a name must not come there before its content."""
    names = [made] if made.is_file() else [Path(where, name) for where, _, files in os.walk(made) for name in files]
    for name in names:
        with name.open("rb") as handle:
            os.fsync(handle.fileno())
    for where, _, _ in os.walk(made):
        sync_folder(Path(where))


def _clear(folder: Path) -> None:
    """Remove the stages in a folder that killed processes left: those that nobody holds locked."""
    for stage in folder.glob(f"{STAGE}*"):
        with contextlib.suppress(OSError), lock(stage) as alone:
            # One that is as good as new may be about to be locked.
            if alone and time.time() - stage.stat().st_mtime > SECONDS_TO_LOCK:
                shutil.rmtree(stage, ignore_errors=True)


def move(made: Path, out: Path) -> None:
    """Put what was made at `out`, but never onto anything: FileExistsError. A file may stay where it was as well."""
    if made.is_file():
        try:
            os.link(made, out)  # unlike a rename, this never replaces a file
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            pass
    if os.path.lexists(out):
        raise FileExistsError(f"{out}: came to be meanwhile")
    try:
        os.rename(made, out)
    except OSError as error:
        if os.path.lexists(out):  # another process was faster
            raise FileExistsError(f"{out}: came to be meanwhile") from error
        raise
