"""Where a workspace's record is written before it is published: an SQLite file in the workspace, or a PostgreSQL server.

``record: {url: …}`` in ``loop.yaml`` names the server: ``postgresql+pg8000://USER@HOST:PORT/DATABASE``, and after a ``?``
``schema=NAME`` (one a workspace; ``loopwright`` by default), ``host=/FOLDER`` (of a Unix socket) and ``ca=FILE`` (PEM, whom to
trust beside this machine's authorities). A URL holds no password: that is taken from the password file of PostgreSQL's own
tools (``$PGPASSFILE``, else ``~/.pgpass``), which nobody but its owner may read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from loopwright.errors import InfraError, PlanError, WorkspaceError

__all__ = ["DATABASE", "Location", "Server", "Unreachable", "locate", "password_of", "read_url"]

DATABASE = Path(".loopwright") / "state.db"
"""SQLite's file, relative to the workspace."""

_NAMED = re.compile(r"^[\"']?record[\"']?\s*:|\brecord[\"']?\s*:\s*\{", re.MULTILINE)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FORM = "postgresql+pg8000://USER@HOST:PORT/DATABASE?schema=NAME"
_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")


class Unreachable(InfraError):
    """No connection to the server could be made; what is published can still be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A schema of a database on a PostgreSQL server."""

    user: str
    host: str
    """A host's name or address; a folder's path where the server listens on a Unix socket in it."""
    port: int
    database: str
    schema: str
    authority: Path | None = None
    """PEM file of the authority that the server's certificate must come from; None: those that this machine trusts."""

    @property
    def local(self) -> bool:
        """Does the connection stay on this machine?"""
        return self.host.startswith(("/", "127.")) or self.host in {"localhost", "::1"}

    def __str__(self) -> str:
        return f"PostgreSQL {self.user}@{self.host}:{self.port}/{self.database}, schema {self.schema}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where one workspace's record is written."""

    path: Path
    """SQLite's file, there or not."""
    server: Server | None = None

    def __str__(self) -> str:
        return str(self.server or self.path)


def read_url(url: str, root: Path) -> Server:
    """The server that a URL names, files of it below ``root``; PlanError, without the URL, where it is not of that form."""
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise _misnamed("it cannot be read as a URL") from None
    if parts.password is not None:
        raise _misnamed("it holds a password, which belongs into ~/.pgpass (mode 0600); change that password")
    more = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host, schema = more.pop("host", parts.hostname or ""), more.pop("schema", "loopwright")
    authority = more.pop("ca", None)
    database = parts.path.removeprefix("/")
    if parts.scheme != "postgresql+pg8000" or more or not (parts.username and host and database) or not _NAME.fullmatch(schema):
        raise _misnamed("another scheme, a part that is missing, or one that is not known")
    return Server(
        user=parts.username,
        host=host,
        port=port,
        database=database,
        schema=schema,
        authority=root / authority if authority else None,
    )


def _misnamed(problem: str) -> PlanError:
    return PlanError(f"loop.yaml: record.url: {problem}", f"write {_FORM}")


def locate(root: Path) -> Location:
    """Where the record of the workspace at ``root`` is written, by its ``loop.yaml``; PlanError where that cannot be told."""
    plan = root / "loop.yaml"
    text = plan.read_text(encoding="utf-8", errors="replace") if plan.is_file() else ""
    url = _url(text) if _NAMED.search(text) else None
    return Location(path=root / DATABASE, server=read_url(url, root) if url else None)


def _url(text: str) -> str | None:
    import yaml  # most workspaces need none, and every verb passes here

    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError:
        raise PlanError(
            "loop.yaml is not YAML, so where the record is written cannot be told", "loopwright config check"
        ) from None
    record = told.get("record") if isinstance(told, Mapping) else None
    url = record.get("url") if isinstance(record, Mapping) else None
    return url if isinstance(url, str) else None


def password_of(server: Server) -> str | None:
    """The server's password by the first line of the password file that fits; None where there is none.

    The file's form is libpq's: ``host:port:database:user:password``, ``*`` fits all, a backslash escapes. WorkspaceError where
    others may read it (libpq passes over such a file in silence).
    """
    file = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    if not file.is_file():
        return None
    if file.stat().st_mode & 0o077:
        raise WorkspaceError(f"others may read the password file {file}", f"chmod 600 {file}")
    wanted = ("localhost" if server.host.startswith("/") else server.host, str(server.port), server.database, server.user)
    for line in file.read_text(encoding="utf-8").splitlines():
        fields = [re.sub(r"\\(.)", r"\1", field) for field in _FIELD.findall(line)[:5]]
        if not line.startswith("#") and len(fields) == 5 and _fits(fields[:4], wanted):
            return fields[4]
    return None


def _fits(fields: list[str], wanted: tuple[str, ...]) -> bool:
    return all(field in {"*", one} for field, one in zip(fields, wanted, strict=True))
