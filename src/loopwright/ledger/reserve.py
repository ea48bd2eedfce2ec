"""Room kept on the disk for what must be told even when it is full: that an attempt failed, that somebody stopped the loop.

A driver keeps the file while there is plenty of room. Where the disk turns out to be full when such an entry is written or
published, the file goes, the entry takes its place, and the next driver that finds room again makes the file anew.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loopwright.errors import InfraError

__all__ = ["BYTES", "FILE", "URGENT", "Told", "insist", "keep"]

FILE = Path(".loopwright") / "reserve"
BYTES = 2**20
"""Several times what the longest entry takes in the database and in its bundle."""

URGENT = frozenset({"failure", "halt", "freeze"})

Told = TypeVar("Told")


def keep(root: Path) -> None:
    """Have the file in the workspace at ``root``; not where the disk has not four times that to give."""
    place = root / FILE
    if place.exists() or _free(root) < 4 * BYTES:
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BYTES)
    except OSError as error:
        place.unlink(missing_ok=True)
        logging.getLogger(__name__).warning("no room could be kept for the day when the disk is full: %s", error)


def insist(root: Path, work: Callable[[], Told]) -> Told:
    """Do it; where the disk of the workspace at ``root`` is full, once more in the room that was kept. Errors are those of ``work``."""
    try:
        return work()
    except InfraError as error:
        if not _full(root, error) or not _released(root):
            raise
    return work()


def _free(root: Path) -> int:
    told = os.statvfs(root)
    return told.f_bavail * told.f_frsize


def _full(root: Path, error: InfraError) -> bool:
    return _free(root) < BYTES or os.strerror(errno.EDQUOT) in error.message


def _released(root: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        (root / FILE).unlink()
        logging.getLogger(__name__).warning("the disk is full: recorded in the room that was kept for it (%s); make room", FILE)
        return True
    return False
