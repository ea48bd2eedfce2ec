"""The version of a database: found, refused where it is newer than this program, raised by the migrations where it is older.

It is `alembic`'s mark in the database. Alembic itself is loaded only where there is something to migrate.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from loopwright.errors import WorkspaceError
from loopwright.ledger.location import Location, Server

__all__ = ["VERSIONS", "bring_up"]

VERSIONS = ("0001", "0002")
"""Of `loopwright.ledger.migrations`, oldest first."""

_SCRIPTS = Path(__file__).parent / "migrations"


def bring_up(connection: Connection, location: Location) -> None:
    """Make or migrate the tables within the caller's transaction; WorkspaceError where a newer version made them."""
    if location.server:
        _check_server(connection, location.server)
    version = _version(connection)
    if version not in {None, *VERSIONS} or _beyond(connection):
        raise WorkspaceError(f"{location} was made by a newer version", "upgrade loopwright")
    if version != VERSIONS[-1]:
        _migrate(connection)


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def _beyond(connection: Connection) -> bool:
    """SQLite's own mark, which the first release used."""
    return connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA user_version").scalar_one() > len(
        VERSIONS
    )


def _check_server(connection: Connection, server: Server) -> None:
    """Refuse a server that loses what it acknowledged; make the schema where it is missing."""
    settings = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("fsync", "full_page_writes")}
    if lost := [name for name, value in settings.items() if value != "on"]:
        problem = f"{server} runs with {', '.join(f'{name}=off' for name in lost)}: a power cut would lose entries"
        raise WorkspaceError(problem, "switch it on in postgresql.conf, or use another server")
    known = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if connection.execute(known, {"name": server.schema}).first() is None:
        connection.exec_driver_sql(f'CREATE SCHEMA "{server.schema}"')


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
