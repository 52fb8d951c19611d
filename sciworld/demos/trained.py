"""The part of a demo's report that says how its surrogate was trained."""

from __future__ import annotations

from plotly.graph_objects import Figure

from sciworld import plots
from sciworld.evaluate.report import Section
from sciworld.training.run import Run


def how_trained(run: Run) -> Section:
    """The loss, how much the model listens to its controls, and the warnings of the log."""
    log = run.log()
    warnings = sorted({str(row["warning"]) for row in log if "warning" in row})
    gains = [row for row in log if "control_gain" in row]
    items: list[Figure] = [plots.curves(log, ["loss"], title="Training loss", y_title="loss")]
    prose = "The loss of the denoiser while it was trained."
    if gains:
        last = gains[-1]["control_gain"]
        prose += (
            f" Under controls shuffled between windows the loss of the trained model is {last:+.1%} worse: "
            "that is how much it listens to them."
        )
        items.append(
            plots.curves(gains, ["control_gain"], title="Control gain", y_title="relative increase", log=False)
        )
    return Section("How it was trained", prose, items, warnings)
