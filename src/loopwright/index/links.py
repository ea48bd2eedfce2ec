"""Which phases made and used which bytes: what leads from an artifact to its neighbours without reading the record.

A row is short on purpose (a loop of ten thousand cycles has half a million): the first 60 bits of a digest, so that somebody's first
digits of one find it too. Whoever asks reads the phases that are named and compares whole digests and paths; a row may also tell of an
attempt that was done again while somebody looked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loopwright.ledger.fold import CycleRecord
from loopwright.types import Digest

__all__ = ["Links", "Step", "find", "links_of"]

_DIGITS = 15
"""Hexadecimal, of a digest: what fits into an integer of SQLite."""

Step = tuple[str, str]
"""(cycle, phase)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Phases, in the order of the loop, and how many there are in all."""

    steps: tuple[Step, ...]
    total: int


def links_of(record: CycleRecord, n: int) -> Iterator[tuple[int, int, int, str]]:
    """Rows of the table ``link`` for a cycle: (digest, made, n, phase)."""
    for phase, done in record.phases.items():
        for item in done.inputs:
            yield _range(item["digest"])[0], 0, n, phase
        for made in done.artifacts:
            yield _range(made.digest)[0], 1, n, phase


def _range(digits: str) -> tuple[int, int]:
    """The first and the last number of digests that begin like this; ValueError for what is not hexadecimal."""
    told = digits.removeprefix("sha256:")[:_DIGITS]
    return int(told.ljust(_DIGITS, "0"), 16), int(told.ljust(_DIGITS, "f"), 16)


def find(database: sqlite3.Connection, digits: Digest | str, made: Sequence[bool], limit: int) -> Links:
    """Phases that made (True) or used (False) something whose digest begins like this."""
    low, high = _range(digits)
    sides = ", ".join(str(int(side)) for side in made)
    clause = f"FROM link JOIN cycle USING (n) WHERE digest BETWEEN ? AND ? AND made IN ({sides})"
    total = database.execute(f"SELECT count(*) {clause}", (low, high)).fetchone()[0]
    rows = database.execute(f"SELECT cycle, phase {clause} ORDER BY n, phase LIMIT ?", (low, high, limit))
    return Links(steps=tuple((cycle, phase) for cycle, phase in rows), total=total)
