"""The layer table of the design, read from the imports themselves."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sciworld

ROOT = Path(__file__).resolve().parents[1]

# A module imports only from rows above its own, or from its own folder.
ROWS = (
    ("errors",),
    ("chance", "config", "files", "kernels", "datasets_catalog", "nodes", "shards", "tensors", "units", "words"),
    ("controls", "stored", "lazy", "cluster", "writing"),
    ("recording", "parts", "selection", "simulator", "streamed", "together", "measures"),
    ("store", "catalog", "plots", "crop", "statistics"),
    ("windows", "domains", "familiar"),
    ("counterfactuals",),
    ("loader", "ingest", "export", "envs", "sweep"),
    ("models",),
    ("training", "surrogate"),
    ("search",),
    ("evaluate",),
    ("tasks", "rounds"),
    ("loop", "accessor", "widgets", "demos", "doctor"),
    ("cli", "testing"),
    ("__main__",),
)
ROW = {name: index for index, row in enumerate(ROWS) for name in row}
SHARED = (
    "base",
    "generated",
    "hdf5",
    "logs",
    "media",
    "pictures",
    "reader",
)  # modules of `domains` that all domains know

# Import name -> (distribution, extra that brings it; "" is core).
PACKAGES = {
    "av": ("av", ""),
    "dask": ("dask", ""),
    "distributed": ("distributed", ""),
    "google_crc32c": ("google-crc32c", ""),
    "gymnasium": ("gymnasium", ""),
    "h5netcdf": ("h5netcdf", ""),
    "h5py": ("h5py", ""),
    "ipywidgets": ("ipywidgets", "notebook"),
    "numba": ("numba", ""),
    "numcodecs": ("numcodecs", ""),
    "numpy": ("numpy", ""),
    "plotly": ("plotly", ""),
    "pooch": ("pooch", ""),
    "pyarrow": ("pyarrow", ""),
    "pydantic": ("pydantic", ""),
    "rich": ("rich", ""),
    "rsciio": ("rosettasciio", "em"),
    "safetensors": ("safetensors", ""),
    "tensorstore": ("tensorstore", ""),
    "tifffile": ("tifffile", ""),
    "torch": ("torch", ""),
    "typer": ("typer", ""),
    "xarray": ("xarray", ""),
    "zarr": ("zarr", ""),
}

# What a part of the library must not import at all, beyond the rows.
FORBIDDEN = {
    "models": {"xarray", "zarr", "dask", "tensorstore"},
    "search.optimizers": {"torch"},
    "domains": {"torch"},
}
KERNELS_MAY = {"numpy", "numba", "math", "typing"}  # NamedTuples gather arrays for numba
# kernels/__init__.py says where machine code is kept, so that it is as fresh as the sources.
CACHE_MAY = {"contextlib", "functools", "hashlib", "os", "pathlib", "shutil", "time"}

MAX_FILE_LINES = 400
# Of the body alone: neither many parameters nor a long docstring make a function too long.
MAX_FUNCTION_LINES = 50


def source_files() -> dict[str, Path]:
    """Dotted module name below `sciworld` -> file; "" is the package itself."""
    files = {}
    for folder, prefix in (("sciworld", ()), ("kernels", ("kernels",)), ("datasets_catalog", ("datasets_catalog",))):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = (*prefix, *path.relative_to(ROOT / folder).with_suffix("").parts)
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = source_files()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that can run: all but the bodies of `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            for branch in node.orelse:  # type: ignore[attr-defined]
                yield branch
                yield from runtime_nodes(branch)
        else:
            yield node
            yield from runtime_nodes(node)


def imports(module: str, source: str, is_package: bool) -> set[str]:
    """Dotted names that `module` imports at any level; `from sciworld.a import b` gives `sciworld.a.b` if a module."""
    package = ["sciworld", *module.split(".")] if module else ["sciworld"]
    if not is_package:
        package = package[:-1]
    found = set()
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            base = base if node.level else str(node.module)
            found |= {f"{base}.{alias.name}" if base.split(".")[0] == "sciworld" else base for alias in node.names}
    return found


def own_target(name: str) -> str:
    """`sciworld.a.b.Thing` -> the longest module of ours that it names, `a.b`; "" is the package itself."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in FILES:
        parts = parts[:-1]
    return ".".join(parts)


def breaches(module: str, source: str, is_package: bool = False) -> list[str]:
    """What `source`, were it the module sciworld.`module`, imports against the rules."""
    top = module.split(".")[0]
    if top and top not in ROW:
        return [f"sciworld.{module} has no row in the layer table"]
    wrong = []
    for name in sorted(imports(module, source, is_package)):
        head = name.split(".")[0]
        if head == "sciworld":
            wrong += own_breaches(module, name)
        elif head not in sys.stdlib_module_names:
            if head not in PACKAGES:
                wrong.append(f"sciworld.{module} imports {head}, which no dependency of pyproject.toml brings")
            for part, banned in FORBIDDEN.items():
                if f"{module}.".startswith(f"{part}.") and head in banned:
                    wrong.append(f"sciworld.{module} imports {head}; {part} must not")
        may = KERNELS_MAY | (CACHE_MAY if module == "kernels" else set())
        if top == "kernels" and head not in may | {"__future__", "sciworld"}:
            wrong.append(f"sciworld.{module} imports {head}; kernels import only {', '.join(sorted(may))}")
    return wrong


def own_breaches(module: str, name: str) -> list[str]:
    """Breaches of the rows by one import of ours."""
    top, target = module.split(".")[0], own_target(name)
    if not target:
        # The lazy names of the package would go around the rows.
        return (
            [] if name in ("sciworld", "sciworld.__version__") else [f"sciworld.{module}: import {name} from its home"]
        )
    target_top = target.split(".")[0]
    if not top or target_top == top:
        mine, other = module.split(".")[:2], target.split(".")[:2]
        if top == "domains" and mine[1:] and other[1:] and other[1] not in (mine[1], *SHARED):
            return [f"sciworld.{module} imports sciworld.{target}; a domain knows no other domain"]
        return []
    if target_top not in ROW:
        return [f"sciworld.{target} has no row in the layer table"]
    if ROW[target_top] >= ROW[top]:
        return [f"sciworld.{module} (row {ROW[top]}) imports sciworld.{target} (row {ROW[target_top]})"]
    return []


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_layer_table(module: str) -> None:
    path = FILES[module]
    assert breaches(module, path.read_text(), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("controls", "from sciworld.recording import check"),
        ("controls", "from sciworld import recording_that_is_lazy"),
        ("training.fit", "def f():\n    from sciworld.evaluate import x"),
        ("search.search", "import sciworld.evaluate"),
        ("simulator", "from .models import base"),
        ("training.fit", "from sciworld.surrogate import Surrogate"),
        ("models.diffusion", "import zarr.codecs"),
        ("domains.stem.simulator", "import torch"),
        ("domains.stem.simulator", "from sciworld.models.base import WorldModel"),
        ("search.optimizers.cem", "if True:\n    import torch"),
        ("kernels.stem", "import os"),
        ("kernels.stem", "from sciworld import config"),
        ("store", "import pandas"),
        ("helpers", "x = 1"),
        ("store", "if TYPE_CHECKING:\n    pass\nelse:\n    import pandas"),
    ],
)
def test_the_check_sees_a_breach(module: str, source: str) -> None:
    assert breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("models.diffusion", "if TYPE_CHECKING:\n    from sciworld.search import Plan\n    import zarr"),
        ("models.diffusion", "from sciworld.models.base import WorldModel\nfrom sciworld import config"),
        ("models.diffusion", "from . import base\nfrom ..errors import ModelError"),
        ("cli", "from sciworld import __version__"),
        ("kernels.stem", "import math\nimport numpy as np\nfrom sciworld import kernels"),
    ],
)
def test_the_check_lets_the_rest_pass(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_allowed_packages_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements}

    assert {dist for dist, extra in PACKAGES.values() if not extra} == names(project["dependencies"])
    for dist, extra in PACKAGES.values():
        assert not extra or dist in names(project["optional-dependencies"][extra])


def test_an_extra_is_imported_only_where_it_is_used() -> None:
    optional = {name for name, (_, extra) in PACKAGES.items() if extra}
    for module, path in FILES.items():
        for node in ast.parse(path.read_text()).body:
            named = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                named = {node.module or ""}
            heads = {name.split(".")[0] for name in named}
            assert not heads & optional, f"sciworld.{module} imports {heads & optional} when it is itself imported"


@pytest.mark.parametrize(
    "path", [*FILES.values(), *sorted((ROOT / "benchmarks").glob("*.py"))], ids=lambda path: path.stem
)
def test_files_and_functions_stay_short(path: Path) -> None:
    source = path.read_text()
    length = source.count("\n")
    assert length <= MAX_FILE_LINES, f"{path}: {length} lines; an idea in it wants its own file"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            code = node.body[1:] if ast.get_docstring(node) and node.body[1:] else node.body
            lines = node.end_lineno - code[0].lineno + 1
            assert lines < MAX_FUNCTION_LINES, f"{path}:{node.lineno}: {node.name} has {lines} lines; split it"


@pytest.mark.parametrize(
    ("text", "homes"),
    [
        ('"node_type": "group"', {"nodes"}),
        ("= 2**53  #", {"controls", "loader", "domains.driving.lerobot_features"}),
        ("2**63 - 1", {"config"}),
        ("has the {name} {", {"windows"}),
    ],
)
def test_an_idea_has_one_home(text: str, homes: set[str]) -> None:
    assert {module for module, path in FILES.items() if text in path.read_text()} <= homes


def test_public_names_exist_and_the_import_stays_light() -> None:
    # A name that is also a module would mean one or the other, as the order of imports has it.
    assert not set(sciworld.__all__) & set(ROW)
    for name in sciworld.__all__:
        assert getattr(sciworld, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        sciworld.no_such_name  # noqa: B018
    heavy = "{'torch', 'xarray', 'zarr', 'numba', 'numpy'}"
    code = f"import sciworld, sys; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version_is_the_distribution_s() -> None:
    assert importlib.metadata.version("sciworld") == sciworld.__version__
