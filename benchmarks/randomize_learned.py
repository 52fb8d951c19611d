"""Variants by a learned restyler: whether what stands where is still there.

The restyler learns from drives of the trusted simulator under a cloudy noon and the same drives in other weathers. What
it is judged on are other drives. The judge is a network that tells the class of every pixel; it learns on further
drives, as the simulator draws them in all weathers, and its answer is held against the exact masks of the source.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run

SOURCE = "cloudy_noon"
ROWS, COLUMNS = 48, 72
SHOWN = ("clear_noon", "sunset", "clear_night", "rain_noon", "rain_night", "fog_day", "fog_night", "snow_day",
         "snow_night", "dust_storm", "wet_noon", "drizzle_dusk")  # fmt: skip
DRIVES, FRAMES = 120, 24  # that the restyler learns from, each in all weathers
STEPS, BATCH = 6000, 16
JUDGED = 40  # other drives, of which CLIP frames are judged
CLIP = 3
FURTHER, GAP = 240, 12  # drives that the judge learns on, and steps between the frames of one
LESSONS, RATE = 5000, 3e-3


def restyler(run: Run, rows: int, columns: int, step: float, weathers: tuple[str, ...], seed: int) -> Path:
    """The folder of the run of a restyler to these weathers, trained if it is not there."""
    from sciworld.domains.driving.road.generate import generate
    from sciworld.domains.driving.variants import randomize_store
    from sciworld.store import Store
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    drives, steps = (6, 20) if run.quick else (DRIVES, STEPS)
    asked = repr((rows, columns, step, weathers, seed, drives, FRAMES, steps, BATCH))
    folder = run.cache / f"restyler-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
    if (folder / "run" / "model.safetensors").is_file():
        return folder / "run"
    road = {"rows": rows, "columns": columns, "step": step}
    if not Store.exists(folder / "drives"):
        generate(folder / "drives", seed, drives, FRAMES - 1, conditions=SOURCE, **road)
    variants = randomize_store(folder / "drives", folder / "weathers", len(weathers), ",".join(weathers), seed)
    # Without checkpoints on the way: what is begun again begins anew.
    settings = FitSettings(steps=steps, batch=BATCH, seed=seed, checkpoint_every=60.0)
    train(variants, folder / "run", settings, preset="restyle", beside=Store.open(folder / "drives"),
          resume=(folder / "run").exists())  # fmt: skip
    return folder / "run"


def layout(run: Run) -> Figure:
    """Share of pixels whose class the judge tells in variants as the exact mask of the source has it; mean of weathers.

    spread : least and most of a weather. rows : of each weather the share by drive, of variants, of what the simulator
    draws, and of the source.
    """
    from sciworld.domains.driving.road.truth import by_products

    simulator, states = clips(4 if run.quick else JUDGED, 86, 40, CLIP)
    films = pictures(simulator, states, SOURCE)
    masks = np.stack([by_products(simulator, state).mask for state in states], axis=1)
    every = variants(restyles(run), films, SHOWN, simulator.settings.step)
    told, rows = _judge(run), []
    looks = [("learned", name, every[name]) for name in SHOWN]
    looks += [("drawn anew", name, pictures(simulator, states, name)) for name in SHOWN] + [("source", SOURCE, films)]
    for what, weather, frames in looks:
        agree = (told(frames) == masks).mean(axis=(1, 2, 3)).round(5).tolist()
        rows.append({"of": what, "weather": weather, "agreement": agree})
    for what in ("learned", "drawn anew", "source"):
        own = {row["weather"]: float(np.mean(row["agreement"])) for row in rows if row["of"] == what}
        print(f"{what}: {np.mean(list(own.values())):.3f} ({', '.join(f'{n} {v:.3f}' for n, v in own.items())})")
    found = [float(np.mean(row["agreement"])) for row in rows if row["of"] == "learned"]
    return Figure(float(np.mean(found)), "1", (min(found), max(found)), rows)


def restyles(run: Run) -> Any:
    """The method that is judged."""
    from sciworld.domains.driving.road.conditions import PRESETS
    from sciworld.domains.driving.road.settings import RoadSettings

    return learned(run, ROWS, COLUMNS, RoadSettings().step, tuple(PRESETS), 84)


def clips(n: int, seed: int, steps: int, last: int) -> tuple[Any, list[Any]]:
    """A simulator, and the last states of n drives of an expert."""
    from sciworld.domains.driving.road.expert import expert_controls
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator

    simulator = RoadSimulator(RoadSettings(rows=ROWS, columns=COLUMNS))
    state, states = simulator.start(n, np.random.default_rng(seed)), []
    for at in range(steps):
        state = simulator.move(state, expert_controls(simulator, state))
        if at >= steps - last:
            states.append(state)
    return simulator, states


def pictures(simulator: Any, states: list[Any], weather: str) -> np.ndarray:
    """Frames (drive, time, y, x, 3) as the simulator draws them."""
    rng = np.random.default_rng(1)
    return np.stack([simulator.image(state.under(weather), rng).frames for state in states], axis=1)


def learned(run: Run, rows: int, columns: int, step: float, weathers: tuple[str, ...], seed: int) -> Any:
    """The method of a restyler to these weathers."""
    from sciworld.tasks.restyler import Restyler

    return Restyler(restyler(run, rows, columns, step, weathers, seed))


def variants(
    method: Any, films: np.ndarray, weathers: tuple[str, ...], step: float, seed: int = 0
) -> dict[str, np.ndarray]:
    """Films (drive, time, y, x, 3) as a method of randomizing draws them, by weather; `seed` is of the first."""
    from sciworld import recording
    from sciworld.controls import colours
    from sciworld.domains.driving.randomize import randomize

    found: dict[str, list[np.ndarray]] = {name: [] for name in weathers}
    for k, film in enumerate(films):
        ds = recording.make(
            film, step * np.arange(len(film)), channels=colours(3), session=f"film-{k}", source="films", licence="",
            citation="", history="a clip",
        )  # fmt: skip
        every = randomize(ds, len(weathers), list(weathers), seed + k, method)
        for name, one in zip(weathers, every, strict=True):
            found[name].append(one["frames"].values)
    return {name: np.stack(each) for name, each in found.items()}


@cache
def _judge(run: Run) -> Any:
    """Frames (drive, time, y, x, 3) -> the class of every pixel : (drive, time, y, x)."""
    import torch

    from sciworld.domains.driving.road.truth import CLASSES

    drives, lessons = (8, 10) if run.quick else (FURTHER, LESSONS)
    asked = repr((ROWS, COLUMNS, drives, GAP, lessons, BATCH, RATE))
    file = run.cache / f"layout-judge-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = _network(len(CLASSES))
        if file.is_file():
            net.load_state_dict(torch.load(file))
        else:
            _teach(net, drives, lessons)
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), file)
    net.eval()

    def tell(frames: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.stack([net(_seen(film)).argmax(dim=1).numpy() for film in frames])

    return tell


def _teach(net: Any, drives: int, lessons: int) -> None:
    import torch

    from sciworld.domains.driving.road.conditions import PRESETS
    from sciworld.domains.driving.road.truth import by_products

    simulator, states = clips(drives, 85, 5 * GAP, 5 * GAP)
    states, rng = states[::GAP], np.random.default_rng(0)
    masks = np.stack([by_products(simulator, state).mask for state in states], axis=1)
    looks = {name: pictures(simulator, states, name) for name in PRESETS}
    adamw = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    for lesson in range(lessons):
        for group in adamw.param_groups:
            group["lr"] = RATE * (1.0 - lesson / lessons)
        picked = [(rng.integers(len(masks)), rng.integers(len(states))) for _ in range(BATCH)]
        names = rng.choice(list(PRESETS), BATCH)
        frames = np.stack([looks[name][place] for name, place in zip(names, picked, strict=True)])
        true = torch.from_numpy(np.stack([masks[place] for place in picked]).astype(np.int64))
        loss = torch.nn.functional.cross_entropy(net(_seen(frames)), true)
        adamw.zero_grad()
        loss.backward()
        adamw.step()


def _seen(frames: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 128.0 - 1.0


def _network(classes: int) -> Any:
    """A network of three scales (U-Net: Ronneberger, Fischer and Brox 2015, arXiv:1505.04597)."""
    from torch import cat, nn

    def block(inner: int, outer: int) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, 3, 1, 1), nn.GroupNorm(8, outer), nn.ReLU(),
                             nn.Conv2d(outer, outer, 3, 1, 1), nn.ReLU())  # fmt: skip

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.middle, self.coarse, self.last = block(3, 24), block(24, 48), block(48, 96), block(96, 96)
            self.up2, self.up1, self.up0 = block(192, 96), block(144, 48), block(72, 32)
            self.leave = nn.Conv2d(32, classes, 1)

        def forward(self, shown: Any) -> Any:
            pool, twice = nn.functional.max_pool2d, nn.Upsample(scale_factor=2)
            fine = self.fine(shown)
            middle = self.middle(pool(fine, 2))
            coarse = self.coarse(pool(middle, 2))
            low = self.up2(cat([coarse, twice(self.last(pool(coarse, 2)))], dim=1))
            low = self.up1(cat([middle, twice(low)], dim=1))
            return self.leave(self.up0(cat([fine, twice(low)], dim=1)))

    return Net()
