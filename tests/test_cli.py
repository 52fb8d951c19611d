"""The command line: light help, one line for an error, exit codes, the doctor."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

import sciworld
from sciworld import cli, doctor
from sciworld.errors import StoreError

runner = CliRunner()


def raising(error: BaseException) -> Any:
    def show() -> NoReturn:
        raise error

    return show


def test_help_lists_every_command_with_a_word_on_it() -> None:
    result = runner.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for command in cli.app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        assert re.search(rf"^  {name} +\w", result.output, re.MULTILINE), f"{name} has no help"
    assert runner.invoke(cli.app, ["--version"]).output.strip() == sciworld.__version__


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'xarray', 'zarr', 'numba', 'numpy', 'pydantic', 'plotly'}"
    code = (
        "import sys; from typer.testing import CliRunner; from sciworld.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        f"loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_command_shows_the_help_and_an_unknown_one_is_a_usage_error() -> None:
    assert "Commands:" in runner.invoke(cli.app, []).output
    result = runner.invoke(cli.app, ["no-such-command"])
    assert result.exit_code == 2
    assert "no-such-command" in result.output


@pytest.mark.parametrize("error", [StoreError("run.zarr: half a shard; append again"), PermissionError("run.zarr: no")])
def test_an_error_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "show", raising(error))
    result = runner.invoke(cli.app, ["doctor"])
    assert result.exit_code == 1
    assert result.stderr == f"error: {error}\n"


def test_debug_keeps_the_traceback_and_so_does_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "show", raising(StoreError("half a shard")))
    assert isinstance(runner.invoke(cli.app, ["--debug", "doctor"]).exception, StoreError)
    monkeypatch.setattr(doctor, "show", raising(ZeroDivisionError("a bug")))
    assert isinstance(runner.invoke(cli.app, ["doctor"]).exception, ZeroDivisionError)


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "show", raising(KeyboardInterrupt()))
    result = runner.invoke(cli.app, ["doctor"])
    assert result.exit_code == 130
    assert "again" in result.stderr


def test_a_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "show", raising(BrokenPipeError(errno.EPIPE, "closed")))
    assert "error" not in runner.invoke(cli.app, ["doctor"]).stderr


def test_doctor_finds_this_machine_healthy() -> None:
    findings = list(doctor.examine())
    assert {"python", "packages", "cores", "cuda", "numba", "zarr, tensorstore", "mirror", "cache"} <= {
        finding.name for finding in findings
    }
    assert [finding for finding in findings if finding.state == doctor.FAIL] == []


def test_doctor_names_a_mirror_without_manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCIWORLD_MIRROR", str(tmp_path))
    (finding,) = [finding for finding in doctor._folders() if finding.name == "mirror"]
    assert finding.state == doctor.FAIL
    assert str(tmp_path) in finding.text
    assert "MANIFEST.csv" in finding.cure


def test_doctor_goes_on_after_a_check_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[doctor.Finding]:
        raise OSError("libfoo.so is missing")
        yield

    for name in ("_versions", "_processors", "_torch", "_numba"):
        monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr(doctor, "_store", lambda: iter([doctor.Finding("store", doctor.OK, "fine")]))
    result = runner.invoke(cli.app, ["doctor"])
    assert result.exit_code == 1
    assert result.output.count("libfoo.so is missing") == 4
    assert "fine" in result.output
