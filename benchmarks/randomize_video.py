"""Weather that is drawn into recorded video: dials, flicker, diversity and speed, on clips of real drives."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

from harness import Figure, Run

FRAMES, SIDE = 16, 64  # of a clip
CLIPS = 6  # of each of the two recordings
LEVELS = 9  # of a dial
BASE = "cloudy_noon"  # under which both were filmed, as far as one can tell
STEP = 0.05  # s a frame
# Of each recording: the row of the horizon in a clip, and whether there is any sky.
SOURCES = {"commavq-highway": (33.0, True), "donkeycar-tub": (22.4, False)}
FAR, GROUND = slice(8, 28), slice(40, 64)  # rows
COVERED = 10  # counts by which puddles change what they cover
SEEDS = 3  # of the same weather
PATCH, REACH = 8, 14  # pixels of a patch of rain, and that it may fall by
SHOWN = ("clear_noon", "sunset", "clear_night", "rain_noon", "rain_night", "fog_day", "fog_night", "snow_day",
         "snow_night", "dust_storm", "wet_noon", "drizzle_dusk")  # fmt: skip


@cache
def clips(run: Run) -> list[tuple[str, Any, Any]]:
    """(recording's name, clip as a recording, settings), of frames FRAMES x SIDE x SIDE."""
    from sciworld.domains.driving.randomize import Randomizing
    from sciworld.domains.driving.scene import Optics

    found = []
    for name, (horizon, sky) in SOURCES.items():
        frames = frames_of(name)
        settings = Randomizing("video", BASE, Optics(horizon=horizon, sky=sky))
        for begin in np.linspace(0, len(frames) - FRAMES, 1 if run.quick else CLIPS).astype(int):
            found.append((name, recording_of(name, small(frames[begin : begin + FRAMES])), settings))
    return found


@cache
def frames_of(name: str) -> np.ndarray:
    """All of a recording."""
    import tempfile
    from pathlib import Path

    from sciworld import catalog
    from sciworld.ingest import run as ingest
    from sciworld.store import Store

    catalog.fetch(name)
    with tempfile.TemporaryDirectory() as folder:
        ingest.ingest_entry(name, Path(folder) / "store")
        return np.asarray(Store.open(Path(folder) / "store")[0]["frames"].values)


def small(frames: np.ndarray) -> np.ndarray:
    """The middle square of frames (time, y, x, 3), SIDE pixels wide."""
    y, x = frames.shape[1:3]
    left, k = (x - y) // 2, y / SIDE
    edges = np.round(np.arange(SIDE + 1) * k).astype(int)[:-1]
    square = frames[:, :, left : left + y].astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(square, edges, axis=1), edges, axis=2)
    counts = np.diff(np.append(edges, y))
    found: np.ndarray = np.rint(sums / counts[:, None, None] / counts[None, :, None]).astype(np.uint8)
    return found


def recording_of(name: str, frames: np.ndarray) -> Any:
    from sciworld import recording
    from sciworld.controls import colours

    return recording.make(
        frames, STEP * np.arange(len(frames)), channels=colours(3), session=name, source=name, licence="", citation="",
        history="a clip",
    )  # fmt: skip


def _drawn(clip: Any, settings: Any, conditions: Any, seed: int = 0) -> np.ndarray:
    from sciworld.domains.driving.randomize import randomize

    found: np.ndarray = next(randomize(clip, 1, [conditions], seed, settings))["frames"].values.astype(np.float64)
    return found


def _flashes(frames: np.ndarray) -> float:
    """How far frames lie from the mean of those before and behind: what is in one frame alone."""
    return float(np.abs(frames[1:-1] - 0.5 * (frames[2:] + frames[:-2])).mean())


def _sight(frames: np.ndarray, source: np.ndarray) -> float:
    """How little one sees far away: by what fog, snow and dust storms are graded."""
    return -float(frames[:, FAR].std(axis=(1, 2)).mean())


# What is measured of each dial in frames, and in those of the source, and the ends of the dial.
DIALS = {
    "fog_density": ((0, 90), _sight),
    "dust_storm": ((0, 90), _sight),
    "snow": ((0, 100), _sight),
    "precipitation": ((0, 100), lambda f, source: _flashes(f - source)),
    "snow_deposits": ((0, 90), lambda f, source: f[:, GROUND].mean()),
    "wetness": ((0, 100), lambda f, source: -f[:, GROUND].mean()),
    "precipitation_deposits": ((0, 100), lambda f, source: (np.abs(f - source)[:, GROUND] > COVERED).mean()),
    "sun_altitude_angle": ((-35, 45), lambda f, source: f.mean()),
}


def dials(run: Run) -> Figure:
    """Spearman's correlation of what is commanded with what is measured, mean over the clips, of the worst dial.

    spread : from the worst clip of the worst dial to the best dial. rows : dial, recording, levels, measured.
    """
    from sciworld.domains.driving.randomize import at_dial

    rows = []
    for name, ((low, high), measure) in DIALS.items():
        levels = np.linspace(low, high, 4 if run.quick else LEVELS)
        for source, clip, settings in clips(run):
            frames = [_drawn(clip, settings, one) for one in at_dial(BASE, name, levels.tolist())]
            shown = np.array([measure(one, clip["frames"].values.astype(np.float64)) for one in frames])
            row = {"dial": name, "source": source, "spearman": _spearman(levels, shown)}
            rows.append({**row, "levels": levels.tolist(), "measured": shown.tolist()})
    each = {name: np.array([row["spearman"] for row in rows if row["dial"] == name]) for name in DIALS}
    for name, found in each.items():
        print(f"{name}: {found.mean():.3f} ({found.min():.3f} ..)")
    worst = min(each, key=lambda name: each[name].mean())
    best = max(found.mean() for found in each.values())
    return Figure(float(each[worst].mean()), "1", (float(each[worst].min()), float(best)), rows)


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(series)) for series in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def flicker(run: Run) -> Figure:
    """Difference of consecutive frames over the source's, of the precipitation where that is farthest from 1.

    spread : over all that falls. rows : of each, and of each clip; `follows`, how well rain is found again along its
    fall, and `by_chance` in frames that do not follow each other.
    """
    from sciworld.domains.driving.randomize import at_dial

    rows = []
    for name in ("precipitation", "snow"):
        for level in (30.0, 60.0, 90.0):
            (falling,) = at_dial(BASE, name, [level])
            for source, clip, settings in clips(run):
                drawn, plain = _drawn(clip, settings, falling), clip["frames"].values.astype(np.float64)
                moved = [np.abs(np.diff(frames, axis=0)).mean() for frames in (drawn, plain)]
                layer = (drawn - plain).mean(axis=-1)
                layer -= np.median(layer, axis=0)
                follows, chance = _follows(layer)
                rows.append({"falls": name, "level": level, "source": source, "ratio": float(moved[0] / moved[1]),
                             "follows": follows, "by_chance": chance})  # fmt: skip
    keys = sorted({(row["falls"], row["level"]) for row in rows})
    means = {key: np.mean([row["ratio"] for row in rows if (row["falls"], row["level"]) == key]) for key in keys}
    for key, found in means.items():
        along = [np.nanmean([row[name] for row in rows if (row["falls"], row["level"]) == key])
                 for name in ("follows", "by_chance")]  # fmt: skip
        print(f"{key[0]} {key[1]:g}: {found:.3f} of the source; found again {along[0]:.2f}, by chance {along[1]:.2f}")
    worst = max(means, key=lambda key: abs(np.log(means[key])))
    return Figure(float(means[worst]), "x", (float(min(means.values())), float(max(means.values()))), rows)


def _follows(layer: np.ndarray) -> tuple[float, float]:
    """Correlation of patches of a layer (time, y, x) with the best place below them in the next frame, and in a frame
    that is not the next."""
    return _found_again(layer, 1), _found_again(layer, 7)


def _found_again(layer: np.ndarray, lag: int) -> float:
    found = []
    for t in range(0, len(layer) - lag, 3):
        energy = layer[t] ** 2
        for y in range(0, layer.shape[1] - PATCH - REACH, PATCH):
            for x in range(REACH // 2, layer.shape[2] - PATCH - REACH // 2, PATCH):
                part = layer[t, y : y + PATCH, x : x + PATCH]
                if energy[y : y + PATCH, x : x + PATCH].mean() < 2.0 * energy.mean() or part.std() < 1.0:
                    continue
                found.append(max(
                    _alike(part, layer[t + lag, y + dy : y + dy + PATCH, x + dx : x + dx + PATCH])
                    for dy in range(REACH) for dx in range(-(REACH // 2), REACH // 2 + 1)
                ))  # fmt: skip
    return float(np.mean(found)) if found else float("nan")


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    total = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / total) if total > 0 else 0.0


def diversity(run: Run) -> Figure:
    """Mean distance of variants under other conditions over that of variants under the same ones with other seeds.

    Of the same clip, in counts. spread : quartiles over the clips. rows : of each clip.
    """
    rows = []
    for source, clip, settings in clips(run):
        each = [[_drawn(clip, settings, name, seed) for seed in range(SEEDS)] for name in SHOWN]
        across = [_apart(each[i][0], each[j][0]) for i in range(len(each)) for j in range(i)]
        within = [_apart(seeds[i], seeds[j]) for seeds in each for i in range(SEEDS) for j in range(i)]
        rows.append({"source": source, "across": float(np.mean(across)), "within": float(np.mean(within))})
    ratios = [row["across"] / row["within"] for row in rows]
    low, high = np.quantile(ratios, [0.25, 0.75])
    return Figure(float(np.median(ratios)), "x", (float(low), float(high)), rows)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def speed(run: Run) -> Figure:
    """Variants a second, of clips of 16 frames of 64 x 64, the scene found once for each twelve of them; on all cores.

    spread : quartiles over the clips. rows : seconds of twelve variants of each clip.
    """
    from sciworld.domains.driving.randomize import randomize

    rows = []
    for repeat in range(2):
        for source, clip, settings in clips(run):
            begin = time.perf_counter()
            for _ in randomize(clip, len(SHOWN), ",".join(SHOWN), 0, settings):
                pass
            if repeat:  # the first is for compilers
                rows.append({"source": source, "seconds": time.perf_counter() - begin})
    per = [len(SHOWN) / row["seconds"] for row in rows]
    low, middle, high = np.quantile(per, [0.25, 0.5, 0.75])
    return Figure(float(middle), "1/s", (float(low), float(high)), rows)
