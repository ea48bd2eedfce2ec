"""The connection to a PostgreSQL server, what its refusals mean, and reading the record there (no SQLAlchemy needed).

What the program relies on it asks for itself at every connection, whatever the server's or the role's defaults are: commits that
wait for the disk, READ COMMITTED (after the wait for its turn a writer sees what the one before it wrote), and an end to waiting.
Beyond this machine a connection is encrypted and the server's certificate is checked, always.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from loopwright.errors import InfraError, IntegrityError, LoopwrightError, WorkspaceError
from loopwright.ledger.location import Server, Unreachable, password_of

__all__ = ["WAIT_SECONDS", "connect", "count", "envelopes", "explain", "heard", "schemas"]

WAIT_SECONDS = 30
"""How long a writer waits for its turn."""

_REACH_SECONDS = 5.0
_ANSWER_SECONDS = 120.0
_SESSION = {
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": f"{WAIT_SECONDS}s",
    "idle_in_transaction_session_timeout": "60s",  # a host that vanished within its turn gives it back
}
_REACH = "08", "57P", "28", "3D", "53300"


def _socket(server: Server) -> socket.socket:
    if server.host.startswith("/"):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(_REACH_SECONDS)
        try:
            made.connect(f"{server.host}/.s.PGSQL.{server.port}")
        except OSError:
            made.close()
            raise
    else:
        made = socket.create_connection((server.host, server.port), _REACH_SECONDS)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.settimeout(_ANSWER_SECONDS)
    return made


def _encryption(server: Server) -> ssl.SSLContext | bool:
    if server.local and server.authority is None:
        return False
    return ssl.create_default_context(cafile=server.authority)


def connect(server: Server) -> Any:
    """A DB-API connection of pg8000. Unreachable where none can be made, WorkspaceError where the driver is not installed."""
    try:
        import pg8000.dbapi as driver
    except ImportError as error:
        raise WorkspaceError(
            "the record is on PostgreSQL, and pg8000 is not installed", "pip install 'loopwright[postgresql]'"
        ) from error
    password = password_of(server) or ""  # the driver crashes where it is asked for one and has none
    made = None
    try:
        made = _socket(server)
        return driver.connect(
            server.user,
            host=server.host,
            database=server.database,
            password=password,
            sock=made,
            ssl_context=_encryption(server),
            application_name="loopwright",
            startup_params={**_SESSION, "search_path": server.schema},
        )
    except (OSError, driver.Error) as error:
        if made is not None:
            made.close()
        if isinstance(error, driver.DatabaseError):
            raise explain(server, error) from None
        raise Unreachable(f"no connection to {server}: {error}", "is the server up, and the URL in loop.yaml right?") from error


def _said(error: BaseException) -> tuple[str, str]:
    """SQLSTATE and message of a server's answer."""
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return told.get("C", ""), told.get("M", str(error))


def explain(server: Server, error: BaseException) -> LoopwrightError:
    """What a driver's error means for the record (SQLSTATE: PostgreSQL's documentation, appendix A)."""
    state, reason = _said(error)
    if state.startswith(("23", "P0001")):
        return IntegrityError(f"the ledger refuses the change: {reason}", "loopwright verify")
    if state.startswith("XX00"):
        return IntegrityError(
            f"{server} is damaged: {reason}", "drop the schema; it is built again from ledger/ (unpublished entries are lost)"
        )
    if state == "53100":
        return InfraError(f"the disk of {server} is full; nothing was half written", "make room, then run again")
    if state == "55P03":
        return InfraError(f"another process kept {server} locked for {WAIT_SECONDS} s", "end it, then run again")
    if state.startswith("28"):
        problem = f"{server} refuses the user: {reason}"
        return Unreachable(problem, "put HOST:PORT:DATABASE:USER:PASSWORD into ~/.pgpass (mode 0600), or see pg_hba.conf")
    if state.startswith(_REACH):
        return Unreachable(f"{server} does not serve: {reason}", "start the server, make the database, then run again")
    return InfraError(f"{server} cannot be used: {reason}", "run again; an entry that was written already is kept once")


def _ask(server: Server, *queries: str) -> list[Any]:
    """Rows of the last of these queries, each asked only where the first cell of the one before it is not null."""
    import pg8000.dbapi as driver

    connection, rows = connect(server), [(True,)]
    try:
        cursor = connection.cursor()
        for query in queries:
            if rows and rows[0][0] is not None:
                cursor.execute(query)
                rows = cursor.fetchall()
    except driver.Error as error:
        raise explain(server, error) from error
    finally:
        with contextlib.suppress(driver.Error):
            connection.close()
    return rows


def count(server: Server) -> int:
    """Entries in the schema, 0 where nothing was ever written."""
    [[found]] = _ask(server, "SELECT to_regclass('log_leaf')::text", "SELECT coalesce(max(idx) + 1, 0) FROM log_leaf")
    return found or 0


def heard(server: Server) -> float | None:
    """Seconds since the driver that holds the lease was heard, by the server's clock; None where nobody holds it."""
    ago = "SELECT extract(epoch FROM clock_timestamp()) - heartbeat FROM lease WHERE pid IS NOT NULL"
    rows = _ask(server, "SELECT to_regclass('lease')::text", ago)
    return float(rows[0][0]) if rows and rows[0][0] is not None else None


def schemas(server: Server) -> list[str]:
    """Schemas of the database that have a record which the user may read, by name."""
    query = "SELECT schemaname FROM pg_tables WHERE tablename = 'log_leaf' AND has_table_privilege(format('%I.log_leaf', schemaname), 'SELECT') ORDER BY 1"
    return [row[0] for row in _ask(server, query)]


def envelopes(server: Server, start: int, limit: int) -> list[bytes]:
    """The entries from ``start`` on (all of them where ``limit`` is negative), in order."""
    some = f" LIMIT {limit:d}" if limit >= 0 else ""
    return [row[0] for row in _ask(server, f"SELECT envelope FROM log_leaf WHERE idx >= {start:d} ORDER BY idx{some}")]  # noqa: S608  # two whole numbers
