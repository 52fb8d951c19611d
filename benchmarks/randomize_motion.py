"""Whether variants keep how the car moved: what is read of it in two frames, in the source and in its variants.

The reader learns on the source and on variants of drives that are not judged, of each alike: who never saw night reads
nothing at night. What weather hides is lost to it all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Figure, Run
from randomize_learned import variants
from randomize_video import frames_of

WEATHERS = ("clear_noon", "sunset", "rain_noon", "fog_dawn", "snow_day", "clear_night", "rain_night", "dust_storm")
SOURCE = "cloudy_noon"
ROWS, COLUMNS, STEP = 48, 84, 0.1
DRIVES, FRAMES, WANDER = 300, 40, 0.5
STEPS, BATCH, RATE = 6000, 64, 1e-3
WARM = 500  # of the steps, in which the rate grows
TWITCH = 4.0  # what differences of two pictures are multiplied by: most of one is the same in the other
LATE = 4  # frames by which the tub's pictures answer its steering
PIECE = 50  # frames of the tub, that are learned from or judged together


def drop(run: Run) -> Figure:
    """R^2 of the turn that is read in the source less that in its variants, of the recording where it is larger.

    Of simulated drives the turn of a step, of the tub the steering; beside them rows of simulated drives drawn anew,
    read by one who learned on such. spread : least and most of a weather. rows : of each recording and weather R^2, and
    of every part that was judged the count, and the sums of squared errors, of what is true, and of its squares.
    """
    from sciworld.domains.driving.scene import Optics

    films, turns, anew, optics = _simulated(run)
    tub, steering = _tub(run)
    rows = _measured(run, "simulated", _every(films, optics, STEP), turns)
    rows += _measured(run, "donkeycar-tub", _every(tub, Optics(100.0, horizon=14.0, sky=False), 0.05), steering)
    rows += _measured(run, "drawn anew", anew, turns)
    figures = {}
    for name in ("simulated", "donkeycar-tub", "drawn anew"):
        own = {row["weather"]: row["r2"] for row in rows if row["of"] == name}
        drops = {weather: own[SOURCE] - own[weather] for weather in WEATHERS}
        figures[name] = (float(np.mean(list(drops.values()))), drops)
        shown = ", ".join(f"{weather} {fall:.3f}" for weather, fall in drops.items())
        print(f"{name}: R2 {own[SOURCE]:.3f}; mean drop {figures[name][0]:.3f} ({shown})")
    del figures["drawn anew"]  # what the simulator's own weather hides, to compare
    value, drops = max(figures.values(), key=lambda one: one[0])
    return Figure(value, "1", (min(drops.values()), max(drops.values())), rows)


def _simulated(run: Run) -> tuple[list[np.ndarray], list[np.ndarray], list[dict[str, np.ndarray]], Any]:
    """Films, turns of every step in rad, the films as the simulator draws them in all weathers, and optics."""
    from sciworld.domains.driving.road.expert import drive
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator
    from sciworld.domains.driving.scene import Optics

    one = RoadSettings(rows=ROWS, columns=COLUMNS, step=STEP)
    simulator, rng = RoadSimulator(one, SOURCE), np.random.default_rng(95)
    seen, _, states = drive(simulator, simulator.start(8 if run.quick else DRIVES, rng), FRAMES - 1, rng, WANDER)
    yaw = np.stack([state.pose[:, 2] for state in states], axis=1)
    films = np.stack([each.frames for each in seen], axis=1)
    drawn = {name: np.stack([simulator.image(state.under(name), rng).frames for state in states], axis=1)
             for name in WEATHERS}  # fmt: skip
    anew = [{SOURCE: film, **{name: drawn[name][k] for name in WEATHERS}} for k, film in enumerate(films)]
    horizon = 0.5 * (ROWS - 1) + one.focal * np.tan(np.radians(one.camera_pitch))
    return list(films), list(np.diff(yaw, axis=1)), anew, Optics(one.field_of_view, one.camera_height, float(horizon))


def _tub(run: Run) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Films of the tub, in pieces, and its steering."""
    import tempfile
    from pathlib import Path

    from sciworld.ingest import run as ingest
    from sciworld.store import Store

    frames = frames_of("donkeycar-tub")
    with tempfile.TemporaryDirectory() as folder:
        ingest.ingest_entry("donkeycar-tub", Path(folder) / "store")
        steering = Store.open(Path(folder) / "store")[0]["controls"].values[:, 0]
    t, y, x, _ = frames.shape
    small = frames[:, : y // 3 * 3, : x // 3 * 3].reshape(t, y // 3, 3, x // 3, 3, 3).mean(axis=(2, 4))
    frames, steering = np.rint(small[LATE:]).astype(np.uint8), steering[:-LATE]
    pieces = [slice(at, at + PIECE) for at in range(0, len(frames) - PIECE, PIECE)][: 4 if run.quick else None]
    films = [frames[piece] for piece in pieces]
    return films, [steering[piece][:-1] for piece in pieces]


def _every(films: list[np.ndarray], optics: Any, step: float) -> list[dict[str, np.ndarray]]:
    """Each film as it is, and with all weathers drawn into it."""
    from sciworld.domains.driving.randomize import Randomizing

    found = []
    for seed, film in enumerate(films):
        drawn = variants(Randomizing("video", SOURCE, optics), film[None], WEATHERS, step, seed)
        found.append({SOURCE: film, **{name: each[0] for name, each in drawn.items()}})
    return found


def _measured(run: Run, name: str, every: list[dict[str, np.ndarray]], turns: list[np.ndarray]) -> list[dict[str, Any]]:
    """One row a weather, read in every third film by who learned on the others."""
    judged = np.arange(len(every)) % 3 == 2
    known = [np.isfinite(turn) for turn in turns]
    scale = float(np.concatenate([turn[ok] for turn, ok in zip(turns, known, strict=True)]).std())

    def pairs(weather: str, which: bool) -> tuple[np.ndarray, np.ndarray]:
        rows = [k for k in range(len(every)) if judged[k] == which]
        both = [np.concatenate([every[k][weather][:-1], every[k][weather][1:]], axis=-1)[known[k]] for k in rows]
        return np.concatenate(both), np.concatenate([turns[k][known[k]] for k in rows]) / scale

    read = _reader(run, {weather: pairs(weather, False) for weather in every[0]})
    found = []
    for weather in every[0]:
        shown, true = pairs(weather, True)
        told = read(shown)
        r2 = 1.0 - float(((told - true) ** 2).mean() / true.var())
        parts = np.array_split(np.stack([(told - true) ** 2, true, true**2]), judged.sum(), axis=1)
        sums = [[part.shape[1], *part.sum(axis=1).round(4).tolist()] for part in parts]
        found.append({"of": name, "weather": weather, "r2": r2, "sums": sums})
    return found


def _reader(run: Run, known: dict[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """Pairs of frames (n, y, x, 6) -> numbers (n,); it learns on the source and on each weather alike."""
    import torch

    rng, (_, y, x, channels), weathers = np.random.default_rng(0), known[SOURCE][0].shape, list(known)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 48, 5, 2, 2), torch.nn.ReLU(), torch.nn.Conv2d(48, 64, 3, 2, 1), torch.nn.ReLU(),
            torch.nn.Conv2d(64, 64, 3, 2, 1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Dropout(0.2),
            torch.nn.Linear(64 * -(-y // 8) * -(-x // 8), 64), torch.nn.ReLU(), torch.nn.Linear(64, 1),
        )  # fmt: skip
        adamw, steps = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02), 10 if run.quick else STEPS
        for step in range(steps):
            for group in adamw.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / WARM) * (1.0 - step / steps)
            shown, true = known[weathers[step % len(weathers)]]
            rows = rng.integers(len(true), size=BATCH)
            sides = torch.from_numpy(rng.choice([-1.0, 1.0], BATCH).astype(np.float32))  # mirrored, a turn is the other
            pictures = _seen(torch.from_numpy(shown[rows]))
            pictures = torch.where(sides[:, None, None, None] < 0, pictures.flip(3), pictures)
            wanted = sides * torch.from_numpy(true[rows].astype(np.float32))
            loss = torch.nn.functional.smooth_l1_loss(net(pictures)[:, 0], wanted)
            adamw.zero_grad()
            loss.backward()
            adamw.step()
    net.eval()

    def read(shown: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            seen = _seen(torch.from_numpy(shown))
            return np.asarray(0.5 * (net(seen) - net(seen.flip(3)))[:, 0].numpy(), dtype=np.float64)

    return read


def _seen(pairs: Any) -> Any:
    """Of each pair of pictures, by their contrast alone, the mean and the difference."""
    import torch

    light = pairs.permute(0, 3, 1, 2).float()
    middle, spread = light.mean(dim=(1, 2, 3), keepdim=True), light.std(dim=(1, 2, 3), keepdim=True)
    first, second = ((light - middle) / (spread + 2.0)).chunk(2, dim=1)
    return torch.cat([0.5 * (first + second), TWITCH * (second - first)], dim=1)
