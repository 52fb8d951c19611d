"""The rounds of an active loop, and the folder in which they lie.

folder/loop.json                what the loop was begun with, and its name
folder/round-000/member-0, ...  the runs of a round's ensemble, which `Ensemble.load` reads
folder/round-000/round.json     how many recordings and transitions it learned from, and the verdicts
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import numpy as np

from sciworld.config import whole
from sciworld.errors import FormatError, SettingsError, TrainingError
from sciworld.evaluate.verdict import Verdict
from sciworld.files import lock, replace_file
from sciworld.measures.intervals import Interval
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.training.seen import digest

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Round:
    """One training, and the verdicts on it.

    Parameters
    ----------
    transitions : that it learned from. look : on the episodes that every round is judged by. folder : of its ensemble.
    confirmed : on fresh episodes, where the look reached the target; else None.
    """

    transitions: int
    look: Verdict
    folder: Path
    confirmed: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """That on fresh episodes, where there is one."""
        return self.look if self.confirmed is None else self.confirmed

    @property
    def success(self) -> Interval:
        """Share of successes, with its interval."""
        return self.verdict.summary()["success"]

    def promising(self, target: float | None) -> bool:
        """Whether the interval of the look's success begins at the target or above."""
        return _reaches(self.look, target)

    def holds(self, target: float | None) -> bool:
        """Whether it is promising, and the verdict on fresh episodes says so, too."""
        return self.promising(target) and self.confirmed is not None and _reaches(self.confirmed, target)


def _reaches(verdict: Verdict, target: float | None) -> bool:
    return target is not None and verdict.summary()["success"].low >= target


@contextlib.contextmanager
def held(folder: Path, asked: dict[str, Any], store: Store) -> Iterator[str]:
    """Keep other processes out of a loop's folder; the loop's name, which its sessions bear.

    Raises TrainingError where it holds something else, was begun otherwise, or another process works there.
    """
    # A loop may go on for longer, or to another target.
    kept = {**asked, "loop": {k: v for k, v in asked["loop"].items() if k not in ("rounds", "target")}}
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock(folder))
            if not any(folder.iterdir()):
                new = {"name": token_hex(4), "recordings": len(store), "store": digest(store)}
                replace_file(folder / "loop.json", json.dumps({**kept, **new}, indent=1).encode())
        except BlockingIOError as error:
            raise TrainingError(f"{folder}: another process works here; wait for it, or choose another") from error
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be made ({error}); choose another folder") from error
        yield _begun(folder / "loop.json", kept, store)


def _begun(path: Path, kept: dict[str, Any], store: Store) -> str:
    """The name of the loop, if it was begun with `kept`, on this store; else TrainingError."""
    try:
        begun = json.loads(path.read_text())
        # What earlier versions did not write down is not held against a loop.
        wrong = sorted(name for name in kept if name in begun and begun[name] != json.loads(json.dumps(kept[name])))
        recordings = whole(begun["recordings"], "recordings", 1)
        name, known = str(begun.get("name", recordings)), begun.get("store")
    except FileNotFoundError as error:
        raise TrainingError(f"{path.parent}: holds something that is no loop; choose another folder") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SettingsError) as error:
        raise TrainingError(f"{path}: cannot be read ({error!r}); restore it, or choose another folder") from error
    if wrong:
        raise TrainingError(
            f"{path.parent}: the loop was begun otherwise ({', '.join(wrong)} differ); go on with the same, or choose "
            "another folder"
        )
    if known is not None and known != digest(store, recordings):
        raise TrainingError(
            f"{path.parent}: the loop was begun on another store than {store.path}, or what that held was changed; go "
            "on with the same, or choose another folder"
        )
    return name


def learned(place: Path, store: Store) -> Selection:
    """What a round learns from: all that was stored when it began, whatever was added since, so that its members learn
    from the same."""
    path = place / "round.json"
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps({"recordings": len(store)}).encode())
    return Selection(
        store, np.arange(_read(path, lambda fields: whole(fields["recordings"], "recordings", 1, len(store))))
    )


def known(place: Path) -> Round | None:
    """The round in a folder, if it was judged. Raises FormatError where its file is damaged."""
    path = place / "round.json"

    def judged_one(fields: dict[str, Any]) -> Round | None:
        if "verdict" not in fields:
            return None
        look = Verdict.from_json(json.dumps(fields["verdict"]), str(path))
        fresh = fields.get("confirmed")  # rounds of earlier versions say nothing of it
        confirmed = None if fresh is None else Verdict.from_json(json.dumps(fresh), str(path))
        return Round(whole(fields["transitions"], "transitions", 1), look, place, confirmed)

    return _read(path, judged_one) if path.exists() else None


def write(found: Round) -> None:
    """Keep the verdicts on a round."""
    path = found.folder / "round.json"
    fields = {"transitions": found.transitions, "verdict": json.loads(found.look.to_json())}
    if found.confirmed is not None:
        fields["confirmed"] = json.loads(found.confirmed.to_json())
    replace_file(path, json.dumps(_read(path, dict) | fields).encode())


def _read(path: Path, made: Callable[[dict[str, Any]], T]) -> T:
    """What is made of the fields in a round's file. Raises FormatError where it is damaged."""
    try:
        return made(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError, RecursionError, SettingsError) as error:
        mend = f"restore it, or remove {path.parent}, and the round is trained and judged again"
        raise FormatError(f"{path}: cannot be read ({error}); {mend}") from error
