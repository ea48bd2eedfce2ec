"""What pages ask of the index: a page of cycles with filters and order, one cycle, the loop's standing, entries of the log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from loopwright.budgets import Used
from loopwright.index.fill import fill, of_cycle
from loopwright.index.links import Links, telling_of, users_of
from loopwright.index.rows import COLUMNS
from loopwright.index.tables import connection, file_of
from loopwright.ledger.fold import CycleRecord, LoopState, fold
from loopwright.ledger.ledger import Ledger
from loopwright.ledger.location import Location, locate
from loopwright.ledger.reading import driven
from loopwright.ledger.statement import Statement

__all__ = ["SORTS", "Filter", "Index", "Page"]

SORTS = ("n", *(name for name, kind in COLUMNS.items() if kind in {"REAL", "INTEGER"}), "cycle", "decision", "closed_at")
"""Columns that cycles may be sorted by."""

_ACTS = (
    "genesis", "enrol", "rotate", "revoke", "request", "approval", "execute", "reveal", "halt", "freeze", "recall", "observation",
)  # fmt: skip
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which cycles; what is left empty leaves none out."""

    decisions: Sequence[str] = ()
    """``promote``, ``hold``, ``reject``, ``halt``, and ``open`` for those without a decision."""
    text: str = ""
    """A part of the cycle's name, of its parent's, or of the reasons."""
    since: str = ""
    """ISO date or time: opened then or later."""
    until: str = ""
    lights: str = ""
    """``warn`` or ``stop``: at least one light says so."""
    failed: bool = False
    """With a failed attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of rows, and how many there are in all."""

    rows: tuple[Mapping[str, Any], ...]
    total: int


class Index:
    """The index of one workspace, as of `open`; a context manager. Reading only: what fills it is `open` itself."""

    def __init__(
        self, location: Location, database: sqlite3.Connection, ledger: Ledger, told: Mapping[str, Any], opened: ExitStack
    ) -> None:
        """Use `open`; ``opened`` is what `close` closes."""
        self._location, self._database, self._ledger, self._told, self._opened = location, database, ledger, told, opened

    @classmethod
    def open(cls, root: Path) -> Self:
        """Fill the index of the workspace at ``root`` and open it.

        WorkspaceError where there is no record, IntegrityError where it cannot be read, InfraError where no index can be written.
        """
        with ExitStack() as stack:
            ledger = Ledger.open(root)
            stack.callback(ledger.close)
            database = stack.enter_context(connection(file_of(root)))
            told = fill(database, ledger)
            return cls(locate(root), database, ledger, told, stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: object) -> None:
        self.close()

    def close(self) -> None:
        """Release both databases."""
        self._opened.close()

    @property
    def told(self) -> Mapping[str, Any]:
        """``name``, ``workspace``, ``demo``, ``size`` (entries), ``champion``, ``last``, ``open`` (cycles), ``latest`` (time)."""
        return self._told

    @property
    def driven(self) -> bool:
        """A driver is at work, in a cycle or between two."""
        return driven(self._location)

    @property
    def used(self) -> Used:
        """What the loop has used up (`loopwright.budgets`)."""
        return Used.told(self._told["used"])

    def page(self, where: Filter, *, sort: str = "n", descending: bool = True, start: int = 0, limit: int = 50) -> Page:
        """Cycles that the filter lets through, with the columns of `COLUMNS`. ValueError: no such order."""
        if sort not in SORTS:
            raise ValueError(f"cycles cannot be sorted by {sort!r}")
        clause, values = _where(where)
        total = self._database.execute(f"SELECT count(*) FROM cycle{clause}", values).fetchone()[0]
        order = f"{sort} DESC, n DESC" if descending else f"{sort} IS NULL, {sort}, n"  # NULL is last either way
        rows = self._database.execute(f"SELECT * FROM cycle{clause} ORDER BY {order} LIMIT ? OFFSET ?", (*values, limit, start))
        return Page(rows=tuple({**dict(row), "reasons": json.loads(row["reasons"])} for row in rows), total=total)

    def told_of(self, cycles: Iterable[str]) -> list[dict[str, Any]]:
        """`overview.cycle_row` of these cycles, as far as they are there, in the order of the loop."""
        names = list(cycles)
        found = self._database.execute(
            f"SELECT told FROM told JOIN cycle USING (n) WHERE cycle IN ({_marks(names)}) ORDER BY n", names
        )
        return [json.loads(row[0]) for row in found]

    def latest(self, count: int) -> list[dict[str, Any]]:
        """`overview.cycle_row` of the last ``count`` cycles, in the order of the loop."""
        found = self._database.execute("SELECT told FROM told ORDER BY n DESC LIMIT ?", (count,))
        return [json.loads(row[0]) for row in found][::-1]

    def cycles(self) -> int:
        """How many there are."""
        return self._database.execute("SELECT count(*) FROM cycle").fetchone()[0]

    def beside(self, cycle: str) -> tuple[str | None, str | None]:
        """The cycles that were opened before and after this one."""
        query = (
            "SELECT (SELECT cycle FROM cycle WHERE n < c.n ORDER BY n DESC LIMIT 1), "
            "(SELECT cycle FROM cycle WHERE n > c.n ORDER BY n LIMIT 1) FROM cycle c WHERE c.cycle = ?"
        )
        before, after = self._database.execute(query, (cycle,)).fetchone() or (None, None)
        return before, after

    def counts(self) -> dict[str, int]:
        """Cycles by decision; ``open`` for those without one."""
        return dict(self._database.execute("SELECT coalesce(decision, 'open'), count(*) FROM cycle GROUP BY 1").fetchall())

    def seconds_by_phase(self, last: int = 20) -> dict[str, list[float]]:
        """Wall times of each phase in the last closed cycles, oldest first: what a running one is likely to take."""
        found: dict[str, list[float]] = {}
        query = "SELECT told FROM told JOIN cycle USING (n) WHERE closed_at IS NOT NULL ORDER BY n DESC LIMIT ?"
        for (text,) in self._database.execute(query, (last,)).fetchall()[::-1]:
            for phase, seconds in json.loads(text)["seconds"].items():
                found.setdefault(phase, []).append(seconds)
        return found

    def entries(self, cycle: str) -> list[Statement]:
        """The log's entries of one cycle."""
        return of_cycle(self._database, self._ledger, cycle)

    def state(self, *cycles: str, more: Sequence[str] = ()) -> LoopState:
        """Where the loop stands, as `fold` says, but with these cycles only: persons, requests, halts and recalls are whole.

        ``more``: kinds of entries besides that are wanted whole, such as ``answer`` and ``incident``.
        """
        kinds = (*_ACTS, *more)
        wanted = {row[0] for row in self._database.execute(f"SELECT idx FROM entry WHERE kind IN ({_marks(kinds)})", kinds)}
        statements = {one.index: one for cycle in cycles for one in self.entries(cycle)}
        statements |= {one.index: one for one in self._ledger.statements_at(sorted(wanted - statements.keys()))}
        state = fold(statements[at] for at in sorted(statements))
        standing = {name: self._told[name] for name in ("champion", "last", "open", "latest")}
        kept = {name: record for name, record in state.cycles.items() if name in cycles}
        return replace(state, cycles=kept, leaves=self._told["size"], **standing)

    def near(self) -> LoopState:
        """`state` with the cycles that open requests are about, and those whose rules are in force: what requests are weighed against."""
        told = self._told
        asked = [one.said["details"].get("cycle") for one in self.state().acts.requests.values() if one.executed is None]
        last = told["open"] or told["last"]
        names = (told["champion"], told["open"], told["last"], self.beside(last)[0] if last else None, *asked)
        return self.state(*dict.fromkeys(name for name in names if isinstance(name, str)))

    def statements(self, wanted: Iterable[int]) -> Iterator[Statement]:
        """Entries of the log by number, in order."""
        return iter(self._ledger.statements_at(sorted(wanted)))

    def records(self, cycles: Iterable[str]) -> dict[str, CycleRecord]:
        """Single cycles, each folded from its own entries."""
        first = self._ledger.statements_at([0])
        found = {name: fold([*first, *self.entries(name)]).cycles.get(name) for name in cycles}
        return {name: record for name, record in found.items() if record is not None}

    def users(self, path: str, digest: str, limit: int = 50) -> Links:
        """Phases that used this artifact, in the order of the loop."""
        return users_of(self._database, path, digest, limit)

    def telling(self, digits: str, limit: int = 50) -> Links:
        """Phases that made something whose digest begins like this, or took it from outside."""
        return telling_of(self._database, digits, limit)

    def raw(self, entry: int) -> bytes | None:
        """An entry as it is stored; None where the log has none of this number."""
        return next(iter(self._ledger.entries_from(entry, 1)), None) if 0 <= entry < self._told["size"] else None

    def log(
        self,
        *,
        kinds: Sequence[str] = (),
        text: str = "",
        keys: Sequence[str] | None = None,
        cycle: str = "",
        start: int = 0,
        limit: int = 50,
    ) -> Page:
        """Entries as rows (``idx kind cycle phase keyid at event``), newest first.

        ``text``: a part of cycle, key, or event; ``keys``: signed by one of these (None: by anybody); ``cycle``: about this one.
        """
        tests, values = [], []
        for column, wanted in (("kind", kinds or None), ("keyid", keys), ("cycle", [cycle] if cycle else None)):
            if wanted is not None:
                tests.append(f"{column} IN ({_marks(wanted)})")
                values += wanted
        if text:
            tests.append("(instr(coalesce(cycle, ''), ?) OR instr(keyid, ?) OR instr(event, ?))")
            values += [text] * 3
        clause = f" WHERE {' AND '.join(tests)}" if tests else ""
        total = self._database.execute(f"SELECT count(*) FROM entry{clause}", values).fetchone()[0]
        rows = self._database.execute(
            f"SELECT * FROM entry{clause} ORDER BY idx DESC LIMIT ? OFFSET ?", (*values, limit, start)
        )
        return Page(rows=tuple(dict(row) for row in rows), total=total)

    def signers(self) -> dict[str, int]:
        """Entries by the key that signed them."""
        return dict(self._database.execute("SELECT keyid, count(*) FROM entry GROUP BY 1 ORDER BY 1").fetchall())

    def kinds(self) -> dict[str, int]:
        """Entries by kind."""
        return dict(self._database.execute("SELECT kind, count(*) FROM entry GROUP BY 1 ORDER BY 1").fetchall())


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _where(where: Filter) -> tuple[str, list[Any]]:
    tests: list[str] = []
    values: list[Any] = []
    if where.decisions:
        tests.append(f"coalesce(decision, 'open') IN ({_marks(where.decisions)})")
        values += where.decisions
    if where.text:
        tests.append("(instr(cycle, ?) OR instr(coalesce(parent, ''), ?) OR instr(lower(reasons), lower(?)))")
        values += [where.text] * 3
    for test, value in (("opened_at >= ?", where.since), ("opened_at < ?", where.until)):
        if value:
            tests.append(test)
            values.append(value)
    if where.lights:
        tests.append("stops > 0" if where.lights == "stop" else "warns + stops > 0")
    if where.failed:
        tests.append("failures > 0")
    return (f" WHERE {' AND '.join(tests)}" if tests else ""), values
