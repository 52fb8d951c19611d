"""Whether variants look as they were asked to: a classifier of weathers that saw nothing but the simulator's pictures.

It learns on drives of the trusted simulator in each weather, on roads of their own. What it judges is drawn into other
drives by the video method, which learns nothing at all, and, in rows of their own, by a restyler that learned on drives
of its own.
"""

from __future__ import annotations

import numpy as np

from harness import Figure, Run
from randomize_learned import COLUMNS, ROWS, SOURCE, clips, learned, pictures, variants
from sciworld.tasks.weather_judge import WEATHERS

JUDGED, CLIP = 60, 8  # drives, and frames of a clip, of which the last is judged


def compliance(run: Run) -> dict[str, Figure]:
    """Balanced accuracy on variants, and on the untouched source under the same labels. spread : least and most of a
    weather. rows : of each weather and method the shares that were taken for each."""
    from sciworld.domains.driving.randomize import Randomizing
    from sciworld.domains.driving.road.conditions import PRESETS
    from sciworld.domains.driving.scene import Optics
    from sciworld.tasks.weather_judge import DRIVES, STEPS, fit_judge

    judge = fit_judge(WEATHERS, 81, *((16, 20) if run.quick else (DRIVES, STEPS)))
    simulator, states = clips(6 if run.quick else JUDGED, 82, 50, CLIP)
    one, films = simulator.settings, pictures(simulator, states, SOURCE)
    horizon = 0.5 * (ROWS - 1) + one.focal * np.tan(np.radians(one.camera_pitch))
    video = Randomizing("video", SOURCE, Optics(one.field_of_view, one.camera_height, float(horizon)))
    made = {
        "variant": variants(video, films, WEATHERS, one.step),
        "learned": variants(learned(run, ROWS, COLUMNS, one.step, tuple(PRESETS), 84), films, WEATHERS, one.step),
        "drawn anew": {name: pictures(simulator, states, name) for name in WEATHERS},
        "source": dict.fromkeys(WEATHERS, films),
    }
    rows = []
    for k, name in enumerate(WEATHERS):
        for what, every in made.items():
            shares = np.bincount(judge(every[name][:, -1]), minlength=len(WEATHERS)) / len(films)
            rows.append({"asked": name, "of": what, "taken_for": dict(zip(WEATHERS, shares.tolist(), strict=True)),
                         "right": float(shares[k])})  # fmt: skip
    figures = {}
    for what in made:
        own = [row for row in rows if row["of"] == what]
        right = np.array([row["right"] for row in own])
        print(f"{what}: {right.mean():.3f} ({', '.join(f'{n} {v:.2f}' for n, v in zip(WEATHERS, right, strict=True))})")
        found = Figure(float(right.mean()), "1", (float(right.min()), float(right.max())), own)
        figures |= {"variant": {"compliance": found}, "source": {"compliance_source": found}}.get(what, {})
    return figures
