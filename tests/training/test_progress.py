from __future__ import annotations

import pytest

from sciworld.training.progress import Bar, figures

RECORD = {"step": 50, "seconds": 30.0, "loss": 0.123456, "windows_per_second": 812.3}


def test_figures_tell_what_is_left_and_what_is_wrong() -> None:
    assert figures(0.25, RECORD) == "step 50  loss 0.1235  812 windows/s  0:01:30 left"
    assert figures(1.0, RECORD | {"warning": "deaf"}).endswith("0:00:00 left  [red]deaf[/red]")


@pytest.mark.parametrize(("shown", "terminal", "heard"), [(True, "1", True), (False, "1", False), (True, "", False)])
def test_a_bar_is_for_terminals(
    shown: bool, terminal: str, heard: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with Bar(shown) as bar:
        bar.show(0.25, RECORD)
    out, err = capsys.readouterr()
    assert out == "" and ("812 windows/s" in err) == heard and bool(err) == heard
