"""The wheel holds every package, and the lists of packages and of dependencies agree with one another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
MAPPED = PROJECT["tool"]["setuptools"]["package-dir"]

# conda-forge calls it otherwise.
CONDA_NAMES = {"pytorch": "torch"}


def run(*words: str | Path, cwd: Path) -> str:
    result = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build_wheel(folder: Path) -> Path:
    """The wheel of a copy of the source, so that the checkout stays clean. Needs no network."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in MAPPED.values():
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    run(*pip, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("sciworld-*.whl")
    return wheel


def test_a_fresh_environment_imports_every_package_of_the_wheel(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "build")
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # The dependencies are those of this environment: a path file adds its folder, but not the editable install in it.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = (
        "import importlib, sys\n"
        f"for name in {PACKAGES!r}:\n"
        "    print(name, importlib.import_module(name).__file__)\n"
        "from importlib.resources import files\n"
        "print('toml', *sorted(path.name for path in files('sciworld.datasets_catalog').iterdir()))\n"
    )
    said = run(python, "-c", program, cwd=tmp_path).splitlines()
    for name, line in zip(PACKAGES, said, strict=False):
        assert line == f"{name} {site / Path(*name.split('.')) / '__init__.py'}"
    assert {path.name for path in (ROOT / "datasets_catalog").glob("*.toml")} <= set(said[-1].split())
    assert run(home / "bin" / "sciworld", "--version", cwd=tmp_path).strip() == PROJECT["project"]["version"]


def test_every_folder_with_code_is_a_listed_package() -> None:
    found = set()
    for package, folder in MAPPED.items():
        for path in (ROOT / folder).rglob("*.py"):
            found.add(".".join((package, *path.parent.relative_to(ROOT / folder).parts)))
    assert found == set(PACKAGES)
    assert len(PACKAGES) == len(set(PACKAGES))


def requirements(*extras: str) -> dict[str, str]:
    """Distribution -> version bound of the core and of some extras."""
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return dict(re.fullmatch(r"([\w.-]+)(.*)", line).groups() for line in wanted)  # type: ignore[union-attr]


def test_the_conda_environment_asks_for_the_same() -> None:
    lines = re.findall(r"^  - ([\w.-]+) (>=\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = {CONDA_NAMES.get(name, name): bound for name, bound in lines}
    assert conda.pop("python") == PROJECT["project"]["requires-python"]
    assert conda == requirements("notebook", "dev")


def test_constraints_pin_every_requirement() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert lines[0] == "torch==2.13.0"
    assert set(requirements("notebook", "dev")) <= set(pins)
    assert "torchvision" not in pins
