"""What ingest looks at while a recording's frames pass by on their way into the store."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.ingest.changes import Changes
from sciworld.ingest.lag import lag_of
from sciworld.ingest.quality import with_quality
from sciworld.measures.quality import Quality, control_quality

LISTED = 10  # frames that an error names


class IngestWatch:
    """Counts pixels that are not finite, measures quality and what changed; a `parts.Watch`.

    Parameters
    ----------
    ds : the recording. allow_nan : whether it may have pixels that are not finite.

    `changes` are those of the frames, None if nothing was controlled; `history` is the text with what was measured.
    """

    def __init__(self, ds: xr.Dataset, allow_nan: bool) -> None:
        frames = ds.variables["frames"]
        self._allow_nan, self._bad, self.history = allow_nan, dict[str, list[int]](), str(ds.attrs["history"])
        self._seen = dict.fromkeys(recording.cameras(ds), 0)
        self._quality = Quality(frames.shape[-1], frames.dtype)
        controlled = len(recording.control_table(ds)) > 0 and frames.shape[0] > 1
        self.changes = Changes(ds) if controlled else None

    def see(self, name: str, block: np.ndarray) -> None:
        """The next frames of a camera."""
        start = self._seen[name]
        self._seen[name] = start + len(block)
        if block.dtype.kind == "f" and not self._allow_nan:
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            self._bad.setdefault(name, []).extend((start + np.flatnonzero(~finite)).tolist())
        if name == "frames":
            self._quality.add(block)
            if self.changes is not None:
                self.changes.add(block)

    def finish(self, ds: xr.Dataset) -> xr.Dataset:
        """The recording with its quality and lag. Raises RecordingError if frames are not finite and may not be."""
        for name, bad in self._bad.items():
            if bad:
                raise RecordingError(
                    f"{ds.attrs['source']}: {len(bad)} frames of '{name}' hold pixels that are not finite "
                    f"({', '.join(map(str, bad[:LISTED]))}); drop these frames, or keep them with allow_nan"
                )
        measured = self._quality.result()
        if self.changes is not None:
            lag = lag_of([(ds, self.changes)])
            measured |= control_quality(ds["controls"].values, recording.control_table(ds))
            measured["quality_lag"] = lag.measured
            self.history = f"{ds.attrs['history']}; {lag.summary()}"
            ds = ds.assign_attrs(history=self.history)
        return with_quality(ds, measured)
