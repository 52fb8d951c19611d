"""A worker of an ingest that dies once it has put something into the store."""

import os
import signal
from pathlib import Path

from sciworld.ingest import task


def run_task(one: task.Task, mark: str, out: str, held: task.Held, ahead: bool) -> task.Outcome:
    """`task.run_task`, whose process then dies as often as the file $DEATHS says, if the source is an HDF5 file."""
    outcome = task.run_task(one, mark, out, held, ahead)
    left = Path(os.environ["DEATHS"])
    if str(one.source).endswith(".hdf5") and int(left.read_text()):
        left.write_text(str(int(left.read_text()) - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome
