"""Loading: windows without end, from one source or a mixture, read ahead by threads, resumable, sharded by rank."""

from __future__ import annotations

import itertools
import json
import math
import os
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

from sciworld.config import LARGEST, numbers_of, shares_of, whole
from sciworld.controls import EXACT
from sciworld.counterfactuals import Counterfactuals
from sciworld.crop import draws_of
from sciworld.errors import CheckpointError, SettingsError
from sciworld.measures.moments import Moments
from sciworld.statistics import Statistics
from sciworld.windows import Batch, Windows, kind_of, require_same

AHEAD = 2  # batches a thread
MOST_THREADS = 1024
SHOWN = 6  # shares of a mixture, in a line


class Mixture:
    """Windows, or counterfactuals, of several sources, numbered one after the other, each with its share of what is
    loaded.

    Parameters
    ----------
    sources : of the same frames and columns, each with a stride, recordings, ... of its own.
    weights : one above 0 a source; their shares of what a Loader draws. Without them each has that of its windows.

    Raises RecordingError if the sources do not fit together, SettingsError.
    """

    def __init__(self, sources: Sequence[Windows | Counterfactuals], weights: Sequence[float] | None = None) -> None:
        kinds = Windows | Counterfactuals
        if not isinstance(sources, list | tuple) or not all(isinstance(source, kinds) for source in sources):
            raise SettingsError(f"mixture: sources are {sources!r:.80}; give a list of Windows, or of Counterfactuals")
        if not sources:
            raise SettingsError("mixture: no sources; give at least one Windows")
        counts = [len(source) for source in sources]
        cure = "use a list of finite ones above 0 (1e-100 to 1e100), and leave out what has none"
        given = shares_of(counts if weights is None else weights, "mixture: weights", cure)
        if len(given) != len(sources):
            raise SettingsError(f"mixture: {len(given)} weights for {len(sources)} sources; give one each")
        first = sources[0]
        self.sources = tuple(sources)
        self.weights = tuple(weight / math.fsum(given) for weight in given)
        self.context, self.horizon, self.length = first.context, first.horizon, first.length
        self.shape, self.dtype, self.view_units = first.shape, first.dtype, first.view_units
        self.channels, self.controls, self.covariates = first.channels, first.controls, first.covariates
        for source in self.sources[1:]:
            require_same(_kind(first), _kind(source), "mixture", "mix windows of one kind, or crop them to one shape")
            self.channels = self.channels.widened(source.channels)
            self.controls = self.controls.widened(source.controls)
            self.covariates = self.covariates.widened(source.covariates)
        self._offsets = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def __repr__(self) -> str:
        shares = ", ".join(f"{weight:.3g}" for weight in self.weights[:SHOWN]) + (", ..." * (len(self.weights) > SHOWN))
        return f"Mixture of {len(self.sources)} sources, {len(self)} windows, shares {shares}, as {self.sources[0]!r}"

    def batch(self, ids: Any, draw: Any = 0) -> Batch:
        """The windows numbered `ids` : (b,) integers, those of each source together.

        draw, and what is raised : see Windows.batch.
        """
        index = numbers_of(ids, "mixture: ids")
        draws = draws_of(draw, len(index))
        if not len(index) or index.min() < 0 or index.max() >= len(self):
            raise IndexError(f"mixture: ids are {ids!r:.80}; use one or more of 0 to {len(self) - 1}")
        which = np.searchsorted(self._offsets, index, side="right") - 1
        order = np.argsort(which, kind="stable")
        index, draws = index[order], draws[order]
        ends = np.cumsum(np.bincount(which, minlength=len(self.sources)))
        pieces = [
            self.sources[number].batch(index[begin:end] - self._offsets[number], draws[begin:end])
            for number, (begin, end) in enumerate(itertools.pairwise([0, *ends.tolist()]))
            if begin < end
        ]
        names = ("frames", "controls", "time", "view", "covariates")
        joined = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
        widths = [piece.words.shape[1] for piece in pieces]
        texts = [np.pad(piece.words, ((0, 0), (0, max(widths) - n))) for piece, n in zip(pieces, widths, strict=True)]
        return Batch(**joined, index=index, words=np.concatenate(texts))

    def fingerprint(self) -> int:
        """A number that is another one for a mixture of another `identity`."""
        return zlib.crc32(json.dumps(self.identity()).encode())

    def identity(self) -> dict[str, Any]:
        """What makes this mixture, JSON-safe: its weights, and what makes each source, see Windows.identity."""
        each = [source.identity() for source in self.sources]
        return {"weights": list(self.weights), **{name: [facts[name] for facts in each] for name in each[0]}}

    def statistics(self) -> Statistics:
        """Means and scales of what is drawn: those of each source count by its weight."""
        found = [source.moments() for source in self.sources]
        frames, controls, covariates = (_mixed([each[k] for each in found], self.weights) for k in range(3))
        pitches = np.concatenate([each[3] for each in found])
        shares = np.concatenate([np.full(len(e[3]), w / len(e[3])) for e, w in zip(found, self.weights, strict=True)])
        order = np.argsort(pitches)
        middle = int(np.searchsorted(np.cumsum(shares[order]), 0.5))
        pitch = float(pitches[order][min(middle, len(order) - 1)])
        return Statistics.of(frames, (controls, self.controls), (covariates, self.covariates), pitch)


class Loader:
    """Batches without end: each epoch of a source is a seeded permutation of its windows, read ahead by threads.

    A batch may begin in one epoch and end in the next, so none is short. The sources of a mixture take turns, the same
    for every seed: after n windows a source of the share w, of k, has given n w, to within (1 + k w) / 2. Step s of all
    ranks together is what one rank would load with the batch size ranks * batch_size: in an epoch no two ranks load the
    same window, all together load every one, and their numbers differ by one batch at most. `state` and `restore`
    continue with the very same batches; a state is that of every rank. At most 2 * threads batches are held, beside
    the one in use and the frames that the windows hold in memory.

    Parameters
    ----------
    windows : what to load. batch_size : windows a batch, of each rank; the machine's memory must hold those read ahead.
    seed : of the permutations and random crops, from 0. threads : that read ahead. rank, ranks : which of how many
    loaders this is; all have the same seed.

    Raises SettingsError.
    """

    def __init__(
        self,
        windows: Windows | Mixture,
        batch_size: int,
        seed: int,
        threads: int = 2,
        *,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not isinstance(windows, Windows | Mixture):
            raise SettingsError(f"loader: windows are {windows!r:.80}; give Windows of a store, or a Mixture")
        self.windows, self.seed = windows, whole(seed, "loader: seed", 0, LARGEST)
        self.batch_size = whole(batch_size, "loader: batch_size", 1)
        self.threads = whole(threads, "loader: threads", 1, MOST_THREADS)
        self.ranks = whole(ranks, "loader: ranks", 1)
        self.rank = whole(rank, "loader: rank", 0, self.ranks - 1)
        _require_memory(windows, self.batch_size, self.threads)
        sources, self._weights = (
            (windows.sources, windows.weights) if isinstance(windows, Mixture) else ((windows,), (1.0,))
        )
        self._counts = [len(source) for source in sources]
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="loader")
        self._ahead: deque[Future[Batch]] = deque()
        self._position = 0
        self._closed = False
        self._orders: dict[int, tuple[int, np.ndarray, int]] = {}

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._closed:
            raise SettingsError("loader: closed; make another, and restore this one's state to go on")
        while len(self._ahead) < AHEAD * self.threads:
            ids, draws = self._chosen(self._position + len(self._ahead))
            self._ahead.append(self._pool.submit(self.windows.batch, ids, draws))
        batch = self._ahead[0].result()
        self._ahead.popleft()
        self._position += 1
        return batch

    def __repr__(self) -> str:
        rank = f", rank {self.rank} of {self.ranks}" if self.ranks > 1 else ""
        where = f"at batch {self._position}, epoch {self.epoch:.3g}" + (", closed" if self._closed else "")
        return f"Loader of {self.batch_size} windows a batch, seed {self.seed}{rank}, {where}; {self.windows!r}"

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def epoch(self) -> float:
        """How often as many windows as there are have been loaded, by all ranks."""
        return self._position * self.batch_size * self.ranks / len(self.windows)

    def state(self) -> dict[str, Any]:
        """Where the loader stands, and what it loads: JSON-safe, the same for all ranks."""
        return {"batch": self._position, **self._identity}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises CheckpointError if it is of other windows, another seed, batch size or ranks."""
        if not isinstance(state, dict):
            raise CheckpointError(f"loader: the state is {state!r:.80}; give what Loader.state gave")
        for name, value in self._identity.items():
            if state.get(name) != value:
                cure = "take the recordings that it was saved with" if name == "windows" else "use the same"
                raise CheckpointError(
                    f"loader: {name} is {value!r:.200}, the state was saved with {state.get(name)!r:.200}; {cure}"
                )
        position, step = state.get("batch"), self.batch_size * self.ranks
        if type(position) is not int or not 0 <= position * step < EXACT:
            raise CheckpointError(f"loader: the state's batch is {position!r}; take a state that was saved whole")
        self._forget()
        self._position = position

    def close(self) -> None:
        """Stop reading ahead."""
        self._closed = True
        self._forget()
        self._pool.shutdown()

    def _forget(self) -> None:
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        own = {"seed": self.seed, "batch_size": self.batch_size, "ranks": self.ranks}
        return own | self.windows.identity()

    def _chosen(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows of a batch, and for each the draw of its random crop : (b,) each."""
        sources, turns = _turns(self._weights, (batch * self.ranks + self.rank) * self.batch_size, self.batch_size)
        ids, draws = np.empty(self.batch_size, np.int64), np.empty(self.batch_size, np.uint64)
        offset = 0
        for source, count in enumerate(self._counts):
            mine = sources == source
            epochs, places = np.divmod(turns[mine], count)
            own, drawn = np.empty(len(places), np.int64), np.empty(len(places), np.uint64)
            for epoch in range(epochs[0], epochs[-1] + 1) if len(epochs) else ():  # turns ascend
                now = epochs == epoch
                order, draw = self._epoch(source, epoch)
                own[now], drawn[now] = order[places[now]], draw
            ids[mine], draws[mine] = own + offset, drawn
            offset += count
        return ids, draws

    def _epoch(self, source: int, epoch: int) -> tuple[np.ndarray, int]:
        """The order of a source's windows in an epoch, and the draw of its crops."""
        if source not in self._orders or self._orders[source][0] != epoch:
            rng = np.random.default_rng([self.seed, epoch, source])
            self._orders[source] = (epoch, rng.permutation(self._counts[source]), int(rng.integers(1 << 63)))
        return self._orders[source][1:]


def _require_memory(windows: Windows | Mixture, batch_size: int, threads: int) -> None:
    """Raise SettingsError if the machine's memory does not hold the batches that a loader holds."""
    if not hasattr(os, "sysconf"):  # Windows does not say
        return
    pixels = math.prod(windows.shape) * windows.dtype.itemsize
    row = pixels + 4 * len(windows.controls) + 8 * (1 + 6)  # time and view are float64
    batch = batch_size * windows.length * row
    held, memory = AHEAD * threads + 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if held * batch > memory:
        raise SettingsError(
            f"loader: batch_size is {batch_size}, with {threads} threads: {held} batches of {batch / 1e9:.3g} GB are "
            f"held at once, in a memory of {memory / 1e9:.3g} GB; use smaller batches, or fewer threads"
        )


def _turns(weights: Sequence[float], first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which source has each place `first` to `first + count` of an endless row, and its how-manieth there : (count,).

    The k-th turn of a source of weight w is due at the time (k + 1/2) / w, and the row is in the order of these times:
    the method of Webster (Balinski and Young 1982, Fair Representation). By the time t a source has had t w turns to
    within 1/2, so that place n falls within half the number of sources of the time n.
    """
    if len(weights) == 1:
        return np.zeros(count, dtype=np.int64), np.arange(first, first + count)
    w = np.array(weights)
    begin = max(0, first - len(w))
    low = np.floor(begin * w + 0.5).astype(np.int64)
    high = np.floor((first + count + len(w)) * w + 0.5).astype(np.int64) + 1
    source = np.repeat(np.arange(len(w)), high - low)
    turn = np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)])
    order = np.lexsort((source, (turn + 0.5) / w[source]))
    wanted = order[first - low.sum() :][:count]
    return source[wanted], turn[wanted]


def _mixed(moments: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """The moments of a mixture: of each source by its weight, but for columns of which it knows no value."""
    mixed = Moments(len(moments[0].count))
    for each, weight in zip(moments, weights, strict=True):
        mixed.merge(each.weighted(weight))
    return mixed


def _kind(windows: Windows | Counterfactuals) -> dict[str, str]:
    """What stands in one batch has in common."""
    tables = (windows.channels, windows.controls, windows.covariates)
    kind = kind_of(windows.folder, windows.shape, windows.dtype.name, windows.view_units, *tables)
    return {"kind": type(windows).__name__, "context": str(windows.context), "horizon": str(windows.horizon), **kind}
