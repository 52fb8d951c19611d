"""The figures that the pages state are those of the benchmarks' files."""

from __future__ import annotations

import json
import re
from operator import ge, gt, le
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(
    r"^\| (\w+) \| ([^|]+) \| [^|]* \| ([^|]*) \| `python benchmarks/(\w+)\.py (?:--threads 1 )?--only (\w+)` \|$",
    re.MULTILINE,
)
ROWS = [match.groups() for match in ROW.finditer((ROOT / "README.md").read_text())]
BAR = re.compile(r"^(<=|>=|>) ([\d.e-]+)( \(missed\))?$")
BETWEEN = re.compile(r"^([\d.]+)(?: \.\. ([\d.]+))?$")


def stored(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())


@pytest.mark.parametrize(("figure", "value", "bar", "benchmark", "only"), ROWS)
def test_the_readme_states_what_was_measured(figure: str, value: str, bar: str, benchmark: str, only: str) -> None:
    assert figure == only
    measured = stored(benchmark)["figures"][figure]["value"]
    assert float(value.split()[0]) == pytest.approx(measured, rel=0.006, abs=1e-30)
    if found := BAR.match(bar.strip()):
        met = {"<=": le, ">=": ge, ">": gt}[found[1]](measured, float(found[2]))
        assert met != bool(found[3])
    elif found := BETWEEN.match(bar.strip()):
        low, high = float(found[1]), float(found[2] or found[1])
        assert low <= measured <= high


def test_every_figure_of_the_files_is_in_the_readme() -> None:
    named = {(benchmark, figure) for figure, _, _, benchmark, _ in ROWS}
    assert named == {
        (name, one)
        for name in ("stem", "data", "simulators", "measures", "contest", "ablations", "masked", "search", "randomize")
        for one in stored(name)["figures"]
    }


def test_the_page_of_the_contest_states_what_was_measured(benchmarks: Any) -> None:
    found = benchmarks("contest", "contest_report", "contest_entrants")
    rows, page = stored("contest")["rows"]["entrants"], (ROOT / "docs" / "contest.md").read_text()
    options = found.contest_entrants.Options(seconds=300, threads=1, starts=40)
    lines = found.contest_report.tables(rows, found.contest.OURS, {}, options).splitlines()
    assert len(lines) > 60
    for line in filter(None, lines):
        assert line in page


def test_the_page_of_the_contest_states_what_each_part_buys(benchmarks: Any) -> None:
    rows, page = stored("ablations")["rows"], (ROOT / "docs" / "contest.md").read_text()
    written = benchmarks("ablations").ablations.written
    lines = written([row for each in rows.values() for row in each if isinstance(row, dict)]).splitlines()
    assert len(lines) > 30
    for line in lines:
        assert line in page


def test_the_page_of_the_search_states_where_manoeuvres_succeed(benchmarks: Any) -> None:
    rows, page = stored("search")["rows"]["road_success"], (ROOT / "docs" / "search.md").read_text()
    lines = benchmarks("search_road").search_road.table(rows).splitlines()
    assert len(lines) > 15
    for line in lines:
        assert line in page


def test_the_page_of_randomized_drives_states_what_a_policy_gains(benchmarks: Any) -> None:
    unseen = benchmarks("randomize_downstream").randomize_downstream.UNSEEN
    rows, page = stored("randomize")["rows"]["downstream_gain"], (ROOT / "docs" / "randomize.md").read_text()
    labels = {"real": "the recorded drives alone", "jitter": "photometric jitter", "video": "drawn into the video",
              "learned": "by a restyler", "exact": "drawn anew by the simulator"}  # fmt: skip
    for arm, label in labels.items():
        own = [row for row in rows if row["arm"] == arm]
        shares = [
            np.mean([row["success"] for row in own if row["weather"] in which]) for which in (("cloudy_noon",), unseen)
        ]
        (line,) = [line for line in page.splitlines() if line.startswith("| the ") and label in line]
        assert line.endswith(f"| {shares[0]:.2f} | {shares[1]:.2f} |")


def test_the_page_of_the_measures_states_what_was_measured() -> None:
    page, rows = (ROOT / "docs" / "measures.md").read_text(), stored("measures")["rows"]["faults_caught"]
    names = [name for name in rows[0] if name not in ("fault", "meant")]
    for row in rows:
        cells = [f"{row[name]:.3g}" for name in names]
        bold = [f"**{cell}**" if name == row["meant"] else cell for name, cell in zip(names, cells, strict=True)]
        assert f"| {row['fault']} | {' | '.join(bold)} |" in page
        assert not row["meant"] or row[row["meant"]] > rows[0][row["meant"]]
    assert len(rows) == 1 + stored("measures")["figures"]["faults_caught"]["value"]


def test_the_page_of_the_simulators_states_what_was_measured() -> None:
    page, found = (ROOT / "docs" / "simulators.md").read_text(), stored("simulators")
    rows, figures = found["rows"], {name: one["value"] for name, one in found["figures"].items()}

    def middle(figure: str, name: str) -> float:
        return median(row[name] for row in rows[figure] if name in row)

    speed = {name: middle("lbm_mlups_256", f"{name}_mlups") for name in ("xlb", "numpy", "torch")}
    two = median(row["two_mlups"] / row["one_mlups"] for row in rows["lbm_two_cores"])
    searched = {
        name: {row["kind"]: row["best"]["total"] for row in rows[name] if "kind" in row}
        for name in ("direct_j_jets", "direct_j_rotary")
    }
    jets, rotary = searched["direct_j_jets"], searched["direct_j_rotary"]
    expected = [
        f"{figures['lbm_mlups_256']:.0f} million updates of a cell a second",
        f"JAX {speed['xlb']:.0f}, whole arrays of NumPy {speed['numpy']:.0f}, of torch {speed['torch']:.0f}",
        f"{middle('lbm_over_ceiling', 'mlups'):.0f}, which is {figures['lbm_over_ceiling']:.2f} of what",
        f"{two:.2f} times one",
        f"| direct search, 200 evaluations, 20 cells | {jets['feedback']:.2f} | {rotary['feedback']:.2f} |",
        f"| {figures['direct_j_jets']:.2f} | {figures['direct_j_rotary']:.2f} |",
        f"| best decaying sine | {jets['signals']:.2f} | {rotary['signals']:.2f} |",
        f"{figures['taylor_green_order']:.2f} | `taylor_green_order`",
        ", ".join(f"{figures[f'ghia_worst_re{re_}']:.4f}" for re_ in (100, 400, 1000)),
    ]
    for text in expected:
        assert text in page, text
