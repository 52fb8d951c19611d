"""Paths that a data set's own tables state, and numbers in them: none of them is trusted."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

from sciworld.errors import FormatError

FORMAT = re.compile(r"(0?[1-9])?d?")  # "03d" and the like; a width of a billion would fill the memory


def stays(name: str) -> bool:
    """Whether a stated path stays in the folder that it is joined to, also where backslashes part folders."""
    path = Path(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name)


def inside(root: Path, name: str, stated_in: Path) -> Path:
    """The file that a table names. Raises FormatError for a path that leaves the data set's folder.

    Links are followed: caches of downloads link each file to where its content is.
    """
    if not Path(name).parts or not stays(name):
        raise FormatError(f"{stated_in}: names the file {name!r}, outside the data set; mend the path")
    return root / name


def filled(root: Path, template: object, values: dict[str, Any], stated_in: Path) -> Path:
    """The file that a template such as "data/chunk-{chunk_index:03d}/..." names. Raises FormatError as `inside` does,
    and for a field that is none of `values`."""
    if not isinstance(template, str):
        raise FormatError(f"{stated_in}: the template of paths is {template!r}; copy the data set anew")
    try:
        pieces = list(string.Formatter().parse(template))
        for _, field, form, conversion in pieces:
            if field is not None and (field not in values or conversion or not FORMAT.fullmatch(form or "")):
                raise ValueError(f"field '{field}:{form}'")
        name = template.format(**values)
    except (ValueError, LookupError) as error:
        raise FormatError(f"{stated_in}: the template {template!r} has an unknown part ({error}); mend it") from error
    return inside(root, name, stated_in)
