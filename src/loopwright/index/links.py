"""Which phases used which artifact, and which told of bytes with this digest: an artifact's neighbours without reading the record.

Rows are short on purpose (a loop of ten thousand cycles has half a million): the first 60 bits of a digest, so that somebody's first
digits of one find it too. Whoever asks reads the phases that are named and compares whole digests and paths; a row may also tell of an
attempt that was done again while somebody looked.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from loopwright.ledger.fold import CycleRecord
from loopwright.types import Digest

__all__ = ["Links", "Step", "note", "telling_of", "users_of"]

_DIGITS = 15
"""Hexadecimal, of a digest: what fits into an integer of SQLite."""

Step = tuple[str, str]
"""(cycle, phase)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Phases, in the order of the loop, and how many there are in all."""

    steps: tuple[Step, ...]
    total: int


def note(database: sqlite3.Connection, record: CycleRecord, n: int) -> None:
    """Write what a cycle's phases used and made. What a cycle made has its cycle in its path; what came from elsewhere is named where it is used."""
    phases = record.phases.items()
    inputs = [(item["path"], item["digest"], phase) for phase, done in phases for item in done.inputs]
    told = {(made.digest, phase) for phase, done in phases for made in done.artifacts}
    told |= {(digest, phase) for path, digest, phase in inputs if not path.startswith("cycles/")}
    used = [(_node(path, digest), n, phase) for path, digest, phase in inputs]
    database.executemany("INSERT OR IGNORE INTO used VALUES (?, ?, ?)", used)
    database.executemany(
        "INSERT OR IGNORE INTO named VALUES (?, ?, ?)", [(_range(digest)[0], n, phase) for digest, phase in told]
    )


def users_of(database: sqlite3.Connection, path: str, digest: Digest, limit: int) -> Links:
    """Phases that used this artifact."""
    return _found(database, "used", "node", _node(path, digest), _node(path, digest), limit)


def telling_of(database: sqlite3.Connection, digits: str, limit: int) -> Links:
    """Phases that made something whose digest begins like this, or took it from outside. ValueError for what is not hexadecimal."""
    return _found(database, "named", "digest", *_range(digits), limit)


def _found(database: sqlite3.Connection, table: str, column: str, low: int, high: int, limit: int) -> Links:
    total = database.execute(f"SELECT count(*) FROM {table} WHERE {column} BETWEEN ? AND ?", (low, high)).fetchone()[0]
    query = f"SELECT cycle, phase FROM {table} JOIN cycle USING (n) WHERE {column} BETWEEN ? AND ? ORDER BY {column}, n, phase LIMIT ?"
    return Links(steps=tuple((cycle, phase) for cycle, phase in database.execute(query, (low, high, limit))), total=total)


def _range(digits: str) -> tuple[int, int]:
    """The first and the last number of digests that begin like this."""
    told = digits.removeprefix("sha256:")[:_DIGITS]
    return int(told.ljust(_DIGITS, "0"), 16), int(told.ljust(_DIGITS, "f"), 16)


def _node(path: str, digest: Digest) -> int:
    return int(hashlib.sha256(f"{path}@{digest}".encode()).hexdigest()[:_DIGITS], 16)
