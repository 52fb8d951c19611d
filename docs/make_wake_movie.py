"""Make docs/wake.gif: the vorticity of a cylinder's wake, left alone and then calmed by jets that heed one probe.

python docs/make_wake_movie.py
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sciworld.domains.fluid.controllers import feedback
from sciworld.domains.fluid.simulator import CylinderSimulator

GAINS = (0.75, 0.49, -0.02)  # by direct search, benchmarks/simulators.json
ALONE, CALMED = 40, 120  # actions, a quarter of D/U each
EVERY, COLUMNS, ZOOM = 3, 260, 2  # actions a frame, cells that are shown, pixels a cell
COLOURS, STRONGEST = 18, 30.0  # of the picture, vorticity in 1/s


def palette() -> np.ndarray:
    """Blue to white to red, and grey for the cylinder : (256, 4) uint8, opacity first."""
    x = np.linspace(-1, 1, COLOURS - 1)[:, None]
    ends = np.where(x < 0, [[33, 102, 172]], [[178, 24, 43]])
    rows = np.vstack([255 + (ends - 255) * np.abs(x) ** 0.7, [[90, 90, 90]]])
    found = np.full((256, 4), 255, np.uint8)
    found[:COLOURS, 1:] = rows.round()
    return found


def main() -> None:
    wake, rng = CylinderSimulator(), np.random.default_rng(0)
    controller = feedback(np.array([GAINS]), wake.settings)
    state, memory, film = wake.start(1, rng), controller.start(1, rng), []
    for action in range(ALONE + CALMED):
        controls, memory = controller.act(memory, wake.image(state, rng))
        state = wake.act(state, controls * (action >= ALONE))
        if action % EVERY == 0:
            spin = wake.lattice.fields(state.populations)["vorticity"][0]
            level = np.clip((spin / STRONGEST + 1) / 2, 0, 1) * (COLOURS - 2)
            level[wake.case.solid] = COLOURS - 1
            film.append(np.repeat(np.repeat(level[::-1, :COLUMNS].round().astype(np.uint8), ZOOM, 0), ZOOM, 1))
    with av.open(str(Path(__file__).with_name("wake.gif")), "w") as file:
        stream = file.add_stream("gif", rate=12)
        stream.height, stream.width = film[0].shape
        stream.pix_fmt, stream.time_base = "pal8", Fraction(1, 12)
        for number, picture in enumerate(film):
            frame = av.VideoFrame.from_ndarray((picture, palette()), format="pal8")
            frame.pts, frame.time_base = number, Fraction(1, 12)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


if __name__ == "__main__":
    main()
