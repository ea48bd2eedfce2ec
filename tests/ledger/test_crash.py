"""What survives: kill -9 in the middle of everything, and a disk with no room left."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loopwright.errors import InfraError
from loopwright.ledger import Ledger, publication, reserve
from loopwright.ledger.audit import audit
from loopwright.ledger.inspection import inspect
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.tiles import read_entries
from tests.ledger.workshop import TIME, Workshop

# Forks a writer for every line it reads. A writer appends without end, says each number once its append has returned,
# publishes and signs now and then, and is killed by the test.
NURSERY = """
import os, pathlib, sys
from loopwright.ledger import Ledger
from loopwright.ledger import lease, recovery, storage
from loopwright.ledger.signer import LocalSigner

def write(start):
    ledger = Ledger.open(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), signer=LocalSigner)
    for number in range(start, 10**9):
        ledger.append("approval", [], {"number": number, "padding": "x" * 2000}, role="person", event=f"event:{number}")
        os.write(1, b"%d\\n" % number)
        if number % 3 == 0:
            ledger.publish()
        if number % 7 == 0:
            ledger.sign_checkpoint()

for line in sys.stdin:
    writer = os.fork()
    if not writer:
        os.write(1, b"%d\\n" % os.getpid())
        write(int(line))
    os.waitpid(writer, 0)
    os.write(1, b"ended\\n")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def killed_many_times(workshop: Workshop, repository: Path, times: int, seed: int) -> None:
    moments, acked, start = random.Random(seed), list[int](), 0
    command = [sys.executable, "-c", NURSERY, str(workshop.root), str(workshop.keys)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=repository) as nursery:
        assert nursery.stdin
        assert nursery.stdout
        for _ in range(times):
            print(start, file=nursery.stdin, flush=True)
            writer = int(nursery.stdout.readline())
            acked.append(int(nursery.stdout.readline()))
            time.sleep(moments.uniform(0.0, 0.15))
            os.kill(writer, signal.SIGKILL)
            acked += [int(line) for line in iter(nursery.stdout.readline, "ended\n")]
            start = acked[-1] + 1  # what was not acknowledged is said again: it may be there already, and then stays once
        nursery.stdin.close()
    ledger = workshop.again()
    seen = [statement.predicate["number"] for statement in ledger.statements(1)]
    assert seen == list(range(len(seen))), f"seed {seed}"
    assert set(acked) <= set(seen), f"seed {seed}"
    ledger.publish()
    assert len(read_entries(workshop.published)) == ledger.size
    ledger.sign_checkpoint()
    log = audit(workshop.published)
    assert (log.findings, log.covered) == ((), ledger.size), f"seed {seed}"


def test_nothing_acknowledged_is_lost_by_kill_9(workshop: Workshop, repository: Path) -> None:
    killed_many_times(workshop, repository, times=8, seed=random.SystemRandom().randrange(10**6))


def test_a_log_that_grows_while_it_is_verified_has_no_findings(workshop: Workshop, repository: Path) -> None:
    command = [sys.executable, "-c", NURSERY, str(workshop.root), str(workshop.keys)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, text=True, cwd=repository) as nursery:
        assert nursery.stdin
        print(0, file=nursery.stdin, flush=True)
        while (first := inspect(workshop.root).leaves) == 1:
            time.sleep(0.01)
        reports = [inspect(workshop.root) for _ in range(10)]
        [writer] = psutil.Process(nursery.pid).children()
        writer.kill()
        nursery.stdin.close()
    assert [report.findings for report in reports] == [()] * 10
    assert reports[-1].leaves > first


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_kill_9_many_times(workshop: Workshop, repository: Path) -> None:
    killed_many_times(workshop, repository, times=200, seed=random.SystemRandom().randrange(10**6))


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[Callable[[], None]]:
    """A file system of this size, and how to make it larger; without root, a limit on what this process may write."""
    if os.geteuid() == 0 and shutil.which("mount"):
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
        try:
            yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True) and None
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, limits[1]))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_said_to_be_full_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as enlarge:
        workshop = Workshop(tmp_path / "disk" / "w", tmp_path / "keys")
        acked = 0

        def fill() -> None:
            nonlocal acked
            for number in range(2000):
                said = {"number": number, "padding": "x" * 20_000}
                workshop.ledger.append("approval", [], said, role="person", event=f"event:{number}")
                acked += 1
                if number % 5 == 0:
                    workshop.ledger.publish()

        with pytest.raises(InfraError, match=r"disk is full|cannot write|cannot be used") as full:
            fill()
        assert "run again" in full.value.next_step
        assert 5 < acked < 100
        assert workshop.ledger.size >= acked + 1
        assert [one.predicate["number"] for one in workshop.ledger.statements(1)][:acked] == list(range(acked))
        enlarge()
        assert workshop.ledger.append("approval", [], {"number": acked}, role="person", event=f"event:{acked}") == acked + 1
        workshop.ledger.sign_checkpoint()
        log = audit(workshop.published)
        assert (log.findings, log.covered) == ((), acked + 2)
        assert not list(workshop.published.rglob(".*"))
        workshop.ledger.close()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs a file system that is really full")
def test_a_failure_and_a_halt_are_recorded_and_published_on_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", "8m") as enlarge:
        workshop = Workshop(tmp_path / "disk" / "w", tmp_path / "keys")
        kept = workshop.root / reserve.FILE
        with workshop.ledger.lease():
            assert kept.stat().st_blocks * 512 >= reserve.BYTES, "really there, no hole"
        workshop.open()
        said = {"cycle": "c0000", "phase": "train", "key": "k", "attempt": 1, "error": "InfraError", "message": "x" * 40_000}
        failed = {**said, "started_at": TIME, "failed_at": TIME}
        with (tmp_path / "disk" / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        for number in range(200):  # until what the database has already is used up, too
            try:
                workshop.ledger.append("approval", [], {"padding": "x" * 20_000}, role="person", event=f"event:{number}")
            except InfraError:
                break
        assert number < 199
        assert kept.exists(), "not for that"
        workshop.ledger.append("failure", [], failed, role="controller", event="k:1:failed")
        workshop.ledger.publish()
        assert not kept.exists()
        assert "make room" in caplog.text
        other = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
        other.append("halt", [], {"reason": "smoke", "halted_at": TIME}, role="person", event="halt")
        other.publish()
        other.close()
        assert [one.kind for one in audit(workshop.published).statements][-2:] == ["failure", "halt"]
        with workshop.ledger.lease():
            assert not kept.exists(), "no room yet"
        enlarge()
        with workshop.ledger.lease():
            assert kept.exists()
        assert inspect(workshop.root).findings == ()
        workshop.ledger.close()


def test_a_full_disk_while_publishing_leaves_a_readable_log(tmp_path: Path) -> None:
    """The database fits and the publication does not: what was published stays whole, and it is finished later."""
    with small_disk(tmp_path / "disk") as enlarge:
        workshop = Workshop(tmp_path / "w", tmp_path / "keys")
        shutil.move(workshop.published, tmp_path / "disk" / "ledger")
        workshop.published.symlink_to(tmp_path / "disk" / "ledger")
        for number in range(80):
            said = {"number": number, "padding": "x" * 20_000}
            workshop.ledger.append("approval", [], said, role="person", event=f"event:{number}")
        with pytest.raises(InfraError, match="cannot write"):
            workshop.ledger.publish()
        assert len(read_entries(workshop.published)) == 1
        assert not list((tmp_path / "disk").rglob(".*"))
        assert audit(workshop.published).findings == ()
        enlarge()
        workshop.ledger.sign_checkpoint()
        log = audit(workshop.published)
        assert (log.findings, log.covered) == ((), 81)
        ledger = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
        assert ledger.size == 81
        ledger.close()
        workshop.ledger.close()


def test_the_published_log_is_sound_at_every_moment(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of a publication's steps the files verify: a reader at work and a driver killed there see that."""
    workshop.cycle()
    workshop.approve_many(260)
    entries = workshop.ledger.size
    moments = 0

    def audited(*_args: object) -> None:
        nonlocal moments
        moments += 1
        findings = audit(workshop.published).findings
        assert findings == (), (moments, findings)

    def watched(original: Callable[..., None]) -> Callable[..., None]:
        def step(*args: object) -> None:
            audited()
            original(*args)

        return step

    monkeypatch.setattr(publication, "write_file", watched(publication.write_file))
    monkeypatch.setattr(publication, "_sweep", watched(publication._sweep))
    workshop.ledger.publish()
    workshop.ledger.sign_checkpoint()
    audited()
    assert moments > 8
    assert audit(workshop.published).covered == entries
