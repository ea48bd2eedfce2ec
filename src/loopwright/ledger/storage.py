"""The log's sequencer: SQLite (WAL, synchronous=FULL) or PostgreSQL through SQLAlchemy Core, one short transaction a batch.

A writer takes its turn before it reads: SQLite's BEGIN IMMEDIATE, on PostgreSQL an advisory lock of the schema that ends with
the transaction. The ``log_*`` tables are the truth until published and can be rebuilt from ``ledger/``. Triggers refuse to
change or remove an entry: a seat belt against mistakes, not against whoever owns the database (the signed tree is for that).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import (
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import IntegrityError as ConstraintError

from loopwright.errors import InfraError, IntegrityError, LoopwrightError, WorkspaceError
from loopwright.ledger.location import Location, Server
from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.shape import bring_up

__all__ = ["Snapshot", "Storage", "lease_table", "refuse_network", "set_schema_aside"]

_BUSY_SECONDS = 30
_ROWS = 500
_NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
)
_METADATA = MetaData()

_leaf = Table(
    "log_leaf",
    _METADATA,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("event", Text, nullable=False, unique=True),
    Column("envelope", LargeBinary, nullable=False),
)
_checkpoint = Table(
    "log_checkpoint",
    _METADATA,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)
_tree = Table(  # one row: the compact range, changed in the same transaction as the leaves
    "log_tree",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("peaks", LargeBinary, nullable=False),
)
lease_table = Table(  # one row; `loopwright.ledger.lease` says what it means
    "lease",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("host", Text),
    Column("place", Text),
    Column("pid", Integer),
    Column("process_started", Float),
    Column("since", Text),
    Column("heartbeat", Float, nullable=False),
)


def refuse_network(path: Path, mounts: Sequence[tuple[str, str]]) -> None:
    """WorkspaceError where ``path`` is on a network file system; ``mounts`` are (mount point, type).

    SQLite's locks and shared memory do not work across hosts: two drivers would both believe that they write alone.
    """
    at = path.resolve()
    holding = [(Path(point), kind) for point, kind in mounts if at.is_relative_to(point)]
    point, kind = max(holding, key=lambda mount: len(mount[0].parts), default=(Path("/"), ""))
    if kind in _NETWORK:
        raise WorkspaceError(
            f"{path} is on a network file system ({kind} at {point}), where SQLite loses entries",
            "make the workspace on a local disk, or write the record to PostgreSQL (record.url in loop.yaml)",
        )


def _mounts() -> list[tuple[str, str]]:
    return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]


def _explain(location: Location, error: DBAPIError) -> LoopwrightError:
    if location.server:
        from loopwright.ledger.postgres import explain

        return explain(location.server, error.orig or error)
    path, reason = location.path, str(error.orig)
    if isinstance(error, ConstraintError):
        return IntegrityError(f"the ledger refuses the change: {reason}", "loopwright verify")
    if "full" in reason:
        return InfraError(f"the disk is full: {path} cannot grow; nothing was half written", "make room, then run again")
    if "locked" in reason:
        return InfraError(f"another process kept {path} locked for {_BUSY_SECONDS} s", "end it, then run again")
    if isinstance(error, OperationalError):
        return InfraError(f"{path} cannot be used: {reason}", "check the disk and its permissions, then run again")
    return IntegrityError(
        f"{path} is damaged: {reason}", "move the file away; it is built again from ledger/ (unpublished entries are lost)"
    )


def _file_engine(path: Path) -> Engine:
    refuse_network(path.parent, _mounts())
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


def _server_engine(server: Server) -> Engine:
    from loopwright.ledger.postgres import connect

    return create_engine("postgresql+pg8000://", creator=lambda: connect(server), pool_pre_ping=True)


def _turn(server: Server | None) -> str:
    """The statement that begins a transaction as the only writer."""
    if server is None:
        return "BEGIN IMMEDIATE"  # the writer's place in the queue is taken before it reads
    key = int.from_bytes(hashlib.sha256(f"loopwright:{server.schema}".encode()).digest()[:8], "big", signed=True)
    return f"SELECT pg_advisory_xact_lock({key})"


def _engine(location: Location) -> Engine:
    engine = _server_engine(location.server) if location.server else _file_engine(location.path)
    turn = _turn(location.server)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(turn)

    return engine


def set_schema_aside(server: Server, name: str) -> None:
    """Give the server's schema another name, where it is there; errors as of `Storage.transaction`."""
    location = Location(path=Path(), server=server)
    engine = _engine(location)
    try:
        with engine.begin() as connection:
            known = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
            if connection.execute(known, {"name": server.schema}).first():
                connection.exec_driver_sql(f'ALTER SCHEMA "{server.schema}" RENAME TO "{name}"')
    except DBAPIError as error:
        raise _explain(location, error) from error
    finally:
        engine.dispose()


class Snapshot:
    """The log within one transaction."""

    def __init__(self, connection: Connection, location: Location) -> None:
        self.connection, self.location = connection, location

    def tree(self) -> CompactRange:
        """The tree over all entries."""
        size, peaks = self.connection.execute(select(_tree.c.size, _tree.c.peaks)).one()
        return CompactRange(size, tuple(peaks[at : at + 32] for at in range(0, len(peaks), 32)))

    def find(self, keys: Sequence[str]) -> dict[str, int]:
        """Index of each entry that was appended under one of these idempotency keys."""
        found: dict[str, int] = {}
        for at in range(0, len(keys), _ROWS):
            known = select(_leaf.c.event, _leaf.c.idx).where(_leaf.c.event.in_(keys[at : at + _ROWS]))
            found.update((key, index) for key, index in self.connection.execute(known))
        return found

    def append(self, entries: Sequence[tuple[str, bytes]]) -> list[int]:
        """Add those (event, envelope) pairs whose event is not there; the index of each. Durable once the transaction has ended."""
        before, places = self.tree(), self.find([key for key, _ in entries])
        rows: list[dict[str, Any]] = []
        for key, envelope in entries:
            if key not in places:
                places[key] = before.size + len(rows)
                rows.append({"idx": places[key], "leaf_hash": leaf_hash(envelope), "event": key, "envelope": envelope})
        self._insert(rows)
        after = before.extend(row["leaf_hash"] for row in rows)
        if rows:
            self.connection.execute(update(_tree).values(size=after.size, peaks=b"".join(after.peaks)))
        return [places[key] for key, _ in entries]

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        if self.connection.dialect.name == "sqlite":
            if rows:
                self.connection.execute(insert(_leaf), rows)
            return
        for at in range(0, len(rows), _ROWS):  # pg8000 sends a row at a time and waits for each, unless they are one statement
            self.connection.execute(insert(_leaf).values(rows[at : at + _ROWS]))

    def envelopes(self, start: int, stop: int) -> list[bytes]:
        """Entries ``start`` to ``stop - 1``."""
        rows = select(_leaf.c.envelope).where(_leaf.c.idx >= start, _leaf.c.idx < stop).order_by(_leaf.c.idx)
        return list(self.connection.execute(rows).scalars())

    def hashes(self, start: int, stop: int) -> list[bytes]:
        """Leaf hashes ``start`` to ``stop - 1``."""
        rows = select(_leaf.c.leaf_hash).where(_leaf.c.idx >= start, _leaf.c.idx < stop).order_by(_leaf.c.idx)
        return list(self.connection.execute(rows).scalars())

    def add_checkpoint(self, size: int, note: str) -> None:
        """Keep a signed checkpoint."""
        self.connection.execute(insert(_checkpoint).values(size=size, note=note))

    def checkpoints(self, since: int = 0) -> dict[int, str]:
        """Signed notes by size, in order; those of at least ``since`` entries."""
        rows = self.connection.execute(
            select(_checkpoint).where(_checkpoint.c.size >= since).order_by(_checkpoint.c.size)
        ).all()
        return {row.size: row.note for row in rows}


class Storage:
    """The database of one workspace."""

    def __init__(self, location: Location) -> None:
        """Open or make it; a database of an older version is brought up to date.

        WorkspaceError on a network file system, where a newer version made it, or where a server's settings lose entries;
        `location.Unreachable` where there is no connection.
        """
        self.location = location
        self._engine = _engine(location)
        try:
            with self.transaction() as snapshot:
                bring_up(snapshot.connection, location)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Snapshot]:
        """One writer at a time; everything in it is durable at its end, or nothing of it happened.

        InfraError where the disk is full or failing, IntegrityError where the database is damaged.
        """
        try:
            with contextlib.ExitStack() as opened:
                yield Snapshot(self._begun(opened), self.location)
        except DBAPIError as error:
            raise _explain(self.location, error) from error

    def _begun(self, opened: contextlib.ExitStack) -> Connection:
        """A connection in a transaction; a new one where the server reset what the pool had (nothing was said on it yet)."""
        try:
            return opened.enter_context(self._engine.begin())
        except ConnectionError:
            self._engine.dispose()
            return opened.enter_context(self._engine.begin())

    def close(self) -> None:
        """Release the file or the connections."""
        self._engine.dispose()
