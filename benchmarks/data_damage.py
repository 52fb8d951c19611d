"""What happens to damaged files: every reader, given files that are cut, swapped, bombed and linked in circles.

Each input is ingested by a process of its own, in a sandbox. It is answered well if one of our errors names it and
says how to mend it, or if what is read of it is what the whole file holds, within 5 s and 500 MB, with no part of a
recording in the store and nothing written elsewhere. Linux only: memory is what /proc says.

    python benchmarks/data_damage.py ROWS.jsonl CUTS [KIND ...]

A byte that was changed inside the pixels of a format without checksums is another valid file: there, what is read is
held against the whole file only where the format has checksums.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_child import MEGABYTES, in_child, memory
from harness import Figure, Run

CUTS, QUICK_CUTS = 20, 1
FLIPS, QUICK_FLIPS = 4, 1
QUICK_EVERY = 4  # of the crafted inputs
MOST_TOLD = 60_000  # bytes; a pipe holds so much without a reader
# What ingest puts after the source's name where an error of another class became a rejection.
FOREIGN = re.compile(r": [A-Z]\w*: ")
DOUBT = "may be cut"  # what a history says of a number that cannot be trusted
CACHED = re.compile(r"cache(/sciworld(/unpacked(/[0-9a-f]{64}(/.*)?)?)?)?")
TARGET = re.compile(r"target(/store(/.*)?|/store-quarantine\.json|/store-lag\.html|/plotly\.min\.js)?")


@dataclass(frozen=True)
class Case:
    """One damaged input.

    Parameters
    ----------
    label : what was damaged, and how. kind : a key of FILES. path : what is read, in the sandbox.
    reader : as `ingest` takes it, None where the file shows what it is. damaged : the file that was damaged.
    whole : the store of the undamaged input; None if what is read is not held against one.
    expected : "error", "read", "either", or words that the history must have.
    """

    label: str
    kind: str
    path: Path
    reader: str | None
    damaged: Path
    whole: Path | None = None
    expected: str = "either"


def damage(run: Run) -> dict[str, Figure]:
    """How many damaged inputs were tried, and how many of them were not answered well."""
    rows = rows_of(QUICK_CUTS if run.quick else CUTS)
    for row in rows:
        if not row["well"]:
            print(f"not answered well: {row}", file=sys.stderr)
    bad = sum(not row["well"] for row in rows)
    return {"damaged_inputs": Figure(len(rows), "1", rows=rows), "damaged_bad": Figure(bad, "1", rows=rows)}


def rows_of(cuts: int, kinds: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A row for each input, from a new process: one that has threads cannot be forked."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="sciworld-damage-") as folder:
        told = Path(folder) / "rows.jsonl"
        words = [sys.executable, __file__, str(told), str(cuts), *kinds]
        subprocess.run(words, env={**os.environ, **alone}, check=True)
        rows = [json.loads(line) for line in told.read_text().splitlines()]
    return rows


def answers(root: Path, cuts: int, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The row of one input after the other, each alone in `root / "case"`."""
    sandbox = root / "case"
    for case in itertools.chain(
        damaged(root, sandbox, cuts, kinds), crafted(sandbox, kinds, 1 if cuts != QUICK_CUTS else QUICK_EVERY)
    ):
        yield {"input": case.label, **answer(case, sandbox)}
        remove(sandbox)


def damaged(root: Path, sandbox: Path, cuts: int, kinds: tuple[str, ...]) -> Iterator[Case]:
    """Files of every kind: cut, emptied, with another beginning, with a few bytes changed."""
    from data_files import FILES, READER, real_files

    sources: dict[str, tuple[Callable[[Path], Path], str | None]] = {
        kind: (write, READER.get(kind)) for kind, write in FILES.items()
    }
    for kind, (path, reader) in real_files().items() if cuts != QUICK_CUTS else ():
        sources[kind] = partial(copied, path), reader
    for kind, (write, reader) in sources.items():
        if cuts and (not kinds or kind in kinds):
            yield from damaged_kind(kind, write, reader, root / "whole", sandbox, cuts)


def damaged_kind(
    kind: str, write: Callable[[Path], Path], reader: str | None, folder: Path, sandbox: Path, cuts: int
) -> Iterator[Case]:
    """The damaged inputs of one kind; `folder` holds the whole one, and the store that comes of it."""
    from data_files import CHECKSUMS, STORE

    relative = Path(in_child(lambda: str(write(folder / "input").relative_to(folder))).told)
    whole = folder / "store"
    told = in_child(lambda: told_of(Case("", kind, folder / relative, reader, folder), whole)).told
    if not told["read"] and kind != STORE:
        raise RuntimeError(f"{kind}: the whole file is not read: {told}")
    rng = np.random.default_rng([zlib.crc32(kind.encode()), 0])
    few = cuts // 2 if kind.startswith("real-") and cuts >= CUTS else cuts
    for index in range(few + 2 + (FLIPS if cuts >= CUTS else QUICK_FLIPS)):
        shutil.copytree(folder / "input", sandbox / "input", symlinks=True)
        file = chosen(sandbox / relative, rng)
        how = change(file, index, few, rng)
        held = whole if index < few + 2 or kind in CHECKSUMS else None
        label = f"{kind}: {file.relative_to(sandbox / 'input')} {how}"
        yield Case(label, kind, sandbox / relative, reader if index % 2 else None, file, held)
    remove(folder)


def copied(path: Path, folder: Path) -> Path:
    """A copy of a file or folder that may be changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in (path, *path.rglob("*")) if path.is_dir() else (path,):
        target = folder / source.relative_to(path.parent)
        if source.is_dir():
            target.mkdir()
        else:
            target.write_bytes(source.read_bytes())
    return folder / path.name


def crafted(sandbox: Path, kinds: tuple[str, ...], every: int) -> Iterator[Case]:
    """The specially crafted inputs: those of some kinds, or one of every so many."""
    from data_tricks import TRICKS

    for number, (label, (make, reader, expected)) in enumerate(TRICKS.items()):
        kind = label.partition(":")[0]
        if kind not in kinds if kinds else number % every:
            continue
        done = in_child(lambda make=make: str(make(sandbox / "input")))
        if not isinstance(done.told, str):
            raise RuntimeError(f"{label}: cannot be made: {done}")
        yield Case(label, kind, Path(done.told), reader, Path(done.told), None, expected)


def chosen(path: Path, rng: np.random.Generator) -> Path:
    """One of the files of an input: each kind of file of a folder as often as any other."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.stat().st_size and not file.name.startswith("._"):
            groups[str(file.parent), file.suffix].append(file)
    group = list(groups.values())[int(rng.integers(len(groups)))]
    return group[int(rng.integers(len(group)))]


def change(file: Path, index: int, cuts: int, rng: np.random.Generator) -> str:
    """Damage a file in the way numbered `index`, and say how. The last bytes are always among those cut."""
    content = file.read_bytes()
    if index < cuts:
        end = len(content) - 1 - index if index < 3 and len(content) > 3 else int(rng.integers(len(content)))
        file.write_bytes(content[:end])
        return f"cut at {end} of {len(content)} bytes"
    if index == cuts:
        file.write_bytes(b"")
        return "empty"
    if index == cuts + 1:
        file.write_bytes((b"\x00SCIWORLD" + content[9:])[: max(9, len(content))])
        return "begins with other bytes"
    places = rng.integers(len(content), size=3)
    changed = bytearray(content)
    for place in places:
        changed[place] ^= int(rng.integers(1, 256))
    file.write_bytes(bytes(changed))
    return f"changed at bytes {', '.join(map(str, sorted(places.tolist())))}"


def answer(case: Case, sandbox: Path) -> dict[str, Any]:
    """Ingest an input in a process of its own, which is watched, and look at what it left."""
    for name in ("target", "home", "temporary", "here"):
        (sandbox / name).mkdir(parents=True)
    out = sandbox / "target" / "store"
    before, beside = listing(sandbox), set(os.listdir(sandbox.parent))
    done = in_child(lambda: told_of(case, out), sandbox)
    found: dict[str, Any] = {
        "said": done.fault,
        "ours": False,
        "read": False,
        "partly": False,
        "history": "",
        "megabytes": 0.0,
    }
    found |= done.told or {}
    found["seconds"] = round(done.seconds, 3)
    elsewhere = [
        name for name in listing(sandbox) ^ before if not (TARGET.fullmatch(name[0]) or CACHED.fullmatch(name[0]))
    ]
    found["elsewhere"] = sorted({name for name, *_ in elsewhere} | set(os.listdir(sandbox.parent)) ^ beside)
    looked = in_child(lambda: left(out, case.whole)) if (out / "zarr.json").exists() else None
    state = (looked.told or {"recordings": 0, "wrong": [looked.fault]}) if looked else {"recordings": 0, "wrong": []}
    doubted = DOUBT in found["history"]
    found["wrong"] = [one for one in state["wrong"] if not (doubted and one.startswith("altered"))]
    if not found["read"] and state["recordings"]:
        found["wrong"].append("a part of a refused input is in the store")
    named = {str(case.damaged), str(case.path), case.path.name}
    told = found["read"] and not found["partly"]
    found["named"] = told or any(name in found["said"] for name in named)
    found["cured"] = told or ";" in found["said"]
    found["as_expected"] = case.expected == "either" or (
        not found["read"] if case.expected == "error" else found["read"]
        and (case.expected == "read" or case.expected in found["history"])
    )  # fmt: skip
    found["well"] = bool(
        (found["read"] or found["ours"]) and found["named"] and found["cured"] and found["as_expected"]
        and found["megabytes"] <= MEGABYTES and not found["elsewhere"] and not found["wrong"]
    )  # fmt: skip
    found["history"] = ""
    found["answer"] = "read" if found["read"] else "refused" if found["ours"] else "not answered"
    if found["partly"]:
        found["answer"] = "read in part, the rest refused"
    elif found["read"] and doubted:
        found["answer"] = "read, with a doubt"
    elif found["read"] and case.whole is None:
        found["answer"] = "read, not compared"
    return found


def told_of(case: Case, out: Path) -> dict[str, Any]:
    """What is said of an input, whether that is ours, and by how much memory grew."""
    from sciworld.errors import SciworldError

    begin = memory(os.getpid())
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    try:
        told = {"read": True, "ours": True, **taken(case, out)}
    except SciworldError as error:
        foreign = any(FOREIGN.match(str(error).removeprefix(str(path))) for path in (case.path, frames_of(case)))
        told = {"read": False, "said": f"{type(error).__name__}: {error}", "ours": not foreign}
    except BaseException as error:
        told = {"read": False, "said": f"not ours: {type(error).__name__}: {error}"}
    told = {key: value[: MOST_TOLD // 8] if isinstance(value, str) else value for key, value in told.items()}
    return {**told, "megabytes": round(memory(os.getpid(), "VmHWM") - begin, 1)}


def taken(case: Case, out: Path) -> dict[str, Any]:
    """Read an input into a store: what is to be said, and the histories. Raises what ingest does."""
    from data_files import CONTROLS, STORE
    from sciworld.ingest.run import ingest
    from sciworld.store import Store

    if case.kind == STORE:
        store = Store.open(case.path)
        store.check()
        Store.create(out).append(list(store))
        return {"said": f"{len(store)} recordings", "history": ""}
    if case.kind in CONTROLS:
        mapping, times = CONTROLS[case.kind]
        done = ingest(frames_of(case), out, controls=case.path, mapping=mapping, times=times)
    else:
        done = ingest(case.path, out, reader=case.reader, allow_nan=True)
    history = "; ".join([*done.histories, *done.warnings])
    reasons = "; ".join(one.reason for one in done.rejected)  # of several recordings: the others are whole
    return {"said": reasons or f"{done.recordings} recordings", "partly": bool(reasons), "history": history}


def frames_of(case: Case) -> Path:
    """The frames beside a table of controls."""
    return case.path.parent / "frames.tif"


def left(out: Path, whole: Path | None) -> dict[str, Any]:
    """How many recordings a store has, and what is wrong with it: damage, and what the whole input does not say."""
    from sciworld.errors import SciworldError
    from sciworld.store import Store

    try:
        store = Store.open(out)
        store.check()
        found = list(store)
    except SciworldError as error:
        return {"recordings": 0, "wrong": [f"a damaged store: {error}"]}
    known = list(Store.open(whole)) if whole is not None else []
    return {"recordings": len(found), "wrong": [one for ds in found for one in altered(ds, known)] if known else []}


def altered(ds: Any, known: list[Any]) -> Iterator[str]:
    """What a recording says that no recording of the whole input does: frames bit by bit, numbers one by one."""
    for name, variable in ds.variables.items():
        if name in ("covariates", "row_size", "log_size") or name not in known[0].variables:
            continue  # what was measured of fewer frames differs
        others = [one.variables[name].values for one in known if name in one.variables]
        if not name.startswith("frames"):
            numbers = np.concatenate([other.ravel() for other in others])
            strange = ~(np.isin(variable.values, numbers) | np.isnan(variable.values))
            if strange.any():
                yield f"altered: '{name}' has {variable.values[strange].ravel()[:3].tolist()}"
            continue
        hashes = {frame.tobytes() for other in others for frame in other}
        for number, frame in enumerate(variable.values):
            if frame.tobytes() not in hashes and not any(within(frame, one) for other in others for one in other):
                yield f"altered: frame {number} of '{name}'"
                break


def within(part: np.ndarray, frame: np.ndarray) -> bool:
    """Whether a smaller frame (y, x, channel) is whole rows of another: a table of vectors with fewer of them."""
    if part.shape[1:] != frame.shape[1:] or part.shape[0] >= frame.shape[0]:
        return False
    starts = range(frame.shape[0] - part.shape[0] + 1)
    return any(frame[k : k + len(part)].tobytes() == part.tobytes() for k in starts)


def listing(folder: Path) -> set[tuple[str, int, int]]:
    """Every file and link of a folder, with size and time of change; links are not followed."""
    found = set()
    for place, folders, files in os.walk(folder):
        for name in files + folders:
            path = Path(place, name)
            facts = path.lstat()
            plain = not path.is_dir() or path.is_symlink()
            found.add((str(path.relative_to(folder)), *((facts.st_size, facts.st_mtime_ns) if plain else (0, 0))))
    return found


def remove(folder: Path) -> None:
    """Remove a folder, whatever names and permissions are in it."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RuntimeError(f"{folder}: cannot be removed")


def preload(folder: Path, kinds: tuple[str, ...]) -> None:
    """Import here, once, all that a child will need; what is imported starts no thread that a fork would miss."""
    from data_files import FILES, READER

    def loaded() -> list[str]:
        for kind in kinds:
            path = FILES[kind](folder / kind)
            told_of(Case("", kind, path, READER.get(kind), path), folder / f"{kind}-store")
        return sorted(sys.modules)

    names: list[str] = in_child(loaded).told
    for name in names:
        with contextlib.suppress(Exception):  # some are made by others, and cannot be imported
            importlib.import_module(name)
    remove(folder)
    gc.collect()
    gc.freeze()  # what lives now is not looked at again: a look would copy its pages into every child


def main(words: list[str]) -> None:
    """Write the rows of all inputs, or of those of some kinds, a line of JSON each."""
    told, cuts, *kinds = words
    with tempfile.TemporaryDirectory(prefix="sciworld-corpus-") as name:
        root = Path(name).resolve()
        preload(root / "preload", tuple(kinds) or ("npy", "netcdf4", "lerobot-v2", "csv"))
        with open(told, "w") as file:
            for row in answers(root, int(cuts), tuple(kinds)):
                file.write(json.dumps(row) + "\n")
                file.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
