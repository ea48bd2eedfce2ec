"""Filling the index: what the log has more than it, entry by entry, in one transaction.

It holds the digest of the last entry that it knows. Where the log does not go on from that one (another log, a restored
database), everything is dropped and filled from the first entry.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from loopwright.budgets import Used
from loopwright.errors import IntegrityError
from loopwright.index.links import note
from loopwright.index.rows import COLUMNS, row_of
from loopwright.ledger.fold import fold
from loopwright.ledger.ledger import Ledger
from loopwright.ledger.statement import Statement, read_statement

__all__ = ["fill", "meta", "of_cycle"]

_TURN = ("open", "phase", "failure", "close")
_INSERT = f"INSERT OR REPLACE INTO cycle ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
_ENTRY = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)"


def meta(index: sqlite3.Connection) -> dict[str, Any]:
    """``size``, ``tip``, ``champion``, ``last``, ``open``, ``latest``, ``used``; empty where nothing is filled."""
    return {name: json.loads(value) for name, value in index.execute("SELECT name, value FROM meta")}


def fill(index: sqlite3.Connection, ledger: Ledger) -> dict[str, Any]:
    """Bring the index up to the log; what `meta` says then. IntegrityError where an entry does not fit what is before it."""
    known = meta(index)
    if known and ledger.size == known["size"]:
        return known
    index.execute("BEGIN IMMEDIATE")
    try:
        told = _more(index, ledger)
    except BaseException:
        index.execute("ROLLBACK")
        raise
    index.execute("COMMIT")
    return told


def _more(index: sqlite3.Connection, ledger: Ledger) -> dict[str, Any]:
    known = meta(index)
    size = known.get("size", 0)
    entries = ledger.entries_from(max(0, size - 1))
    if size:
        if not entries or _tip(entries[0]) != known["tip"]:
            for table in ("cycle", "told", "entry", "used", "named", "meta"):
                index.execute(f"DELETE FROM {table}")
            return _more(index, ledger)
        entries = entries[1:]
    if not entries:
        return known
    filling = _Filling(index, ledger, known)
    for at, entry in enumerate(entries, size):
        filling.take(_read(entry, at))
    told = {**filling.done(), "size": size + len(entries), "tip": _tip(entries[-1])}
    index.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, json.dumps(value)) for name, value in told.items()])
    return told


def _tip(entry: bytes) -> str:
    return hashlib.sha256(entry).hexdigest()


def _read(entry: bytes, at: int) -> Statement:
    try:
        return read_statement(entry, at)
    except ValueError as error:
        raise IntegrityError(f"entry {at} of the ledger cannot be read: {error}", "loopwright verify") from error


class _Filling:
    """One pass over new entries. A cycle's row is written when it closes, or at the end where it is still open."""

    def __init__(self, index: sqlite3.Connection, ledger: Ledger, known: Mapping[str, Any]) -> None:
        self.index, self.ledger = index, ledger
        self.told = {name: known.get(name) for name in ("champion", "last", "open", "latest", "name", "workspace", "demo")}
        self.used = Used.told(known.get("used", {}))
        self.genesis = _read(ledger.entries_from(0, 1)[0], 0)
        self.waiting: dict[str, list[Statement]] = {}

    def take(self, statement: Statement) -> None:
        said, kind = statement.predicate, statement.kind
        self.used = self.used.after(statement)
        times = [value for key, value in said.items() if key.endswith("_at") and key != "expires_at" and isinstance(value, str)]
        self.told["latest"] = max([self.told["latest"] or "", *times])
        cycle = said.get("cycle") if isinstance(said.get("cycle"), str) else None
        phase = said.get("phase") if kind in {"phase", "failure"} else None
        at = max(times, default=None)
        self.index.execute(_ENTRY, (statement.index, kind, cycle, phase, statement.keyid, at, said["event"]))
        try:
            getattr(self, f"_{kind}", self._other)(statement, said)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"entry {statement.index} of the ledger ({kind}) does not fit what is before it: {error!r}"
            raise IntegrityError(problem, "loopwright verify") from error

    def done(self) -> dict[str, Any]:
        """Write what is waiting; the state for `meta`."""
        for cycle in list(self.waiting):
            self._write(cycle)
        return {**self.told, "used": asdict(self.used)}

    def _other(self, statement: Statement, said: Mapping[str, Any]) -> None:
        pass

    def _genesis(self, statement: Statement, said: Mapping[str, Any]) -> None:
        self.told |= {name: said[name] for name in ("name", "workspace", "demo")}

    def _open(self, statement: Statement, said: Mapping[str, Any]) -> None:
        self.waiting[said["cycle"]] = [statement]
        self.told["open"] = said["cycle"]

    def _phase(self, statement: Statement, said: Mapping[str, Any]) -> None:
        cycle = said["cycle"]
        if cycle not in self.waiting:
            earlier = [one for one in of_cycle(self.index, self.ledger, cycle) if one.index < statement.index]
            self.waiting[cycle] = earlier
        self.waiting[cycle].append(statement)

    _failure = _phase

    def _close(self, statement: Statement, said: Mapping[str, Any]) -> None:
        self._phase(statement, said)
        self._write(said["cycle"])
        self.told |= {"open": None, "champion": said["champion"]}
        if "abandoned" not in said:
            self.told["last"] = said["cycle"]

    def _rollback(self, statement: Statement, said: Mapping[str, Any]) -> None:
        self.told["champion"] = said["cycle"]

    def _import(self, statement: Statement, said: Mapping[str, Any]) -> None:
        self.told |= {"champion": said["champion"], "last": said["last"]}
        self._rows([self.genesis, statement])

    def _write(self, cycle: str) -> None:
        self._rows([self.genesis, *self.waiting.pop(cycle)])

    def _rows(self, statements: Iterable[Statement]) -> None:
        for name, record in fold(statements).cycles.items():
            found = self.index.execute("SELECT n FROM cycle WHERE cycle = ?", (name,)).fetchone()
            n = found[0] if found else self.index.execute("SELECT coalesce(max(n) + 1, 0) FROM cycle").fetchone()[0]
            row, told = row_of(record, n)
            self.index.execute(_INSERT, row)
            self.index.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (n, told))
            note(self.index, record, n)


def of_cycle(index: sqlite3.Connection, ledger: Ledger, cycle: str) -> list[Statement]:
    """The entries of one cycle, in order; of one that an import brought in, that import."""
    turn = f"cycle = ? AND kind IN ({', '.join('?' * len(_TURN))})"
    found = [row[0] for row in index.execute(f"SELECT idx FROM entry WHERE {turn} ORDER BY idx", (cycle, *_TURN))]
    if not found:
        found = [row[0] for row in index.execute("SELECT leaf FROM cycle WHERE cycle = ?", (cycle,))]
    return ledger.statements_at(found)
