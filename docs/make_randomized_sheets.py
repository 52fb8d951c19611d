"""The pictures of randomized drives: one moment of a film and of a tub, as recorded and in fourteen kinds of weather.

Run from the repository's root: python docs/make_randomized_sheets.py. The data come from the catalogue. It prints the
report on each, as Markdown.
"""

import tempfile
from pathlib import Path

import numpy as np
from make_road_sheets import sheet, write_png

from sciworld import catalog
from sciworld.domains.driving.randomize import Randomizing, randomize
from sciworld.domains.driving.scene import Optics
from sciworld.domains.driving.variants import randomize_store
from sciworld.ingest import run as ingest
from sciworld.store import Store
from sciworld.tasks.randomized import LONGEST, measure
from sciworld.tasks.weather_judge import WeatherJudge, fit_judge

HERE = Path(__file__).parent
SHOWN = (
    "clear_noon", "clear_dawn", "sunset", "clear_night", "rain_noon", "drizzle_dusk", "rain_night",
    "fog_day", "fog_night", "snow_day", "snow_clear", "snow_night", "wet_noon", "dust_storm",
)  # fmt: skip
FRAMES, LEVELS = 20, 3  # of a clip, of which the last is shown; steps of grey levels, which keep the file small


def clip(name: str, begin: int, frames: int = FRAMES) -> object:
    """Frames of a recording in the catalogue, as a recording that says when they were taken."""
    catalog.fetch(name)
    with tempfile.TemporaryDirectory() as folder:
        ingest.ingest_entry(name, Path(folder) / "store")
        ds = Store.open(Path(folder) / "store")[0]
    names = [name for name in ("frames", "view", "time", "controls") if name in ds.variables]
    found = ds[names].isel(time=slice(begin, begin + frames)).copy(deep=True)
    found["time"] = ("time", 0.05 * np.arange(frames), {"units": "s", "long_name": "start of the exposure"})
    if "controls" in found:
        found["controls"][-1] = np.nan
    return found


def pictures(name: str, begin: int, optics: Optics) -> np.ndarray:
    """The last frame of a clip as recorded, and in each of SHOWN : (15, y, x, 3) uint8."""
    ds = clip(name, begin)
    each = [ds, *randomize(ds, len(SHOWN), [*SHOWN], 0, Randomizing("video", "cloudy_noon", optics))]
    frames = np.stack([one["frames"].values[-1] for one in each]).astype(np.float32)
    return (np.round(frames / LEVELS) * LEVELS).clip(0, 255).astype(np.uint8)


def report(name: str, begin: int, optics: Optics, judge: WeatherJudge) -> str:
    """The table of the report on a longer clip, as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        sources = Store.create(Path(folder) / "sources")
        sources.append([clip(name, begin, LONGEST)])
        settings = Randomizing("video", "cloudy_noon", optics)
        variants = randomize_store(sources, Path(folder) / "out", 2 * len(SHOWN), ",".join(SHOWN), 0, settings)
        table = measure(sources, variants, optics, judge).to_table()
    lines = sorted(table.rows, key=lambda row: SHOWN.index(row[0]))
    head = [f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in lines), "", table.caption])


if __name__ == "__main__":
    judge = fit_judge(SHOWN)
    write_png(HERE / "randomized_highway.png", sheet(pictures("commavq-highway", 100, Optics(horizon=66.0)), 5))
    tub = Optics(100.0, horizon=42.0, sky=False)
    write_png(HERE / "randomized_tub.png", sheet(pictures("donkeycar-tub", 100, tub), 5))
    print(
        report("commavq-highway", 100, Optics(horizon=66.0), judge),
        report("donkeycar-tub", 100, tub, judge),
        sep="\n\n",
    )
