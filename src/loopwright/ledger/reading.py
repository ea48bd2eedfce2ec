"""Reading a workspace's log: from its database, or from what is published where that is all there is, or more.

More is published than stored after a pull; all there is in a clone, and where the database's server cannot be reached.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from loopwright.errors import IntegrityError
from loopwright.ledger import snapshot as database
from loopwright.ledger.location import Location, Unreachable, locate
from loopwright.ledger.statement import Statement, read_statement
from loopwright.ledger.tiles import WIDTH, Tile, published_size, read_entries

__all__ = ["FOLDER", "driven", "first_entry", "parsed", "reaches", "read", "size_of", "stored", "stream"]

FOLDER = "ledger"
"""The published log, relative to the workspace."""

_AT_ONCE = 4_000
"""Entries that are read at once: all of a long log would fill the memory."""


def stored(location: Location) -> int:
    """Entries in the database; none where its server cannot be reached, since what is published can be read without it."""
    try:
        return database.count(location)
    except Unreachable as error:
        logging.getLogger(__name__).warning("%s; reading what is published", error.message)
        return 0


def driven(location: Location, within: float = 30.0) -> bool:
    """Does a driver work on it: one that holds the lease, and was heard in so many seconds?"""
    try:
        ago = database.heard(location)
    except Unreachable:
        return False
    return ago is not None and ago < within


def _published(root: Path) -> list[bytes]:
    try:
        return read_entries(root / FOLDER)
    except ValueError as error:
        raise IntegrityError(f"the published log cannot be read: {FOLDER}/{error}", "loopwright verify") from error


def read(location: Location, root: Path, start: int = 0, limit: int | None = None) -> list[bytes]:
    """The entries from ``start`` on, as they are stored; at most ``limit``."""
    if _leads(stored(location), root):
        return database.envelopes(location, start, -1 if limit is None else limit)
    return _published(root)[start : None if limit is None else start + limit]


def stream(location: Location, root: Path, start: int = 0) -> Iterator[bytes]:
    """`read`, as of the call, some thousand entries at a time."""
    there = stored(location)
    if not _leads(there, root):
        return iter(_published(root)[start:])
    parts = ((at, min(_AT_ONCE, there - at)) for at in range(start, there, _AT_ONCE))
    return chain.from_iterable(database.envelopes(location, at, count) for at, count in parts)


def size_of(location: Location, root: Path) -> int:
    """Entries, stored or published."""
    there = stored(location)
    return there if _leads(there, root) else max(there, published_size(root / FOLDER))


def _leads(there: int, root: Path) -> bool:
    """Is nothing published beyond what is stored?"""
    return there > 0 and (not reaches(root / FOLDER, there) or there >= published_size(root / FOLDER))


def reaches(folder: Path, index: int) -> bool:
    """Is there a file that may hold entry ``index``? Where there is none, at most ``index`` entries are published.

    Costs the same for every length of log, as `published_size` does not.
    """
    number, before = divmod(index, WIDTH)
    full = folder / Tile(-1, number).name
    with contextlib.suppress(FileNotFoundError):
        widths = [name for name in os.listdir(f"{full}.p") if name.isdigit()]
        return any(int(name) > before for name in widths) or full.is_file()
    return full.is_file()


def first_entry(root: Path) -> bytes | None:
    """The genesis entry, or None where there is no log."""
    location = locate(root)
    entries = database.envelopes(location, 0, 1) if stored(location) else _published(root)
    return entries[0] if entries else None


def parsed(entry: bytes, index: int) -> Statement:
    """An entry's statement; IntegrityError where it is none."""
    try:
        return read_statement(entry, index)
    except ValueError as error:
        raise IntegrityError(f"entry {index} of the ledger cannot be read: {error}", "loopwright verify") from error
