"""Whether variants look as they were asked to: a classifier of weathers that saw nothing but the simulator's pictures.

It learns on drives of the trusted simulator in each weather, on roads of their own. What it judges is drawn into other
drives by the video method, which learns nothing at all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from harness import Figure, Run

WEATHERS = ("clear_noon", "rain_noon", "fog_day", "snow_day", "clear_night", "dust_storm")
SOURCE = "cloudy_noon"  # under which what is judged was recorded; no class
ROWS, COLUMNS = 48, 72
LEARNED, JUDGED, CLIP = 240, 60, 8  # drives, and frames of a clip
STEPS, BATCH, RATE = 600, 64, 2e-3
SHADE = 0.1  # by which learned pictures are made brighter by chance


def compliance(run: Run) -> dict[str, Figure]:
    """Balanced accuracy on variants, and on the untouched source under the same labels. spread : least and most of a
    weather. rows : of each weather and method the shares that were taken for each."""
    learned, judged = (16, 6) if run.quick else (LEARNED, JUDGED)
    classifier = _fitted(run, learned)
    sources, variants = _judged(judged)
    rows = []
    for k, name in enumerate(WEATHERS):
        for what, frames in (("variant", variants[name]), ("source", sources), ("drawn anew", _drawn(judged)[name])):
            shares = np.bincount(classifier(frames), minlength=len(WEATHERS)) / len(frames)
            rows.append({"asked": name, "of": what, "taken_for": dict(zip(WEATHERS, shares.tolist(), strict=True)),
                         "right": float(shares[k])})  # fmt: skip
    figures = {}
    for what, figure in (("variant", "compliance"), ("source", "compliance_source"), ("drawn anew", "")):
        right = np.array([row["right"] for row in rows if row["of"] == what])
        print(f"{what}: {right.mean():.3f} ({', '.join(f'{n} {v:.2f}' for n, v in zip(WEATHERS, right, strict=True))})")
        if figure:
            own = [row for row in rows if row["of"] == what]
            figures[figure] = Figure(float(right.mean()), "1", (float(right.min()), float(right.max())), own)
    return figures


def _clips(n: int, seed: int, steps: int) -> list[Any]:
    """Of n drives the simulator, and the states of a clip at the end of so many steps."""
    from sciworld.domains.driving.road.expert import expert_controls
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator

    simulator = RoadSimulator(RoadSettings(rows=ROWS, columns=COLUMNS))
    state = simulator.start(n, np.random.default_rng(seed))
    states = []
    for step in range(steps):
        state = simulator.move(state, expert_controls(simulator, state))
        if step >= steps - CLIP:
            states.append(state)
    return [simulator, states]


@cache
def _fitted(run: Run, n: int) -> Any:
    """Frames (n, y, x, 3) -> the number of the weather : (n,)."""
    import torch

    simulator, states = _clips(n, 81, 40)
    rng = np.random.default_rng(0)
    frames = [simulator.image(states[t].under(name), rng).frames for name in WEATHERS for t in (0, CLIP - 1)]
    labels = np.repeat(np.arange(len(WEATHERS)), 2 * n)
    pictures, classes = torch.from_numpy(np.concatenate(frames)), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, 2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, 2), torch.nn.ReLU(),
            torch.nn.Conv2d(32, 48, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(3), torch.nn.Flatten(),
            torch.nn.Dropout(0.3), torch.nn.Linear(432, len(WEATHERS)),
        )  # fmt: skip
        adamw = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
        for step in range(20 if run.quick else STEPS):
            for group in adamw.param_groups:
                group["lr"] = RATE * (1.0 - step / STEPS)
            rows = torch.from_numpy(rng.choice(len(labels), BATCH))
            shown = _seen(pictures[rows]) * (1.0 + SHADE * torch.randn(BATCH, 1, 1, 1))
            loss = torch.nn.functional.cross_entropy(net(shown), classes[rows])
            adamw.zero_grad()
            loss.backward()
            adamw.step()
    net.eval()

    def classify(frames: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(net(_seen(torch.from_numpy(frames))).argmax(dim=1).numpy())

    return classify


def _seen(pictures: Any) -> Any:
    return pictures.permute(0, 3, 1, 2).float() / 128.0 - 1.0


@cache
def _states(n: int) -> Any:
    return _clips(n, 82, 50)


@cache
def _drawn(n: int) -> dict[str, np.ndarray]:
    """The last frame of each clip as the simulator draws it: what the classifier can do at best."""
    simulator, states = _states(n)
    rng = np.random.default_rng(1)
    return {name: simulator.image(states[-1].under(name), rng).frames for name in WEATHERS}


@cache
def _judged(n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The last frame of each clip as recorded, and of each weather's variant."""
    from sciworld import recording
    from sciworld.controls import colours
    from sciworld.domains.driving.randomize import Randomizing, randomize
    from sciworld.domains.driving.scene import Optics

    simulator, states = _states(n)
    rng, one = np.random.default_rng(1), simulator.settings
    films = np.stack([simulator.image(state.under(SOURCE), rng).frames for state in states], axis=1)
    horizon = 0.5 * (ROWS - 1) + one.focal * np.tan(np.radians(one.camera_pitch))
    settings = Randomizing("video", SOURCE, Optics(one.field_of_view, one.camera_height, float(horizon)))
    found: dict[str, list[np.ndarray]] = {name: [] for name in WEATHERS}
    for k, film in enumerate(films):
        ds = recording.make(
            film, one.step * np.arange(CLIP), channels=colours(3), session=f"judged-{k}", source="judged", licence="",
            citation="", history="a clip",
        )  # fmt: skip
        for name, variant in zip(WEATHERS, randomize(ds, len(WEATHERS), list(WEATHERS), k, settings), strict=True):
            found[name].append(variant["frames"].values[-1])
    return films[:, -1], {name: np.stack(frames) for name, frames in found.items()}
