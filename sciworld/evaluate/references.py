"""What a model is held against: baselines, a reader of controls, and the domain's physics, fitted on recordings."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from sciworld import recording
from sciworld.domains.base import Physics, domain
from sciworld.errors import RecordingError
from sciworld.evaluate import baselines
from sciworld.evaluate.baselines import Baseline
from sciworld.evaluate.readings import ControlReader
from sciworld.streamed import Recordings, Streamed, one_kind

OWN, OTHERS = "the evaluated recordings themselves", "other recordings"


@dataclass(frozen=True, eq=False)
class References:
    """Fitted once, for any number of models on recordings of one kind.

    Parameters
    ----------
    rivals : the baselines by name. reader : of controls, None where none were given. physics : None without a domain.
    domain : its name, or "". fitted_on : in words, for whoever reads the table. kind : channels and units that
        recordings must have.
    """

    rivals: dict[str, Baseline]
    reader: ControlReader | None
    physics: Physics | None
    domain: str
    fitted_on: str
    kind: tuple[str, ...]

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
        return cls(rivals, reader, physics, domain_name, fitted_on, kind_of(first))

    def require_kind(self, ds: xr.Dataset) -> None:
        """Raise RecordingError unless a recording has the channels, controls and units of those that were fitted."""
        for mine, own in zip(kind_of(ds), self.kind, strict=True):
            if mine != own:
                raise RecordingError(
                    f"{ds.attrs['session']}: has {mine}, the recordings that baselines were fitted on have {own}; "
                    "give recordings of one kind, in the same units"
                )


def kind_of(ds: xr.Dataset) -> tuple[str, ...]:
    """What two recordings must share to be compared, in words."""
    channels, controls = (
        ", ".join(f"{column.name} ({column.units})" for column in table) or "none"
        for table in (recording.channel_table(ds), recording.control_table(ds))
    )
    frame = " x ".join(map(str, ds["frames"].shape[1:]))
    units = ds["view"].attrs.get("units", "no units")
    return f"frames of {frame}", f"the channels {channels}", f"the controls {controls}", f"a view in {units}"
