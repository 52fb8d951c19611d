"""A restyler of recorded clips: whether what it makes of a road that was filmed looks like the weather asked for.

It learns from drives of the simulator, drawn anew, and from clips of the highway with weather drawn into them, both at
once. What it is judged on are later clips of the highway; the judge learned weathers from simulated drives alone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run
from randomize_learned import SHOWN, SOURCE
from randomize_video import SIDE, frames_of, recording_of, small

FRAMES = 50  # of a clip
DRIVES, STEPS, BATCH = 60, 3000, 16
SEEN, JUDGED = 16, 8  # clips


def compliance(run: Run) -> Figure:
    """Share of frames of restyled clips that a judge takes for the weather asked for; mean of weathers.

    spread : least and most of a weather. rows : of each weather the share by clip, restyled, with weather drawn into
    the video, and as recorded; and how far the first two lie apart, rms in grey levels.
    """
    from sciworld.domains.driving.randomize import Randomizing, randomize
    from sciworld.domains.driving.scene import Optics
    from sciworld.tasks.restyler import Restyler
    from sciworld.tasks.weather_judge import fit_judge

    video = Randomizing("video", SOURCE, Optics(horizon=33.0, sky=True))
    seen, judged = _clips(run)
    restyler, judge = Restyler(_trained(run, seen, video)), fit_judge(SHOWN)
    rows = []
    for name in SHOWN:
        row: dict[str, Any] = {"weather": name, "learned": [], "video": [], "source": [], "apart": []}
        for clip in judged:
            made = {"learned": next(randomize(clip, 1, [name], 3, restyler)), "source": clip,
                    "video": next(randomize(clip, 1, [name], 3, video))}  # fmt: skip
            frames = {what: one["frames"].values.astype(np.float64) for what, one in made.items()}
            for what, shown in frames.items():
                row[what].append(round(judge.share(shown, name), 4))
            row["apart"].append(round(float(np.sqrt(((frames["learned"] - frames["video"]) ** 2).mean())), 2))
        rows.append(row)
        means = {what: float(np.mean(each)) for what, each in row.items() if what != "weather"}
        print(name, ", ".join(f"{what} {mean:.2f}" for what, mean in means.items()))
    found = [float(np.mean(row["learned"])) for row in rows]
    print("mean:", {what: round(float(np.mean([row[what] for row in rows])), 3) for what in row if what != "weather"})
    return Figure(float(np.mean(found)), "1", (min(found), max(found)), rows)


def _clips(run: Run) -> tuple[list[Any], list[Any]]:
    """Those that it learns from, and those that it is judged on."""
    frames = small(frames_of("commavq-highway"))
    n, judged = (2, 1) if run.quick else (SEEN, JUDGED)
    every = [recording_of(f"clip-{k}", frames[k * FRAMES : (k + 1) * FRAMES]) for k in range(n + judged)]
    return every[:n], every[n:]


def _trained(run: Run, clips: list[Any], video: Any) -> Path:
    """The folder of the run of the restyler, trained if it is not there."""
    from sciworld import models
    from sciworld.counterfactuals import Counterfactuals
    from sciworld.domains.driving.road.conditions import PRESETS, RANGES
    from sciworld.domains.driving.road.generate import generate
    from sciworld.domains.driving.variants import randomize_store
    from sciworld.loader import Mixture
    from sciworld.models.base import Signature
    from sciworld.store import Store
    from sciworld.training import beginnings
    from sciworld.training.fit import fit
    from sciworld.training.trainer import FitSettings

    drives, steps = (2, 10) if run.quick else (DRIVES, STEPS)
    asked = repr((SIDE, drives, len(clips), FRAMES, steps, BATCH))
    folder = run.cache / f"clips-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
    if (folder / "run" / "model.safetensors").is_file():
        return folder / "run"
    weathers = ",".join(PRESETS)
    filmed = Store.create(folder / "clips")
    if not len(filmed):
        filmed.append(clips)
    pairs = [(randomize_store(filmed, folder / "weathers", len(PRESETS), weathers, 0, video), filmed)]
    simulated = generate(folder / "drives", 84, drives, 15, conditions=SOURCE, rows=SIDE, columns=SIDE)
    pairs += [(randomize_store(simulated, folder / "anew", len(PRESETS), weathers), simulated)]
    both = Mixture([Counterfactuals(*pair, tuple(RANGES)) for pair in pairs], [1.0, 1.0])
    shape = beginnings.settings_of("diffusion", "restyle", None)
    model = beginnings.new_model(models.family("diffusion"), shape, Signature.of(both), 0, None)
    settings = FitSettings(steps=steps, batch=BATCH, checkpoint_every=60.0)
    fit(model, both, folder / "run", settings, resume=(folder / "run").exists())
    return folder / "run"
