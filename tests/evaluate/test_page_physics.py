"""The page says what holds, where along a rollout it fails, and how often an event is by what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
from test_evaluate import Knowing

from sciworld.domains import base
from sciworld.evaluate import page_heed, page_physics
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.references import References
from sciworld.evaluate.report import write_report
from sciworld.evaluate.trial import MEAN, ONE, TRUTH
from sciworld.measures.intervals import wilson


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    """Of a model that knows all, and is off by 10 counts under other controls."""
    held = [toy.make(seed=seed) for seed in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(base.DOMAINS, "toy", "toy:DOMAIN")
        settings = EvaluateSettings(steps=4, starts=3, samples=3)
        return evaluate(Knowing(held, 0.0), held, References.fit(held, "toy"), settings)  # type: ignore[arg-type]


def test_the_parts_tell_errors_drift_rates_and_answers(found: xr.Dataset, tmp_path: Path) -> None:
    (section,) = page_physics.sections(found)
    tables = [item for item in section.items if hasattr(item, "rows")]
    errors, rates, answers = tables
    assert [row[0] for row in errors.rows] == ["blob_x (mm)", "smoke (counts)", "went (1)", "fan (mm)"]
    assert errors.rows[0][1] == "0 to 5.50" and errors.rows[3][1] not in errors.rows[0][1]
    assert float(errors.rows[1][3].split()[0]) < 1e-2  # the model's smoke is the truth's
    assert answers.columns[:3] == ("control", "quantity", "truth")
    page = write_report(tmp_path / "page.html", "It", [section]).read_text()
    assert "Drift: share that fails a check" in page and "Brier score" in page
    # Steps of starts overlap: each transition counts once.
    seen: dict[tuple[int, int], tuple[float, float]] = {}
    truth_of = found.physics.sel(source=TRUTH).transpose("recording", "start", "step", "quantity").values
    for (recording, start, step), frame in np.ndenumerate(found.start_frame.values[..., None] + found.step.values):
        seen.setdefault((recording, int(frame)), tuple(truth_of[recording, start, step, [2, 3]]))
    assert 6 * 4 < len(seen) < truth_of[..., 0].size
    truth, cause = np.array(list(seen.values())).T
    edges = np.quantile(cause, np.linspace(0, 1, page_physics.BINS + 1))
    last = (cause >= edges[-2]) & (cause <= edges[-1])
    share = wilson(int(truth[last].sum()), int(last.sum()))
    assert rates.rows[-1][1].startswith(f"{share.value:.3f}") or share.value == 0
    assert sum(int(row[2]) for row in rates.rows) == truth.size == sum(int(row[4]) for row in rates.rows)


def test_drift_shows_where_a_check_begins_to_fail(found: xr.Dataset) -> None:
    broken = found.copy(deep=True)
    broken.fails.loc[{"source": ONE, "quantity": "smoke", "step": [3, 4]}] = 1.0
    figure = page_physics._drift(broken)
    panels = [np.array(trace.z, dtype=float) for trace in figure.data]
    np.testing.assert_array_equal(panels[0], 0)  # the truth
    np.testing.assert_array_equal(panels[1][1], [0, 0, 1, 1])
    assert panels[0].shape == (2, 4)  # what has bounds, by step


def test_nothing_is_said_of_a_domain_that_was_not_asked_for(found: xr.Dataset) -> None:
    assert page_physics.sections(found.drop_vars(["physics", "fails"])) == []


def test_a_model_that_ignores_its_controls_is_told(found: xr.Dataset) -> None:
    heeding = page_heed.sections(found)[0]
    assert heeding.heading == "Whether it heeds its controls" and not heeding.warnings
    assert [row[0] for row in heeding.items[1].rows][:2] == [TRUTH, MEAN]
    deaf: Any = found.copy(deep=True)
    deaf.control_gain[:] = 0.0
    assert any("may ignore its controls" in text for text in page_heed.sections(deaf)[0].warnings)
    single = found.isel(rank=slice(2))
    assert "How sure it is" not in [section.heading for section in page_heed.sections(single)]
