"""What each part of a world model buys: the contest's models with and without it, scored as there.

    python benchmarks/ablations.py [--seconds 300] [--threads 2] [--starts 40] [--table FILE.md]

The options are the contest's, and so are its models where they are the same. A figure is the CRPS four steps ahead
without the part over that with it, the geometric mean over stores, with the least and the greatest: above 1 the part is
worth its place there. Figures `cost_...` are imagined frames a second without it over those with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contest import CERTAIN, KINDS, OURS, row_of
from contest_entrants import Entrant, Options, scored
from contest_jobs import HORIZONS
from contest_report import table
from harness import Benchmark, Figure, Run

HORIZON = 4  # whose CRPS makes the figure


@dataclass(frozen=True)
class Part:
    """A part of a model.

    stores : store -> variant -> (name of the results that are kept, entrant). The first variant has the part, the last
    has not; what lies between is in the table alone.
    """

    name: str
    what: str
    stores: dict[str, dict[str, tuple[str, Entrant]]]


def changed(entrant: str, **changes: Any) -> Entrant:
    """One of the contest's with other settings on every store."""
    one = OURS[entrant]
    by_store = {store: {**settings, **changes} for store, settings in one.by_store.items()}
    return dataclasses.replace(one, by_store=by_store)


def contest(entrant: str) -> tuple[str, Entrant]:
    """One of the contest's as it is."""
    return entrant, OURS[entrant]


DIFFUSION, CAUSAL = contest("diffusion"), contest("causal")
HEEDLESS = (0.1, 0.0, 0.0, 0.0, 0.0)  # share of windows whose positions training hides


def guided(scale: float) -> tuple[str, Entrant]:
    """Trained with some of the positions hidden, asked with guidance."""
    asked = {"guidance": [scale, 0.0, 0.0, 0.0, 0.0]}
    return f"guided_{scale:g}", dataclasses.replace(changed("diffusion", dropout=HEEDLESS), asked=asked)


def refined(evaluations: int) -> tuple[str, Entrant]:
    """Asked in so many evaluations."""
    return f"evaluations_{evaluations}", dataclasses.replace(OURS["diffusion"], evaluations=evaluations)


def windowed(context: int) -> tuple[str, Entrant]:
    """Frames seen side by side."""
    return f"context_{context}", changed("diffusion", context=context)


ABSOLUTE = ("absolute", dataclasses.replace(OURS["diffusion"], family="absolute"))
UNFOCUSED = ("unfocused", dataclasses.replace(OURS["diffusion"], focus=False))
PARTS = [
    Part("residual", "the frame as a change of the last one", {
        store: {"change": DIFFUSION, "the frame itself": ABSOLUTE} for store in ("stem", "flow")
    }),
    Part("focus", "errors weighed where the domain looks", {
        store: {"focus": DIFFUSION, "all alike": UNFOCUSED} for store in ("stem", "road")
    }),
    Part("maps", "positions drawn as maps", {
        "stem": {"maps": DIFFUSION, "numbers": ("numbers", changed("diffusion", positions="numbers"))},
    }),
    Part("guidance", "guidance by positions", {
        "stem": {f"scale {scale:g}": guided(scale) for scale in (1.0, 3.0, 0.0)},
    }),
    Part("window", "frames seen side by side", {
        store: {f"{n} frames": DIFFUSION if n == 2 else windowed(n) for n in (2, 4, 1)} for store in ("flow", "road")
    }),
    Part("evaluations", "evaluations of a sample", {
        "stem": {f"{n}": DIFFUSION if n == 4 else refined(n) for n in (4, 8, 2, 1)},
    }),
    Part("memory", "key frames of the causal family beyond its window", {
        store: {"3 key frames": ("memory", changed("causal", memory=3, stride=3, horizon=9)),
                "none": ("forgetful", changed("causal", horizon=9))} for store in ("road",)
    }),
    Part("ensemble", "members, trained for the same seconds together", {
        store: {"3 members": contest(name), "1 member": DIFFUSION}
        for store, name in (("stem", "ensemble"), ("flow", "ensemble_certain"), ("road", "ensemble_certain"))
    }),
    Part("camera", "noise of a camera that counts", {
        "stem": {"camera": DIFFUSION, "none": ("smooth", changed("diffusion", camera=False))},
    }),
    Part("certain", "the posterior mean learned alone, where there is no chance", {
        "flow": {"alone": DIFFUSION, "with samples": ("chance", dataclasses.replace(
            OURS["diffusion"], by_store={"flow": {k: v for k, v in KINDS["flow"].items() if k not in CERTAIN}}))},
    }),
]  # fmt: skip


class Ablations:
    """The figures, one a part."""

    def __init__(self, options: Options, path: Path | None = None) -> None:
        self.options, self.path = options, path

    def rows(self, run: Run, part: Part) -> list[dict[str, Any]]:
        """One for each store, variant and horizon, as the contest has them."""
        run = dataclasses.replace(run, cache=run.cache.parent / "contest")
        found = []
        for store, variants in part.stores.items():
            for variant, (name, entrant) in variants.items():
                one = scored(run, self.options, store, name, entrant)
                for h in map(str, HORIZONS):
                    row = row_of(store, h, name, one["guesses"]["model"], one)
                    found.append({"part": part.name, "variant": variant, **row})
        return found

    def figures(self, part: Part, run: Run) -> dict[str, Figure]:
        """What the part buys, and what it costs."""
        rows = self.rows(run, part)
        at = {(row["store"], row["variant"]): row for row in rows if row["horizon"] == HORIZON}
        gains, costs = [], []
        for store, variants in part.stores.items():
            names = list(variants)
            with_it, without = at[store, names[0]], at[store, names[-1]]
            gains.append(without["crps"] / with_it["crps"])
            costs.append(without["frames_per_second"] / with_it["frames_per_second"])
        return {part.name: _ratio(gains, rows), f"cost_{part.name}": _ratio(costs, costs)}

    def report(self, run: Run) -> None:
        """Write the table."""
        if self.path is not None:
            self.path.write_text(written([row for part in PARTS for row in self.rows(run, part)]))
            print(f"table: {self.path}")


def written(rows: Sequence[Mapping[str, Any]]) -> str:
    """All parts as Markdown."""
    headings = ["part", "store", "variant", "PSNR of moving pixels (dB)", "CRPS", "control gain at 4", "frames/s"]
    lines = [headings, ["---"] * len(headings)]
    found = {(row["part"], row["store"], row["variant"], row["horizon"]): row for row in rows}
    for part in PARTS:
        for store, variants in part.stores.items():
            for variant in variants:
                own = {h: found[part.name, store, variant, h] for h in HORIZONS}
                cells = [
                    " / ".join(form.format(own[h][measure]) for h in HORIZONS)
                    for measure, form in (("psnr_moving", "{:.2f}"), ("crps", "{:.3g}"))
                ]
                last = [f"{own[HORIZON]['control_gain']:.3f}", f"{own[HORIZON]['frames_per_second']:.0f}"]
                lines.append([part.what, store, variant, *cells, *last])
    return table(lines) + "\n"


def _ratio(values: list[float], rows: Sequence[Any]) -> Figure:
    """The geometric mean of ratios, with the least and the greatest."""
    return Figure(math.exp(float(np.mean(np.log(values)))), "x", (min(values), max(values)), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """As the contest's."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float, default=Options.seconds)
    parser.add_argument("--threads", type=int, default=Options.threads)
    parser.add_argument("--starts", type=int, default=Options.starts)
    parser.add_argument("--table", type=Path)
    chosen, others = parser.parse_known_args(arguments)
    ablations = Ablations(Options(chosen.seconds, chosen.threads, chosen.starts), chosen.table)
    bench = Benchmark("ablations", __doc__)
    for part in PARTS:
        bench.figure(part.name, f"cost_{part.name}")(partial(ablations.figures, part))
    bench.main(others, finish=ablations.report)


if __name__ == "__main__":
    main()
