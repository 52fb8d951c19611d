"""The runner of the benchmarks: rows, JSON, the choice of figures, kept results."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "harness.py"


@pytest.fixture(scope="module")
def harness() -> Any:
    spec = importlib.util.spec_from_file_location("harness", PATH)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["harness"]


@pytest.fixture
def bench(harness: Any, tmp_path: Path) -> Any:
    bench = harness.Benchmark("toy", "A toy.", cache=tmp_path / "cache")

    @bench.figure("share")
    def share(run: Any) -> Any:
        return harness.mean([1.0, 1.0, 0.0, 1.0], "1")

    @bench.figure("seconds", "memory")
    def both(run: Any) -> Any:
        kept = run.cached("slow", {"size": 7}, lambda: [3.0, 1.0, 2.0])
        return {"seconds": harness.median(kept, "s"), "memory": harness.Figure(4.0, "GB")}

    return bench


def test_rows_and_json(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--json", str(tmp_path / "out.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "figure | value | unit | spread"
    assert [line.split(" | ")[:3] for line in lines[1:]] == [
        ["share", "0.75", "1"],
        ["seconds", "2", "s"],
        ["memory", "4", "GB"],
    ]
    assert lines[2].endswith("| 1.5 .. 2.5")
    written = json.loads((tmp_path / "out.json").read_text())
    assert set(written) == {"machine", "figures", "rows"}
    assert written["figures"]["seconds"] == {"value": 2.0, "unit": "s", "spread": [1.5, 2.5]}
    assert written["figures"]["memory"]["spread"] is None
    assert written["rows"] == {"share": [1.0, 1.0, 0.0, 1.0], "seconds": [3.0, 1.0, 2.0], "memory": []}
    assert {"processor", "cores", "memory_gb", "python", "packages", "commit", "date"} <= set(written["machine"])
    assert written["machine"]["quick"] is False


def test_only_measures_what_is_asked_for(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--only", "memory", "--quick"])
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()] == ["figure", "memory"]
    with pytest.raises(SystemExit):
        bench.main(["--only", "nothing"])
    assert "nothing" in capsys.readouterr().err


def test_only_keeps_what_the_file_has_of_other_figures(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    bench.main(["--json", str(path)])
    before = json.loads(path.read_text())
    bench.main(["--only", "memory", "--json", str(path)])
    bench.main(["--only", "share", "--json", str(path)])
    after = json.loads(path.read_text())
    assert list(after["figures"]) == list(after["rows"]) == ["share", "seconds", "memory"]
    assert after["rows"] == before["rows"] and after["figures"]["share"] == before["figures"]["share"]
    first = {name: before["machine"][name] for name in ("date", "commit")}
    assert after["figures"]["seconds"] == {**before["figures"]["seconds"], "measured": first}
    assert after["figures"]["memory"]["measured"].keys() == first.keys()
    with pytest.raises(SystemExit):
        bench.main(["--only", "memory", "--quick", "--json", str(path)])
    assert "without --quick" in capsys.readouterr().err


def test_a_result_is_kept_for_its_settings_alone(harness: Any, tmp_path: Path) -> None:
    thorough, quick = harness.Run(False, tmp_path), harness.Run(True, tmp_path)
    assert thorough.cached("a", {"n": (1, 2)}, lambda: 1) == 1
    assert thorough.cached("a", {"n": (1, 2)}, lambda: 2) == 1
    assert thorough.cached("a", {"n": (1, 3)}, lambda: 3) == 3
    assert quick.cached("a", {"n": (1, 3)}, lambda: 4) == 4
    assert thorough.cached("b", {"n": (1, 3)}, lambda: 5) == 5
    assert thorough.cached("a", {"n": (1, 2)}, lambda: 6) == 1


def test_a_figure_that_was_not_declared_is_refused(harness: Any, tmp_path: Path) -> None:
    bench = harness.Benchmark("toy", cache=tmp_path)
    bench.figure("a", "b")(lambda run: {"a": harness.Figure(1.0, "s")})
    with pytest.raises(ValueError, match="declared a, b"):
        bench.main([])


def test_entrants_take_turns(harness: Any) -> None:
    calls: list[str] = []
    seconds = harness.alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_the_bootstrap_interval_covers_the_mean_of_a_known_law(harness: Any) -> None:
    figure = harness.mean([0.0, 1.0] * 50, "1")
    # Normal approximation: 0.5 +- 1.96 * 0.5 / sqrt(100).
    assert figure.spread == pytest.approx((0.402, 0.598), abs=0.015)
