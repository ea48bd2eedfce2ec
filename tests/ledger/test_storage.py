"""The two databases behind the ledger: their settings, versions, refusals, and what is said when they fail."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import InfraError, IntegrityError, LeaseHeld, PlanError, WorkspaceError
from loopwright.ledger import Ledger, postgres, shape, snapshot
from loopwright.ledger.inspection import inspect
from loopwright.ledger.location import Server, Unreachable, locate, password_of, read_url
from loopwright.ledger.recovery import rebuild
from loopwright.ledger.storage import Storage, refuse_network
from loopwright.plan import Plan, Record, Runtime
from loopwright.session import reachable
from tests.ledger.cluster import Cluster, binaries, cluster
from tests.ledger.workshop import Workshop

FIRST_RELEASE = """
CREATE TABLE log_leaf (idx INTEGER NOT NULL PRIMARY KEY, leaf_hash BLOB NOT NULL, event TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL);
CREATE TABLE log_checkpoint (size INTEGER NOT NULL PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE log_tree (id INTEGER NOT NULL PRIMARY KEY, size INTEGER NOT NULL, peaks BLOB NOT NULL);
CREATE TABLE lease (id INTEGER NOT NULL PRIMARY KEY, token INTEGER NOT NULL, host TEXT, place TEXT, pid INTEGER,
  process_started FLOAT, since TEXT, heartbeat FLOAT NOT NULL);
PRAGMA user_version=1;
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    server = request.getfixturevalue("server") if request.param == "postgresql" else None
    made = Workshop(tmp_path / "w", tmp_path / "keys", url=server and server.url(f"both_{os.urandom(4).hex()}"))
    yield made
    made.ledger.close()


def change(workshop: Workshop, statement: str) -> None:
    """Past the program, as whoever owns the database can."""
    location = locate(workshop.root)
    connection: Any = postgres.connect(location.server) if location.server else sqlite3.connect(location.path)
    try:
        connection.cursor().execute(statement)
        connection.commit()
    finally:
        connection.close()


# --- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM log_leaf",
        "UPDATE log_leaf SET event = 'x'",
        "DELETE FROM log_checkpoint",
        "UPDATE log_tree SET size = size - 1",
        "DELETE FROM log_tree",
    ],
)
def test_entries_cannot_be_changed_or_removed_by_mistake(both: Workshop, statement: str) -> None:
    with pytest.raises(Exception, match=r"append-only|never shrinks"):
        change(both, statement)
    assert both.open() == 1


def test_a_database_of_a_newer_version_is_left_alone(both: Workshop) -> None:
    both.ledger.close()
    change(both, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WorkspaceError, match="newer version"):
        Storage(locate(both.root))


def test_the_migrations_are_those_that_are_told(repository: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(shape.__file__).parent / "migrations"))
    known = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(known)) == shape.VERSIONS


def test_a_database_that_says_something_else_is_found(both: Workshop) -> None:
    both.cycle()
    both.ledger.close()
    server = locate(both.root).server
    change(both, "ALTER TABLE log_leaf DISABLE TRIGGER ALL" if server else "DROP TRIGGER log_leaf_update")
    change(both, "UPDATE log_leaf SET envelope = 'x' WHERE idx = 4")
    assert [finding.code for finding in inspect(both.root).findings] == ["database-differs"]


def test_what_was_never_published_is_found(both: Workshop) -> None:
    both.open()
    both.ledger.close()
    assert [finding.code for finding in inspect(both.root).findings] == ["unpublished"]


def test_a_database_is_set_aside_and_built_anew_with_the_same_answers(both: Workshop) -> None:
    both.cycle(fence=5)
    location = locate(both.root)

    def answers() -> list[Any]:
        ledger = both.again()
        with ledger._storage.transaction() as at:
            told = [at.tree(), at.checkpoints(), at.find([statement.event for statement in ledger.statements()])]
        return [*told, snapshot.envelopes(location), inspect(both.root)]

    before = answers()
    assert "replaced" in rebuild(both.root)
    assert answers() == before
    assert both.open("c0000") == 1  # said again, found again
    with both.ledger.lease() as lease:
        assert lease.token == 6
        with pytest.raises(LeaseHeld):
            rebuild(both.root)
    both.open("c0001")
    with pytest.raises(WorkspaceError, match="holds 8 entries, of which 7 are published"):
        rebuild(both.root)
    assert both.again().size == 8


def test_the_verbs_of_the_database(workshop: Workshop) -> None:
    workshop.cycle()
    workshop.ledger.close()
    (workshop.root / "loop.yaml").write_text("name: bench\n")
    told = [
        subprocess.run(
            [sys.executable, "-m", "loopwright", *verb, "-w", workshop.root], check=True, capture_output=True, text=True
        ).stdout
        for verb in (["record", "rebuild", "--json"], ["verify", "--tree"])
    ]
    assert json.loads(told[0])["leaves"] == 7
    assert "replaced" in json.loads(told[0])["kept"]
    assert told[1].startswith("7 of 7 entries are those that the log's key signed for\n")


def test_work_on_other_hosts_needs_a_record_that_they_can_reach(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "far.yaml").write_text("executor: ray\naddress: head.example:6379\n")
    (tmp_path / "cluster" / "near.yaml").write_text("executor: ray\n")
    server = Record(url="postgresql+pg8000://loop@db.example/base")
    with pytest.raises(PlanError, match="an SQLite file of one host"):
        reachable(Plan(runtime=Runtime(profile="cluster/far.yaml")), tmp_path)
    reachable(Plan(runtime=Runtime(profile="cluster/far.yaml"), record=server), tmp_path)
    reachable(Plan(runtime=Runtime(profile="cluster/near.yaml")), tmp_path)
    (tmp_path / "cluster" / "near.yaml").write_text("executor: ray\naddress: 127.0.0.1:6379\n")
    reachable(Plan(runtime=Runtime(profile="cluster/near.yaml")), tmp_path)
    (tmp_path / "cluster" / "far.yaml").write_text("executor: ray\naddress: auto\n")
    with pytest.raises(PlanError, match="an SQLite file of one host"):
        reachable(Plan(runtime=Runtime(profile="cluster/far.yaml")), tmp_path)


def test_a_database_is_not_given_up_for_a_log_that_is_not_sound(both: Workshop) -> None:
    both.cycle()
    both.ledger.close()
    (both.published / "tile/0/000.p/7").write_bytes(bytes(7 * 32))
    with pytest.raises(IntegrityError, match="not sound"):
        rebuild(both.root)
    assert snapshot.count(locate(both.root)) == 7


# --- SQLite ------------------------------------------------------------------------------------------------------------


def test_a_database_of_the_first_release_is_brought_up_to_date(workshop: Workshop) -> None:
    workshop.cycle()
    path = locate(workshop.root).path
    workshop.ledger.close()
    old = path.with_name("old.db")
    with sqlite3.connect(old) as connection:
        connection.executescript(FIRST_RELEASE)
        connection.execute("ATTACH ? AS now", (str(path),))
        for table in ("log_leaf", "log_checkpoint", "log_tree", "lease"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM now.{table}")
    connection.close()
    path.unlink()
    old.rename(path)
    before = snapshot.envelopes(locate(workshop.root))
    assert workshop.again().append("approval", [], {}, role="person", event="later") == 7
    assert snapshot.envelopes(locate(workshop.root))[:7] == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(shape.VERSIONS[-1],)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)  # the first release refuses it
    connection.close()


def test_an_append_waits_for_the_disk(workshop: Workshop) -> None:
    """A killed process cannot show it, only a power cut: so the settings are looked at."""
    with workshop.ledger._storage.transaction() as snapshot:
        asked = {
            name: snapshot.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("synchronous", "journal_mode")
        }
    assert asked == {"synchronous": 2, "journal_mode": "wal"}


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "disk"), "xfs")]
    with pytest.raises(WorkspaceError, match="network file system"):
        refuse_network(tmp_path / "w" / ".loopwright", mounts)
    refuse_network(tmp_path / "disk" / "w", mounts)
    refuse_network(tmp_path.parent, mounts)


def test_a_damaged_database_is_named(workshop: Workshop) -> None:
    workshop.ledger.close()
    (workshop.root / ".loopwright" / "state.db").write_bytes(b"not a database" * 500)
    with pytest.raises(IntegrityError, match=r"state\.db is damaged"):
        workshop.again()


def test_a_damaged_database_is_built_anew(workshop: Workshop) -> None:
    workshop.cycle()
    workshop.ledger.close()
    path = locate(workshop.root).path
    path.write_bytes(b"not a database" * 500)
    kept = Path(rebuild(workshop.root))
    assert kept.read_bytes() == b"not a database" * 500
    assert inspect(workshop.root).findings == ()
    assert workshop.again().append("approval", [], {}, role="person", event="later") == 7


def test_a_start_that_was_killed_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "w" / ".loopwright").mkdir(parents=True)
    (tmp_path / "w" / ".loopwright" / "state.db").touch()
    workshop = Workshop(tmp_path / "w", tmp_path / "keys")
    assert workshop.ledger.size == 1
    workshop.ledger.close()


def test_a_folder_that_cannot_be_written_is_read(workshop: Workshop, tmp_path: Path) -> None:
    workshop.open()
    workshop.ledger.close()
    frozen = Path(tempfile.mkdtemp())
    shutil.copytree(workshop.root / ".loopwright", frozen / ".loopwright")
    for path in (frozen, frozen / ".loopwright"):
        path.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        ledger = Ledger.open(frozen, tmp_path / "nokeys")
        assert [statement.kind for statement in ledger.statements()] == ["genesis", "open"]
        with pytest.raises(InfraError, match=r"state\.db"):
            ledger.publish()
        ledger.close()
    finally:
        os.seteuid(user)
        (frozen / ".loopwright").chmod(0o755)
        frozen.chmod(0o755)
        shutil.rmtree(frozen)


# --- PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(server: Cluster, tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path / "w", tmp_path / "keys", url=server.url(f"remote_{os.urandom(4).hex()}"))
    yield made
    made.ledger.close()


def test_an_append_waits_for_the_servers_disk(remote: Workshop) -> None:
    with remote.ledger._storage.transaction() as at:
        names = ("synchronous_commit", "fsync", "transaction_isolation", "lock_timeout")
        assert [at.connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names] == [
            "on", "on", "read committed", "30s",
        ]  # fmt: skip


def test_two_workspaces_do_not_share_a_schema(remote: Workshop, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="has a ledger already") as refused:
        Workshop(tmp_path / "other", tmp_path / "keys", url=remote.url)
    assert "?schema=" in refused.value.next_step


@pytest.mark.parametrize("longer", ["this", "that"])
def test_the_schema_of_another_workspace_is_not_written(server: Cluster, remote: Workshop, tmp_path: Path, longer: str) -> None:
    other = Workshop(tmp_path / "other", tmp_path / "otherkeys")
    (other if longer == "this" else remote).cycle()
    (other.root / "loop.yaml").write_text(f"record: {{url: '{remote.url}'}}\n")
    with pytest.raises(IntegrityError, match="not a continuation"):
        other.again().publish()


def test_a_record_moves_from_a_file_to_a_server_and_back(server: Cluster, workshop: Workshop) -> None:
    workshop.cycle()
    plan = workshop.root / "loop.yaml"
    plan.write_text(f"record:\n  url: '{server.url('moved')}'\n")
    assert workshop.again().append("approval", [], {}, role="person", event="on the server") == 7
    workshop.ledger.publish()
    plan.unlink()
    assert workshop.again().append("approval", [], {}, role="person", event="in the file") == 8


def test_a_record_does_not_leave_a_file_that_holds_more_than_is_published(server: Cluster, workshop: Workshop) -> None:
    workshop.open()
    (workshop.root / "loop.yaml").write_text(f"record: {{url: '{server.url('left')}'}}\n")
    with pytest.raises(WorkspaceError, match="holds 2 entries, of which 1 are published"):
        workshop.again().publish()


def test_a_server_that_is_gone_is_named_and_what_is_published_is_read(tmp_path: Path, caplog: Any) -> None:
    programs = binaries()
    if programs is None:
        pytest.skip("needs PostgreSQL's server (make system-deps)")
    with cluster(programs) as running, pytest.MonkeyPatch.context() as environment:
        (tmp_path / "pgpass").touch(0o600)
        (tmp_path / "pgpass").write_text(running.password_line())
        environment.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        workshop = Workshop(tmp_path / "w", tmp_path / "keys", url=running.url("gone"))
        workshop.cycle()
        running.stop()
        with pytest.raises(InfraError, match=r"cannot be used|no connection|does not serve"):
            workshop.open("c0001")
        assert [statement.kind for statement in workshop.again().statements()][-1] == "close"
        assert "reading what is published" in caplog.text
        with pytest.raises(Unreachable, match="no connection to PostgreSQL loop@127"):
            workshop.open("c0001")
        report = inspect(workshop.root)
        assert report.ok
        assert "not compared with the database: no connection" in report.unseen[0]
        running.start()  # crash recovery: what was acknowledged is there
        assert workshop.open("c0001") == 7
        workshop.ledger.close()
        running.stop("fast")
        running.start({"fsync": "off"})
        with pytest.raises(WorkspaceError, match="fsync=off: a power cut would lose entries"):
            workshop.again().publish()
        workshop.ledger.close()


def test_a_password_is_taken_from_a_file_that_nobody_else_reads(
    server: Cluster, remote: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = locate(remote.root).server
    assert target
    file = tmp_path / "pgpass"
    for text, mode, error, words in (
        (server.password_line(), 0o640, WorkspaceError, "others may read the password file"),
        ("", 0o600, Unreachable, "refuses the user|no connection"),
        ("*:*:*:loop:wrong\n", 0o600, Unreachable, "refuses the user: password authentication failed"),
    ):
        file.write_text(text)
        file.chmod(mode)
        monkeypatch.setenv("PGPASSFILE", str(file))
        with pytest.raises(error, match=words):
            postgres.count(target)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    assert password_of(target) is None


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_any_password_is_read_back(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    file = tmp_path_factory.mktemp("pgpass") / "pgpass"
    file.touch(0o600)
    file.write_text(f"other:5432:*:loop:no\nhost:*:base:loop:{escaped}\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSFILE", str(file))
        assert password_of(Server(user="loop", host="host", port=5432, database="base", schema="s")) == password


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+pg8000://loop:secret@host/base",
        "postgresql+psycopg://loop@host/base",
        "postgresql+pg8000://host/base",
        "postgresql+pg8000://loop@host",
        "postgresql+pg8000://loop@host:x/base",
        "postgresql+pg8000://loop@host/base?schema=a;drop",
        "postgresql+pg8000://loop@host/base?sslmode=disable",
    ],
)
def test_a_url_that_is_not_one_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "loop.yaml").write_text(f"name: x\nrecord: {{url: '{url}'}}\n")
    with pytest.raises(PlanError, match=r"record\.url") as refused:
        locate(tmp_path)
    assert "secret" not in str(refused.value)


def test_where_a_record_is_written(tmp_path: Path) -> None:
    assert locate(tmp_path).server is None
    (tmp_path / "loop.yaml").write_text("name: x  # no record: {url: here}\n")
    assert locate(tmp_path).server is None
    assert read_url("postgresql+pg8000://loop@/base?host=/run/pg&schema=a_1&ca=ca.pem", tmp_path) == Server(
        user="loop", host="/run/pg", port=5432, database="base", schema="a_1", authority=tmp_path / "ca.pem"
    )


def certificate(folder: Path) -> None:
    """A key, and a certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(*pem))


def test_beyond_this_machine_a_connection_is_encrypted_and_the_server_known(server: Cluster, tmp_path: Path) -> None:
    elsewhere = postgres._encryption(read_url("postgresql+pg8000://loop@db.example/base", tmp_path))
    assert isinstance(elsewhere, ssl.SSLContext)
    assert (elsewhere.verify_mode, elsewhere.check_hostname) == (ssl.CERT_REQUIRED, True)
    certificate(tmp_path)
    for name in ("ca.pem", "server.key"):
        shutil.copy(tmp_path / name, server.data / name)
        if server.user:
            shutil.chown(server.data / name, server.user["user"], server.user["group"])  # type: ignore[call-overload]
        (server.data / name).chmod(0o600)
    server.stop("fast")
    server.start({"ssl": "on", "ssl_cert_file": "ca.pem", "ssl_key_file": "server.key"})
    try:
        known = read_url(server.url("encrypted", more="&ca=ca.pem"), tmp_path)
        connection = postgres.connect(known)
        cursor = connection.cursor()
        cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cursor.fetchall() == ([True],)
        connection.close()
        certificate(tmp_path)  # of somebody else
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            postgres.connect(known)
    finally:
        server.stop("fast")
        server.start()
