"""The best and the worst recording of an evaluation, to be played and looked at."""

from __future__ import annotations

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from sciworld import plots
from sciworld.evaluate.imagine import Imagination, imagine
from sciworld.evaluate.report import Section
from sciworld.evaluate.table import number
from sciworld.streamed import Recordings, Streamed
from sciworld.surrogate.surrogate import Surrogate

SAMPLES = 4  # whose mean is shown beside one of them


def section(found: xr.Dataset, surrogate: Surrogate, recordings: Recordings, ratio: np.ndarray, seed: int) -> Section:
    """Both as movies, truth beside what is imagined. ratio : (recording,), the lower the better."""
    items: list[Figure] = []
    told = []
    for name, place in (("best", int(np.nanargmin(ratio))), ("worst", int(np.nanargmax(ratio)))):
        which, share = int(found.recording.values[place]), number(float(ratio[place]))
        ds = Streamed(recordings)[which]
        start = int(np.nanmin(found.start_frame.values[place]))
        shown = imagine(
            surrogate, ds, np.random.default_rng(seed), start=start, steps=found.sizes["step"], samples=SAMPLES
        )
        items += _movies(shown, f"{name}: recording {which}")
        session = ds.attrs["session"]
        told.append(f"{name}: recording {which} ({session}), from frame {start} on, {share} of persistence's RMSE")
    return Section(
        "Best and worst",
        f"What was recorded, one sampled future, the mean of {SAMPLES}, and how far that mean is off. "
        f"{'; '.join(told)}.",
        items,
    )


def _movies(shown: Imagination, title: str) -> list[Figure]:
    """One movie a channel, the present first."""
    present = shown.context[-1:]
    truth, one, mean = (
        np.concatenate([present, frames]) for frames in (shown.truth, shown.futures[0], shown.futures.mean(axis=0))
    )
    times = [f"{seconds:.3g} s" for seconds in shown.time - shown.time[0]]
    return [
        plots.movie(
            {"recorded": truth[..., k], "one future": one[..., k], "mean future": mean[..., k]},
            times,
            title=f"{title}, {column.name}",
            units=column.units,
            differences={"mean - recorded": (mean - truth)[..., k]},
        )
        for k, column in enumerate(shown.channels)
    ]
