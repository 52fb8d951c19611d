"""The catalogue of data sets: one TOML file each, found in a mirror, downloaded with their checksums, or generated.

What is too large, behind a registration or not ours to hand on is listed too, with where and how to get it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files as resource_files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sciworld import __version__, config
from sciworld.errors import CatalogError, SciworldError
from sciworld.files import replace_file, staged
from sciworld.nodes import group_json

# generate(path, seed, progress=, **settings) writes a store at a path that does not exist yet.
GENERATORS = {
    "fluid": "sciworld.domains.fluid.generate:generate",
    "road": "sciworld.domains.driving.road.generate:generate",
    "stem": "sciworld.domains.stem.generate:generate",
}

HOLDS = "catalog_recordings"  # attribute of a generated store: how many recordings it was made with

Progress = Callable[[int, int], None]


class File(BaseModel):
    """A file of an entry: where it lies below a mirror or the cache, where it can be downloaded, what it holds.

    One that cannot be downloaded as a file says in `origin` what it was made from; it is found in a mirror alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")
    bytes: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    url: str = Field(default="", pattern=r"^(https://.+)?$")
    origin: str = ""
    role: Literal["frames", "labels"] = "frames"

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> File:
        if bool(self.url) == bool(self.origin):
            raise ValueError("a file has either a url or an origin")
        return self


class Entry(BaseModel):
    """One data set.

    Parameters
    ----------
    name, title, description, domain : what it is.
    kind : "files"; "generator": made here by a trusted simulator, from a seed; "elsewhere": what each user gets alone.
    licence, citation : of the data.
    reader : of the files, as `sciworld.ingest.open` names it. together : whether the files are one recording, and
        folder, for a reader that takes a folder, the one of them all. allow_nan : whether their frames hold pixels
        that are not finite, such as invalid vectors.
    generator, seed, settings : a name in GENERATORS, and what it is called with.
    url, get, ingest : of data elsewhere: its page, how to get it, and the command that then brings it into a store.
    size, unchecked : of data elsewhere, where known: how large it is, and which of these statements nobody checked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    domain: str = Field(min_length=1)
    kind: Literal["files", "generator", "elsewhere"]
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    reader: str = ""
    together: bool = False
    folder: str = ""
    allow_nan: bool = False
    files: tuple[File, ...] = ()
    generator: str = ""
    seed: int = 0
    settings: dict[str, bool | int | float | str] = {}
    url: str = Field(default="", pattern=r"^(https://.+)?$")
    get: str = ""
    ingest: str = ""
    size: str = ""
    unchecked: str = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Entry:
        local = self.files or self.reader or self.folder or self.together or self.allow_nan
        made = self.generator or self.settings
        abroad = self.url or self.get or self.ingest or self.size or self.unchecked
        if self.kind == "files" and (not self.files or not self.reader or made or abroad):
            raise ValueError("kind 'files' needs files and a reader, and nothing of other kinds")
        if self.kind == "generator" and (self.generator not in GENERATORS or local or abroad):
            raise ValueError(
                f"kind 'generator' needs a generator ({', '.join(GENERATORS)}), and nothing of other kinds"
            )
        if self.kind == "elsewhere" and (not (self.url and self.get and self.ingest) or local or made):
            raise ValueError("kind 'elsewhere' needs url, get and ingest, and nothing of other kinds")
        apart = [file.path for file in self.files if not file.path.startswith(f"{self.folder}/")]
        if self.folder and (apart or self.together):
            raise ValueError(f"folder '{self.folder}' must hold every file, and excludes together")
        return self

    @property
    def bytes(self) -> int:
        """How much there is to download."""
        return sum(file.bytes for file in self.files)

    @property
    def extent(self) -> str:
        """The kind and the size in a few words."""
        if self.kind == "files":
            return f"files, {self.bytes / 1e6:.1f} MB"
        return "generated" if self.kind == "generator" else "elsewhere"


def read_entry(text: str, where: str) -> Entry:
    """Read and check the TOML of an entry. Raises CatalogError naming `where` and the field."""
    try:
        return Entry.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{where}: not TOML ({error}); mend that line") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc'])) or 'entry'}: {problem['msg']}" for problem in error.errors()]
        raise CatalogError(f"{where}: {'; '.join(problems)}; mend the entry") from error


@cache
def entries() -> dict[str, Entry]:
    """Every entry by its name, in alphabetical order. Raises CatalogError if one is malformed."""
    found = {}
    for file in sorted(resource_files("sciworld.datasets_catalog").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            entry = read_entry(file.read_text(encoding="utf-8"), file.name)
            if file.name != f"{entry.name}.toml":
                raise CatalogError(f"{file.name}: holds the entry '{entry.name}'; name the file {entry.name}.toml")
            found[entry.name] = entry
    return found


def get(name: str) -> Entry:
    """The entry called `name`. Raises CatalogError listing those that exist."""
    if name not in entries():
        raise CatalogError(f"no data set '{name}'; there are {', '.join(entries())}")
    return entries()[name]


def show(name: str) -> str:
    """What the entry says, for a terminal."""
    entry = get(name)
    rows = [("what", entry.description), ("domain", entry.domain), *_origin(entry)]
    rows += [("licence", entry.licence), ("citation", entry.citation)]
    return "\n".join([f"{entry.name}: {entry.title}", *(f"  {label:<9} {text}" for label, text in rows)])


def _origin(entry: Entry) -> list[tuple[str, str]]:
    """Where the data come from, as labels and texts."""
    if entry.kind == "files":
        frames = sum(file.role == "frames" for file in entry.files)
        recordings = "1 recording" if entry.together or entry.folder else f"{frames} recordings"
        text = f"{len(entry.files)} files ({recordings}), {entry.bytes / 1e6:.1f} MB, read by '{entry.reader}'"
        return [("source", text)]
    if entry.kind == "generator":
        settings = ", ".join(f"{key}={value}" for key, value in entry.settings.items())
        return [("source", f"generated by '{entry.generator}' with seed {entry.seed}: {settings}")]
    rows = [("source", f"elsewhere, {entry.url}"), ("size", entry.size or "not stated"), ("get it", entry.get)]
    return [*rows, ("then", entry.ingest), *([("unchecked", entry.unchecked)] * bool(entry.unchecked))]


def fetch(name: str, progress: Progress | None = None) -> Path | list[Path]:
    """Bring a data set here: the paths of its files, or the path of its generated store.

    Each file is looked for in the mirror (SCIWORLD_MIRROR), then in the cache, then downloaded into the cache; its
    sha256 is checked wherever it was found. The files of a folder stay together: all from the mirror, or all from the
    cache. A generated store is made once. progress(done, total) counts files, or what the generator counts. Raises
    CatalogError naming the file or the generator, what is wrong and the cure; for data elsewhere, how to get them.
    """
    entry = get(name)
    if entry.kind == "elsewhere":
        raise CatalogError(f"'{name}' cannot be fetched from here; get it yourself, under its licence.\n{show(name)}")
    if entry.kind == "generator":
        return _generate(entry, progress)
    mirror = config.mirror_dir()
    if entry.folder and mirror is not None and not all((mirror / file.path).is_file() for file in entry.files):
        mirror = None
    found = []
    for index, file in enumerate(entry.files):
        found.append(_fetch_file(entry, file, mirror))
        if progress is not None:
            progress(index + 1, len(entry.files))
    return found


def sources(entry: Entry, paths: list[Path]) -> list[Path | list[Path]]:
    """What a reader is given of the fetched files : a file, a folder, or the files of one recording, for each."""
    if entry.folder:
        depth = len(Path(entry.files[0].path).relative_to(entry.folder).parts)
        return [paths[0].parents[depth - 1]]
    frames = [path for path, file in zip(paths, entry.files, strict=True) if file.role == "frames"]
    return [frames] if entry.together else [*frames]


def _fetch_file(entry: Entry, file: File, mirror: Path | None) -> Path:
    if mirror is not None and (mirror / file.path).is_file():
        path = mirror / file.path
        if _sha256(path) != file.sha256:
            raise CatalogError(
                f"{path}: not the file that '{entry.name}' means, its sha256 differs; replace it in the mirror, or "
                f"unset {config.MIRROR_VARIABLE} to download it"
            )
        return path
    return _download(entry, file)


def _download(entry: Entry, file: File) -> Path:
    """The file in the cache, downloaded if it is not there or was damaged there."""
    path = config.cache_dir() / "files" / file.path
    if path.is_file() and _sha256(path) == file.sha256:
        return path
    if not file.url:
        raise CatalogError(
            f"{path}: cannot be downloaded, it was made from {file.origin}; set {config.MIRROR_VARIABLE} to a folder "
            f"that holds {file.path}"
        )
    import pooch  # slow to import, and not needed where there is a mirror

    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=path.name, path=path.parent)
    except ValueError as error:
        raise CatalogError(
            f"{path}: what {file.url} gives is not the file that '{entry.name}' means, its sha256 differs; it changed "
            "there, or was damaged on the way: try again, or put the right file into a mirror"
        ) from error
    except Exception as error:  # the network fails in many ways, of many classes
        raise CatalogError(
            f"{path}: cannot be downloaded from {file.url} ({type(error).__name__}: {error}); try again, or set "
            f"{config.MIRROR_VARIABLE} to a folder that holds {file.path}"
        ) from error
    return path


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read ({error}); mend its permissions, or replace it") from error


def _generate(entry: Entry, progress: Progress | None) -> Path:
    """The generated store in the cache: there whole, or not at all."""
    recipe: dict[str, Any] = {"generator": entry.generator, "seed": entry.seed, "settings": entry.settings}
    recipe["version"] = __version__
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    folder = config.cache_dir() / "generated"
    path = folder / f"{entry.name}-{digest}"
    if path.is_dir():
        _check_generated(entry, path)
        return path
    from sciworld.stored import read_node  # slow to import

    module, function = GENERATORS[entry.generator].split(":")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        generate = getattr(importlib.import_module(module), function)
        try:
            with staged(path) as stage:
                generate(stage, entry.seed, progress=progress, **entry.settings)
                made = read_node(stage)["attributes"] | {HOLDS: _whole_recordings(stage)}
                replace_file(stage / "zarr.json", group_json(made))
        except FileExistsError:
            if not path.is_dir():  # else another process made the very same meanwhile
                raise
    except (SciworldError, OSError, TypeError) as error:
        raise CatalogError(
            f"{path}: '{entry.name}' cannot be generated ({error}); mend the cause, or set {config.CACHE_VARIABLE} to "
            "a folder with space"
        ) from error
    return path


def _check_generated(entry: Entry, path: Path) -> None:
    """The store that was generated once is still whole, as far as its metadata and its files tell."""
    from sciworld.stored import read_node  # slow to import

    try:
        found, made = _whole_recordings(path), read_node(path)["attributes"].get(HOLDS)
        fault = "" if found else "it is empty"
        if made not in (None, found):  # those of earlier versions do not say
            fault = f"it holds {found} recordings and was made with {made}"
    except (SciworldError, OSError) as error:
        fault = str(error)
    if fault:
        raise CatalogError(
            f"{path}: the store of '{entry.name}' in the cache is damaged ({fault}); delete this folder and fetch "
            "again, and it is generated anew"
        )


def _whole_recordings(path: Path) -> int:
    """How many recordings the store holds. Raises StoreError naming a file that is missing or damaged."""
    from sciworld.parts import PART, Part  # slow to import

    parts = [Part(folder, "zarr") for folder in sorted(path.iterdir()) if PART.fullmatch(folder.name)]
    for part in parts:
        for name in part.names:
            part.array(name)
    merged = {name for part in parts for name in part.replaces}
    return sum(len(part) for part in parts if part.name not in merged)
