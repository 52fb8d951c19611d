"""Counterfactuals: the same moments under other conditions, as the windows that a restyler is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.errors import RecordingError
from sciworld.measures.moments import Moments
from sciworld.selection import IMAGINED, Selection
from sciworld.store import Store
from sciworld.windows import MEMORY_BYTES, Batch, Windows, require_same


class Counterfactuals:
    """Windows of two frames: a moment as the source shows it, and as a variant does, whose covariates are told.

    They have no controls: what controls did is seen in the source. For a Loader or `fit` they are put into a `Mixture`,
    alone or with others.

    Parameters
    ----------
    variants : recordings with the covariate `variant_of`, the number of the source. sources : the store of these.
    covariates : names of those that the model is told; by default those by which variants differ from their sources.
    memory_bytes : as of `Windows`, of each of the two.

    Raises RecordingError where the variants are of other recordings, or their frames of another kind.
    """

    context, horizon, length = 1, 1, 2

    def __init__(
        self,
        variants: Store | Selection,
        sources: Store,
        covariates: Sequence[str] | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._after = Windows(variants, 1, 1, moving_view=True, memory_bytes=memory_bytes)
        self._before = Windows(sources, 1, 1, unknown=True, moving_view=True, memory_bytes=memory_bytes)
        self.shape, self.dtype, self.view_units = self._after.shape, self._after.dtype, self._after.view_units
        for name in ("shape", "dtype"):
            one, other = getattr(self._after, name), getattr(self._before, name)
            if one != other:
                raise RecordingError(f"counterfactuals: variants have the {name} {one}, their sources {other}")
        mine, theirs = (
            {"folder": str(one.folder), "table of channels": one.channels.unbounded().to_json()}
            for one in (self._after, self._before)
        )
        require_same(theirs, mine, "counterfactuals", "give the store that the variants were made of")
        self.channels, self.controls = self._after.channels.widened(self._before.channels), ColumnTable(())
        self._source = self._find(variants, sources)
        told = self._changed() if covariates is None else tuple(covariates)
        lacking = [name for name in told if name not in self._after.covariates.names]
        if lacking:
            raise RecordingError(f"counterfactuals: {self.folder} has no covariates {', '.join(lacking)}")
        self._columns = [self._after.covariates.index(name) for name in told]
        self.covariates = ColumnTable(tuple(self._after.covariates[name] for name in told))

    def __len__(self) -> int:
        return len(self._after)

    def __repr__(self) -> str:
        frames = f"{' x '.join(map(str, self.shape))} {self.dtype.name}"
        return f"{len(self)} counterfactuals of frames {frames}; {self.covariates.in_line()}"

    @property
    def folder(self) -> Path:
        """The folder of the first part of the variants."""
        return self._after.folder

    def _find(self, variants: Store | Selection, sources: Store) -> np.ndarray:
        """The window of the sources for each of the variants' : (window,)."""
        whole = variants.store if isinstance(variants, Selection) else variants
        facts = whole.facts()
        if "variant_of" not in facts:
            raise RecordingError(
                f"counterfactuals: {whole.path} holds no variants; make them of {sources.path} with sciworld randomize"
            )
        if any(source.startswith(IMAGINED) for source in variants.sources()):
            raise RecordingError(
                f"counterfactuals: {whole.path} holds futures, which show other moments; leave them out"
            )
        recording, first = self._after.places()
        of = facts["variant_of"].values[recording].astype(np.int64)
        names = np.array(sources.sessions())
        known = (of >= 0) & (of < len(names))
        own = np.array(whole.sessions())[recording]
        if not known.all() or (names[of] != own).any():
            wrong = own[~known][0] if not known.all() else own[names[of] != own][0]
            raise RecordingError(
                f"counterfactuals: '{wrong}' of {whole.path} is no variant of a recording in {sources.path}; give the "
                "store that the variants were made of"
            )
        there, begins = self._before.places()
        key = there * (1 + max(begins.max(), first.max())) + begins
        wanted = of * (1 + max(begins.max(), first.max())) + first
        order = np.argsort(key)
        at = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
        if (key[order][at] != wanted).any():
            raise RecordingError(f"counterfactuals: recordings of {sources.path} are shorter than their variants")
        return np.asarray(order[at], dtype=np.int64)

    def _changed(self) -> tuple[str, ...]:
        """Names of the covariates by which any variant differs from its source, or that the source does not have."""
        first = np.flatnonzero(np.diff(self._after.places()[0], prepend=-1))  # a window of each recording
        after = self._after.batch(first).covariates
        before = self._before.batch(self._source[first]).covariates
        have = self._before.covariates.names
        return tuple(
            name
            for k, name in enumerate(self._after.covariates.names)
            if name not in have or (after[:, k] != before[:, have.index(name)]).any()
        )

    def batch(self, ids: Any, draw: Any = 0) -> Batch:
        """See `Windows.batch`."""
        after = self._after.batch(ids, draw)
        index = np.asarray(after.index)
        source = self._before.batch(self._source[index]).frames[:, :1]
        return Batch(
            frames=np.concatenate([source, after.frames[:, :1]], axis=1),
            controls=np.zeros((len(index), 1, 0), dtype=np.float32),
            time=after.time[:, [0, 0]],
            view=after.view[:, [0, 0]],
            covariates=after.covariates[:, self._columns],
            index=index,
        )

    def identity(self) -> dict[str, Any]:
        """See `Windows.identity`; of both, and of the covariates that are told."""
        before = self._before.identity()
        return {**self._after.identity(), "sources": before["windows"], "told": list(self.covariates.names)}

    def moments(self) -> tuple[Moments, Moments, Moments, np.ndarray]:
        """See `Windows.moments`; of the variants."""
        frames, _, covariates, pitches = self._after.moments()
        return frames, Moments(0), covariates.take(self._columns), pitches
