"""The pictures of the road simulator: one drive in twelve kinds of weather, and six places.

Run from the repository's root: python docs/make_road_sheets.py
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.places import NAMES
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator

HERE = Path(__file__).parent
SHOWN = (
    "clear_noon",
    "cloudy_noon",
    "rain_noon",
    "snow_day",
    "clear_dawn",
    "fog_dawn",
    "fog_day",
    "dust_storm",
    "sunset",
    "clear_night",
    "rain_night",
    "snow_night",
)
ROWS, COLUMNS, FINE = 144, 240, 2  # pixels of a picture; drawn FINE times as large and averaged
GAP, LEVELS = 2, 3  # pixels between pictures; steps of grey levels, which keep the file small
SEED, STEPS = 3, 60


def picture_of(place: str, seed: int, conditions: list[str]) -> np.ndarray:
    """The same moment of a drive in each of the conditions : (condition, y, x, 3) uint8."""
    simulator = RoadSimulator(RoadSettings(place=place, rows=ROWS * FINE, columns=COLUMNS * FINE))
    rng = np.random.default_rng(seed)
    state = simulator.start(1, rng)
    for _ in range(STEPS):
        state = simulator.move(state, expert_controls(simulator, state))
    state = state.take(np.zeros(len(conditions), dtype=int)).under(list(conditions))
    frames = simulator.image(state, rng).frames.astype(np.float32)
    small = frames.reshape(-1, ROWS, FINE, COLUMNS, FINE, 3).mean(axis=(2, 4))
    return (np.round(small / LEVELS) * LEVELS).clip(0, 255).astype(np.uint8)


def sheet(pictures: np.ndarray, across: int) -> np.ndarray:
    """Pictures : (n, y, x, 3) side by side in rows of `across`."""
    n, rows, columns, _ = pictures.shape
    down = -(-n // across)
    out = np.full((down * (rows + GAP) - GAP, across * (columns + GAP) - GAP, 3), 255, dtype=np.uint8)
    for k, picture in enumerate(pictures):
        y, x = k // across * (rows + GAP), k % across * (columns + GAP)
        out[y : y + rows, x : x + columns] = picture
    return out


def filtered(picture: np.ndarray) -> bytes:
    """The rows of a PNG, each with the filter of the five whose differences are least."""
    rows, columns, _ = picture.shape
    lines = picture.reshape(rows, columns * 3).astype(np.int16)
    out = []
    for k in range(rows):
        now, above = lines[k], lines[k - 1] if k else np.zeros_like(lines[0])
        left, corner = (np.concatenate([[0, 0, 0], line[:-3]]) for line in (now, above))
        guess = left + above - corner
        near = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(near.argmin(axis=0), [left, above, corner])
        tried = [(now - base) % 256 for base in (0 * now, left, above, (left + above) // 2, paeth)]
        best = min(range(5), key=lambda f: np.minimum(tried[f], 256 - tried[f]).sum())
        out.append(bytes([best]) + tried[best].astype(np.uint8).tobytes())
    return b"".join(out)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture (y, x, 3) uint8."""
    rows, columns, _ = picture.shape
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(filtered(picture), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    write_png(HERE / "road_conditions.png", sheet(picture_of("suburb", SEED, list(SHOWN)), 4))
    write_png(
        HERE / "road_places.png",
        sheet(np.concatenate([picture_of(place, SEED, ["clear_noon"]) for place in NAMES]), 3),
    )
