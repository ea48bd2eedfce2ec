"""Faults that storage can meet: killed at each step of a write, torn files, flipped bits, a disk that fails, a server that refuses.

After each: what was acknowledged is there once, what is damaged is named and never taken for something else, and work goes on.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import InfraError, IntegrityError, LoopwrightError
from loopwright.ledger import Ledger, postgres, publication, snapshot
from loopwright.ledger.audit import audit
from loopwright.ledger.commit import GroupCommit
from loopwright.ledger.inspection import inspect
from loopwright.ledger.location import locate
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.storage import Snapshot
from loopwright.ledger.tiles import read_entries
from tests.ledger.workshop import Workshop


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def say(ledger: Ledger, number: int) -> int:
    return ledger.append("approval", [], {"number": number}, role="person", event=f"event:{number}")


def in_a_child(work: Callable[[], object]) -> int:
    """Status of a process that was forked for this."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*_args: object, **_named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies(before: Callable[..., Any] | None) -> Callable[..., Any]:
    """In the place of a function: does what it does, then dies (None: dies at once)."""

    def step(*args: Any, **named: Any) -> None:
        if before is not None:
            before(*args, **named)
        die()

    return step


STEPS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the insert": lambda patch: patch.setattr(Snapshot, "append", dies(None)),
    "before the commit": lambda patch: patch.setattr(Snapshot, "append", dies(Snapshot.append)),
    "before the acknowledgement": lambda patch: patch.setattr(GroupCommit, "add", dies(GroupCommit.add)),
    "in a tile": lambda patch: patch.setattr(publication.os, "fsync", dies(None)),
    "after a tile's rename": lambda patch: patch.setattr(publication, "_sync", dies(None)),
    "before the checkpoint": lambda patch: patch.setattr(publication, "keep_file", dies(None)),
    "before the sweep": lambda patch: patch.setattr(publication, "_sweep", dies(None)),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_that_is_killed_at_any_step_is_gone_on_from(workshop: Workshop, monkeypatch: Any, step: str) -> None:
    for number in range(3):
        say(workshop.ledger, number)
    workshop.ledger.sign_checkpoint()
    workshop.ledger.close()

    def work() -> None:
        ledger = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
        say(ledger, 3)
        os.write(ready[1], b"3")
        STEPS[step](pytest.MonkeyPatch())
        say(ledger, 4)
        os.write(ready[1], b"4")
        ledger.sign_checkpoint()

    ready = os.pipe()
    assert in_a_child(work) == -signal.SIGKILL
    os.close(ready[1])
    acknowledged = [int(digit) for digit in os.read(ready[0], 10).decode()]
    os.close(ready[0])
    ledger = workshop.again()
    present = [statement.predicate["number"] for statement in ledger.statements(1)]
    assert set(acknowledged) <= set(present)
    assert say(ledger, 4) == 5
    ledger.sign_checkpoint()
    assert [statement.predicate["number"] for statement in ledger.statements(1)] == list(range(5))
    log = audit(workshop.published)
    assert (log.findings, log.covered) == ((), 6)
    assert inspect(workshop.root).findings == ()
    assert not list(workshop.published.rglob(".*"))


def fail_syncs() -> None:
    """From now on every fsync of this process fails with EIO, in the kernel (seccomp): a disk that is gone."""
    fsync, fdatasync = {"x86_64": (74, 75), "aarch64": (82, 83)}[platform.machine()]
    load, equal, answer = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 0),
        (equal, 1, 0, fsync),
        (equal, 0, 1, fdatasync),
        (answer, 0, 0, 0x00050005),
        (answer, 0, 0, 0x7FFF0000),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, described, 0, 0) == 0
    with pytest.raises(OSError, match="Input/output error"):
        os.fsync(os.open("/tmp", os.O_RDONLY))


def test_a_disk_that_fails_ends_the_writing_and_is_no_acknowledgement(workshop: Workshop) -> None:
    say(workshop.ledger, 0)
    workshop.ledger.sign_checkpoint()
    workshop.ledger.close()
    remote = workshop.url is not None  # whose disk is the server's: here only what is published fails

    def work() -> None:
        ledger = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
        say(ledger, 1)
        fail_syncs()
        told = []
        for attempt in (lambda: say(ledger, 2), ledger.publish, ledger.sign_checkpoint):
            try:
                attempt()
            except InfraError as error:
                told.append(error.exit_code)
        os._exit(0 if told == ([1, 1] if remote else [1, 1, 1]) else 3)

    assert in_a_child(work) == 0
    log = audit(workshop.published)
    assert log.findings == ()
    ledger = workshop.again()
    assert [statement.predicate["number"] for statement in ledger.statements(1)][:2] == [0, 1]
    assert say(ledger, 2) == 3
    ledger.sign_checkpoint()
    assert inspect(workshop.root).findings == ()
    assert ledger.size == 4


def test_a_failing_fsync_at_any_moment_of_a_publication_is_told(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a publication's syncs fails once: it says so, leaves a sound log, and the next one finishes."""
    workshop.cycle()
    original, left = os.fsync, 0

    def failing(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise OSError(5, "Input/output error")
        original(descriptor)

    for number in range(60):
        say(workshop.ledger, number)
        with monkeypatch.context() as patch:
            patch.setattr(publication.os, "fsync", failing)
            left = number + 1
            try:
                workshop.ledger.sign_checkpoint()
            except InfraError as error:
                assert "Input/output error" in error.message  # noqa: PT017
            else:
                break
        assert audit(workshop.published).findings == ()
    assert number > 5
    assert left > 0
    assert inspect(workshop.root).findings == ()


# --- torn and flipped ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """On SQLite, closed: the database is one file."""
    folder = tmp_path_factory.mktemp("sound")
    workshop = Workshop(folder / "workspace", folder / "keys")
    workshop.cycle()
    workshop.ledger.close()
    connection = sqlite3.connect(locate(workshop.root).path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return workshop


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    whole = path.read_bytes()
    try:
        path.write_bytes(data)
        yield
    finally:
        path.write_bytes(whole)


def test_a_published_file_that_was_cut_anywhere_is_found(sound: Workshop) -> None:
    """Every file, at each of its last bytes and at every 251st before."""
    for path in sorted(path for path in sound.published.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for length in sorted({*range(max(len(whole) - 30, 0), len(whole)), *range(0, len(whole), 251)}):
            with replaced(path, whole[:length]):
                assert audit(sound.published).findings, (path, length)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_database_that_was_cut_or_changed_is_found_or_says_the_same(sound: Workshop, data: st.DataObject) -> None:
    path = locate(sound.root).path
    whole, published = path.read_bytes(), read_entries(sound.published)
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    torn = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]]))
    with replaced(path, torn):
        found = {finding.code for finding in inspect(sound.root).findings}
        assert found <= {"database-differs", "database-unreadable", "unpublished"}
        if not found:  # a byte that nothing uses, or a database that lacks its last entries and catches up
            entries = snapshot.envelopes(locate(sound.root)) if snapshot.count(locate(sound.root)) else []
            assert entries == published[: len(entries)]


# --- what a server says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("53100", InfraError, "the disk of PostgreSQL .* is full; nothing was half written"),
        ("58030", InfraError, "cannot be used: it went wrong"),
        ("XX001", IntegrityError, "is damaged: it went wrong"),
        ("55P03", InfraError, "kept .* locked for 30 s"),
        ("57P01", InfraError, "does not serve"),
        ("23505", IntegrityError, "refuses the change"),
    ],
)
def test_what_a_server_refuses_is_said_in_our_words(
    server: Any, tmp_path: Path, state: str, error: type[LoopwrightError], words: str
) -> None:
    """The server raises it itself, in the middle of an append."""
    workshop = Workshop(tmp_path / "w", tmp_path / "keys", url=server.url(f"says_{state.lower()}"))
    target = locate(workshop.root).server
    assert target
    connection = postgres.connect(target)
    connection.cursor().execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'it went wrong' USING ERRCODE = '{state}'; END $$"
    )
    connection.cursor().execute("CREATE TRIGGER fail BEFORE INSERT ON log_leaf EXECUTE FUNCTION fail()")
    connection.commit()
    with pytest.raises(error, match=words):
        say(workshop.ledger, 0)
    connection.cursor().execute("DROP TRIGGER fail ON log_leaf")
    connection.commit()
    connection.close()
    assert say(workshop.ledger, 0) == 1
    workshop.ledger.close()


def test_a_connection_that_is_cut_is_told_and_the_next_append_makes_a_new_one(server: Any, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "keys", url=server.url("cut_off"))
    target = locate(workshop.root).server
    assert target
    say(workshop.ledger, 0)
    connection = postgres.connect(target)
    connection.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'loop' AND pid <> pg_backend_pid()"
    )
    connection.close()
    assert say(workshop.ledger, 1) == 2
    workshop.ledger.close()


def test_a_writer_waits_for_its_turn_and_no_longer_than_told(server: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(postgres._SESSION, "lock_timeout", "300ms")
    workshop = Workshop(tmp_path / "w", tmp_path / "keys", url=server.url("turns"))
    other = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
    with workshop.ledger._storage.transaction(), pytest.raises(InfraError, match="kept PostgreSQL .* locked"):
        say(other, 0)
    assert say(other, 0) == 1
    other.close()
    workshop.ledger.close()
