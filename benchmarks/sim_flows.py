"""Figures of the flow solver against exact solutions and published numbers."""

from __future__ import annotations

import csv
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run
from sciworld.domains.fluid.lattice import Case, Lattice
from sciworld.domains.fluid.scenarios import scenario

GHIA = Path(__file__).parent / "ghia1982.csv"
# Schafer and Turek (1996), 2D-1; 2D-2 by the fine grid of the FEATFLOW group's page on the benchmark.
CD_2D1, CD_MAX_2D2, ST_2D2 = 5.5795, 3.2274, 0.3018
# The middle of what several authors found for an unbounded cylinder at Reynolds 100.
CD_UNBOUNDED, ST_UNBOUNDED = 1.34, 0.1645


def taylor_green(run: Run) -> Figure:
    """Order of the worst velocity error over the speed left, cells halved twice and the Mach number with them."""
    rows = []
    for cells in (16, 32) if run.quick else (32, 64, 128):
        case = scenario("taylor_green", cells=cells, reynolds=50.0, lattice_speed=1.28 / cells)
        steps = 2 * round(0.2 * cells / case.speed / 2)
        flow, _ = Lattice(case, np.float64).advance(Lattice(case, np.float64).start(1), steps)
        (ny, nx), waves = case.shape, sum((2 * np.pi / n) ** 2 for n in case.shape)
        left = np.exp(-case.viscosity * waves * steps)
        found = Lattice(case, np.float64).moments(flow)[0, 1:]
        error = np.hypot(*(found - left * case.start[1:])).max() / (left * case.speed)
        rows.append({"rows": ny, "columns": nx, "steps": steps, "error": float(error)})
    orders = [np.log2(one["error"] / two["error"]) for one, two in itertools.pairwise(rows)]
    return Figure(float(min(orders)), "1", (float(min(orders)), float(max(orders))), rows)


def ghia(run: Run) -> dict[str, Figure]:
    """Worst difference of the centre lines' velocities from the table of Ghia, Ghia and Shin (1982), lid speed 1."""
    return {f"ghia_worst_re{reynolds}": _ghia(run, reynolds) for reynolds in (100, 400, 1000)}


def _ghia(run: Run, reynolds: int) -> Figure:
    cells, speed = (48, 0.1) if run.quick else (256, 0.05)
    case = scenario("cavity", reynolds=float(reynolds), cells=cells, lattice_speed=speed)
    lattice = Lattice(case)
    flow, before, times = lattice.start(1), np.zeros(case.shape), 0
    while times < 150:  # lengths of the lid's travel, until nothing changes
        flow, _ = lattice.advance(flow, 2 * round(5 * cells / speed / 2))
        now, times = lattice.moments(flow)[0, 1], times + 5
        if np.abs(now - before).max() < 1e-5 * speed:
            break
        before = now
    _, u, v = lattice.moments(flow)[0].astype(np.float64) / speed
    half, rows = cells // 2, []
    places = np.concatenate([[0.0], (np.arange(cells) + 0.5) / cells, [1.0]])
    lines = {
        "u": np.concatenate([[0.0], (u[:, half - 1] + u[:, half]) / 2, [1.0]]),
        "v": np.concatenate([[0.0], (v[half - 1] + v[half]) / 2, [0.0]]),
    }
    for row in _table():
        expected = row[f"re{reynolds}"]
        if expected:
            found = float(np.interp(float(row["coord"]), places, lines[row["line"]]))
            rows.append({"line": row["line"], "at": float(row["coord"]), "table": float(expected), "found": found})
    worst = max(abs(row["found"] - row["table"]) for row in rows)
    return Figure(worst, "1", None, [{"cells": cells, "lattice_speed": speed, "lid_lengths": times}, *rows])


def _table() -> list[dict[str, str]]:
    with GHIA.open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def wake(case: Case, settle: float, measure: float) -> dict[str, Any]:
    """What the drag and lift of a case tell, after `settle` D/U, over whole periods of `measure` D/U."""
    lattice, begin = Lattice(case), time.perf_counter()
    unit = case.length / case.speed  # steps a D/U
    flow, _ = lattice.advance(lattice.start(1), 2 * round(settle * unit / 2))
    scale = 0.5 * (case.speed * case.velocity) ** 2 * case.length * case.cell
    drag, lift = lattice.advance(flow, 2 * round(measure * unit / 2))[1][0].T / scale
    facts: dict[str, Any] = {"cells": case.length, "rows": case.shape[0], "columns": case.shape[1]}
    facts |= {"lattice_speed": case.speed, "drag_last": float(drag[-1]), "lift_last": float(lift[-1])}
    swing = lift - lift.mean()
    up = np.flatnonzero((swing[:-1] < 0) & (swing[1:] >= 0))
    if len(up) > 2 and swing.std() > 1e-3:
        exact = up - swing[up] / (swing[up + 1] - swing[up])
        whole = slice(up[0], up[-1])
        facts |= {
            "strouhal": unit * (len(up) - 1) / (exact[-1] - exact[0]),
            "drag_mean": float(drag[whole].mean()),
            "drag_max": float(drag[whole].max()),
            "drag_min": float(drag[whole].min()),
            "lift_max": float(lift[whole].max()),
            "lift_amplitude": float(np.ptp(lift[whole]) / 2),
            "lift_rms": float(lift[whole].std()),
        }
    return facts | {"seconds": time.perf_counter() - begin}


def schafer_turek(run: Run) -> dict[str, Figure]:
    """Relative errors of the channel's cylinder: drag at Reynolds 20; largest drag and Strouhal number at 100.

    Rows hold every size; the figures are those of the finest.
    """
    steady = [
        wake(scenario("schafer_turek", reynolds=20.0, cells=n), 40, 1) for n in ((20,) if run.quick else (20, 40))
    ]
    sizes = (10,) if run.quick else (20, 40, 80)
    shedding = []
    for n in sizes:
        settings = {"cells": n, "lattice_speed": 0.03}
        shedding.append(run.cached(f"schafer_turek-{n}", settings, lambda n=n: wake(_channel(n), 80, 20)))
    last = shedding[-1]
    return {
        "schafer_turek_2d1_cd_error": Figure(abs(steady[-1]["drag_last"] / CD_2D1 - 1), "1", None, steady),
        "schafer_turek_2d2_cd_error": Figure(abs(last["drag_max"] / CD_MAX_2D2 - 1), "1", None, shedding),
        "schafer_turek_2d2_st_error": Figure(abs(last["strouhal"] / ST_2D2 - 1), "1", None, shedding),
    }


def _channel(cells: int) -> Case:
    return scenario("schafer_turek", cells=cells, lattice_speed=0.03)


def unbounded(run: Run) -> dict[str, Figure]:
    """Relative errors of drag and Strouhal number of a cylinder in a wide stream at Reynolds 100."""
    cells, extent, speed = (8, (24.0, 16.0), 0.06) if run.quick else (24, (50.0, 50.0), 0.05)

    def measure() -> Any:
        return wake(scenario("cylinder_unbounded", cells=cells, extent=extent, lattice_speed=speed), 150, 40)

    settings = {"cells": cells, "extent": list(extent), "lattice_speed": speed}
    facts = run.cached(f"unbounded-{cells}", settings, measure)
    row = [{**settings, **facts}]
    return {
        "unbounded_st_error": Figure(abs(facts["strouhal"] / ST_UNBOUNDED - 1), "1", None, row),
        "unbounded_cd_error": Figure(abs(facts["drag_mean"] / CD_UNBOUNDED - 1), "1", None, row),
    }


def mass(run: Run) -> Figure:
    """Largest change of the mean density of closed boxes over 10,000 steps, in float64.

    Rows also hold the open channel: mean flux through its inlet and its outlet, relative to the inlet's.
    """
    steps, rows = (1000 if run.quick else 10_000), []
    for name, settings in (("shear_layer", {"cells": 64}), ("kolmogorov", {"cells": 64}), ("cavity", {"cells": 64})):
        lattice = Lattice(scenario(name, **settings), np.float64)
        flow = lattice.start(1)
        before = lattice.moments(flow)[:, 0].mean()
        after = lattice.moments(lattice.advance(flow, steps)[0])[:, 0].mean()
        rows.append({"scenario": name, "steps": steps, "drift": abs(float(after - before))})
    return Figure(max(row["drift"] for row in rows), "1", None, [*rows, _open_fluxes(run)])


def _open_fluxes(run: Run) -> dict[str, Any]:
    """The channel's flux in and out, over whole periods."""
    lattice = Lattice(scenario("schafer_turek", cells=10 if run.quick else 20), np.float64)
    unit = lattice.case.length / lattice.case.speed
    flow, _ = lattice.advance(lattice.start(1), 2 * round(80 * unit / 2))
    fluxes, first, count = [], lattice.moments(flow)[0, 0].sum(), 0
    for _ in range(134):  # a tenth of D/U each: four periods
        flow, _ = lattice.advance(flow, 2 * round(unit / 20))
        density, u, _ = lattice.moments(flow)[0]
        fluxes.append(((1 + density) * u).sum(axis=0)[[0, -1]])
        count += 2 * round(unit / 20)
    flows_in, flows_out = np.mean(fluxes, axis=0)
    stored = (lattice.moments(flow)[0, 0].sum() - first) / count
    return {
        "scenario": "schafer_turek",
        "flux_imbalance": float((flows_out - flows_in) / flows_in),
        "stored_a_step": float(stored / flows_in),
    }
