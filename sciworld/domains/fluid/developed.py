"""Developed wakes: how a cylinder sheds without control, made once and kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from sciworld import __version__
from sciworld.config import cache_dir
from sciworld.domains.fluid.lattice import RELAX, Lattice, Populations
from sciworld.domains.fluid.scenarios import ACTIONS
from sciworld.errors import SimulatorError
from sciworld.files import replace_file
from sciworld.kernels import lbm

DEVELOP, MEASURE = 120, 40  # D/U until the wake sheds evenly, and for the means without control
STEADY = 1e-3  # an rms of C_L of less is that of a wake that does not shed
SETTLED = 0.05  # share by which that rms may differ between the halves of MEASURE
LONGEST = 10  # D/U, of a period
# What is told of each action: means over its steps.
COEFFICIENTS = ("drag", "lift", "lift_square")
MAGIC = b"sciworld developed wake 1\n"
KEPT_BYTES = 2_000_000_000  # of all wakes in the cache; those that were not used for longest go first
LEFT_OVER = 86_400  # s, after which a file that is still being written has been given up


@dataclass(frozen=True)
class Baseline:
    """The wake without control: mean drag coefficient, rms of the lift about its mean, and Strouhal number."""

    drag: float
    lift_rms: float
    strouhal: float


@dataclass(frozen=True, eq=False)
class Wake:
    """One period of shedding: flows at the end of each action, and (action, 3) COEFFICIENTS of that action."""

    flows: Populations
    coefficients: np.ndarray
    baseline: Baseline


def means(coefficients: np.ndarray) -> np.ndarray:
    """COEFFICIENTS : (flow, 3), of those of each step : (flow, step, 2)."""
    drag, lift = np.moveaxis(coefficients, -1, 0)
    return np.stack([drag.mean(axis=1), lift.mean(axis=1), (lift**2).mean(axis=1)], axis=1)


def developed(lattice: Lattice, steps: int, coefficients: Callable[[np.ndarray], np.ndarray]) -> Wake:
    """The wake of a lattice without control, from the cache, or made in `steps` an action and kept there.

    coefficients : of forces in N for 1 m of depth. Raises SimulatorError where the wake does not shed vortices evenly.
    """
    name = digest(lattice, steps)
    path = cache_dir() / "flows" / f"wake-{name[:16]}.bin"
    found = _read(path, name)
    if found is None:
        found = _develop(lattice, steps, coefficients)
        with contextlib.suppress(OSError):  # a cache that cannot be written is none
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, _packed(found, name))
            _prune(path)
    return found


def digest(lattice: Lattice, steps: int) -> str:
    """A text that is another one for any other flow: of all that decides it, the kernel's source too.

    Of a body the surface alone counts: what does not move needs no actuator.
    """
    source = hashlib.sha256(Path(lbm.__file__).read_bytes()).hexdigest()
    facts = (__version__, source, DEVELOP, MEASURE, RELAX, np.dtype(lattice.dtype).str, steps)
    found = hashlib.sha256(repr(facts).encode())
    for field in fields(lattice.case):
        value = getattr(lattice.case, field.name)
        for one in (value.links, value.fractions) if isinstance(value, lbm.Body) else (value,):
            found.update(field.name.encode())
            if isinstance(one, np.ndarray):
                found.update(repr((one.dtype.str, one.shape)).encode() + np.ascontiguousarray(one).tobytes())
            else:
                found.update(repr(one).encode())
    return found.hexdigest()


def _packed(wake: Wake, name: str) -> bytes:
    content = io.BytesIO()
    facts = np.array([wake.baseline.drag, wake.baseline.lift_rms, wake.baseline.strouhal])
    np.savez(content, f=wake.flows.f, outflow=wake.flows.outflow, coefficients=wake.coefficients, baseline=facts)
    payload = content.getvalue()
    return MAGIC + f"{name} {hashlib.sha256(payload).hexdigest()}\n".encode() + payload


def _read(path: Path, name: str) -> Wake | None:
    """The wake in a file that is whole, and of this very flow."""
    try:
        content = path.read_bytes()
        os.utime(path)  # when it was last used
    except OSError:
        return None
    head, _, payload = content.removeprefix(MAGIC).partition(b"\n")
    if head != f"{name} {hashlib.sha256(payload).hexdigest()}".encode():
        return None
    with np.load(io.BytesIO(payload)) as kept:
        flows = Populations(kept["f"], kept["outflow"], np.zeros(len(kept["f"]), np.int64))
        return Wake(flows, kept["coefficients"], Baseline(*map(float, kept["baseline"])))


def _prune(newest: Path) -> None:
    """Remove the wakes that were not used for longest where all are too much, and what was given up half written."""
    used: list[tuple[float, int, Path]] = []
    for path in newest.parent.iterdir():
        facts = path.stat()
        if path.name.startswith(".") and facts.st_mtime < time.time() - LEFT_OVER:
            path.unlink(missing_ok=True)
        elif path.name.startswith("wake-") and path != newest:
            used.append((facts.st_mtime, facts.st_size, path))
    room = KEPT_BYTES - newest.stat().st_size
    for _, size, path in sorted(used, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)


def _develop(lattice: Lattice, steps: int, coefficients: Callable[[np.ndarray], np.ndarray]) -> Wake:
    flows, _ = lattice.advance(lattice.start(1), 2 * (steps * ACTIONS * DEVELOP // 2))
    found: deque[Populations] = deque(maxlen=ACTIONS * LONGEST)
    every = []
    for _ in range(ACTIONS * MEASURE):
        flows, force = lattice.advance(flows, steps)
        found.append(flows)
        every.append(coefficients(force))
    drag, lift = np.concatenate(every, axis=1)[0].T
    crossings = np.flatnonzero((lift[:-1] < lift.mean()) & (lift[1:] >= lift.mean()))
    period = np.diff(crossings).mean() if len(crossings) > 2 else np.inf
    early, late = (half.std() for half in np.array_split(lift, 2))
    if lift.std() < STEADY or period > ACTIONS * LONGEST * steps or abs(late / early - 1) > SETTLED:
        raise SimulatorError(
            f"the wake at reynolds {lattice.case.reynolds:g} does not shed vortices evenly after {DEVELOP} D/U, "
            f"the rms of C_L goes from {early:.2g} to {late:.2g}; use a higher reynolds, 60 or more"
        )
    between, one = slice(crossings[0], crossings[-1]), round(period / steps)
    last = list(found)[-one:]
    f, outflow, done = (np.concatenate([getattr(flow, name) for flow in last]) for name in ("f", "outflow", "steps"))
    strouhal = lattice.case.length / lattice.case.speed / period
    baseline = Baseline(float(drag[between].mean()), float(lift[between].std()), float(strouhal))
    return Wake(Populations(f, outflow, done), np.concatenate([means(part) for part in every[-one:]]), baseline)
