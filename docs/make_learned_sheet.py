"""The picture of learned weather: roads under a cloudy noon, restyled, and drawn anew by the simulator.

Run from the repository's root: python docs/make_learned_sheet.py. The restyler is that of benchmarks/randomize.py,
which trains it if it is not in its cache (20 minutes).
"""

import sys
from pathlib import Path

import numpy as np
from make_road_sheets import sheet, write_png

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

import randomize_learned as learned  # noqa: E402
from harness import Run  # noqa: E402

SHOWN = ("clear_night", "rain_noon", "fog_day", "snow_day", "sunset")
DRIVES, SCALE = (0, 2), 3  # of those that are judged; and pixels for each of theirs

if __name__ == "__main__":
    simulator, states = learned.clips(6, 83, 40, 1)
    films = learned.pictures(simulator, states, learned.SOURCE)
    step = simulator.settings.step
    made = learned.variants(
        learned.restyles(Run(False, HERE.parent / "benchmarks/cache/randomize")), films, SHOWN, step
    )
    truth = {name: learned.pictures(simulator, states, name) for name in SHOWN}
    rows = [one[k, 0] for k in DRIVES for look in (made, truth) for one in (films, *look.values())]
    write_png(HERE / "randomized_learned.png", sheet(np.stack(rows).repeat(SCALE, 1).repeat(SCALE, 2), 1 + len(SHOWN)))
