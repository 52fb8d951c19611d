"""Which recordings a training saw, and which it did not."""

from __future__ import annotations

import json
import zlib

import numpy as np

from sciworld.errors import CheckpointError, SciworldError, SettingsError
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.training.run import Run
from sciworld.windows import Windows

HELD_OUT = 0.1  # of the sessions, for the diagnostics
SPLIT = 0  # the seed by which they are chosen, whatever that of the training: runs by other seeds can be compared
BOOTSTRAP = 1  # beside the seed of a training: sessions are not drawn by the numbers that order windows


def unseen(run: Run, store: Store) -> np.ndarray | None:
    """Recordings of `store` that the training of `run` did not see : (recording,) int64, none if it saw them all.

    Recordings of a session that it saw in part count as seen; so does, of a bootstrap, all that it was drawn from. None
    where that is not known: nothing says that it saw any of them, as where it was trained on other recordings.
    """
    told = run.config.get("seen")
    if told is None:
        return _left_out(run, store)
    if not isinstance(told, list) or not all(type(mark) is int for mark in told):
        raise CheckpointError(f"{run.path}/config.json: 'seen' is no list of marks; restore it")
    seen, sessions = np.isin(marks(store), told), np.array(store.sessions())
    return np.flatnonzero(~np.isin(sessions, sessions[seen])) if seen.any() else None


def marks(store: Store | Selection) -> np.ndarray:
    """A number for each recording, the same wherever it is stored : (recording,) int64.

    Of attributes, times and controls: to read all frames would take long. Two recordings may have the same one.
    """
    whole, found = store.store if isinstance(store, Selection) else store, []
    for part in whole.parts:
        arrays = [part.array(name)[:] for name in ("time", "controls") if name in part.names]
        ends = part.offsets()
        for number, attributes in enumerate(part.attributes):
            mark = zlib.crc32(json.dumps(attributes, sort_keys=True).encode())
            for array in arrays:
                mark = zlib.crc32(np.ascontiguousarray(array[ends[number] : ends[number + 1]]).tobytes(), mark)
            found.append(mark)
    every = np.array(found, dtype=np.int64)
    return every[store.indices] if isinstance(store, Selection) else every


def digest(store: Store, recordings: int | None = None) -> int:
    """One number for the first recordings of a store, all of them if not said; 0 where it has fewer."""
    known = marks(store)[:recordings]
    return zlib.crc32(known.tobytes()) if len(known) == (recordings or len(known)) else 0


def choice(store: Store | Selection, places: np.ndarray) -> Selection:
    """The recordings of these numbers."""
    return Selection(store, places) if isinstance(store, Store) else Selection(store.store, store.indices[places])


def drawn_again(store: Store | Selection, seed: int) -> Selection:
    """Recordings of as many sessions as there are, drawn with replacement (the bootstrap: Efron 1979, Annals of
    Statistics 7, 1). Raises SettingsError for fewer than two sessions."""
    sessions = store.sessions()
    names = list(dict.fromkeys(sessions))
    if len(names) < 2:
        raise SettingsError(f"{store!r:.80}: {len(names)} session to train on; bootstrap draws among two or more")
    drawn = np.random.default_rng([seed, BOOTSTRAP]).integers(len(names), size=len(names))
    places = np.concatenate([np.flatnonzero(np.array(sessions) == names[number]) for number in drawn])
    return choice(store, places)


def _left_out(run: Run, store: Store) -> np.ndarray | None:
    """`unseen`, of runs that do not say what they saw: earlier versions."""
    # Earlier versions left sessions out by the seed of the training.
    for split in dict.fromkeys((SPLIT, run.config["fit"]["seed"])):
        out = np.empty(0, dtype=np.int64)
        seen: Store | Selection = store
        try:
            if run.config.get("validation"):
                held_out, seen = store.split((HELD_OUT, 1 - HELD_OUT), split)
                out = held_out.indices
            if _trained_on(run, seen):
                return out
        except SciworldError:  # it has no such sessions, or no such windows: it was another
            return None
    return None


def _trained_on(run: Run, store: Store | Selection) -> bool:
    """Whether it was these recordings, or a bootstrap of them."""
    count = run.config["windows"]

    def same(seen: Store | Selection) -> bool:
        windows = Windows(seen, count["context"], count["horizon"], memory_bytes=0)
        return bool(windows.fingerprint() == count["fingerprint"])

    several = len(set(store.sessions())) > 1
    return same(store) or (several and same(drawn_again(store, run.config["fit"]["seed"])))
