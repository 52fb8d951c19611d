"""What ingest looks at while a recording's frames pass by on their way into the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.ingest.changes import Changes
from sciworld.ingest.lag import Lag, lag_of
from sciworld.ingest.quality import with_quality
from sciworld.measures.quality import Quality, control_quality

LISTED = 10  # frames that an error names


class IngestWatch:
    """Measures quality and what changed, refuses pixels that are not finite; a `writing.Watch`.

    Parameters
    ----------
    ds : the recording. allow_nan : whether it may have pixels that are not finite. unchanged : raises if its files
    changed since the ingest began.

    `changes` are those of the frames and `lag` what they tell, None if nothing was controlled; `history` is the text
    with what was measured.
    """

    def __init__(self, ds: xr.Dataset, allow_nan: bool, unchanged: Callable[[], None]) -> None:
        frames = ds.variables["frames"]
        self._unchanged, self._source = unchanged, str(ds.attrs["source"])
        self._allow_nan, self.history = allow_nan, str(ds.attrs["history"])
        self._quality, self._left = Quality(frames.shape[-1], frames.dtype), frames.shape[0]
        controlled = len(recording.control_table(ds)) > 0 and frames.shape[0] > 1
        self.changes = Changes(ds) if controlled else None
        self.lag: Lag | None = None

    def see(self, name: str, block: np.ndarray) -> None:
        """The next frames of a camera. Raises RecordingError."""
        with self._blamed():
            self._see(name, block)

    def finish(self, ds: xr.Dataset, finite: Mapping[str, np.ndarray]) -> xr.Dataset:
        """The recording with its quality and lag. Raises RecordingError if frames are not finite and may not be."""
        with self._blamed():
            return self._finished(ds, finite)

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Raise RecordingError that names the source in place of an OSError, for which the store would be blamed."""
        try:
            yield
        except OSError as error:
            raise RecordingError(
                f"{self._source}: cannot be looked at while it is read ({error}); mend that, and give the same "
                "command again"
            ) from error

    def _see(self, name: str, block: np.ndarray) -> None:
        if name == "frames":
            self._quality.add(block)
            self._left -= len(block)
            if not self._left:
                self._quality.end()
            if self.changes is not None:
                self.changes.add(block)

    def _finished(self, ds: xr.Dataset, finite: Mapping[str, np.ndarray]) -> xr.Dataset:
        self._unchanged()
        for name, good in finite.items():
            bad = np.flatnonzero(~good)
            if len(bad) and not self._allow_nan:
                raise RecordingError(
                    f"{ds.attrs['source']}: {len(bad)} frames of '{name}' hold pixels that are not finite "
                    f"({', '.join(map(str, bad[:LISTED]))}); drop these frames, or keep them with allow_nan "
                    "(--allow-nan)"
                )
        measured = self._quality.result()
        if self.changes is not None:
            self.lag = lag = lag_of([(ds, self.changes)])
            measured |= control_quality(ds["controls"].values, recording.control_table(ds))
            measured["quality_lag"] = lag.measured
            self.history = f"{ds.attrs['history']}; {lag.summary()}"
            ds = ds.assign_attrs(history=self.history)
        return with_quality(ds, measured)
