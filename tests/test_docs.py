"""What the pages say is true: Python blocks run, shell blocks name commands and options that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from sciworld.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TIME_LIMIT = 300


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """(line at which it starts, code) of every fenced block of `language`."""
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start(1)) + 1, match[1]


def script(text: str) -> str:
    """All Python blocks of a page as one program, each at the line where it stands in the page."""
    lines = [""] * text.count("\n")
    for start, code in blocks(text, "python"):
        body = code.splitlines()
        lines[start - 1 : start - 1 + len(body)] = body
    return "\n".join(lines) + "\n"


def command_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of every command in the `sh` blocks; continuation lines joined, comments left out."""
    for start, code in blocks(text, "sh"):
        joined = code.replace("\\\n", "  ")
        for offset, line in enumerate(joined.splitlines()):
            for part in re.split(r"&&|\|", line):
                if words := shlex.split(part, comments=True):
                    yield start + offset, words


def wrong_command(words: list[str]) -> str:
    """What does not exist in a command, or the empty string."""
    words = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if not words:
        return ""
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return "" if all(word in targets for word in rest) else f"make has no target {rest}"
    if program == "sciworld":
        return wrong_arguments(rest)
    if program == "python" and rest and rest[0].endswith(".py"):
        return "" if (ROOT / rest[0]).is_file() else f"{rest[0]} does not exist"
    return "" if shutil.which(program) or program in ("pip", "cd", "export") else f"no command {program}"


def wrong_arguments(words: list[str]) -> str:
    """What `sciworld words...` names that the command line does not have, or the empty string."""
    command = typer.main.get_command(app)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    for word in words:
        if word.startswith("--"):
            if word.split("=")[0] not in known:
                return f"sciworld {command.name or ''} has no option {word}"
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"sciworld has no command {word}"
            command = command.commands[word]
            known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.name}.py"
    program.write_text(script(page.read_text()))
    result = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    assert result.returncode == 0, f"{page.name}, at the lines of the page:\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_blocks_name_what_exists(page: Path) -> None:
    wrong = [
        f"{page.name}:{line}: {why}" for line, words in command_lines(page.read_text()) if (why := wrong_command(words))
    ]
    assert wrong == []


def test_readme_names_the_two_commands() -> None:
    said = [words for _, words in command_lines(PAGES[0].read_text())]
    assert ["make", "demo"] in said
    assert ["make", "test"] in said


@pytest.mark.parametrize(
    "line",
    [
        "make nothing",
        "sciworld nothing",
        "sciworld doctor --nothing",
        "python benchmarks/nothing.py --quick",
        "no-such-program x",
        "A=1 sciworld nothing",
    ],
)
def test_the_check_sees_what_does_not_exist(line: str) -> None:
    page = f"text\n\n```sh\ncd .  # fine\n{line}\n```\n"
    assert [number for number, words in command_lines(page) if wrong_command(words)] == [5]


def test_code_keeps_its_place_in_the_page() -> None:
    assert script("a\n```python\nx = 1\n```\nb\n```sh\nls\n```\n```python\ny = x\n```\n").splitlines() == [
        *["", "", "x = 1", "", "", "", "", "", "", "y = x", ""]
    ]
