"""Reading the record as it stands, without SQLAlchemy: SQLite by the standard library, PostgreSQL by its driver alone.

What only reads (``status``, the app, ``verify``) needs one query; loading SQLAlchemy for it takes longer than the
query on a log of thousands of entries. Writing is `loopwright.ledger.storage`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import InfraError, IntegrityError
from loopwright.ledger.location import Location

__all__ = ["count", "envelopes", "heard"]


def _address(path: Path) -> str:
    """Read-only; on a medium that cannot be written, where SQLite could not keep its shared memory, without locks."""
    frozen = not os.access(path.parent, os.W_OK, effective_ids=True) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if frozen else "")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = None
    try:
        connection = sqlite3.connect(_address(path), uri=True, timeout=30.0)
        yield connection
    except sqlite3.OperationalError as error:
        raise InfraError(f"{path} cannot be read: {error}", "check the disk and its permissions, then try again") from error
    except (
        sqlite3.DatabaseError,
        UnicodeDecodeError,
    ) as error:  # the message quotes the damaged bytes, and sqlite3 fails to read it
        next_step = "move the file away; it is built again from ledger/ (entries that were never published are lost)"
        raise IntegrityError(f"{path} is damaged: {error}", next_step) from error
    finally:
        if connection is not None:
            connection.close()


def count(location: Location) -> int:
    """Entries in the database, 0 where there is none or an interrupted start left it empty.

    InfraError or IntegrityError where it cannot be read; `location.Unreachable` where its server cannot be reached.
    """
    if location.server:
        from loopwright.ledger import postgres  # its driver, sockets and TLS, only where they are used

        return postgres.count(location.server)
    if not location.path.is_file():
        return 0
    with _reading(location.path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_leaf'").fetchone():
            return 0
        return connection.execute("SELECT coalesce(max(idx) + 1, 0) FROM log_leaf").fetchone()[0]


def envelopes(location: Location, start: int = 0, limit: int = -1) -> list[bytes]:
    """The entries from ``start`` on (at most ``limit``), in order; errors as above."""
    if location.server:
        from loopwright.ledger import postgres

        return postgres.envelopes(location.server, start, limit)
    with _reading(location.path) as connection:
        rows = connection.execute("SELECT envelope FROM log_leaf WHERE idx >= ? ORDER BY idx LIMIT ?", (start, limit))
        return [envelope for (envelope,) in rows]


def heard(location: Location) -> float | None:
    """Seconds since the driver that holds the lease was heard; None where nobody holds it. Errors as above."""
    if location.server:
        from loopwright.ledger import postgres

        return postgres.heard(location.server)
    if not count(location):
        return None
    with _reading(location.path) as connection:
        found = connection.execute("SELECT heartbeat FROM lease WHERE pid IS NOT NULL").fetchone()
    return time.time() - found[0] if found else None
