"""The contest's tables as Markdown, for the pages."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from contest_entrants import Options
from contest_jobs import ARENAS, HORIZONS

# Measure -> its heading, and how it is written.
QUALITY = {
    "psnr_moving": ("PSNR of moving pixels (dB)", "{:.2f}"),
    "ssim_moving": ("SSIM of moving pixels", "{:.3f}"),
    "false_motion": ("false motion", "{:#.3g}"),
    "vrmse": ("VRMSE", "{:.3f}"),
    "crps": ("CRPS", "{:#.3g}"),
    "coverage": ("coverage", "{:.2f}"),
}
COSTS = {
    "frames_per_second": ("frames/s", "{:.0f}"),
    "evaluations": ("evaluations", "{:d}"),
    "parameters": ("parameters", "{:,d}"),
    "steps": ("steps", "{:d}"),
    "seconds": ("training (s)", "{:.0f}"),
    "training_mb": ("MB training", "{:.0f}"),
    "imagining_mb": ("MB imagining", "{:.0f}"),
}


def tables(
    rows: Sequence[Mapping[str, Any]], ours: Collection[str], missing: Mapping[str, str], options: Options
) -> str:
    """All of it: a table of quality and one of costs for each store, and who is missing."""
    parts = []
    for store in ARENAS:
        own = [row for row in rows if row["store"] == store]
        starts = max(row.get("starts", 0) for row in own)
        parts.append(
            f"### {store}: `{ARENAS[store].data}`\n\nMeans over held-out recordings, from {starts} starts; "
            f"{options.seconds:g} s of training a model, threads: {options.threads}. Cells are horizons "
            f"{' / '.join(map(str, HORIZONS))}, ours in italics, the best at a horizon in bold.\n\n"
            f"{_quality(own, ours)}\n\n{_costs(own, ours)}\n"
        )
    parts += [f"{name}: {why}.\n" for name, why in missing.items()]
    return "\n".join(parts)


def _quality(rows: Sequence[Mapping[str, Any]], ours: Collection[str]) -> str:
    """Entrants by measures, three horizons a cell."""
    found = {(row["entrant"], row["horizon"]): row for row in rows}
    names = sorted({name for name, _ in found}, key=lambda name: -_known(found[name, 4]["psnr_moving"]))
    headings = ["entrant", *(heading for heading, _ in QUALITY.values()), "control gain at 4 (95 %)"]
    lines = [headings, ["---"] * len(headings)]
    for name in names:
        cells = [f"*{name}*" if name in ours else name]
        for measure, (_, form) in QUALITY.items():
            each = []
            for h in HORIZONS:
                value = found[name, h].get(measure, math.nan)
                text = "" if math.isnan(value) else form.format(value)
                each.append(f"**{text}**" if text and _is_best(measure, value, h, found) else text)
            cells.append(" / ".join(each) if any(each) else "")
        cells.append(_interval(found[name, 4]))
        lines.append(cells)
    return table(lines)


def _is_best(measure: str, value: float, horizon: int, found: Mapping[tuple[str, int], Mapping[str, Any]]) -> bool:
    """Whether nobody is better at a horizon; of coverage nobody is best."""
    values = [
        row[measure] for (_, h), row in found.items() if h == horizon and not math.isnan(row.get(measure, math.nan))
    ]
    if measure == "coverage":
        return False
    return value == (max(values) if measure in ("psnr_moving", "ssim_moving") else min(values))


def _interval(row: Mapping[str, Any]) -> str:
    if "control_gain" not in row:
        return ""
    return "{control_gain:.3f} ({control_gain_low:.3f} .. {control_gain_high:.3f})".format(**row)


def _costs(rows: Sequence[Mapping[str, Any]], ours: Collection[str]) -> str:
    """Of those that were trained."""
    lines = [["entrant", *(heading for heading, _ in COSTS.values())], ["---"] * (len(COSTS) + 1)]
    for row in rows:
        if row["horizon"] == HORIZONS[0] and "parameters" in row:
            name = f"*{row['entrant']}*" if row["entrant"] in ours else row["entrant"]
            lines.append([name, *(form.format(row[cost]) for cost, (_, form) in COSTS.items())])
    return table(lines)


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
