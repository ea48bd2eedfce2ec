"""Workspaces for the ledger's tests, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ledger.cluster import Cluster, binaries, cluster
from tests.ledger.workshop import Workshop

settings.register_profile("shared-machine", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("shared-machine")

_SCHEMAS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL server; its password is in the password file that the program looks into."""
    programs = binaries()
    if programs is None:
        pytest.skip("needs PostgreSQL's server (make system-deps)")
    with cluster(programs) as running, pytest.MonkeyPatch.context() as environment:
        passwords = tmp_path_factory.mktemp("pgpass") / "pgpass"
        passwords.touch(0o600)
        passwords.write_text(running.password_line())
        environment.setenv("PGPASSFILE", str(passwords))
        yield running


@pytest.fixture
def backend() -> str:
    """Where the workshop writes; test files about storage override this to run on both."""
    return "sqlite"


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest) -> str | None:
    """A schema of its own on the server, or None for SQLite."""
    if backend == "sqlite":
        return None
    return request.getfixturevalue("server").url(f"test_{os.getpid()}_{next(_SCHEMAS)}")


@pytest.fixture
def workshop(tmp_path: Path, url: str | None) -> Iterator[Workshop]:
    """A fresh ledger with its genesis entry, signed in this process."""
    made = Workshop(tmp_path / "workspace", tmp_path / "keys", url=url)
    yield made
    made.ledger.close()
