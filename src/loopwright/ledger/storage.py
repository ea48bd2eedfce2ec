"""The log's sequencer: SQLite (WAL, synchronous=FULL) through SQLAlchemy Core, one short transaction an append.

The ``log_*`` tables are the truth until published and can be rebuilt from ``ledger/``. Triggers refuse to change or
remove an entry: a seat belt against mistakes, not against whoever owns the file (the signed tree is for that).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, Table, Text, create_engine, event, insert, select, update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import IntegrityError as ConstraintError

from loopwright.errors import InfraError, IntegrityError, LoopwrightError, WorkspaceError
from loopwright.ledger.merkle import CompactRange, leaf_hash

__all__ = ["Snapshot", "Storage", "lease_table", "refuse_network"]

_VERSION = 1
_BUSY_SECONDS = 30
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
_TRIGGERS = [
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb.lower()} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
    for table in ("log_leaf", "log_checkpoint")
    for verb in ("UPDATE", "DELETE")
]


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
            "make the workspace on a local disk",
        )


def _mounts() -> list[tuple[str, str]]:
    return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]


def _explain(path: Path, error: DatabaseError) -> LoopwrightError:
    reason = str(error.orig)
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


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _settings(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the writer's place in the queue is taken before it reads

    return engine


class Snapshot:
    """The log within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def tree(self) -> CompactRange:
        """The tree over all entries."""
        size, peaks = self.connection.execute(select(_tree.c.size, _tree.c.peaks)).one()
        return CompactRange(size, tuple(peaks[at : at + 32] for at in range(0, len(peaks), 32)))

    def find(self, key: str) -> int | None:
        """Index of the entry that was appended under this idempotency key."""
        return self.connection.execute(select(_leaf.c.idx).where(_leaf.c.event == key)).scalar_one_or_none()

    def append(self, entries: Sequence[tuple[str, bytes]]) -> int:
        """Add (event, envelope) pairs; the index of the first. Durable once the transaction has ended."""
        before = self.tree()
        hashes = [leaf_hash(envelope) for _, envelope in entries]
        rows = [
            {"idx": before.size + at, "leaf_hash": hashes[at], "event": key, "envelope": envelope}
            for at, (key, envelope) in enumerate(entries)
        ]
        after = before.extend(hashes)
        self.connection.execute(insert(_leaf), rows)
        values = {"size": after.size, "peaks": b"".join(after.peaks)}
        self.connection.execute(update(_tree).values(**values))
        return before.size

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

    def checkpoints(self) -> dict[int, str]:
        """Signed notes by size, in order."""
        rows = self.connection.execute(select(_checkpoint).order_by(_checkpoint.c.size)).all()
        return {row.size: row.note for row in rows}


class Storage:
    """The database of one workspace."""

    def __init__(self, path: Path) -> None:
        """Open or make it; WorkspaceError on a network file system or where a newer version made it."""
        refuse_network(path.parent, _mounts())
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = _engine(path)
        with self.transaction() as snapshot:
            self._prepare(snapshot.connection)

    def _prepare(self, connection: Connection) -> None:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version > _VERSION:
            raise WorkspaceError(f"{self.path} was made by a newer version", "upgrade loopwright")
        if version < _VERSION:
            _METADATA.create_all(connection)
            connection.execute(insert(_tree).values(id=1, size=0, peaks=b""))
            connection.execute(insert(lease_table).values(id=1, token=0, heartbeat=0.0))
            for trigger in _TRIGGERS:
                connection.exec_driver_sql(trigger)
            connection.exec_driver_sql(f"PRAGMA user_version={_VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Snapshot]:
        """One writer at a time; everything in it is durable at its end, or nothing of it happened.

        InfraError where the disk is full or failing, IntegrityError where the database is damaged.
        """
        try:
            with self._engine.begin() as connection:
                yield Snapshot(connection)
        except DatabaseError as error:
            raise _explain(self.path, error) from error

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()
