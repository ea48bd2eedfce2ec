"""`loopwright logs`: the lines of the last run, as they come."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from loopwright.errors import UsageError

__all__ = ["tail"]


def tail(folder: Path, *, follow: bool) -> None:
    """Print the newest log; with ``follow`` go on until the line that ends it.

    Raises:
        UsageError: nothing has run yet.
    """
    logs = sorted(folder.glob("*Z.log"))
    if not logs:
        raise UsageError("no run has left a log here", "`loopwright run`")
    with logs[-1].open(encoding="utf-8") as file:
        line = ""
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
            else:
                time.sleep(0.3)
