"""`loopwright logs`: the lines of the last run, as they come."""

from __future__ import annotations

import fcntl
import sys
import time
from pathlib import Path
from typing import IO

from loopwright.errors import InfraError, UsageError

__all__ = ["tail"]

_LOOK_SECONDS = 0.3


def tail(folder: Path, *, follow: bool) -> None:
    """Print the newest log; with ``follow`` go on until the line that ends it.

    Raises:
        UsageError: nothing has run yet.
        InfraError: the run that is followed was killed: it holds its log no more, and no line ends it.
    """
    logs = sorted(folder.glob("*Z.log"))
    if not logs:
        raise UsageError("no run has left a log here", "`loopwright run`")
    with logs[-1].open(encoding="utf-8") as file:
        line, left = "", False
        while True:
            part = file.readline()
            line += part
            if line.endswith("\n"):
                sys.stdout.write(line)
                sys.stdout.flush()
                ended = line.split(" ", 1)[-1].startswith("ended")
                line = ""
                if ended:
                    return
            elif not follow:
                return
            elif left:
                raise InfraError(
                    "the run was killed: nobody writes this log any more", "`loopwright run` goes on where it stood"
                )
            else:
                time.sleep(_LOOK_SECONDS)
                left = not _held(file)  # then what came in between is read once more


def _held(file: IO[str]) -> bool:
    """Whether a run still writes it; its lock goes when the process goes, however that ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
