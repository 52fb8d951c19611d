"""The pictures of randomized drives: one moment of a film and of a tub, as recorded and in fourteen kinds of weather.

Run from the repository's root: python docs/make_randomized_sheets.py. The data come from the catalogue.
"""

import tempfile
from pathlib import Path

import numpy as np
from make_road_sheets import sheet, write_png

from sciworld import catalog
from sciworld.domains.driving.randomize import Randomizing, randomize
from sciworld.domains.driving.scene import Optics
from sciworld.ingest import run as ingest
from sciworld.store import Store

HERE = Path(__file__).parent
SHOWN = (
    "clear_noon", "clear_dawn", "sunset", "clear_night", "rain_noon", "drizzle_dusk", "rain_night",
    "fog_day", "fog_night", "snow_day", "snow_clear", "snow_night", "wet_noon", "dust_storm",
)  # fmt: skip
FRAMES, LEVELS = 20, 3  # of a clip, of which the last is shown; steps of grey levels, which keep the file small


def clip(name: str, begin: int) -> object:
    """Frames of a recording in the catalogue, as a recording that says when they were taken."""
    catalog.fetch(name)
    with tempfile.TemporaryDirectory() as folder:
        ingest.ingest_entry(name, Path(folder) / "store")
        ds = Store.open(Path(folder) / "store")[0]
    found = ds[["frames", "view", "time"]].isel(time=slice(begin, begin + FRAMES))
    found["time"] = ("time", 0.05 * np.arange(FRAMES), {"units": "s", "long_name": "start of the exposure"})
    return found


def pictures(name: str, begin: int, optics: Optics) -> np.ndarray:
    """The last frame of a clip as recorded, and in each of SHOWN : (15, y, x, 3) uint8."""
    ds = clip(name, begin)
    each = [ds, *randomize(ds, len(SHOWN), [*SHOWN], 0, Randomizing("video", "cloudy_noon", optics))]
    frames = np.stack([one["frames"].values[-1] for one in each]).astype(np.float32)
    return (np.round(frames / LEVELS) * LEVELS).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    write_png(HERE / "randomized_highway.png", sheet(pictures("commavq-highway", 100, Optics(horizon=66.0)), 5))
    tub = Optics(100.0, horizon=42.0, sky=False)
    write_png(HERE / "randomized_tub.png", sheet(pictures("donkeycar-tub", 100, tub), 5))
