"""The index's file: its tables, opening it for the process that fills it, and reading from it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import InfraError
from loopwright.index.rows import COLUMNS

__all__ = ["VERSION", "connection", "file_of"]

VERSION = 5
"""Raised with every change of tables or of what a row says: a file of another version is dropped and filled again."""

_FILE = Path(".loopwright") / "index.db"
_SORTED = ("decision", "sealed", "gate", "gain", "accepted", "wall_seconds", "closed_at")
_SCHEMA = (
    f"CREATE TABLE cycle ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})",
    *(f"CREATE INDEX cycle_{name} ON cycle ({name}, n)" for name in _SORTED),
    "CREATE TABLE told (n INTEGER PRIMARY KEY, told TEXT NOT NULL)",
    "CREATE TABLE entry (idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, cycle TEXT, phase TEXT, keyid TEXT NOT NULL, at TEXT, event TEXT NOT NULL)",
    "CREATE INDEX entry_cycle ON entry (cycle, idx)",
    "CREATE INDEX entry_kind ON entry (kind, idx)",
    "CREATE INDEX entry_keyid ON entry (keyid, idx)",
    "CREATE TABLE used (node INTEGER, n INTEGER, phase TEXT, PRIMARY KEY (node, n, phase)) WITHOUT ROWID",
    "CREATE TABLE named (digest INTEGER, n INTEGER, phase TEXT, PRIMARY KEY (digest, n, phase)) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)",
    f"PRAGMA user_version = {VERSION}",
)


def file_of(root: Path) -> Path:
    """Beside the workspace's database; where that folder cannot be written (a clone that somebody else owns), a place of this user's."""
    place = root / _FILE
    writable = place.parent if place.parent.exists() else root
    if os.access(writable, os.W_OK):
        return place
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"loopwright-index-{os.getuid()}" / f"{name}.db"


@contextlib.contextmanager
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """An open index with its tables; one that is damaged or of another version is dropped first. InfraError where it cannot be written.

    Not durable on purpose (``synchronous=OFF``): after a power cut it is filled again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        opened = _open(path)
    except sqlite3.DatabaseError:
        _drop(path)
        opened = _open(path)
    try:
        yield opened
    except sqlite3.DatabaseError as error:
        raise InfraError(f"the index {path} cannot be used: {error}", f"remove {path}; it is filled again") from error
    finally:
        opened.close()


def _drop(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    opened = sqlite3.connect(path, timeout=60.0, isolation_level=None)
    try:
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("PRAGMA synchronous=OFF")
        opened.execute("BEGIN IMMEDIATE")
        if opened.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            for kind, name in opened.execute("SELECT type, name FROM sqlite_master WHERE type = 'table'").fetchall():
                opened.execute(f"DROP {kind} {name}")
            for statement in _SCHEMA:
                opened.execute(statement)
        opened.execute("COMMIT")
    except sqlite3.DatabaseError:
        opened.close()
        raise
    opened.row_factory = sqlite3.Row
    return opened
