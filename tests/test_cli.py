"""The command line: light help, one line for an error, exit codes, and every command on tiny data."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import tifffile
import toy
import xarray as xr
from typer.testing import CliRunner, Result

import sciworld
from sciworld import catalog, cli, doctor, recording
from sciworld.cli import terminal
from sciworld.controls import Column, ColumnTable
from sciworld.demos import stem
from sciworld.domains.stem import appearance
from sciworld.domains.stem.generate import generate
from sciworld.errors import SciworldError, SettingsError, StoreError
from sciworld.evaluate.report import write_report
from sciworld.evaluate.table import DASH, Table
from sciworld.evaluate.verdict import Verdict
from sciworld.search.plan import Plan
from sciworld.store import Store
from sciworld.tasks import steering, stem_run
from sciworld.training.run import Run
from sciworld.training.seen import unseen

runner = CliRunner()
ROOT = Path(__file__).resolve().parents[1]
MAP = "x=beam_x:A:-100:100,y=beam_y:A:-100:100,dwell=t:s:0.5:20"


def call(*args: object) -> Result:
    return runner.invoke(cli.app, [str(arg) for arg in args])


def good(*args: object) -> str:
    """What a command that must succeed prints."""
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def bad(*args: object) -> str:
    """The one line that a command that must fail prints."""
    result = call(*args)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ten simulated recordings, and a run of three steps on it."""
    folder = tmp_path_factory.mktemp("cli")
    generate(folder / "store", 3, transitions=80, steps=8)
    out = good("train", folder / "store", "--run", folder / "run", "--domain", "stem", "--steps", 3, "--batch", 4)
    assert "3 steps" in out and "loss" in out
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the toy domain: two channels, and controls that are no beam."""
    folder = tmp_path_factory.mktemp("toy")
    Store.create(folder / "store").append(toy.recordings(5))
    good("train", folder / "store", "--run", folder / "run", "--steps", 2, "--batch", 4)
    return folder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of an untrained surrogate end soon."""
    monkeypatch.setattr(steering, "LIMIT", 8.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """How atoms look is measured on fewer frames."""
    monkeypatch.setattr(appearance, "FRAMES", 12)


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


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 9 TiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 TB\nat")],
)
def test_a_full_memory_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "show", raising(error))
    assert "out of memory" in bad("doctor")
    monkeypatch.setattr(doctor, "show", raising(RuntimeError("a bug")))
    assert isinstance(call("doctor").exception, RuntimeError)


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


def test_train_says_where_its_recordings_came_from(folder: Path) -> None:
    run = Run(folder / "run")
    (source,) = run.config["sources"]
    assert source.startswith("sciworld.domains.stem.generate, seed 3")
    assert run.config["symmetries"] == ["flip_x", "flip_y", "transpose"] and run.config["focus"] == "focus"
    assert len(run.log()) == 1


def test_train_leaves_out_what_frames_that_are_not_square_lack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generate(tmp_path / "store", 3, transitions=32, steps=8, rows=28, columns=36, field_of_view=16.0)
    good("train", tmp_path / "store", "--run", tmp_path / "run", "--domain", "stem", "--steps", 2, "--batch", 4)
    assert Run(tmp_path / "run").config["symmetries"] == ["flip_x", "flip_y"]
    assert "without the symmetry transpose: it needs square frames, these are 28 x 36" in caplog.text


def test_train_goes_on_with_a_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    same = ("train", folder / "store", "--run", tmp_path / "run", "--batch", 4, "--domain", "stem")
    assert "3 steps" in good(*same, "--steps", 3, "--resume")
    assert "fit.steps was 3, is 4" in bad(*same, "--steps", 4, "--resume")
    assert "exists already" in bad(*same, "--steps", 3)


def test_a_run_knows_what_it_did_not_see(folder: Path, other: Path, tmp_path: Path) -> None:
    store = Store.open(folder / "store")
    (expected, _) = store.split((0.1, 0.9), 0)
    found = unseen(Run(folder / "run"), store)
    assert found is not None and found.tolist() == expected.indices.tolist() and len(found) == 1
    assert unseen(Run(folder / "run"), Store.open(other / "store")) is None
    assert unseen(Run(folder / "run"), generate(tmp_path / "store", 4, transitions=80, steps=8)) is None


def test_one_session_is_seen_as_a_whole(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    store.append([toy.make(session="only")])
    good("train", store.path, "--run", tmp_path / "run", "--steps", 1, "--batch", 4)
    found = unseen(Run(tmp_path / "run"), store)
    assert found is not None and len(found) == 0
    assert "Training saw it." in good("rollout", tmp_path / "run", store.path, "--out", tmp_path / "a.html")


def test_rollout_draws_a_recording_that_training_did_not_see(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "rollout.html"
    out = good("rollout", folder / "run", folder / "store", "--out", page, "--steps", 3, "--samples", 2)
    assert "Training did not see it." in out and "haadf: error (counts)" in out
    text = page.read_text()
    assert "future 2" in text and "future 3" not in text and "Training did not see it." in text
    assert (page.parent / "plotly.min.js").is_file()
    again = good("rollout", folder / "run", folder / "store", "--out", page, "--recording", -1, "--start", 2)
    assert "Recording 9 of store" in again and "from frame 2 on. Training saw it." in again


def test_rollout_is_of_any_domain(other: Path, tmp_path: Path) -> None:
    out = good("rollout", other / "run", other / "store", "--out", tmp_path / "a.html", "--recording", 0, "--steps", 2)
    for heading in ("fan_x (mm)", "mode (1)", "smoke: error (counts)", "heat: error (K)"):
        assert heading in out


def test_evaluate_sets_a_run_beside_baselines(folder: Path, other: Path, tmp_path: Path) -> None:
    path = tmp_path / "tables" / "table.nc"
    asked = ("--steps", 2, "--starts", 2, "--samples", 2, "--data-range", 1000, "--measure", "psnr", "--out", path)
    out = good("evaluate", folder / "run", folder / "store", *asked)
    for text in (
        "haadf (dB)",
        "model, other controls",
        "persistence",
        "climatology",
        "control-blind",
        "linear",
        "step 2",
    ):
        assert text in out
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert np.isfinite(found.rmse.sel(guess="linear")).all() and found.rmse.attrs["units"] == "counts"
        sessions = Store.open(folder / "store").sessions()
        assert [sessions[number] for number in found.recording.values] == found.session.values.tolist()
        assert set(found.recording.values) == set(unseen(Run(folder / "run"), Store.open(folder / "store")).tolist())
    out = good("evaluate", other / "run", other / "store", "--steps", 2, "--starts", 2)
    assert "smoke (counts)" in out and "heat (K)" in out
    good("evaluate", folder / "run", folder / "store", "--steps", 2, "--report", tmp_path / "page.html")
    assert "<h2>Best and worst</h2>" in (tmp_path / "page.html").read_text()
    assert "there are rmse" in bad("evaluate", folder / "run", folder / "store", "--steps", 2, "--measure", "fvd")


def test_evaluate_reads_physics_and_takes_an_ensemble(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "again")
    asked = ("evaluate", folder / "run", folder / "store", "--steps", 2, "--starts", 2, "--samples", 2)
    out = good(*asked, "--domain", "stem", "--member", tmp_path / "again", "--out", tmp_path / "table.nc")
    assert "read of the domain 'stem': silicon, intact" in out
    with xr.open_dataset(tmp_path / "table.nc", engine="h5netcdf") as found:
        assert found.attrs["seen"] == "no" and found.attrs["run"] == str(folder / "run")
        assert np.isfinite(found.fails.sel(source="truth", quantity="silicon")).any()
    for wrong, said in (
        (("--beside", tmp_path / "again", "--member", tmp_path / "again"), "side by side or as one ensemble"),
        (("--workers", 2), "name the others with --beside"),
        (("--out", tmp_path / "x", "--report", tmp_path / "x"), "a page needs a file of its own"),
        (("--data-range", -1), "data_range is -1"),
        (("--domain", "gas"), "no domain 'gas'"),
    ):
        assert said in bad(*asked, *wrong)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_written_into_a_pipe_leaves_it_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    terminal.write(pipe, b"table")
    reader.join(10)
    assert got == [b"table"] and pipe.is_fifo()


@pytest.mark.parametrize(("aim", "promise"), [("progress", "(A/s)"), ("dose", "(A/e)"), ("site", "probability")])
def test_search_finds_controls_with_units(folder: Path, tmp_path: Path, aim: str, promise: str) -> None:
    path = tmp_path / "plans" / "plan.json"
    asked = ("--goal=-4,3", "--frame", 2, "--aim", aim, "--budget", 64, "--out", path)
    out = good("search", folder / "run", folder / "store", *asked)
    plan = Plan.from_json(path.read_text())
    plan.space.check(plan.controls)
    x, y, dwell = plan.controls[0, 0]
    for name, value, units in (("beam_x", x, "A"), ("beam_y", y, "A"), ("dwell", dwell, "s")):
        (line,) = re.findall(rf"^{name} +(\S+) +{units}$", out, re.MULTILINE)
        assert float(line) == pytest.approx(value, rel=0.01, abs=1e-3)
    assert promise in out and "stopped: budget" in out and plan.stopped == "budget"
    assert plan.uncertainty[0] > 0 and np.isfinite(plan.promise[0])
    # Two generations of 32 posterior means, and 16 futures of four evaluations each.
    assert plan.evaluations == 64 + 16 * 4
    assert "128" in out and "64 searching + 64 for the uncertainty" in out
    asked_for = {"goal": [-4.0, 3.0], "recording": 9, "frame": 2, "aim": aim, "evaluations_for_uncertainty": 64}
    assert asked_for.items() <= json.loads(path.read_text()).items()
    assert re.search(r"goal +-4, 3 +x, y in A\ndecided from +recording 9 +frame 2\naim +" + aim, out)
    silicon = Store.open(folder / "store")[-1]["states"].values[2, :2]
    assert np.linalg.norm(plan.controls[0, 0, :2] - silicon) < 2.2 * np.sqrt(2) + 0.3


def test_search_takes_any_objective(folder: Path, tmp_path: Path) -> None:
    wishes = tmp_path / "wishes.py"
    wishes.write_text("def light(futures, controls):\n    return futures.isel(time=-1).mean(('y', 'x', 'channel'))\n")
    asked = ("--objective", f"{wishes}:light", "--horizon", 2, "--frame", 2, "--samples", 1, "--anywhere")
    asked = (*asked, "--bounds", "beam_x=-3:3,beam_y=-3:3,dwell=1:10", "--budget", 1500)
    out = good(
        "search",
        folder / "run",
        folder / "store",
        *asked,
        "--out",
        tmp_path / "p.json",
        "--report",
        tmp_path / "p.html",
    )
    plan = Plan.from_json((tmp_path / "p.json").read_text())
    assert plan.controls.shape == (1, 2, 3) and np.abs(plan.controls[0, :, :2]).max() <= 3
    assert "beam_x (A)" in out and "Expected light" in out and "plotly" in (tmp_path / "p.html").read_text()
    for wrong, said in (
        (("--objective", "joy"), "no objective 'joy'; there are drag, lane"),
        (("--objective", f"{wishes}:dark"), "give FILE.py:FUNCTION"),
        (("--objective", "drag", "--goal=1,2"), "give --goal X,Y of silicon in graphene, or --objective"),
        ((), "give --goal X,Y of silicon in graphene, or --objective"),
        (("--objective", f"{wishes}:light", "--bounds", "beam=3"), "write NAME=LOW:HIGH"),
        (("--objective", f"{wishes}:light", "--bounds", "dwell=1:2,dwell=3:4"), "'dwell' is named twice"),
        (("--objective", f"{wishes}:light", "--out", tmp_path / "x", "--report", tmp_path / "x"), "a file of its own"),
        (("--objective", f"{wishes}:light", "--optimizer", "magic"), "magic"),
        (("--objective", f"{wishes}:light", "--horizon", 0), "horizon is 0"),
    ):
        assert said in bad("search", folder / "run", folder / "store", *wrong)


def test_search_says_where_the_model_does_not_know_its_way(folder: Path, tmp_path: Path) -> None:
    store = Store.open(folder / "store")
    dim = store[-1].copy()
    dim["frames"] = (dim["frames"] // 4).astype(dim["frames"].dtype)
    Store.create(tmp_path / "dim").append([dim])
    goal = ("--goal=-4,3", "--frame", 2, "--budget", 64)
    assert "does not know this region" in bad("search", folder / "run", tmp_path / "dim", *goal)
    good("search", folder / "run", tmp_path / "dim", *goal, "--anywhere")
    shutil.copytree(folder / "run", tmp_path / "old")
    (tmp_path / "old" / "familiar.npz").unlink()
    result = call("search", tmp_path / "old", folder / "store", *goal)
    assert result.exit_code == 0 and "does not say what it was trained near" in result.stderr


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    terminal.write(tmp_path / "plan.json", "old")
    (tmp_path / "link.json").symlink_to(tmp_path / "plan.json")
    terminal.write(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "plan.json").read_text() == "new"
    monkeypatch.setattr(os, "fsync", full)
    for write in (terminal.write, lambda path, text: write_report(path, text, [])):
        with pytest.raises(OSError, match=r"cannot be written .*No space left.*free some space") as caught:
            write(tmp_path / "plan.json", "newer")
        assert not isinstance(caught.value, SciworldError)  # neither a store nor a checkpoint is at fault
        assert (tmp_path / "plan.json").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "plan.json"]
    terminal.writable(Path("/dev/null"))
    terminal.write(Path("/dev/null"), "anything")
    assert not Path("/dev/null").is_file()


def test_search_warns_of_a_goal_outside_the_frame(folder: Path) -> None:
    result = call("search", folder / "run", folder / "store", "--goal=-900,3", "--frame", 2, "--budget", 32)
    assert result.exit_code == 0 and "the goal -900,3 A lies outside the frame" in result.stderr
    view = np.array([0.5, 0, 10, 0, 0.5, 20])
    inside = [
        stem_run.in_frame(np.array(point), view, (5, 7)) for point in ((13.2, 20), (13.3, 20), (10, 22.2), (10, 22.3))
    ]
    assert inside == [True, False, True, False]


def test_search_has_nothing_to_do_at_the_goal(folder: Path) -> None:
    x, y = Store.open(folder / "store")[-1]["states"].values[2, :2]
    assert "at the goal already" in bad("search", folder / "run", folder / "store", f"--goal={x},{y}", "--frame", 2)


def test_replay_says_who_judged_and_that_the_judge_made_the_data(folder: Path, tmp_path: Path, short: None) -> None:
    written = ("--out", tmp_path / "verdict.json", "--report", tmp_path / "page.html")
    result = call("replay", folder / "run", "--episodes", 2, *written)
    assert result.exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Promise and outcome: planned on the surrogate</h2>" in page and "seconds / greedy" in page
    for text in ("planned on the surrogate", "greedy with known rates", "random", "kinetic Monte Carlo", "prior rates"):
        assert text in result.stdout
    assert re.search(f"judge made the training data +yes +{DASH} +{DASH}", result.stdout)
    assert "also made the training data" in result.stderr
    verdicts = json.loads((tmp_path / "verdict.json").read_text())
    planned = Verdict.from_json(json.dumps(verdicts["planned on the surrogate"]))
    assert len(planned) == 2 and planned.made_training_data and "greedy with known rates" in verdicts


def test_replay_of_a_run_on_other_data(folder: Path, tmp_path: Path, short: None) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "sources": ["movie.tif"]}))
    result = call("replay", tmp_path / "run", "--episodes", 1, "--rates", "mixture")
    assert result.exit_code == 0 and "also made the training data" not in result.stderr
    assert "mixture rates" in result.stdout and "greedy" not in result.stdout  # nobody knows the rates
    path.write_text(json.dumps({name: value for name, value in config.items() if name != "sources"}))
    assert "does not say where its recordings came from" in bad("replay", tmp_path / "run", "--episodes", 1)


def test_catalog_lists_shows_and_fetches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {line.split()[0] for line in good("catalog", "list").splitlines()} == set(catalog.entries())
    assert "CC0-1.0" in good("catalog", "show", "si-graphene-sim-tiny")
    monkeypatch.setattr(catalog, "fetch", lambda name, progress: [tmp_path / "a", tmp_path / name])
    assert good("catalog", "fetch", "b") == f"{tmp_path}/a\n{tmp_path}/b\n"
    monkeypatch.setattr(catalog, "fetch", lambda name, progress: tmp_path / name)
    assert good("catalog", "fetch", "b") == f"{tmp_path}/b\n"


def test_catalog_ingests_the_real_movie(mirror: Path, tmp_path: Path) -> None:
    said = good("catalog", "ingest", "si-graphene-movie", "--out", tmp_path / "store")
    assert re.search(r"^frames +25$", said, re.MULTILINE)
    assert Store.open(tmp_path / "store")[0].sizes["time"] == 25


@pytest.fixture(scope="module")
def files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """frames.tif and beam.csv as a microscopist has them, and damaged ones."""
    files = tmp_path_factory.mktemp("files")
    ds = Store.open(folder / "store")[2]
    tifffile.imwrite(files / "frames.tif", ds["frames"].values[..., 0])
    rows = [",".join(map(str, row)) for row in ds["controls"].values[:-1]]
    (files / "beam.csv").write_text("\n".join(["beam_x,beam_y,t", *rows]))
    (files / "foreign.tif").write_bytes(b"a letter, not a picture" * 40)
    whole = (files / "frames.tif").read_bytes()
    (files / "cut.tif").write_bytes(whole[: len(whole) // 2])
    return files


def test_ingest_gives_what_train_and_search_take(files: Path, tmp_path: Path) -> None:
    asked = ("--controls", files / "beam.csv", "--map", MAP, "--pixel-size", "43.75:pm", "--session", "monday")
    out = good("ingest", files / "frames.tif", "--out", tmp_path / "store", *asked)
    assert "measured lag" in out and str(tmp_path / "store-lag.html") in out
    assert (tmp_path / "store-lag.html").is_file()
    ds = Store.open(tmp_path / "store")[0]
    assert ds.attrs["session"] == "monday" and ds.sizes["time"] == 9
    assert ds["view"].values[0, 0] == pytest.approx(0.4375)
    good("train", tmp_path / "store", "--run", tmp_path / "run", "--steps", 1, "--batch", 4)
    plan = good("search", tmp_path / "run", tmp_path / "store", "--goal=-5,40", "--frame", 3, "--budget", 32)
    assert re.search(r"^dwell +\S+ +s$", plan, re.MULTILINE)


def test_ingest_takes_several_files_as_one_movie_or_as_several(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "frames.tif", tmp_path / "more.tif")
    both = (files / "frames.tif", tmp_path / "more.tif")
    good("ingest", *both, "--out", tmp_path / "two")
    good("ingest", *both, "--out", tmp_path / "one", "--together", "--frame-seconds", 2)
    assert len(Store.open(tmp_path / "two")) == 2
    assert [ds.sizes["time"] for ds in Store.open(tmp_path / "one")] == [18]
    for _ in range(2):
        result = call("ingest", *both, both[0], "--out", tmp_path / "again")
        assert result.exit_code == 0 and "rejected" not in result.output, result.output
        assert result.stderr == f"warning: {both[0]}: is named twice, and counts once\n"
    assert len(Store.open(tmp_path / "again")) == 2 and not (tmp_path / "again-quarantine.json").exists()


def test_ingest_fails_only_if_nothing_could_be_used(files: Path, tmp_path: Path) -> None:
    sources, listed = (files / "frames.tif", files / "foreign.tif"), tmp_path / "s-quarantine.json"
    for _ in range(2):  # the second time the store holds the good one already
        result = call("ingest", *sources, "--out", tmp_path / "s")
        assert result.exit_code == 0 and re.search(r"^rejected +1$", result.stdout, re.MULTILINE), result.output
        assert (
            result.stderr.splitlines()[-1]
            == f"warning: 1 rejected, which did not go into the store; all are in {listed}"
        )
    assert "foreign.tif" in bad("ingest", files / "foreign.tif", "--out", tmp_path / "none")


def test_ingest_reads_times_in_units_and_doubts_others(files: Path, tmp_path: Path) -> None:
    (files / "log.csv").write_text("t,v\n" + "".join(f"{500 * k},{k}\n" for k in range(17)))
    asked = ("--controls", files / "log.csv", "--map", "v=v:V~linear", "--frame-seconds", 1)
    assert "converted from ms to s" in good(
        "ingest", files / "frames.tif", "--out", tmp_path / "ms", *asked, "--times", "t:ms"
    )
    assert np.array_equal(Store.open(tmp_path / "ms")[0]["controls"].values[:-1, 0], 2 * np.arange(8))
    result = call("ingest", files / "frames.tif", "--out", tmp_path / "s", *asked, "--times", "t")
    assert result.exit_code == 0 and "the log lasts from 0 to 8000 s, the frames from 0 to 8 s" in result.stderr
    assert "ends in no unit of time" in bad(
        "ingest", files / "frames.tif", "--out", tmp_path / "t", *asked, "--times", "t:furlong"
    )


def test_compact_says_why_it_merged_nothing(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    assert "nothing to merge; it is empty" in good("compact", tmp_path / "store")
    first, second = toy.recordings(2)
    store.append([first])
    assert "nothing to merge; it is one part already" in good("compact", tmp_path / "store")
    store.append([second])
    assert "2 parts became 1" in good("compact", tmp_path / "store")
    store.append([first.isel(x=slice(0, 4))])
    assert "no two neighbouring parts are of one kind" in good("compact", tmp_path / "store")
    large = Store.create(tmp_path / "large")
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (400, 40, 50, 1), "uint8")
        columns = ColumnTable((Column("grey", "counts"),))
        texts = {"session": "s", "source": f"{seed}", "licence": "", "citation": "", "history": ""}
        large.append([recording.make(noise, np.arange(400.0), channels=columns, **texts)])
    said = good("compact", tmp_path / "large", "--megabytes", 1)
    assert "no two neighbouring parts of one kind are together at most 1 MB; raise --megabytes" in said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train {t}/none --run {t}/r", "none: not a store"),
        ("train {store} --run {t}/r --domain chemistry", "no domain 'chemistry'; there are driving, fluid, stem"),
        ("train {store} --run {t}/r --steps 3 --seconds 5", "one of steps and seconds"),
        ("train {store} --run {t}/r --steps 3 --preset huge", "no preset 'huge'"),
        ("train {store} --run {t}/r --steps 3 --model gan", "no model family 'gan'"),
        ("train {store} --run {t}/r --steps 3 --device warp", "device 'warp'"),
        ("train {store} --run {t}/r --resume", "no such file"),
        ("rollout {store} {store} --out {t}/a.html", "config.json: no such file"),
        ("rollout {t}/foreign {store} --out {t}/a.html", "not of a run"),
        ("rollout {t}/cut {store} --out {t}/a.html", "truncated"),
        ("rollout {t}/noise {store} --out {t}/a.html", "no safetensors"),
        ("rollout {t}/unfinished {store} --out {t}/a.html", "no such file"),
        ("rollout {run} {t}/none --out {t}/a.html", "none: not a store"),
        ("rollout {run} {other}/store --out {t}/a.html", "controls are fan_x, fan_y, mode; expected beam_x"),
        ("rollout {run} {store} --out {t}/a.html --recording 10", "recording is 10"),
        ("rollout {run} {store} --out {t}/a.html --start 8", "no step"),
        ("rollout {run} {store} --out {t}/a.html --device warp", "device 'warp'"),
        ("search {run} {store} --goal 3", "goal is '3'; write X,Y in A"),
        ("search {run} {store} --goal=3,1 --samples 8 --verify 2", "--samples, --verify: of --objective alone"),
        ("search {run} {store} --objective drag --aim site", "--aim: of --goal alone; leave it out with --objective"),
        ("search {run} {store} --goal=3,1 --pessimism 1", "the surrogate is one model"),
        ("search {run} {store} --goal nan,1", "goal is 'nan,1'"),
        ("search {run} {store} --goal 3,4 --aim speed", "aim is 'speed'"),
        ("search {run} {store} --goal 3,4 --frame 9", "frame is 9"),
        ("search {run} {store} --goal 3,4 --recording 10", "recording is 10"),
        ("search {run} {store} --goal 3,4 --budget 3", "raise the budget"),
        ("search {run} {other}/store --goal 3,4", "view is in mm"),
        ("search {other}/run {store} --goal 3,4", "controls are fan_x (mm)"),
        ("replay {other}/run", "steering needs the beam's x and y in A"),
        ("replay {run} --rates magic", "rates is 'magic'"),
        ("replay {run} --episodes 0", "episodes is 0"),
        ("replay {run} --within 1", "no site within 1"),
        ("replay {run} --within nan", "within is nan"),
        ("replay {run} --seed -1", "seed is -1; use 0 to"),
        ("replay {run} --episodes 99999999999999999999", "episodes is 99999999999999999999; use at most"),
        ("search {run} {store} --goal 3,4 --seed 99999999999999999999", "seed is 99999999999999999999; use 0 to"),
        ("search {run} {store} --goal 3,4 --device meta", "device 'meta': not one to train or imagine on"),
        ("train {store} --run {t}/r --steps 3 --device mps", "device 'mps': not one to train or imagine on; use 'cpu'"),
        ("train {store} --run {t}/r --steps 3 --batch 9999999999999", "batch is 9999999999999; use at most"),
        ("rollout {run} {store} --out {t}", "is a folder; name a file in it"),
        ("search {run} {store} --goal 3,4 --out {t}", "is a folder; name a file in it"),
        ("replay {run} --out {f}/beam.csv/a.json", "beam.csv is a file; name a folder there"),
        ("replay {run} --out {f}/beam.csv/b/a.json", "beam.csv is a file; name a folder there"),
        ("catalog show nothing", "no data set 'nothing'; there are comma2k19-example"),
        ("catalog fetch nothing", "no data set 'nothing'"),
        ("catalog ingest nothing --out {t}/s", "no data set 'nothing'"),
        ("ingest {f}/foreign.tif --out {t}/s", "foreign.tif: cannot be read"),
        ("ingest {f}/cut.tif --out {t}/s", "cut.tif: truncated"),
        ("ingest {f}/none.tif --out {t}/s", "none.tif: no such file"),
        ("ingest {f}/frames.tif --out {f}/beam.csv", "not a store"),
        ("ingest {f}/frames.tif --out {t}/s --map x=a:A", "without controls"),
        ("ingest {f}/frames.tif --out {t}/s --controls {f}/beam.csv --map x=bx:A", "no column 'bx'; the header has"),
        ("ingest {f}/frames.tif --out {t}/s --controls {f}/beam.csv --map dwell=t", "'dwell=t' is no control"),
        ("ingest {f}/frames.tif --out {t}/s --controls {f}/no.csv --map dwell=t:s", "no.csv: cannot be read"),
        ("ingest {f}/frames.tif --out {t}/s --pixel-size 3:furlong", "length '3:furlong'"),
        ("ingest {f}/frames.tif --out {t}/s --pixel-size big", "length 'big'"),
        ("ingest {f}/frames.tif --out {t}/s --reader sound", "no reader 'sound'"),
        ("demo stem --out {store}", "which no demo made"),
        ("demo stem --out {t}/d --steps 0", "steps is 0"),
    ],
)
def test_damage_and_mistakes_are_one_line(
    folder: Path, other: Path, files: Path, tmp_path: Path, command: str, message: str
) -> None:
    for name in ("cut", "noise", "unfinished", "foreign"):
        if f"/{name} " in command:
            shutil.copytree(folder / "run", tmp_path / name)
    model = tmp_path / "cut" / "model.safetensors"
    if model.is_file():
        model.write_bytes(model.read_bytes()[:5000])
    elif (tmp_path / "noise").is_dir():
        (tmp_path / "noise" / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(5000))
    elif (tmp_path / "unfinished").is_dir():
        (tmp_path / "unfinished" / "model.safetensors").unlink()
    elif (tmp_path / "foreign").is_dir():
        (tmp_path / "foreign" / "config.json").write_text('{"learning_rate": 0.1}')
    places = {"t": tmp_path, "f": files, "store": folder / "store", "run": folder / "run", "other": other}
    assert message in bad(*(word.format(**places) for word in command.split()))


def test_a_damaged_shard_is_one_line(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "store", tmp_path / "store")
    shard = max((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-100])
    line = bad("rollout", folder / "run", tmp_path / "store", "--out", tmp_path / "a.html")
    assert "frames" in line and "restore" in line


def test_a_store_of_a_newer_schema_is_one_line(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "store", tmp_path / "store")
    path = tmp_path / "store" / "zarr.json"
    node = json.loads(path.read_text())
    node["attributes"]["sciworld_schema"] += 1
    path.write_text(json.dumps(node))
    assert "upgrade" in bad("train", tmp_path / "store", "--run", tmp_path / "run", "--steps", 1)


def test_demo_does_the_whole_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(stem, "run", lambda *args: asked.append(args))
    good("demo", "stem", "--out", tmp_path / "demo", "--steps", 2, "--episodes", 1, "--seed", 5)
    assert asked == [(tmp_path / "demo", stem.DemoSettings(steps=2, episodes=1, seed=5))]


def test_demo_settings_that_cannot_work_are_refused() -> None:
    for wrong in ({"seed": -1}, {"within": np.nan}, {"steps": 1.5}, {"episodes": True}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            stem.DemoSettings(**wrong)


def test_a_wide_table_lies_on_its_side_in_a_narrow_terminal() -> None:
    table = Table(("what", "first", "second"), (("here", "1", "2"),), "caption")
    assert table.fit(80) == str(table)
    assert table.fit(12).splitlines() == ["what    here", "------  ----", "first   1", "second  2", "caption"]
    tall = Table(("what", "first"), (("here", "1"), ("there", "2")))
    assert tall.fit(3) == str(tall)
