"""What a model is held against: baselines, a reader of controls, and the domain's physics, fitted on recordings."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from sciworld.domains.base import Physics, domain
from sciworld.evaluate import baselines
from sciworld.evaluate.baselines import Baseline
from sciworld.evaluate.readings import ControlReader
from sciworld.streamed import Kind, Recordings, Streamed, kind_of, one_kind, require_kind

OWN, OTHERS = "the evaluated recordings themselves", "other recordings"


@dataclass(frozen=True, eq=False)
class References:
    """Fitted once, for any number of models on recordings of one kind.

    Parameters
    ----------
    rivals : the baselines by name. reader : of controls, None where none were given. physics : None without a domain.
    domain : its name, or "". fitted_on : in words, for whoever reads the table. kind : that recordings must be of.
    """

    rivals: dict[str, Baseline]
    reader: ControlReader | None
    physics: Physics | None
    domain: str
    fitted_on: str
    kind: Kind

    @classmethod
    def fit(cls, recordings: Recordings, domain_name: str = "", fitted_on: str = OTHERS) -> References:
        """Fit on recordings, best those that the model was trained on; some frames at a time, in several passes.

        Raises RecordingError where they are of several kinds, or tell nothing of the domain's physics; SettingsError
        for an unknown domain.
        """
        field = domain(domain_name) if domain_name else None
        streamed = Streamed(recordings)
        first = one_kind(streamed)
        physics = None if field is None else field.physics(streamed)
        rivals, reader = baselines.fit(streamed), ControlReader.fit(streamed)
        return cls(rivals, reader, physics, domain_name, fitted_on, kind_of(first, first.attrs["session"]))

    def require_kind(self, ds: xr.Dataset) -> None:
        """Raise RecordingError unless a recording has the shape, channels, controls and units of those fitted on."""
        require_kind(ds, self.kind, ds.attrs["session"], "those that baselines were fitted on")
