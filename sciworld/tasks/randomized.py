"""Did the randomization work? One page about a store of variants and the drives that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from sciworld.domains.driving.exact import conditions_of
from sciworld.domains.driving.kept import Kept, diversity, kept
from sciworld.domains.driving.randomize import levels
from sciworld.domains.driving.road.conditions import PRESETS
from sciworld.domains.driving.scene import Optics
from sciworld.domains.driving.sheet import name_of, sheet
from sciworld.errors import RecordingError
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.table import DASH, Table, number
from sciworld.recording import Recording
from sciworld.selection import IMAGINED
from sciworld.store import Store
from sciworld.tasks.weather_judge import WEATHERS, WeatherJudge, fit_judge

LOOKED_AT = 12  # recordings, and frames of each that are judged, at most
LONGEST = 120  # frames of a recording that are compared with its variants
COLUMNS = ("weather", "variants", "taken for it", "source taken for it", "edges kept", "turns kept", "heeds steering",
           "flicker")  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Of one variant.

    Parameters
    ----------
    of : its source's number. weather : see `name_of`. taken, source_taken : shares of its frames, and of the source's,
        that the judge takes for that weather; NaN for one that it never saw. kept : see there.
    """

    of: int
    weather: str
    taken: float
    source_taken: float
    kept: Kept


@dataclass(frozen=True)
class Randomized:
    """What was measured of a store of variants.

    Parameters
    ----------
    rows : of each variant that was looked at. across, within : mean difference of variants in the units of frames,
        under other conditions, and under the same with other seeds; NaN where there are none.
    """

    rows: tuple[Measured, ...]
    across: float
    within: float

    def to_table(self) -> Table:
        """One line a weather, means over its variants."""
        lines = []
        for name in dict.fromkeys(row.weather for row in self.rows):
            own = [row for row in self.rows if row.weather == name]
            heeds, heeded = (_mean([getattr(row.kept, which) for row in own]) for which in ("heeds", "heeded"))
            cells = [_mean([row.taken for row in own]), _mean([row.source_taken for row in own])]
            cells += [_mean([getattr(row.kept, which) for row in own]) for which in ("edges", "turns")]
            steering = DASH if np.isnan(heeds) else f"{number(heeds)} (source {number(heeded)})"
            flicker = number(_mean([row.kept.flicker for row in own]))
            lines.append((name, str(len(own)), *map(number, cells), steering, flicker))
        ratio = f", {number(self.across / self.within)} times what seeds do" if self.within > 0 else ""
        said = (
            "Taken for it: shares of frames, by a judge that learned weathers from simulated drives alone; of a place "
            "unlike any road it knows it tells little. Edges kept: 0.25 where they run anyhow; on roads, which are "
            "alike, frames of other drives come to 0.5. Turns kept: correlation with those of the source, read by the "
            "way that it went. Heeds steering: Spearman's correlation of turns with steering. Flicker: over the "
            f"source's. Weathers differ by {number(self.across)} in the units of frames{ratio}."
        )
        return Table(COLUMNS, tuple(lines), said)


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def measure(
    sources: Store, variants: Store, optics: Optics | None = None, judge: WeatherJudge | None = None
) -> Randomized:
    """What the variants of at most LOOKED_AT recordings keep, and whether they look as they were asked to.

    judge : by default one that learns the six weathers of WEATHERS and those that the variants have, which takes about
    a minute. Raises RecordingError where the variants are of other recordings.
    """
    chosen = _chosen(sources, variants)
    first = next(chosen)  # what cannot be measured is refused before the judge learns
    if judge is None:
        names = [name_of(variants.lazily(index)) for index in range(len(variants))]
        judge = fit_judge(tuple(dict.fromkeys([*WEATHERS, *(name for name in names if name in PRESETS)])))
    rows, apart = [], []
    for of, source, each in chain([first], chosen):
        for one in each:
            name, keeps = name_of(one), kept(source, one, optics)
            taken, before = (_taken(judge, ds, name) for ds in (one, source))
            rows.append(Measured(of, name, taken, before, keeps))
        apart.append(diversity([one["frames"].values for one in each], [str(conditions_of(one)) for one in each]))
    across, within = (_mean([pair[k] for pair in apart]) for k in (0, 1))
    return Randomized(tuple(rows), across, within)


def _chosen(sources: Store, variants: Store) -> Iterator[tuple[int, Recording, list[Recording]]]:
    """Sources, by number, with all of their variants."""
    facts = variants.facts()
    if "variant_of" not in facts:
        raise RecordingError(f"{variants.path}: holds no variants; make them with sciworld randomize")
    of = facts["variant_of"].values.astype(int)
    every = np.unique(of)
    if every.min() < 0 or every.max() >= len(sources):
        raise RecordingError(f"{variants.path}: holds variants of other recordings than those of {sources.path}")
    for number_of in every[np.linspace(0, len(every) - 1, min(LOOKED_AT, len(every))).astype(int)]:
        source = _begun(sources, int(number_of))
        each = [_begun(variants, int(k)) for k in np.flatnonzero(of == number_of)]
        for one in each:
            if str(one.attrs["source"]).startswith(IMAGINED):
                raise RecordingError(
                    f"{variants.path}: holds futures, which nothing that was recorded can be held against"
                )
            if one.attrs["session"] != source.attrs["session"] or one["frames"].shape != source["frames"].shape:
                raise RecordingError(
                    f"'{one.attrs['session']}' of {variants.path} is no variant of '{source.attrs['session']}', the "
                    f"recording {number_of} of {sources.path}; give the store that the variants were made of"
                )
        yield int(number_of), source, each


def _begun(store: Store, index: int) -> Recording:
    """The first LONGEST frames of a recording, and what goes with them."""
    return store.lazily(index).isel(time=slice(0, LONGEST)).load()


def _taken(judge: WeatherJudge, ds: Recording, name: str) -> float:
    if name not in judge.weathers:
        return float("nan")
    frames, (low, high) = ds["frames"].values, levels(ds)
    picked = frames[np.linspace(0, len(frames) - 1, min(LOOKED_AT, len(frames))).astype(int)]
    return judge.share((picked.astype(np.float32) - low) * (255.0 / (high - low)), name)


def report(sources: Store, variants: Store, out: Path, optics: Optics | None = None) -> Table:
    """Write the page `out`; its table."""
    found = measure(sources, variants, optics)
    of, source, each = next(_chosen(sources, variants))
    table = found.to_table()
    history = str(each[0].attrs["history"]).rpartition("; ")[2]
    write_report(
        out,
        "One drive, many weathers",
        [
            Section("Beside each other", f"Recording {of} of {sources.path.name}. {history}.", [sheet(source, each)]),
            Section("Did it work?", "", [table]),
        ],
    )
    return table
