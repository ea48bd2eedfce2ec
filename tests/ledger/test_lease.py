"""The lease, held and taken over by real processes; a driver that lost it records nothing more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopwright.errors import InfraError, LeaseHeld
from loopwright.ledger import Ledger
from loopwright.ledger.lease import hold
from loopwright.ledger.location import locate
from loopwright.ledger.reading import driven
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.storage import Storage
from tests.ledger.workshop import Workshop, opening

DRIVER = """
import pathlib, sys, time
from loopwright.ledger import Ledger
from loopwright.ledger.location import locate
from loopwright.ledger.signer import LocalSigner
from tests.ledger.workshop import opening
ledger = Ledger.open(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), signer=LocalSigner)
with ledger.lease() as lease:
    print(lease.token, flush=True)
    sys.stdin.readline()
    try:
        print(ledger.append("open", [], opening("c0000", fence=lease.token), role="controller", event="open:c0000"), flush=True)
    except Exception as error:
        print(type(error).__name__, error.message, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@contextmanager
def driver(workshop: Workshop, repository: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lease, and its token."""
    command = [sys.executable, "-c", DRIVER, str(workshop.root), str(workshop.keys)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=repository) as process:
        assert process.stdout
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_the_second_driver_is_told_who_has_it_and_at_once(workshop: Workshop, repository: Path) -> None:
    with driver(workshop, repository) as (process, token):
        with pytest.raises(LeaseHeld) as held, workshop.ledger.lease():
            pass
        assert f"process {process.pid} on {socket.gethostname()}, since 20" in held.value.message
        assert held.value.exit_code == 7
        assert token == 1


def test_a_killed_driver_is_replaced_at_once(workshop: Workshop, repository: Path) -> None:
    with driver(workshop, repository) as (process, token):
        process.kill()
        # not waited for: the dead process is still in the process table, as a zombie
        while Path(f"/proc/{process.pid}/stat").exists() and b") Z " not in Path(f"/proc/{process.pid}/stat").read_bytes():
            time.sleep(0.01)
        with workshop.ledger.lease() as lease:
            assert lease.token == token + 1
            lease.check()
            workshop.open(fence=lease.token)


def test_a_released_lease_is_free_and_its_token_is_never_given_again(workshop: Workshop) -> None:
    for token in (1, 2, 3):
        with workshop.ledger.lease() as lease:
            assert lease.token == token


def test_two_leases_in_one_process_are_two_drivers(workshop: Workshop) -> None:
    other = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
    with workshop.ledger.lease(), pytest.raises(LeaseHeld), other.lease():
        pass
    other.close()


def test_a_driver_that_was_asleep_too_long_records_nothing_more(workshop: Workshop, repository: Path) -> None:
    """SIGSTOP beyond the timeout, takeover, SIGCONT: of the two, one appends."""
    with driver(workshop, repository) as (process, token):
        assert process.stdin
        assert process.stdout
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.6)
        storage = Storage(locate(workshop.root))
        with hold(storage, timeout=0.5) as lease:
            assert lease.token == token + 1
            os.kill(process.pid, signal.SIGCONT)
            print(file=process.stdin, flush=True)
            said = process.stdout.readline()
            assert said.startswith(f"InfraError this driver lost its lease (number {token}) to process {os.getpid()} on")
            lease.check()
        storage.close()
        assert workshop.ledger.size == 1


def test_a_live_driver_keeps_its_lease_beyond_the_timeout(workshop: Workshop) -> None:
    storage = Storage(locate(workshop.root))
    with hold(storage, timeout=0.5, interval=0.05) as lease:
        time.sleep(0.8)
        with pytest.raises(LeaseHeld), hold(storage, timeout=0.5):
            pass
        lease.check()
    storage.close()


def test_whoever_lost_the_lease_is_told_at_its_next_use(workshop: Workshop) -> None:
    storage = Storage(locate(workshop.root))
    with workshop.ledger.lease() as lost:
        with hold(storage, timeout=-1.0) as lease:
            uses: tuple[Callable[[], object], ...] = (lost.check, workshop.open)
            for use in uses:
                with pytest.raises(InfraError, match="lost its lease"):
                    use()
        with pytest.raises(InfraError, match="lost its lease"):
            lost.check()
    with hold(storage) as again:  # giving back what was lost took nothing from anybody
        assert again.token == lease.token + 1
    assert workshop.open() == 1  # without a lease, an enrolled principal may append: an approval needs no driver
    storage.close()


def test_an_approval_is_recorded_while_a_driver_works(workshop: Workshop, repository: Path) -> None:
    with driver(workshop, repository) as (process, _token):
        assert process.stdin
        assert process.stdout
        assert workshop.ledger.append("approval", [], {}, role="person", event="approval:1") == 1
        workshop.ledger.publish()
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "2\n"
    assert opening("c0000")["cycle"] == "c0000"


def test_who_only_reads_knows_whether_a_driver_is_at_work(workshop: Workshop) -> None:
    place = locate(workshop.root)
    assert not driven(place)
    with workshop.ledger.lease():
        assert driven(place)
        assert not driven(place, within=0.0), "one that was not heard for long may be gone"
    assert not driven(place)
